"""The three services' field tables: no row without a generated value, no attribute of a request without a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mps_aigc_async.model.requests import AudioRequest, ImageRequest, VideoRequest
from mps_aigc_async.model.value import Value
from mps_aigc_async.model.vod_options import VodOptions
from mps_aigc_async.wire import mps, relay, vod
from mps_aigc_async.wire.fields import FieldRow

from . import oracles

Strategies = Mapping[str, Any]


def covered(fields: Strategies, options: Strategies | None = None) -> set[str]:
    """The attributes that are generated, as the tables write them."""
    return {*fields, "prompt"} - {"id", "vod"} | {f"vod.{name}" for name in options or {}}


TABLES: dict[str, tuple[Sequence[FieldRow], set[str]]] = {
    "mps image": (mps.IMAGE_FIELDS, covered(oracles.IMAGE_FIELDS)),
    "mps video": (mps.VIDEO_FIELDS, covered(oracles.VIDEO_FIELDS)),
    "mps audio": (mps.AUDIO_FIELDS, covered(oracles.AUDIO_FIELDS)),
    "vod image": (vod.IMAGE_FIELDS, covered(oracles.VOD_IMAGE_FIELDS, oracles.VOD_IMAGE_OPTIONS)),
    "vod video": (vod.VIDEO_FIELDS, covered(oracles.VOD_VIDEO_FIELDS, oracles.VOD_VIDEO_OPTIONS)),
    "vod audio": (vod.AUDIO_FIELDS, covered(oracles.VOD_AUDIO_FIELDS, oracles.VOD_AUDIO_OPTIONS)),
    "relay image": (relay.IMAGE_FIELDS, covered(oracles.RELAY_IMAGE_FIELDS, oracles.RELAY_IMAGE_OPTIONS)),
    "relay video": (relay.VIDEO_FIELDS, covered(oracles.RELAY_VIDEO_FIELDS, oracles.RELAY_VIDEO_OPTIONS)),
}


@pytest.mark.parametrize("table", TABLES)
def test_each_row_is_generated_and_each_generated_attribute_has_a_row(table: str) -> None:
    rows, generated = TABLES[table]
    attributes = [attribute for attribute, *_ in rows]
    assert set(attributes) == generated
    assert len(attributes) == len(generated)


@pytest.mark.parametrize("request_type", [ImageRequest, VideoRequest, AudioRequest], ids=lambda cls: cls.kind)
def test_each_attribute_of_a_request_is_in_some_table(request_type: type[Value]) -> None:
    kind = request_type.__name__.removesuffix("Request").lower()
    known = {attribute for name, (rows, _) in TABLES.items() if name.endswith(kind) for attribute, *_ in rows}
    assert set(request_type.model_fields) - {"id", "vod"} == {name for name in known if "." not in name}


def test_each_option_of_vod_is_in_some_table() -> None:
    known = {attribute for rows, _ in TABLES.values() for attribute, *_ in rows if attribute.startswith("vod.")}
    assert {f"vod.{name}" for name in VodOptions.model_fields} == known
