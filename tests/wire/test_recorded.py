"""Each documented answer, as it stands in its document, through the dialect's own decoding.

`tests/recorded` holds one file for each answer: its source, its call, its content, and the value that it must become.
Nothing is mocked; a row of an error table or a word of a state table without a recording fails here.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, ConfigDict

from mps_aigc_async.model.errors import AigcError, ServiceError
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, Step, VideoRequest
from mps_aigc_async.model.results import Usage
from mps_aigc_async.model.states import Kind, TaskState
from mps_aigc_async.policy.lifetimes import Lifetime
from mps_aigc_async.wire import mps, mps_errors, relay, vod, vod_errors, vod_tasks
from mps_aigc_async.wire.dialect import Call, Created, Dialect, HttpAnswer, TaskPage, TaskStatus
from mps_aigc_async.wire.envelope import ErrorRow, server_time

FOLDER: Final = Path(__file__).parent.parent / "recorded"
DIALECTS: Final[Mapping[str, Dialect]] = {
    "mps": mps.Mps(),
    "vod": vod.Vod(),
    "relay": relay.Relay(host="relay.example"),
}
REQUESTS: Final[Mapping[str, Step]] = {
    "image": ImageRequest(prompt="a lake", model_name="Hunyuan", model_version="3.0"),
    "video": VideoRequest(prompt="a lake", model_name="Kling", model_version="3.0"),
    "audio": AudioRequest(prompt="a lake", model_name="GL", model_version="3.0-clip", scene_type="music"),
}


class Recording(BaseModel):
    """One file. An error's `expect` has its class as `error`; a value's has every field that is not the default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str
    call: str
    """`create-KIND`, `describe-KIND`, or the name of another action."""
    status: int
    headers: dict[str, str]
    body: dict[str, Any] | str
    expect: dict[str, Any]

    @property
    def answer(self) -> HttpAnswer:
        body = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        return HttpAnswer(self.status, self.headers, body.encode())


RECORDED: Final = {
    f"{path.parent.name}/{path.stem}": Recording.model_validate_json(path.read_bytes())
    for path in sorted(FOLDER.glob("*/*.json"))
}


def of(service: str) -> dict[str, Recording]:
    return {name: recording for name, recording in RECORDED.items() if name.startswith(f"{service}/")}


def call_of(service: str, name: str) -> Call[Any]:
    dialect = DIALECTS[service]
    step, _, kind = name.partition("-")
    if step == "create":
        return dialect.create(REQUESTS[kind], None)
    if step == "describe":
        return dialect.describe(Kind(kind), "t-1")
    return (dialect.tasks(TaskState.DONE, "") if name == "DescribeTasks" else None) or dialect.call(name, {})


def fields_of(value: object) -> dict[str, Any]:
    """A decoded value as a file writes it."""
    if isinstance(value, dict):
        return value
    assert isinstance(value, Created | TaskStatus | TaskPage)
    own_fields = {field.name: (getattr(value, field.name), field.default) for field in fields(value)}
    plain = {name: own for name, (own, default) in own_fields.items() if default is MISSING or own != default}
    end = {"has_ended": value.has_ended} if isinstance(value, TaskStatus) else {}
    return {name: as_json(own) for name, own in plain.items()} | end


def as_json(value: object) -> object:
    """A field's value as JSON has it."""
    if isinstance(value, Lifetime | Usage):
        return {name: own for name, own in asdict(value).items() if own is not None}
    return list(value) if isinstance(value, tuple) else value


def told_of(error: AigcError) -> dict[str, Any]:
    assert error.ending is not None
    plain: dict[str, Any] = {"error": type(error).__name__, "ending": error.ending.name, "request_id": error.request_id}
    if isinstance(error, ServiceError):  # a TransportError's text is ours, not the answer's
        plain |= {"code": error.code, "message": error.message}
    return {name: own for name, own in plain.items() if own is not None}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_answer_is_what_its_file_says(name: str) -> None:
    recording = RECORDED[name]
    call = call_of(name.partition("/")[0], recording.call)
    try:
        result = fields_of(call.decode(recording.answer))
    except AigcError as error:
        result = told_of(error)
    assert result == recording.expect


# --- complete recordings ----------------------------------------------------------------------------------------------


def texts(value: object) -> Iterator[str]:
    """Every string in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def row_of(code: str, rows: tuple[ErrorRow, ...]) -> str:
    """The row that a code falls under: the longest row that the code is a sub-code of."""
    return max((row for row, _, _ in rows if f"{code}.".startswith(f"{row}.")), key=len, default="")


@pytest.mark.parametrize(
    ("service", "rows"), [("mps", mps_errors.ERRORS), ("vod", vod_errors.ERRORS)], ids=["mps", "vod"]
)
def test_every_row_of_an_error_table_is_recorded(service: str, rows: tuple[ErrorRow, ...]) -> None:
    codes = [recording.expect["code"] for recording in of(service).values() if "code" in recording.expect]
    in_recordings = {row_of(code, rows) for code in codes}
    assert in_recordings == {row for row, _, _ in rows} | {""}, (
        f"tests/recorded/{service} has no answer for a row, or none with an unknown code"
    )


@pytest.mark.parametrize(
    ("service", "call", "words"),
    [
        *(("mps", f"describe-{kind}", mps.TASK_STATES) for kind in Kind),
        *(("vod", f"describe-{kind}", vod_tasks.TASK_STATES) for kind in vod_tasks.CREATES),
        ("relay", "describe-image", {**vod_tasks.TASK_STATES, **relay.STATES}),
    ],
)
def test_every_word_of_a_state_table_is_recorded(service: str, call: str, words: Mapping[str, TaskState]) -> None:
    polls = [recording for recording in of(service).values() if recording.call == call]
    in_recordings = {text for recording in polls for text in texts(recording.body)}
    assert set(words) <= in_recordings


@pytest.mark.parametrize("service", DIALECTS)
def test_every_action_has_a_good_answer_recorded(service: str) -> None:
    good = [recording.call for recording in of(service).values() if "error" not in recording.expect]
    actions = {call_of(service, call).action for call in good}
    # The calls for the count of use are not the dialect's: `test_mps_usage` and `test_vod_usage` have their answers.
    of_use = {"DescribeUsageData", "DescribeAigcUsageData", "DescribeAigcQuotas"}
    assert actions == set(DIALECTS[service].limits) - of_use


def test_the_clock_can_be_corrected_by_what_a_signature_that_expired_was_answered_with() -> None:
    for service in ("mps", "vod"):
        assert server_time(RECORDED[f"{service}/error-auth-failure-signature-expire"].answer) == 1_767_225_600


def test_a_good_answer_has_no_field_that_the_official_sdk_does_not_know() -> None:
    """The SDK's models warn of a field that they do not know, and warnings are errors here."""
    from tencentcloud.mps.v20190612 import models as of_mps
    from tencentcloud.vod.v20180717 import models as of_vod

    for service, models in (("mps", of_mps), ("vod", of_vod)):
        for recording in of(service).values():
            if isinstance(recording.body, dict) and "Error" not in recording.body["Response"]:
                model: Callable[[], Any] = getattr(models, f"{call_of(service, recording.call).action}Response")
                model()._deserialize(recording.body["Response"])
