"""All models, and the facts of whole kinds, by backend. To add a model, add an entry to its backend's module."""

from collections.abc import Mapping
from typing import Final

from . import mps, relay, vod
from .facts import Backend, Fact, ModelKind

MODELS: Final = (*mps.MODELS, *vod.MODELS, *relay.MODELS)

KIND_WIDE: Final[Mapping[Backend, Mapping[ModelKind, tuple[Fact, ...]]]] = {
    # True of every model of the kind whose own entry has no other fact about the field.
    "mps": mps.KIND_WIDE,
    "vod": vod.KIND_WIDE,
    "relay": relay.KIND_WIDE,
}
