"""Whether a request can be sent as it is, before anything is paid for."""

from ..catalog import Strictness, judge
from ..model.defaults import Defaults
from ..model.requests import CosStore, Request, steps_of
from ..wire.dialect import Dialect


def ensure_sendable(
    request: Request, defaults: Defaults, dialect: Dialect, store: CosStore | None, strictness: Strictness
) -> None:
    """Refuse what could not be sent, all steps of it, before the first is paid for. Raises InvalidRequest."""
    defaults.check(request)
    asked = defaults.complete(request)
    for step in steps_of(asked):
        dialect.create(step, store)
    judge(asked, strictness)
