"""Planned faults: their effect on the answer, and whether the task was accepted."""

import json

import pytest

from mps_aigc_async.emulator import Conduct
from mps_aigc_async.emulator.tasks.faults import COS, MEDIA, FaultName

from ..callers import NOW, AtTheRelay, InMemory, code_of, response_of

CREATE = "CreateAigcImageTask"


@pytest.mark.parametrize(
    ("fault", "accepted", "status", "conduct"),
    [
        ("error", False, 200, Conduct.ANSWER),
        ("http_status", False, 502, Conduct.ANSWER),
        ("not_json", False, 200, Conduct.ANSWER),
        ("reset_before", False, 200, Conduct.RESET),
        ("reset_after", True, 200, Conduct.RESET),
        ("hang", True, 200, Conduct.HANG),
        ("delay", True, 200, Conduct.ANSWER),
    ],
)
def test_what_a_fault_does(fault: FaultName, accepted: bool, status: int, conduct: Conduct) -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault=fault, seconds=0.5)
    reply = caller.send(CREATE, {"Prompt": "x"})
    assert (reply.status, reply.conduct, reply.delay) == (status, conduct, 0.5)
    assert "Date" in reply.headers
    assert caller.service.statistics(NOW).created["image"] == int(accepted)
    (arrival,) = caller.service.arrivals
    assert arrival.fault == fault
    assert (arrival.code is None, arrival.task_id is not None) == (accepted, accepted)
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) is None, "a fault happens once"


def test_an_error_has_the_code_asked_for_and_uses_up_no_rate() -> None:
    caller = InMemory()
    caller.service.faults.add(fault="error", code="RequestLimitExceeded", times=30)
    codes = {code_of(caller.call(CREATE, {"Prompt": "x"})) for _ in range(30)}
    assert codes == {"RequestLimitExceeded"}
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) is None


def test_an_error_may_lie() -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault="error", accepted=True)
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) == "InternalError"
    assert caller.service.statistics(NOW).created["image"] == 1


def test_pages_are_not_json() -> None:
    caller = InMemory()
    caller.service.faults.add(fault="http_status", status=503)
    caller.service.faults.add(fault="not_json")
    bad_gateway, portal = caller.send(CREATE, {"Prompt": "x"}), caller.send(CREATE, {"Prompt": "x"})
    assert (bad_gateway.status, portal.status) == (503, 200)
    assert bad_gateway.body.startswith(b"<html>")
    assert portal.headers["Content-Type"].startswith("text/html")


def test_the_frames_of_an_accepted_video_are_fetched_though_its_answer_is_lost() -> None:
    caller = InMemory()
    caller.service.faults.add(action="CreateAigcVideoTask", fault="reset_after")
    assert caller.send("CreateAigcVideoTask", {"ImageUrl": "http://127.0.0.1/a.png"}).frames is not None


def test_a_probability_is_seeded_and_drawn_per_call() -> None:
    def failures() -> list[bool]:
        caller = InMemory()
        caller.service.faults.add(action=CREATE, fault="error", probability=0.3, times=None)
        return [code_of(caller.call(CREATE, {"Prompt": "x"})) == "InternalError" for _ in range(20)]

    assert failures() == failures()
    assert 0 < sum(failures()) < 20


def test_rules_apply_to_their_action_in_order_and_can_be_cleared() -> None:
    caller = InMemory()
    caller.service.faults.add(action="DescribeAigcImageTask", fault="error")
    caller.service.faults.add(action=CREATE, fault="error", code="First")
    caller.service.faults.add(action=CREATE, fault="error", code="Second")
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) == "First"
    caller.service.faults.clear()
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) is None


def test_any_action_means_calls_and_not_downloads() -> None:
    caller = InMemory()
    caller.service.faults.add(fault="http_status")
    assert caller.service.media("/media/x/0.png", "", NOW).delay == 0
    assert len(caller.service.faults.rules) == 1
    caller.service.faults.add(action=MEDIA, fault="http_status", status=500)
    reply = caller.service.media("/media/x/0.png", "", NOW)
    assert not hasattr(reply, "task_id")
    assert reply.conduct is Conduct.ANSWER


@pytest.mark.parametrize(("action", "other"), [(MEDIA, COS), (COS, MEDIA)])
def test_the_two_kinds_of_downloads_have_faults_of_their_own(action: str, other: str) -> None:
    faults = InMemory().service.faults
    faults.add(action=action, fault="hang")
    faults.add(fault="hang")
    assert faults.draw(other) is None
    assert faults.draw(action) is not None
    assert faults.draw(action) is None


def test_mistakes_are_told() -> None:
    faults = InMemory().service.faults
    with pytest.raises(ValueError, match="no such fault"):
        faults.add(fault="explode")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="probability"):
        faults.add(fault="hang", probability=2)
    with pytest.raises(ValueError, match="reset_after"):
        faults.add(fault="reset_before", accepted=True)


def test_a_refused_call_stays_refused_under_a_fault() -> None:
    caller = InMemory()
    caller.service.faults.add(fault="delay", seconds=0.1)
    reply = caller.send(CREATE, {"Nonsense": 1})
    assert reply.delay == 0.1
    assert code_of(response_of(reply)) == "UnknownParameter"
    assert caller.service.arrivals[0].code == "UnknownParameter"


