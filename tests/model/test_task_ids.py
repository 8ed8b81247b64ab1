"""TaskIds as users copy them."""

from typing import Any

import pytest

from mps_aigc_async import AigcClient, Attach, InvalidRequest, Kind
from mps_aigc_async.model.task_ids import require_task_id

from ..hostile import STEERS
from ..support import configured

ODD = (
    "", " ", "4-1\n", "4-1\r\nX: y", "4 1", "4-\ud800", "4-\udcff", "4-\u200b1", "4-\u202e1", "4-\x001", "4-\x9b31m",
    "4-\u30001", "4-\u20281", ".", "..",
)  # fmt: skip


@pytest.mark.parametrize(
    "task_id", ["4-AigcImage-0123", "251000000-AigcVideo-0123abcdt", "a/b?c=%2F", "任务1", "x" * 9999]
)
def test_what_may_be_an_id_passes(task_id: str) -> None:
    assert require_task_id(task_id) == task_id


@pytest.mark.parametrize("task_id", ODD)
def test_what_is_none_is_refused_where_it_is_given(task_id: str) -> None:
    for give in (
        lambda: require_task_id(task_id),
        lambda: Attach(task_id),
        lambda: AigcClient(configured()).attach(Kind.IMAGE, task_id),
    ):
        with pytest.raises(InvalidRequest, match="is no TaskId") as error_info:
            give()
        assert not STEERS.search(str(error_info.value))


@pytest.mark.parametrize("task_id", [123456789, 4.0, None, b"4-1"])
async def test_an_id_that_is_no_text_is_refused_where_it_is_given(task_id: Any) -> None:  # noqa: ANN401 — an untyped program's
    async with AigcClient(configured()) as client:
        for give in (lambda: Attach(task_id), lambda: client.attach(Kind.IMAGE, task_id)):
            with pytest.raises(InvalidRequest, match="a TaskId is a text"):
                give()
        with pytest.raises(InvalidRequest, match="a TaskId is a text"):
            await client.status(Kind.IMAGE, task_id)


@pytest.mark.parametrize("task_id", ODD)
@pytest.mark.parametrize("backend", ["mps", "vod", "relay"])
async def test_nothing_is_sent_for_such_an_id(backend: str, task_id: str) -> None:
    """Nothing listens there: a call would be a TransportError."""
    relay = {"baseUrl": "http://127.0.0.1:9", "apiKey": "relay-key-0123"}
    async with AigcClient(configured(backend=backend, relay=relay)) as client:
        with pytest.raises(InvalidRequest, match="is no TaskId"):
            await client.status(Kind.IMAGE, task_id)


@pytest.mark.parametrize("half", ["4-\ud800", "\udcff"])
async def test_half_a_character_in_any_call_is_refused_before_it_is_sent(half: str) -> None:
    async with AigcClient(configured()) as client:
        for work in (
            client.call("DescribeTasks", {"Status": half}),
            client.call("ProcessMedia", {"Inner": [{"Name": half}]}),
            client.task_details(half),
            client.settle(half, Attach("4-1")),
        ):
            with pytest.raises(InvalidRequest, match="unpaired surrogate"):
                await work
