"""The relay as values: bodies against VOD's, and for images against the relay's own page; answers of every shape."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.model.errors import (
    AccountError,
    ContentViolation,
    InvalidRequest,
    NoTaskId,
    Redirected,
    ServiceError,
    TaskNotFound,
    Throttled,
    TooManyTasks,
    TransportError,
)
from mps_aigc_async.model.inputs import ReferenceImage
from mps_aigc_async.model.requests import AudioRequest, ImageRequest, VideoRequest
from mps_aigc_async.model.results import ImageResult, Usage
from mps_aigc_async.model.states import Ending, Kind, TaskState
from mps_aigc_async.model.vod_options import VodFile, VodOptions
from mps_aigc_async.wire import vod
from mps_aigc_async.wire.dialect import Call, Created, HttpAnswer, TaskStatus
from mps_aigc_async.wire.relay import STATES, Relay, encode
from mps_aigc_async.wire.relay import in_snake_case as snake_case

from .oracles import (
    NOT_OF_RELAY_IMAGES,
    NOT_OF_VOD_VIDEOS,
    RELAY_IMAGE_FIELDS,
    RELAY_IMAGE_OPTIONS,
    RELAY_VIDEO_FIELDS,
    RELAY_VIDEO_OPTIONS,
    REQUIRED,
    TO_DO,
    VOD_IMAGE_FIELDS,
    almost_anything,
    relay_fields,
)

HOST = "api.quickrouter.ai"
RELAY = Relay(host=HOST)
MODEL = {"model_name": "GEM", "model_version": "3.0"}

# The example of the relay's page.
PAGE: dict[str, Any] = {
    "model_name": "GEM",
    "model_version": "3.0",
    "file_infos": [
        {"type": "file", "file_id": "387702299774574677", "url": "", "text": "原始图片的描述信息"},
    ],
    "prompt": "convert this image to anime style",
    "negative_prompt": "blur, distorted",
    "enhance_prompt": "Enabled",
    "output_config": {
        "storage_mode": "Temporary",
        "resolution": "1080P",
        "aspect_ratio": "1:1",
        "person_generation": "AllowAdult",
        "input_compliance_check": "Enabled",
        "output_compliance_check": "Enabled",
    },
    "session_id": "image-task-67890",
    "session_context": '{"user_id": "123", "scene": "profile_picture"}',
    "tasks_priority": 10,
    "ext_info": "",
}


# --- bodies -----------------------------------------------------------------------------------------------------------


def not_empty(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Without empty texts: unset and empty are the same to the service."""
    if isinstance(value, dict):
        return {name: not_empty(inner) for name, inner in value.items() if inner != ""}
    return [not_empty(inner) for inner in value] if isinstance(value, list) else value


def test_the_example_of_the_relays_page() -> None:
    request = ImageRequest(
        model_name="GEM",
        model_version="3.0",
        prompt="convert this image to anime style",
        negative_prompt="blur, distorted",
        enhance_prompt=True,
        resolution="1080P",
        aspect_ratio="1:1",
        vod=VodOptions(
            files=(VodFile(file_id="387702299774574677", text="原始图片的描述信息"),),
            storage_mode="Temporary",
            person_generation="AllowAdult",
            input_compliance_check=True,
            output_compliance_check=True,
            session_context='{"user_id": "123", "scene": "profile_picture"}',
            tasks_priority=10,
        ),
    )
    call = RELAY.create(request, None, "image-task-67890")
    assert json.loads(call.body) == not_empty(PAGE)
    assert (call.method, call.path) == ("POST", "/tencent-vod/v1/aigc-image")


