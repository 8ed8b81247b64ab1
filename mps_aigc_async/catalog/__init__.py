"""The documented abilities of models, and the check of a request against them. Pure, but for the memory of warnings."""

from .facts import Fact, Model, ModelKind, Source
from .judging import CatalogWarning, Strictness, judge, tell_reports
from .models import KIND_WIDE, MODELS
from .rules import Finding, findings

__all__ = [
    "KIND_WIDE",
    "MODELS",
    "CatalogWarning",
    "Fact",
    "Finding",
    "Model",
    "ModelKind",
    "Source",
    "Strictness",
    "findings",
    "judge",
    "tell_reports",
]
