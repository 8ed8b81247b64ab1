"""The abilities of models by backend, and the check of a request against them. Pure, but for the memory of warnings."""

from .facts import Backend, Fact, Model, ModelKind, Source, Standing
from .judging import CatalogWarning, Strictness, judge
from .models import KIND_WIDE, MODELS
from .rules import Finding, findings
from .unlisted import Unlisted

__all__ = [
    "KIND_WIDE",
    "MODELS",
    "Backend",
    "CatalogWarning",
    "Fact",
    "Finding",
    "Model",
    "ModelKind",
    "Source",
    "Standing",
    "Strictness",
    "Unlisted",
    "findings",
    "judge",
]
