"""The check of a request before anything is paid for."""

from ..catalog import Strictness, judge
from ..model.defaults import Defaults
from ..model.errors import InvalidRequest
from ..model.requests import Request, steps_of
from ..network.buckets import BucketSettings
from ..wire.dialect import Dialect
from .local_inputs import refuse_odd_base64


def ensure_sendable(
    request: Request, defaults: Defaults, dialect: Dialect, buckets: BucketSettings, strictness: Strictness
) -> None:
    """Raise InvalidRequest unless every step of the request can be sent, and its results can be read."""
    defaults.check(request)
    complete = defaults.complete(request)
    for step in steps_of(complete):
        dialect.create(step, buckets.store)
        if why := buckets.why_unreadable(step.store):
            raise InvalidRequest(f"store: {why}")
    refuse_odd_base64(complete)
    judge(complete, strictness, dialect.backend)
