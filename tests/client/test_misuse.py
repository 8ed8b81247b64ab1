"""Mistakes in the use of the API are told in its own words, before anything is sent."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mps_aigc_async import (
    AigcClient,
    AigcError,
    ConfigError,
    ImageRequest,
    ImageToVideo,
    InvalidRequest,
    ReferenceImage,
    VideoRequest,
)
from mps_aigc_async.testing import run
from mps_aigc_async.wire.mps import encode

from ..support import client_of, configured, in_memory

REQUEST = ImageRequest(prompt="a lake")
CHAIN = ImageToVideo(image=REQUEST, video=VideoRequest(prompt="wind"))
PICTURE: Any = b"\x89PNG"
"""Any, as for the next ones: the tests make calls that a type checker would refuse."""
POSITIONAL: Any = ImageRequest
CHAINED: Any = ImageToVideo


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: POSITIONAL("a cat"), r"by name: ImageRequest\(prompt=…\)"),
        (lambda: CHAINED(REQUEST, REQUEST), r"by name: ImageToVideo\(image=…\)"),
        (lambda: VideoRequest(prompt="a", duration=True), "duration: expected a whole number, got True"),
        (lambda: ImageRequest(prompt="a", output_count=True), "output_count: expected a whole number, got True"),
        (
            lambda: VideoRequest(prompt="a", first_frame=PICTURE),
            "first_frame: expected a URL, .* got bytes",
        ),
        (
            lambda: VideoRequest(prompt="a", last_frame=7),
            "last_frame: expected a URL, .* got int",
        ),
        (lambda: ReferenceImage(image=PICTURE), "image: expected a URL, a path or an ImageResult, got bytes"),
    ],
)
def test_a_request_that_is_no_request(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        make()


def test_a_long_input_is_not_quoted_whole() -> None:
    picture = "data:image/png;base64," + "A" * 4_000_000
    with pytest.raises(InvalidRequest, match="is not a URL") as raised:
        encode(VideoRequest(prompt="a", first_frame=picture))
    assert len(str(raised.value)) < 300


def test_a_client_of_something_else_than_a_config() -> None:
    with pytest.raises(ConfigError, match=r"takes a Config and not str: Config.load\(PATH\)"):
        AigcClient("config.json")  # type: ignore[arg-type] # what is tested


CALLS: list[tuple[Callable[[AigcClient], Awaitable[Any]], str]] = [
    (lambda client: client.generate("a cat"), "str is not a request"),  # type: ignore[call-overload] # as above
    (lambda client: client.submit("a cat"), "str is not a request"),  # type: ignore[call-overload]
    (lambda client: client.submit(CHAIN), "ImageToVideo is a chain of tasks: `generate` and `run` make it"),  # type: ignore[call-overload]
]


@pytest.mark.parametrize(("call", "told"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_call_of_something_else_sends_nothing(call: Callable[[AigcClient], Awaitable[Any]], told: str) -> None:
    service = in_memory()

    async def main() -> None:
        async with client_of(service, configured()) as client:
            with pytest.raises(InvalidRequest, match=told):
                await call(client)

    run(main())
    assert not service.arrivals


@pytest.mark.parametrize("requests", ["a cat", b"a", {"image": {"prompt": "a"}}, REQUEST, CHAIN, 5, None])
def test_a_batch_that_is_none(requests: Any) -> None:  # noqa: ANN401 — what is tested
    async def main() -> None:
        async with client_of(in_memory(), configured()) as client:
            client.check(REQUEST)
            with pytest.raises(InvalidRequest, match="`run` takes a list"):
                client.run(requests)
            with pytest.raises(InvalidRequest, match="is not a request"):
                client.check(5)  # type: ignore[arg-type] # what is tested

    run(main())


def test_a_bad_line_keeps_its_own_id() -> None:
    lines: list[dict[str, Any]] = [
        {"id": "shot-1", "image": {"promt": "a lake"}},
        {"id": "shot-2", "image": 5},
        {"id": "shot\n3", "image": {"promt": "a lake"}},
        {"id": 4},
    ]

    async def main() -> None:
        async with client_of(in_memory(), configured()) as client:
            outcomes = [outcome async for outcome in client.run(lines)]
            assert sorted(outcome.job_id for outcome in outcomes) == ["4", "item 3", "shot-1", "shot-2"]
            assert all(isinstance(outcome.error, AigcError) for outcome in outcomes)

    run(main())
