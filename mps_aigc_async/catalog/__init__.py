"""The documented abilities of models, and what a request breaks of them. Pure, but for what has been warned about."""

from .facts import Fact, Model, ModelKind, Source
from .judging import CatalogWarning, Strictness, judge
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
]