def test_a_task_may_be_made_to_fail_later() -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault="fail_later", code="ResourceInsufficient")
    failing, fine = caller.create(), caller.create()
    caller.now += 60
    assert [caller.describe(task_id)["Status"] for task_id in (failing, fine)] == ["FAIL", "DONE"]
    assert caller.service.arrivals[0].fault == "fail_later"
    with pytest.raises(ValueError, match="name its action"):
        caller.service.faults.add(fault="fail_later")


def test_vod_has_the_envelopes_error_under_its_own_name() -> None:
    caller = InMemory(api="vod")
    caller.service.faults.add(action="vod:DescribeTaskDetail", fault="error", code="InternalError", status=500)
    response = caller.call("DescribeTaskDetail", {"TaskId": "x"})
    assert code_of(response) == "InternalError"
    assert caller.service.statistics(NOW).refused == {"InternalError": 1}


def test_the_relays_error_is_vods_or_with_a_status_its_own() -> None:
    relay = AtTheRelay()
    relay.service.faults.add(action="relay:query", fault="error", code="InternalError")
    relay.service.faults.add(action="relay:query", fault="error", code="busy", status=500)
    relay.service.faults.add(action="relay:query", fault="error", code="slow", status=429)
    assert code_of(relay.query("x")) == "InternalError"
    down, slow = relay.send("GET", "query/x"), relay.send("GET", "query/x")
    assert (down.status, json.loads(down.body)["code"]) == (500, "busy")
    assert (slow.status, slow.headers["Retry-After"], json.loads(slow.body)["error"]["code"]) == (429, "1", "slow")


@pytest.mark.parametrize(
    ("fault", "accepted", "conduct"),
    [
        ("http_status", False, Conduct.ANSWER),
        ("not_json", False, Conduct.ANSWER),
        ("reset_after", True, Conduct.RESET),
        ("hang", True, Conduct.HANG),
    ],
)
def test_the_relay_is_befallen_as_the_others_are(fault: FaultName, accepted: bool, conduct: Conduct) -> None:
    relay = AtTheRelay()
    relay.service.faults.add(action="relay:aigc-image", fault=fault)
    reply = relay.send("POST", "aigc-image", {"model_name": "GEM", "model_version": "3.0", "prompt": "x"})
    assert reply.conduct is conduct
    assert "Date" in reply.headers
    assert relay.service.statistics(NOW).created["image"] == int(accepted)
    assert relay.service.arrivals[0].action == "relay:aigc-image"


@pytest.mark.parametrize("fault", ["error", "http_status", "not_json"])
def test_a_refusal_may_say_when_to_try_again(fault: FaultName) -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault=fault, status=429, retry_after="7")
    assert caller.send(CREATE, {"Prompt": "x"}).headers["Retry-After"] == "7"
    assert "Retry-After" not in caller.send(CREATE, {"Prompt": "x"}).headers


def test_so_many_calls_pass_before_a_fault() -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault="error", code="InternalError", after=2)
    codes = [code_of(caller.call(CREATE, {"Prompt": "x"})) for _ in range(4)]
    assert codes == [None, None, "InternalError", None]
    caller.service.faults.add(fault="error", code="InternalError", after=1)
    assert code_of(caller.call("DescribeAigcImageTask", {"TaskId": "4-AigcImage-0"})) == "FailedOperation.TaskNotFound"
    assert code_of(caller.call(CREATE, {"Prompt": "x"})) == "InternalError", "a rule of all actions counts them all"
    with pytest.raises(ValueError, match="after=-1"):
        caller.service.faults.add(fault="error", after=-1)


def test_calls_that_another_fault_befalls_count_too() -> None:
    caller = InMemory()
    caller.service.faults.add(action=CREATE, fault="error", code="First")
    caller.service.faults.add(action=CREATE, fault="error", code="Second", after=1)
    codes = [code_of(caller.call(CREATE, {"Prompt": "x"})) for _ in range(3)]
    assert codes == ["First", "Second", None]


@pytest.mark.parametrize("action", ["DescribeAigcImageTask", "relay:query", MEDIA])
def test_only_a_create_makes_a_task_that_fails_later(action: str) -> None:
    with pytest.raises(ValueError, match="befalls a create"):
        InMemory().service.faults.add(action=action, fault="fail_later")


def test_a_fault_that_could_never_be_seen_is_a_mistake() -> None:
    faults = InMemory().service.faults
    with pytest.raises(ValueError, match="needs seconds above 0"):
        faults.add(action=CREATE, fault="delay")
    with pytest.raises(ValueError, match="times=0"):
        faults.add(action=CREATE, fault="hang", times=0)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_no_answer_comes_before_its_call(seconds: float) -> None:
    with pytest.raises(ValueError, match="finite number of seconds"):
        InMemory().service.faults.add(action=CREATE, fault="delay", seconds=seconds)


@pytest.mark.parametrize("action", ["CreateAigcImagTask", "media", "relay:aigc-audio"])
def test_a_fault_of_an_action_that_there_is_not_would_never_happen(action: str) -> None:
    with pytest.raises(ValueError, match=f"no such action: '{action}'; there are CreateAigcImageTask"):
        InMemory().service.faults.add(action=action, fault="error")
