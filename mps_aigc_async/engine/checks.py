"""The check of a request before anything is paid for."""

from ..catalog import Strictness, judge, tell_reports
from ..model.defaults import Defaults
from ..model.requests import CosStore, Request, steps_of
from ..wire.dialect import Dialect


def ensure_sendable(
    request: Request, defaults: Defaults, dialect: Dialect, store: CosStore | None, strictness: Strictness
) -> None:
    """Raise InvalidRequest unless every step of the request can be sent."""
    defaults.check(request)
    complete = defaults.complete(request)
    for step in steps_of(complete):
        dialect.create(step, store)
    judge(complete, strictness)
    if dialect.backend == "mps":  # where the reports were tested
        tell_reports(complete, strictness)
