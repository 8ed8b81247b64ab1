"""The rules of the proxy, and the answer that each fault leaves; test_fault_proxy has the sockets."""

import json
import zlib

import pytest

from mps_aigc_async.emulator.media.frames import USER_AGENT
from mps_aigc_async.emulator.tasks.faults import MEDIA
from mps_aigc_async.testing.http_messages import Head, Message, message
from mps_aigc_async.testing.proxy_faults import (
    FRAME,
    OVERSIZED,
    ProxyFault,
    ProxyFaults,
    ProxyRule,
    action_of,
    spoil,
    stand_in,
)

CREATE, DESCRIBE = "CreateAigcImageTask", "DescribeAigcImageTask"


def add(
    faults: ProxyFaults,
    fault: ProxyFault,
    action: str | None = None,
    times: int | None = 1,
    probability: float = 1.0,
    seconds: float = 0.0,
) -> None:
    faults.add(fault, action, times, probability, seconds, OVERSIZED)


def draw(faults: ProxyFaults, action: str) -> ProxyFault | None:
    rule = faults.draw(action)
    return None if rule is None else rule.fault


def answer(**response: object) -> Message:
    body = json.dumps({"Response": {**response, "RequestId": "r"}}).encode()
    return message("HTTP/1.1 200 OK", "application/json", body).with_header("Date", "today")


def after(fault: ProxyFault, original: Message, action: str = DESCRIBE) -> Message:
    return spoil(ProxyRule(None, 1, 1.0, fault, 0.0, 1000), action, original)


def response_after(fault: ProxyFault, **response: object) -> dict[str, object]:
    result = after(fault, answer(**response))
    assert result.head.length == len(result.body)
    envelope: dict[str, dict[str, object]] = json.loads(result.body)
    return envelope["Response"]


# Rules


def test_rules_apply_in_order_each_as_often_as_asked() -> None:
    faults = ProxyFaults(7)
    add(faults, "hang", CREATE, times=2)
    add(faults, "html", times=None)
    assert draw(faults, DESCRIBE) == "html"
    assert [draw(faults, CREATE) for _ in range(4)] == ["hang", "hang", "html", "html"]
    faults.clear()
    assert draw(faults, CREATE) is None


def test_without_an_action_a_rule_concerns_the_calls_that_its_fault_can_befall() -> None:
    faults = ProxyFaults(7)
    add(faults, "unknown_status")
    assert [draw(faults, action) for action in (MEDIA, FRAME, CREATE, DESCRIBE)] == [None] * 3 + ["unknown_status"]
    for describe in "vod:DescribeTaskDetail", "relay:query":
        add(faults, "unknown_status")
        assert [draw(faults, action) for action in ("vod:" + CREATE, describe)] == [None, "unknown_status"]
    add(faults, "reset_after")
    assert [draw(faults, action) for action in (MEDIA, FRAME, CREATE)] == [None] * 2 + ["reset_after"]


def test_a_probability_is_seeded_and_drawn_per_call() -> None:
    def failures(seed: int) -> list[ProxyFault | None]:
        faults = ProxyFaults(seed)
        add(faults, "hang", CREATE, times=None, probability=0.3)
        return [draw(faults, CREATE) for _ in range(40)]

    assert failures(1) == failures(1) != failures(2)
    assert 0 < failures(1).count("hang") < 40


def test_mistakes_are_told() -> None:
    faults = ProxyFaults(7)
    with pytest.raises(ValueError, match="no such fault: 'explode'; there are reset_before"):
        add(faults, "explode")  # type: ignore[arg-type] # the point
    with pytest.raises(ValueError, match="probability"):
        add(faults, "hang", probability=2)
    with pytest.raises(ValueError, match="delay needs seconds"):
        add(faults, "delay")
    rewriting: list[ProxyFault] = ["unknown_status", "done_without_urls", "null_fields"]
    for fault in rewriting:
        for action in (MEDIA, FRAME):
            with pytest.raises(ValueError, match=f"{fault} rewrites the answers to .* and cannot befall {action}"):
                add(faults, fault, action)
    for fault in rewriting[:2]:
        with pytest.raises(ValueError, match=f"{fault} rewrites the answers to describes and cannot befall {CREATE}"):
            add(faults, fault, CREATE)
    add(faults, "null_fields", CREATE)
    assert len(faults.rules) == 1


