"""Values that leave the package can be pickled, copied and hashed: a user's queue or cache takes them."""

import copy
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mps_aigc_async import (
    AigcError,
    Failure,
    ImageRequest,
    ImageResult,
    ImageToVideo,
    ServiceError,
    Success,
    TransportError,
    VideoRequest,
    VodOptions,
)
from mps_aigc_async.ledger.claims import OtherAccount
from mps_aigc_async.model.error_records import to_record
from mps_aigc_async.model.states import Ending

IMAGE = ImageResult(
    task_id="4-1", request_id="r-1", urls=("https://a/1.png",), expires_at=datetime(2026, 11, 26, tzinfo=UTC)
)


def subclasses(cls: type[AigcError]) -> Iterator[type[AigcError]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


CLASSES = [AigcError, *{cls: None for cls in subclasses(AigcError) if cls.__module__.startswith("mps_aigc_async")}]


def make(cls: type[AigcError]) -> AigcError:
    error: AigcError
    if issubclass(cls, ServiceError):
        error = cls("InvalidParameter", "no such size", ending=Ending.REFUSED, request_id="r-2")
    elif issubclass(cls, TransportError):
        error = cls("no answer", ending=Ending.UNKNOWN)
    elif issubclass(cls, OtherAccount):
        error = cls("shot-1/image", "second")
    else:
        error = cls("told")
    error.partial = IMAGE
    return error.with_context(job_id="shot-1/image", task_id="4-1", action="CreateAigcImageTask")


def copies(value: object) -> list[object]:
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    return [
        *(
            pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 — our own
            for protocol in protocols
        ),
        copy.copy(value),
        copy.deepcopy(value),
    ]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_survives_a_copy_whole(cls: type[AigcError]) -> None:
    error = make(cls)
    for again in copies(error):
        assert isinstance(again, AigcError)
        assert type(again) is cls
        assert (str(again), again.args, again.ids, again.partial) == (str(error), error.args, error.ids, IMAGE)
        assert vars(again) == vars(error)
        assert to_record(again) == to_record(error)


@pytest.mark.parametrize(
    "request_",
    [
        ImageRequest(prompt="a lake", additional_parameters={"size": [1, {"a": None}]}),
        VideoRequest(prompt="she turns", vod=VodOptions(ext_info={"a": 1}), first_frame=IMAGE),
        ImageToVideo(image=ImageRequest(prompt="a"), video=VideoRequest(prompt="b", additional_parameters={"a": "b"})),
    ],
)
def test_a_request_is_a_key_whatever_it_holds(request_: ImageRequest | VideoRequest | ImageToVideo) -> None:
    assert all(again == request_ for again in copies(request_))
    assert {request_: 1}[request_.model_copy(deep=True)] == 1
    assert hash(request_) != hash(ImageRequest(prompt="another"))


def test_outcomes_survive_a_copy() -> None:
    request = ImageRequest(prompt="a lake")
    for outcome in (
        Success(job_id="a", request=request, result=IMAGE),
        Failure(job_id="b", request={"prompt": "as a line"}, error=make(ServiceError), partial=IMAGE),
    ):
        for again in copies(outcome):
            assert isinstance(again, Success | Failure)
            assert (again.job_id, again.request, again.result, again.ok) == (
                outcome.job_id, outcome.request, outcome.result, outcome.ok,
            )  # fmt: skip
            assert str(again.error) == str(outcome.error)