def snake(name: str) -> str:
    """`FileInfos` → `file_infos`, in another way than the module's."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name)
    assert "".join(words) == name
    return "_".join(words).lower()


def in_snake_case(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [in_snake_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {snake(name): inner.lower() if name == "Type" else in_snake_case(inner) for name, inner in value.items()}


sessions = st.just("") | st.text(min_size=1, max_size=50)


def check_body(request: ImageRequest | VideoRequest, session_id: str) -> dict[str, Any]:
    call = RELAY.create(request, None, session_id)
    body: dict[str, Any] = json.loads(call.body)
    assert body == in_snake_case(json.loads(vod.Vod().create(request, None, session_id).body))
    assert call.method == "POST"
    return body


@settings(max_examples=200, deadline=None)
@given(fields=relay_fields(RELAY_IMAGE_FIELDS), session_id=sessions)
def test_an_image_create_is_vods_in_snake_case_with_the_pages_fields_only(
    fields: dict[str, Any], session_id: str
) -> None:
    body = check_body(ImageRequest(**fields), session_id)
    assert set(body) <= set(PAGE)
    assert set(body.get("output_config", {})) <= set(PAGE["output_config"])
    for info in body.get("file_infos", []):
        assert set(info) <= set(PAGE["file_infos"][0])


@settings(max_examples=200, deadline=None)
@given(fields=relay_fields(RELAY_VIDEO_FIELDS), session_id=sessions)
def test_a_video_create_is_vods_in_snake_case(fields: dict[str, Any], session_id: str) -> None:
    check_body(VideoRequest(**fields), session_id)


FILE = VodFile(file_id="5")
# Options without a field on the page: each is either generated above, or rejected here.
NO_OPTION: dict[str, Any] = {
    "media_name": "x",
    "class_id": 0,
    "expire_time": "x",
    "input_region": "x",
    "seed": 0,
    "last_frame_file_id": "5",
    "enhance_switch": False,
    "frame_interpolate": False,
    "procedure": "x",
}
NO_FILE_FIELD: dict[str, Any] = {
    "reference_type": "x",
    "category": "Image",
    "usage": "Reference",
    "object_id": "5",
    "voice_id": "5",
    "keep_original_sound": False,
}


def test_every_field_of_the_requests_is_generated_or_refused() -> None:
    assert set(ImageRequest.model_fields) == {*RELAY_IMAGE_FIELDS, *REQUIRED, *NOT_OF_RELAY_IMAGES}, TO_DO
    assert set(VideoRequest.model_fields) == {*RELAY_VIDEO_FIELDS, *REQUIRED, *NOT_OF_VOD_VIDEOS}, TO_DO
    assert set(VodOptions.model_fields) == {*RELAY_VIDEO_OPTIONS} == {*RELAY_IMAGE_OPTIONS, *NO_OPTION}
    assert set(VodFile.model_fields) == {"file_id", "url", "base64", "text", *NO_FILE_FIELD}
    assert set(VOD_IMAGE_FIELDS) >= set(RELAY_IMAGE_FIELDS)


REFUSED: list[tuple[str, Any]] = [
    *((name, ImageRequest(prompt="x", **MODEL, **{name: value})) for name, value in NOT_OF_RELAY_IMAGES.items()),
    *(
        (f"vod.{name}", ImageRequest(prompt="x", **MODEL, vod=VodOptions(**{name: value})))
        for name, value in NO_OPTION.items()
    ),
    *(
        ("vod.files", ImageRequest(prompt="x", **MODEL, vod=VodOptions(files=(VodFile(file_id="5", **{name: value}),))))
        for name, value in NO_FILE_FIELD.items()
    ),
    ("images", ImageRequest(prompt="x", **MODEL, images=(ReferenceImage(image="https://a/1", reference_type="x"),))),
    ("images", ImageRequest(prompt="x", **MODEL, images=("frame.png",))),
    *((name, VideoRequest(prompt="x", **MODEL, **{name: value})) for name, value in NOT_OF_VOD_VIDEOS.items()),
    *(
        ("vod.files", make(prompt="x", **MODEL, vod=VodOptions(files=(FILE, VodFile(base64="abcd")))))
        for make in (ImageRequest, VideoRequest)
    ),
    *(
        (name, make(**{"prompt": "x", **MODEL, "vod": VodOptions(files=(FILE,)), name: ""}))
        for name in REQUIRED
        for make in (ImageRequest, VideoRequest)
    ),
    ("audio", AudioRequest(prompt="x", **MODEL)),
]


@pytest.mark.parametrize(
    ("attribute", "request_"), REFUSED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(REFUSED)]
)
def test_what_the_relay_cannot_be_asked_for_is_refused_by_name(attribute: str, request_: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidRequest, match=f"^{attribute}: "):
        encode(request_)
    with pytest.raises(InvalidRequest, match=f"^{attribute}: "):
        RELAY.create(request_, None)


# --- requests ---------------------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_page() -> None:
    keys = Credentials("", SecretStr("sk-secret"))
    relay = Relay(host=HOST)
    request = relay.sign(relay.create(VideoRequest(prompt="x", **MODEL), None), keys, 5)
    assert (request.method, request.path) == ("POST", "/tencent-vod/v1/aigc-video")
    assert request.headers == {
        "Authorization": "Bearer sk-secret",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Host": HOST,
    }
    assert "sk-secret" not in f"{request!r} {request!s} {relay!r} {vars(relay)!r}"


@pytest.mark.parametrize(
    ("query", "task_id", "path"),
    [
        (None, "251-AigcImage-1", "/tencent-vod/v1/query/251-AigcImage-1"),
        (None, "a/../b?c=d#e f%", "/tencent-vod/v1/query/a%2F..%2Fb%3Fc%3Dd%23e%20f%25"),
        (None, "月", "/tencent-vod/v1/query/%E6%9C%88"),
        (None, "a\r\nb", "/tencent-vod/v1/query/a%0D%0Ab"),
        ("/v2/tasks?id={task_id}&full=1", "a&b", "/v2/tasks?id=a%26b&full=1"),
    ],
)
def test_a_task_is_asked_about_by_its_quoted_id(query: str | None, task_id: str, path: str) -> None:
    relay = Relay(host=HOST) if query is None else Relay(host=HOST, query_path=query)
    call = relay.describe(Kind.IMAGE, task_id)
    request = relay.sign(call, Credentials("", SecretStr("k")), 5)
    assert (request.method, request.path, request.body, call.reads) == ("GET", path, b"", True)


def test_the_relay_has_no_other_actions() -> None:
    assert RELAY.tasks(TaskState.DONE, "") is None
    with pytest.raises(InvalidRequest, match=r"^DescribeTasks: "):
        RELAY.call("DescribeTasks", {})
    with pytest.raises(InvalidRequest, match=r"^audio: "):
        RELAY.describe(Kind.AUDIO, "5")


# --- errors -----------------------------------------------------------------------------------------------------------

CREATE: Call[Created] = RELAY.create(ImageRequest(prompt="x", **MODEL), None)
DESCRIBE: Call[TaskStatus] = RELAY.describe(Kind.IMAGE, "5")
DESCRIBE_VIDEO: Call[TaskStatus] = RELAY.describe(Kind.VIDEO, "5")


def reply_of(body: object, status: int = 200, **headers: str) -> HttpAnswer:
    return HttpAnswer(status, headers, json.dumps(body).encode())


def of_vod(code: object, message: object = "why") -> dict[str, object]:
    return {"Response": {"Error": {"Code": code, "Message": message}, "RequestId": "r-1"}}


def of_openai(code: object, message: str = "why", kind: str = "new_api_error") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "code": code}}


def flat(code: str, message: str = "why") -> dict[str, object]:
    return {"code": code, "message": message, "data": None}


ERRORS: list[tuple[int, object, type[ServiceError], Ending, str]] = [
    (200, of_vod("RequestLimitExceeded"), Throttled, Ending.REFUSED_FOR_NOW, "RequestLimitExceeded"),
    (200, of_vod("InternalError"), ServiceError, Ending.UNKNOWN, "InternalError"),
    (200, of_vod("SomethingNew"), ServiceError, Ending.UNKNOWN, "SomethingNew"),
    (200, of_vod("LimitExceeded.Quota"), AccountError, Ending.ACCOUNT_REFUSED, "LimitExceeded.Quota"),
    (200, of_vod("AuthFailure.X"), AccountError, Ending.ACCOUNT_REFUSED, "AuthFailure.X"),
    (
        200,
        of_vod("InvalidParameterValue.SessionId"),
        ServiceError,
        Ending.ACCEPTED_BEFORE,
        "InvalidParameterValue.SessionId",
    ),
    (
        400,
        of_vod("InvalidParameter.VoilationContent"),
        ContentViolation,
        Ending.REFUSED,
        "InvalidParameter.VoilationContent",
    ),
    (429, of_vod("RequestLimitExceeded"), Throttled, Ending.REFUSED_FOR_NOW, "RequestLimitExceeded"),
    (401, of_openai("invalid_api_key"), AccountError, Ending.ACCOUNT_REFUSED, "invalid_api_key"),
    (401, of_openai(None), AccountError, Ending.ACCOUNT_REFUSED, "new_api_error"),
    (403, of_openai("insufficient_user_quota"), AccountError, Ending.ACCOUNT_REFUSED, "insufficient_user_quota"),
    (402, flat("pay"), AccountError, Ending.ACCOUNT_REFUSED, "pay"),
    (400, of_openai("insufficient_balance"), AccountError, Ending.ACCOUNT_REFUSED, "insufficient_balance"),
    (400, of_openai("quota-not-enough"), AccountError, Ending.ACCOUNT_REFUSED, "quota-not-enough"),
    (429, of_openai("insufficient_quota"), AccountError, Ending.ACCOUNT_REFUSED, "insufficient_quota"),
    (400, of_openai("unquotable_prompt"), ServiceError, Ending.REFUSED, "unquotable_prompt"),
    (400, of_openai("unbalanced_brackets"), ServiceError, Ending.REFUSED, "unbalanced_brackets"),
    (400, of_openai("invalid_api_key"), AccountError, Ending.ACCOUNT_REFUSED, "invalid_api_key"),
    (403, of_openai("content_policy_violation"), ContentViolation, Ending.REFUSED, "content_policy_violation"),
    (400, of_openai("sensitive_words_detected"), ContentViolation, Ending.REFUSED, "sensitive_words_detected"),
    (429, of_openai("slow_down"), Throttled, Ending.REFUSED_FOR_NOW, "slow_down"),
    (429, flat("busy"), Throttled, Ending.REFUSED_FOR_NOW, "busy"),
    (400, of_openai("bad"), ServiceError, Ending.REFUSED, "bad"),
    (404, of_openai(None, kind=""), ServiceError, Ending.REFUSED, "HTTP 404"),
    (400, flat("task_not_exist"), TaskNotFound, Ending.REFUSED, "task_not_exist"),
    (200, flat("task_not_exist"), TaskNotFound, Ending.REFUSED, "task_not_exist"),
    (200, flat("get_channel_failed"), ServiceError, Ending.UNKNOWN, "get_channel_failed"),
    # Behind 200 only a code that certainly refuses: the relay has processed the request.
    (200, of_openai("invalid_model"), ServiceError, Ending.REFUSED, "invalid_model"),
    (200, of_openai("InvalidModel"), ServiceError, Ending.REFUSED, "InvalidModel"),
    (200, of_openai(None, kind="invalid_request_error"), ServiceError, Ending.REFUSED, "invalid_request_error"),
    (200, flat("model_not_found"), ServiceError, Ending.REFUSED, "model_not_found"),
    (201, flat("unsupported-model"), ServiceError, Ending.REFUSED, "unsupported-model"),
    (200, flat("invalid_api_key"), AccountError, Ending.ACCOUNT_REFUSED, "invalid_api_key"),
    (200, flat("prompt_blocked"), ContentViolation, Ending.REFUSED, "prompt_blocked"),
    (200, flat("invalid_upstream_response"), ServiceError, Ending.UNKNOWN, "invalid_upstream_response"),
    (200, flat("insufficient_user_quota"), ServiceError, Ending.UNKNOWN, "insufficient_user_quota"),
    (200, flat("500"), ServiceError, Ending.UNKNOWN, "500"),
    (200, of_openai(None, kind=""), ServiceError, Ending.UNKNOWN, "HTTP 200"),
    (200, {"error": "why"}, ServiceError, Ending.UNKNOWN, "HTTP 200"),
]


@pytest.mark.parametrize(("status", "body", "cls", "ending", "code"), ERRORS)
@pytest.mark.parametrize("call", [CREATE, DESCRIBE], ids=["create", "ask"])
def test_each_error_body_is_its_class_and_ending(
    call: Call[object], status: int, body: object, cls: type[ServiceError], ending: Ending, code: str
) -> None:
    if call is CREATE and ending is Ending.UNKNOWN:  # the relay has processed it, so that it is not sent again
        with pytest.raises(NoTaskId, match=f"{code}: why"):
            call.decode(reply_of(body, status))
        return
    with pytest.raises(ServiceError) as failure:
        call.decode(reply_of(body, status))
    error = failure.value
    assert (type(error), error.ending, error.code) == (cls, ending, code)
    assert (error.message, error.action) == ("why", call.action)


@pytest.mark.parametrize("code", ["concurrency_quota_exceeded", "ConcurrentQuotaExceeded"])
@pytest.mark.parametrize(("call", "cls"), [(CREATE, TooManyTasks), (DESCRIBE, Throttled)])
def test_a_quota_of_tasks_at_once_is_not_the_accounts(call: Call[object], cls: type[ServiceError], code: str) -> None:
    """It passes as tasks end."""
    with pytest.raises(ServiceError) as failure:
        call.decode(reply_of(of_openai(code), 429))
    assert (type(failure.value), failure.value.ending) == (cls, Ending.REFUSED_FOR_NOW)


@pytest.mark.parametrize(("call", "ending"), [(CREATE, Ending.REFUSED), (DESCRIBE, Ending.UNKNOWN)])
def test_a_failed_operation_refuses_a_create_and_lets_a_read_be_made_again(call: Call[object], ending: Ending) -> None:
    with pytest.raises(ServiceError) as failure:
        call.decode(reply_of(of_vod("FailedOperation.SomethingNew")))
    assert failure.value.ending is ending


BODIES: list[object] = [
    of_openai("update_quota_failed"),
    of_openai("insufficient_balance"),
    of_openai("invalid_model"),
    flat("task_not_exist"),
    of_vod("RequestLimitExceeded"),
    of_vod("AuthFailure.SignatureExpire"),
    of_vod("InvalidParameterValue.SessionId"),
]


@pytest.mark.parametrize("status", [304, 408, 409, 425, 460, 499, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("call", [CREATE, DESCRIBE], ids=["create", "ask"])
def test_behind_an_uncertain_status_no_code_counts(call: Call[object], status: int) -> None:
    for body in BODIES:
        with pytest.raises(TransportError, match=f"HTTP {status}") as failure:
            call.decode(reply_of(body, status))
        assert (failure.value.ending, failure.value.action) == (Ending.UNKNOWN, call.action)
        assert "why" in str(failure.value), "it is told all the same"


@pytest.mark.parametrize(
    ("status", "cls", "ending"),
    [
        (401, AccountError, Ending.ACCOUNT_REFUSED),
        (403, AccountError, Ending.ACCOUNT_REFUSED),
        (429, Throttled, Ending.REFUSED_FOR_NOW),
        (404, ServiceError, Ending.REFUSED),
        (500, TransportError, Ending.UNKNOWN),
        (502, TransportError, Ending.UNKNOWN),
        (302, Redirected, Ending.ACCOUNT_REFUSED),
        (303, Redirected, Ending.UNKNOWN),
        (304, TransportError, Ending.UNKNOWN),
        (408, TransportError, Ending.UNKNOWN),
        (409, TransportError, Ending.UNKNOWN),
        (425, TransportError, Ending.UNKNOWN),
        (499, TransportError, Ending.UNKNOWN),
        (204, NoTaskId, Ending.UNKNOWN),
        (200, NoTaskId, Ending.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b"\xff", b"[" * 100_000])
def test_a_status_without_a_body_of_the_relays(
    body: bytes, status: int, cls: type[ServiceError | TransportError], ending: Ending
) -> None:
    with pytest.raises(cls) as failure:
        CREATE.decode(HttpAnswer(status, {}, body))
    assert (type(failure.value), failure.value.ending) == (cls, ending)


@pytest.mark.parametrize("body", [of_openai("slow_down"), of_vod("RequestLimitExceeded"), flat("busy"), None])
def test_a_429_slows_down(body: object) -> None:
    with pytest.raises(Throttled):
        CREATE.decode(reply_of(body, 429))


def test_a_create_answers_with_its_task() -> None:
    assert CREATE.decode(reply_of({"Response": {"TaskId": "5", "RequestId": "r-1"}})) == Created("5", "r-1")


@pytest.mark.parametrize(
    "body",
    [{"Response": {}}, {"Response": {"TaskId": 1.5}}, {"status": "x"}, {"Response": None}, {"message": "queued"}],
)
def test_a_create_without_a_task_id_is_of_unknown_outcome(body: object) -> None:
    with pytest.raises(NoTaskId) as failure:
        CREATE.decode(reply_of(body))
    assert (failure.value.ending, failure.value.action) == (Ending.UNKNOWN, "CreateAigcImageTask")


# --- statuses ---------------------------------------------------------------------------------------------------------

URL = "https://vod.example/1.png"


def detail(word: str = "FINISH", member: str = "AigcImageTask", **task: object) -> dict[str, object]:
    infos = [{"FileUrl": URL, "FileId": "7", "MetaData": {"Width": 1920, "Height": 1080}}]
    inner = {"Status": "FINISH", "ErrCode": 0, "Output": {"FileInfos": infos}}
    return {"TaskType": member, "Status": word, member: inner | task, "RequestId": "r-1"}


def record(word: object, inner: object = None, reason: object = "") -> dict[str, object]:
    data = {"task_id": "5", "status": word, "progress": "37%", "fail_reason": reason, "data": inner}
    return {"code": "success", "message": "", "data": data}


def respelt(value: object, spell: Callable[[str], str]) -> object:
    if isinstance(value, list):
        return [respelt(item, spell) for item in value]
    return {spell(key): respelt(inner, spell) for key, inner in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("spell", [snake_case, str.lower, lambda name: name[:1].lower() + name[1:]])
@pytest.mark.parametrize("envelope", ["response", "wrapped", "both"])
@pytest.mark.parametrize("fault", [{}, {"ErrCodeExt": "ContentModerationFailed", "ErrCode": 1, "Message": "blocked"}])
def test_an_answer_is_read_in_any_spelling_of_its_keys(
    spell: Callable[[str], str], envelope: str, fault: dict[str, Any]
) -> None:
    """The creates of this family are in snake_case: a result told so must not be polled in vain to its deadline."""
    inner: dict[str, Any] = detail(member="AigcVideoTask", Progress=100, **fault)
    inner |= {"BeginProcessTime": "2026-01-01T00:00:05Z"}
    output = inner["AigcVideoTask"]["Output"]
    output |= {"Usage": {"OutputSeconds": 5}}
    output["FileInfos"][0] |= {"StorageMode": "Permanent", "ExpireTime": ""}
    plain: dict[str, object] = {"Response": inner}
    body = {"response": plain, "wrapped": record("SUCCESS", inner), "both": record("SUCCESS", plain)}[envelope]
    reference = DESCRIBE_VIDEO.decode(reply_of(body))
    assert (reference.urls, reference.usage, reference.lifetime.endless) == ((URL,), Usage(output_seconds=5), True)
    assert DESCRIBE_VIDEO.decode(reply_of(respelt(body, spell))) == reference


@pytest.mark.parametrize("depth", [4, 50, 300])
def test_an_answer_nested_deep_is_no_other_exception(depth: int) -> None:
    nesting = '{"a":[' * depth + "]}" * depth
    answer = HttpAnswer(200, {}, f'{{"code":"success","data":{{"status":"QUEUED","x":{nesting}}}}}'.encode())
    assert DESCRIBE.decode(answer).state is TaskState.WAITING


@pytest.mark.parametrize(
    "body",
    [
        {"Response": detail(member="AigcVideoTask")},
        record("SUCCESS", detail(member="AigcVideoTask")),
        record("SUCCESS", {"Response": detail(member="AigcVideoTask")}),
    ],
)
def test_each_envelope_is_the_same_status(body: object) -> None:
    status = replace(DESCRIBE_VIDEO.decode(reply_of(body)), progress=None)  # told by the wrapping alone
    assert status == TaskStatus(
        state=TaskState.DONE,
        word="FINISH",
        request_id="r-1",
        urls=(URL,),
        resolution="1920x1080",
        file_ids=("7",),
    )


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("NOT_START", TaskState.WAITING),
        ("SUBMITTED", TaskState.WAITING),
        ("QUEUED", TaskState.WAITING),
        ("IN_PROGRESS", TaskState.RUNNING),
        ("SUCCESS", TaskState.DONE),
        ("FAILURE", TaskState.FAILED),
        ("PAUSED", TaskState.RUNNING),
        ("", TaskState.RUNNING),
    ],
)
@pytest.mark.parametrize("inner", [None, {}, "x", []])
def test_the_words_of_the_wrapped_answer(word: str, state: TaskState, inner: object) -> None:
    status = DESCRIBE.decode(reply_of(record(word, inner)))
    assert (status.state, status.word, status.known) == (state, word, word in STATES)
    assert status.has_ended is (word == "FAILURE")  # a success without a result has not ended


@pytest.mark.parametrize("word", ["FINISH", "PROCESSING"])
@pytest.mark.parametrize("wrap", [lambda inner: {"Response": inner}, lambda inner: record("SUCCESS", inner)])
def test_an_inner_answer_is_judged_by_its_own_words(wrap: Callable[[object], object], word: str) -> None:
    status = DESCRIBE.decode(reply_of(wrap(detail(word, ErrCode=1, Message="no"))))
    outcome = (TaskState.FAILED, "1: no") if word == "FINISH" else (TaskState.RUNNING, "1: no")
    assert (status.state, status.message) == outcome


@pytest.mark.parametrize(
    ("reason", "inner", "message"),
    [
        ("the relay's word", detail(ErrCode=1, Message="no"), "the relay's word"),
        ("", detail(ErrCode=1, Message="no"), "1: no"),
        (None, {"Response": detail(ErrCodeExt="InternalError")}, "InternalError: the service gives no reason"),
        (5, None, "5"),
    ],
)
def test_a_failures_reason_is_the_relays_or_vods(reason: object, inner: object, message: str) -> None:
    status = DESCRIBE.decode(reply_of(record("FAILURE", inner, reason)))
    assert (status.state, status.message, status.has_ended) == (TaskState.FAILED, message, True)


@pytest.mark.parametrize("reason", ["the relay's word", "", "SUCCESS"])
def test_what_a_failed_task_has_made_is_told(reason: str) -> None:
    status = DESCRIBE.decode(reply_of(record("FAILURE", detail(ErrCode=1, Message="no"), reason)))
    assert (status.state, status.urls, status.file_ids) == (TaskState.FAILED, (URL,), ("7",))
    status = DESCRIBE.decode(reply_of({"Response": detail(word="ABORTED", ErrCode=1)}))
    assert (status.state, status.urls, status.file_ids) == (TaskState.FAILED, (URL,), ("7",))


@pytest.mark.parametrize("inner", ["", "SUCCESS", "PUBLISHED"])
def test_a_success_with_files_has_ended_whatever_word_stands_inside(inner: str) -> None:
    """Else it is polled to its deadline, and its result is never told."""
    status = DESCRIBE.decode(reply_of(record("SUCCESS", detail(inner))))
    assert (status.state, status.word, status.known, status.urls) == (TaskState.DONE, "SUCCESS", True, (URL,))
    status = DESCRIBE.decode(reply_of(record("SUCCESS", detail(inner, Output=None))))
    assert (status.state, status.known) == (TaskState.RUNNING, False)


def test_a_failure_without_a_reason_is_a_success_if_vod_says_so_and_has_made_files() -> None:
    """The files are billed: to call the task failed would have it paid for again."""
    for reason in ("", "SUCCESS", None):
        status = DESCRIBE.decode(reply_of(record("FAILURE", detail(ErrCodeExt="SUCCESS"), reason)))
        assert (status.state, status.urls) == (TaskState.DONE, (URL,))
    status = DESCRIBE.decode(reply_of(record("FAILURE", detail(), "blocked by the relay")))
    assert (status.state, status.message, status.urls) == (TaskState.FAILED, "blocked by the relay", (URL,))
    for word, inner in (("ABORTED", "ABORTED"), ("PROCESSING", "PROCESSING")):
        status = DESCRIBE.decode(reply_of(record("FAILURE", detail(word, Status=inner), "")))
        assert (status.state, status.urls) == (TaskState.DONE, (URL,))
    nothing = detail(Output={"FileInfos": []})
    assert DESCRIBE.decode(reply_of(record("FAILURE", nothing))).state is TaskState.FAILED


@pytest.mark.parametrize("word", ["NOT_START", "QUEUED", "IN_PROGRESS", "FAILURE", "PAUSED"])
@pytest.mark.parametrize("inner", [None, {"TaskType": "AigcImageTask", "AigcImageTask": None}])
def test_the_wrappings_progress_is_told(word: str, inner: object) -> None:
    assert DESCRIBE.decode(reply_of(record(word, inner))).progress == 37


def test_vods_own_progress_goes_before_the_wrappings() -> None:
    inner = detail(word="PROCESSING", Progress=80)
    assert DESCRIBE.decode(reply_of(record("IN_PROGRESS", inner))).progress == 80


def test_the_relay_tells_no_urls_of_kept_files() -> None:
    assert RELAY.media_urls(["7"]) is None


def test_a_result_without_a_url_is_handed_on_by_its_id() -> None:
    by_id = ImageResult(task_id="5", request_id="r", urls=(), expires_at=None, file_ids=("7",), bare_file_ids=("7",))
    assert encode(VideoRequest(prompt="x", first_frame=by_id, **MODEL))["file_infos"] == [
        {"type": "file", "file_id": "7", "category": "Image", "usage": "FirstFrame"}
    ]
    assert encode(ImageRequest(prompt="x", images=(by_id,), **MODEL))["file_infos"] == [
        {"type": "file", "file_id": "7"}
    ]


@pytest.mark.parametrize("wrap", [lambda inner: {"Response": inner}, lambda inner: record("SUCCESS", inner)])
def test_a_task_of_another_type_is_not_found(wrap: Callable[[object], object]) -> None:
    with pytest.raises(TaskNotFound):
        DESCRIBE.decode(reply_of(wrap(detail(member="AigcVideoTask"))))


# --- any answer at all ------------------------------------------------------------------------------------------------

anything = almost_anything(
    "AigcImageTask", "TaskType", "ErrCode", "Output", "FileInfos", "FileUrl", "error", "code", "message", "type",
    "data", "status", "fail_reason",
)  # fmt: skip
wraps = st.fixed_dictionaries(
    {},
    optional={
        "code": st.just("success") | anything,
        "message": anything,
        "error": anything,
        "data": st.fixed_dictionaries(
            {"status": st.sampled_from([*STATES, "PAUSED"]) | anything},
            optional={
                "fail_reason": anything,
                "data": st.fixed_dictionaries({"Status": st.just("FINISH"), "AigcImageTask": anything}) | anything,
            },
        ),
    },
)
bodies = st.binary(max_size=60) | (anything | wraps | anything.map(lambda value: {"Response": value})).map(
    lambda value: json.dumps(value).encode()
)


@pytest.mark.parametrize(("call", "value"), [(CREATE, Created), (DESCRIBE, TaskStatus)], ids=["create", "ask"])
@settings(max_examples=200, deadline=None)
@given(
    body=bodies,
    status=st.just(200) | st.integers(100, 999),
    headers=st.dictionaries(st.just("retry-after"), st.text(max_size=12) | st.integers().map(str)),
)
def test_any_answer_is_a_value_or_one_of_our_errors(
    call: Call[object], value: Callable[..., object], body: bytes, status: int, headers: dict[str, str]
) -> None:
    try:
        result = call.decode(HttpAnswer(status, headers, body))
    except (ServiceError, TransportError) as error:
        ended: object = error.ending
    else:
        ended = None
        # Another status is a good answer only with a TaskId, the proof that a task was made.
        assert 200 <= status < 300 or value is Created
        assert type(result) is value
    assert ended is None or isinstance(ended, Ending)
