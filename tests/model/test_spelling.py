"""The listed name that a misspelt one is close to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.model.errors import InvalidRequest
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, VideoRequest
from mps_aigc_async.model.spelling import closest
from mps_aigc_async.model.states import Kind

from ..field_table import SERVICES

CLASSES = {Kind.IMAGE: ImageRequest, Kind.VIDEO: VideoRequest, Kind.AUDIO: AudioRequest}
NAMES = [
    (kind, service, field.rpartition(".")[2])
    for kind, tables in SERVICES.items()
    for service, rows in tables.items()
    for _, field, _ in rows
]


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=20), max_size=5))
def test_the_closest_name_is_one_of_the_names(name: str, names: list[str]) -> None:
    assert closest(name, names) in (None, *names)


@pytest.mark.parametrize(
    ("name", "close"),
    [("promt", "prompt"), ("Images", "images"), ("image-s", "images"), ("img", None), ("", None), ("_", None)],
)
def test_a_close_name(name: str, close: str | None) -> None:
    assert closest(name, ["prompt", "images", "resolution"]) == close


@pytest.mark.parametrize(("kind", "service", "name"), sorted(set(NAMES)))
def test_a_services_own_name_for_a_field_leads_to_the_attribute(kind: Kind, service: str, name: str) -> None:
    rows = SERVICES[kind][service]
    attributes = {attribute for attribute, field, _ in rows if field.rpartition(".")[2] == name}
    with pytest.raises(InvalidRequest) as refusal:
        CLASSES[kind](prompt="x", **{name: None})
    (fault,) = refusal.value.faults
    assert fault.why in {f"unknown field: is {attribute} meant?" for attribute in attributes}
