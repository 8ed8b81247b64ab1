"""The docs' page of models is written from the catalog."""

from mps_aigc_async.catalog import MODELS

from .model_tables import PAGE, page


def test_the_page_of_models_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.model_tables`"


def test_every_model_and_every_cost_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for model in MODELS:
        assert f"\n| {model.name} |" in text
        assert all(fact.effect in text for fact in model.facts)
