"""The catalog's data is well-formed."""

import re

import pytest

from mps_aigc_async import ImageRequest, ReferenceVideo, VideoRequest
from mps_aigc_async.catalog import KIND_WIDE, MODELS, Fact, Model
from mps_aigc_async.catalog.facts import ANYTHING, NOTHING, Between, OneOf, Pixels, fold_case
from mps_aigc_async.catalog.rules import flatten

from .requests import FILM, URL

FACTS = [(model, fact) for model in MODELS for fact in model.facts]
ALL_FACTS = [*(fact for _, fact in FACTS), *(fact for facts in KIND_WIDE.values() for fact in facts)]


def test_a_model_has_one_entry_for_each_kind() -> None:
    names = [(model.kind, model.name.casefold()) for model in MODELS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.kind} {model.name}")
def test_an_entry_has_its_source_and_its_versions(model: Model) -> None:
    assert model.source.title
    assert re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", model.source.date)
    assert len({version.casefold() for version in model.versions}) == len(model.versions)
    for fact in model.facts:
        assert set(fact.versions) <= set(model.versions), fact


def test_what_holds_for_a_whole_kind_names_its_own_source() -> None:
    assert all(fact.source is not None and not fact.versions for facts in KIND_WIDE.values() for fact in facts)


@pytest.mark.parametrize("fact", ALL_FACTS, ids=lambda fact: f"{fact.field} {fact.words}")
def test_a_fact_is_well_formed(fact: Fact) -> None:
    if fact.default is not None:
        assert fact.accepts.takes(fact.default)
    match fact.accepts:
        case Between(least=least, most=most):
            assert 0 <= least <= most
        case Pixels(side=side, area=area):
            assert side or area
            assert all(least <= most for least, most in (side or (0, 0), area or (0, 0)))
        case OneOf():
            values = fact.accepts.values
            assert len({fold_case(value) for value in values}) == len(values) > 0
            assert all(fact.accepts.takes(value) for value in values)
        case other:
            assert other in (ANYTHING, NOTHING)


def test_every_field_of_a_fact_is_one_that_is_looked_at() -> None:
    """A misspelt field would silently be no rule."""
    everything = VideoRequest(
        prompt="x", aspect_ratio="1:1", duration=5, enable_audio=True, off_peak=True, resolution="720P", scene_type="y",
        first_frame=URL, last_frame=URL, images=(URL,), videos=(FILM, ReferenceVideo(url=FILM, refer_type="base")),
        additional_parameters={"size": "1x1"},
    )  # fmt: skip
    of_images = ImageRequest(prompt="x", output_count=1, output_format="png")
    to_do = "name the field in catalog/rules.py, `_PLAIN`, and set it in the request above"
    assert {fact.field for fact in ALL_FACTS} <= {*flatten(everything), *flatten(of_images)}, to_do
    conditions = {name for fact in ALL_FACTS if fact.when for name in getattr(fact.when, "fields", ("resolution",))}
    assert conditions <= set(flatten(everything))