@pytest.mark.parametrize(
    ("head", "action"),
    [
        (f"POST / HTTP/1.1\r\nX-TC-Action: {CREATE}", CREATE),
        ("GET /media/t/0.png?sign=1 HTTP/1.1\r\nUser-Agent: curl", MEDIA),
        (f"GET /media/t/0.png?sign=1 HTTP/1.1\r\nUser-Agent: {USER_AGENT}", FRAME),
        (f"POST / HTTP/1.1\r\nX-TC-Version: 2018-07-17\r\nX-TC-Action: {CREATE}", f"vod:{CREATE}"),
        ("POST /tencent-vod/v1/aigc-image HTTP/1.1", "relay:aigc-image"),
        ("GET /tencent-vod/v1/query/251007502-AigcImage-1t HTTP/1.1", "relay:query"),
        ("HEAD /media/t/0.png HTTP/1.1", ""),
        ("GET /_emulator/statistics HTTP/1.1", ""),
    ],
)
def test_by_what_name_a_request_goes(head: str, action: str) -> None:
    assert action_of(Head.parse(f"{head}\r\n\r\n".encode())) == action


# Answers


def test_a_status_that_no_document_knows() -> None:
    assert response_after("unknown_status", Status="RUN", ImageUrls=[])["Status"] == "PAUSED"
    assert "Status" not in response_after("unknown_status", Error={"Code": "InternalError"})


def test_done_without_urls() -> None:
    urls: list[str] = []
    response = {"Status": "DONE", "VideoUrls": urls, "RequestId": "r"}
    assert response_after("done_without_urls", Status="RUN", VideoUrls=["http://a"]) == response
    assert "Status" not in response_after("done_without_urls", Error={"Code": "InternalError"})


def test_done_without_audio_and_finished_without_files() -> None:
    audio = response_after("done_without_urls", Status="RUN", AudioInfos=[{"Url": "http://a"}], VideoInfos=[])
    assert (audio["Status"], audio["AudioInfos"]) == ("DONE", [])
    task = {"Status": "PROCESSING", "ErrCodeExt": "Broken", "Output": {"FileInfos": [{"FileUrl": "http://a"}]}}
    vods = response_after("done_without_urls", TaskType="AigcImageTask", Status="PROCESSING", AigcImageTask=task)
    assert vods["Status"] == "FINISH"
    end = {"Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Output": {"FileInfos": []}}
    assert vods["AigcImageTask"] == end


def test_every_field_is_null() -> None:
    assert response_after("null_fields", TaskId="4-x") == {"TaskId": None, "RequestId": "r"}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"Response": 1}'])
def test_what_is_not_the_envelope_passes(body: bytes) -> None:
    page = message("HTTP/1.1 200 OK", "text/html", body)
    assert after("null_fields", page) == page


def test_a_bomb_is_small_and_unpacks_to_64_mib() -> None:
    bomb = after("gzip_bomb", answer())
    assert bomb.head.get("Content-Encoding") == "gzip"
    assert bomb.head.length == len(bomb.body) < 1 << 17
    unpacker, size, rest = zlib.decompressobj(wbits=31), 0, bomb.body
    while rest and not unpacker.eof:
        size += len(unpacker.decompress(rest, 1 << 20))
        rest = unpacker.unconsumed_tail
    assert size == 64 << 20


def test_an_oversized_answer_still_holds_the_answer() -> None:
    large = after("oversized", answer(Status="RUN"))
    assert large.head.length == len(large.body) == 1000
    assert json.loads(large.body)["Response"]["Status"] == "RUN"


def test_types_that_are_wrong() -> None:
    assert after("wrong_type", answer(), CREATE).head.get("Content-Type") == "text/plain"
    assert after("wrong_type", answer(), MEDIA).head.get("Content-Type").startswith("text/html")


def test_pages_in_the_services_place() -> None:
    portal, gateway = stand_in("html"), stand_in("bad_gateway")
    assert (portal.head.status, gateway.head.status) == (200, 502)
    for answer in (portal, gateway):
        assert answer.head.get("Content-Type").startswith("text/html")
        assert answer.body.startswith(b"<html>")
