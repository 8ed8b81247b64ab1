"""The catalog's data is well-formed, and no fact is dead."""

import re

import pytest

from mps_aigc_async.catalog import KIND_WIDE, MODELS, Finding, Model, findings
from mps_aigc_async.catalog.facts import ANYTHING, UNSET, Between, Nothing, OneOf, Pixels, Required, fold_case

from .samples import Case, broken_value, cases, flat_fields, kept_values

CASES = list(cases())
SERVICES = {
    "mps": ("MPS", "AIGC guide", "official SDK 3", "CreateAigc", "PixVerse"),
    "vod": ("VOD",),
    "relay": ("QuickRouter",),
}


def test_a_model_has_one_entry_for_each_kind_and_backend() -> None:
    names = [(model.backend, model.kind, model.name.casefold()) for model in MODELS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.backend} {model.kind} {model.name}")
def test_an_entry_has_its_source_and_its_versions(model: Model) -> None:
    assert len({version.casefold() for version in model.all_versions}) == len(model.all_versions)
    assert bool(model.live_versions) == bool(model.live_source and model.live_source.standing == "reported")
    for fact in model.facts:
        assert set(fact.versions) <= set(model.all_versions), fact


def test_a_fact_of_a_whole_kind_names_its_own_source() -> None:
    wide = [fact for by_kind in KIND_WIDE.values() for facts in by_kind.values() for fact in facts]
    assert all(fact.source is not None and not fact.versions for fact in wide)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.backend} {case.model.name} {case.fact.field}")
def test_every_fact_has_a_backend_a_standing_a_document_and_a_date_and_is_well_formed(case: Case) -> None:
    fact, source = case.fact, case.source
    assert case.backend == case.model.backend
    assert any(source.title.startswith(title) or title in source.title for title in SERVICES[case.backend])
    assert source.standing == ("reported" if source.title.startswith("reported") else "documented")
    assert re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", source.date)
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
            assert other in (ANYTHING, UNSET) or isinstance(other, Nothing | Required)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.backend} {case.model.name} {case.fact.field}")
def test_every_fact_judges_some_request(case: Case) -> None:
    """A dead rule would be a promise without a check: a field that no request has, or a fact that another overrides."""
    fact = case.fact
    results = [one for one in findings(case.request(broken_value(fact)), case.backend) if one.field == fact.field]
    if fact.accepts is ANYTHING:
        assert [one for one in results if isinstance(one, Finding) and one.source == case.source] == []
        return
    (finding,) = results
    assert isinstance(finding, Finding)
    kept = [str(one) for value in kept_values(fact) for one in findings(case.request(value), case.backend)]
    (told, *_) = [text for text in (str(finding), *kept) if str(case.source) in text]  # a report may only add values
    assert fact.words in told or fact.effect in told
    assert not fact.effect or fact.effect == finding.effect
    for value in kept_values(fact):
        others = findings(case.request(value), case.backend)
        assert not [one for one in others if isinstance(one, Finding) and one.accepted == fact.words and value != 1]


def test_every_field_of_a_fact_is_one_that_is_looked_at() -> None:
    """A misspelt field would silently be no rule."""
    to_do = "name the field in catalog/flat.py, `_PLAIN`, and set it in samples.py"
    assert {case.fact.field for case in CASES} <= flat_fields(), to_do
    conditions = {name for case in CASES if case.fact.when for name in case.fact.when.fields}
    assert conditions <= flat_fields()
