"""MPS as values: bodies against the official SDK's models, signatures against its signer, answers of every shape."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.model.errors import (
    AccountError,
    AigcError,
    ContentViolation,
    InvalidRequest,
    ServiceError,
    TaskNotFound,
    Throttled,
    TooManyTasks,
    TransportError,
)
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import AudioRequest, CosStore, ImageRequest, Step, VideoRequest
from mps_aigc_async.model.results import ImageResult, VideoResult
from mps_aigc_async.model.states import Ending, Kind, TaskState
from mps_aigc_async.wire.dialect import Call, Created, HttpAnswer, TaskStatus
from mps_aigc_async.wire.envelope import server_time
from mps_aigc_async.wire.mps import LIMITS, Mps, encode
from mps_aigc_async.wire.mps_errors import ERRORS

from .oracles import (
    AUDIO_FIELDS,
    IMAGE_FIELDS,
    NOT_OF_MPS_AUDIOS,
    TO_DO,
    VIDEO_FIELDS,
    almost_anything,
    check_signature,
    filled,
    if_any,
    keys,
    prompts,
    some_of,
    stores,
    texts,
    url_of,
    urls,
)

NOW = 1_767_225_600
KEYS = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
STORE = CosStore(bucket="out-1250000000", region="ap-guangzhou", path="/aigc/")
IMAGE = ImageResult(task_id="4-AigcImage-1", request_id="r-1", urls=("https://cos.example/1.png",), expires_at=None)


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_every_field_of_the_requests_is_generated() -> None:
    assert set(ImageRequest.model_fields) == {*IMAGE_FIELDS, "prompt", "vod"}, TO_DO
    assert set(VideoRequest.model_fields) == {*VIDEO_FIELDS, "prompt", "vod"}, TO_DO
    assert set(AudioRequest.model_fields) == {*AUDIO_FIELDS, *NOT_OF_MPS_AUDIOS, "prompt"}, TO_DO


def by_the_sdk(request: Step, store: CosStore | None) -> Any:  # noqa: ANN401 - the SDK has no types
    """The same content, told to the official SDK's models field by field."""
    from tencentcloud.mps.v20190612 import models

    fields: dict[str, Any] = {
        "ModelName": request.model_name,
        "ModelVersion": request.model_version,
        "SceneType": request.scene_type,
        "Prompt": request.prompt or None,
        "Operator": request.operator,
    }
    target = request.store or store
    if target is not None:
        fields["StoreCosParam"] = filled(
            models.AigcStoreCosParam(),
            CosBucketName=target.bucket,
            CosBucketRegion=target.region,
            CosBucketPath=target.path,
        )
    match request:
        case AudioRequest():
            return filled(models.CreateAigcAudioTaskRequest(), **fields, **audio_fields(models, request))
        case ImageRequest():
            fields |= picture_fields(request, models.AigcImageInfo)
            extra = picture_extra(request) | {"OutputFormat": request.output_format}
            fields["OutputImageCount"] = request.output_count
            fields["ExtraParameters"] = if_any(models.AigcImageExtraParam(), extra)
            return filled(models.CreateAigcImageTaskRequest(), **fields)
        case VideoRequest():
            fields |= picture_fields(request, models.AigcVideoReferenceImageInfo)
            return filled(models.CreateAigcVideoTaskRequest(), **fields, **video_fields(models, request))


def audio_fields(models: Any, request: AudioRequest) -> dict[str, Any]:  # noqa: ANN401 - the SDK has no types
    films = [filled(models.AigcAudioReferenceVideoInfo(), VideoUrl=url_of(video)) for video in request.videos]
    extra = {"ResourceId": request.resource_id, "OutputAudioFormat": request.output_format}
    return {
        "VideoInfos": films or None,
        "AudioInfos": [filled(models.AigcAudioReferenceAudioInfo(), AudioUrl=url) for url in request.audios] or None,
        "ExtraParameters": if_any(models.AigcAudioExtraParam(), extra),
    }


def picture_extra(request: ImageRequest | VideoRequest) -> dict[str, Any]:
    return {
        "AspectRatio": request.aspect_ratio,
        "Resolution": request.resolution,
        "LogoAdd": None if request.logo_add is None else int(request.logo_add),
    }


def picture_fields(request: ImageRequest | VideoRequest, info: Callable[[], Any]) -> dict[str, Any]:
    def reference(source: Any) -> Any:  # noqa: ANN401 - an image source or a ReferenceImage
        if isinstance(source, ReferenceImage):
            return filled(info(), ImageUrl=url_of(source.image), ReferenceType=source.reference_type)
        return filled(info(), ImageUrl=url_of(source))

    return {
        "NegativePrompt": request.negative_prompt,
        "EnhancePrompt": request.enhance_prompt,
        "ImageInfos": [reference(source) for source in request.images] or None,
    }


def video_fields(models: Any, request: VideoRequest) -> dict[str, Any]:  # noqa: ANN401 - the SDK has no types
    def film(source: str | ReferenceVideo) -> Any:  # noqa: ANN401 - the SDK has no types
        model = models.AigcVideoReferenceVideoInfo()
        if isinstance(source, str):
            return filled(model, VideoUrl=source)
        keep = {None: None, True: "yes", False: "no"}[source.keep_original_sound]
        return filled(model, VideoUrl=source.url, ReferType=source.refer_type, KeepOriginalSound=keep)

    def subject(source: Subject) -> Any:  # noqa: ANN401 - the SDK has no types
        return filled(
            models.AigcVideoReferenceSubjectInfo(),
            Id=source.id,
            Name=source.name,
            VoiceId=source.voice_id,
            ImageUrls=[url_of(image) for image in source.images] or None,
            VideoUrls=list(source.videos) or None,
        )

    extra = picture_extra(request) | {
        "EnableAudio": request.enable_audio,
        "EnableBgm": request.enable_bgm,
        "OffPeak": request.off_peak,
    }
    return {
        "ImageUrl": None if request.first_frame is None else url_of(request.first_frame),
        "LastImageUrl": None if request.last_frame is None else url_of(request.last_frame),
        "VideoInfos": [film(source) for source in request.videos] or None,
        "AudioInfos": [filled(models.AigcVideoReferenceAudioInfo(), AudioUrl=url) for url in request.audios] or None,
        "SubjectInfos": [subject(source) for source in request.subjects] or None,
        "Duration": request.duration,
        "ExtraParameters": if_any(models.AigcVideoExtraParam(), extra),
    }


def check_body(request: Step, store: CosStore | None) -> None:
    body = json.loads(Mps().create(request, store).body)
    sdk_request = by_the_sdk(request, store)

    # The SDK's models know every field we send (they warn of those they do not, and warnings are errors here).
    sdk_copy = type(sdk_request)()
    sdk_copy._deserialize(body)
    assert sdk_copy._serialize() == body

    additional = body.pop("AdditionalParameters", None)
    assert body == sdk_request._serialize()
    lyrics = {"lyrics": request.lyrics} if isinstance(request, AudioRequest) and request.lyrics else {}
    if request.additional_parameters is None and not lyrics:
        assert additional is None
    else:
        assert json.loads(additional) == {**(request.additional_parameters or {}), **lyrics}


def test_gls_lyrics_go_by_the_key_that_was_tested() -> None:
    """GL 3.0-pro fails with lyrics by any other key; MiniMaxMusic and Mureka have the documented one."""

    def sent(model: str) -> object:
        request = AudioRequest(prompt="a waltz", model_name=model, lyrics="la", scene_type="music")
        return json.loads(json.loads(Mps().create(request, None).body)["AdditionalParameters"])

    assert sent("gl") == {"lyric": "la"}
    assert sent("MiniMaxMusic") == sent("Mureka") == {"lyrics": "la"}


@settings(max_examples=200, deadline=None)
@given(prompt=prompts, fields=some_of(IMAGE_FIELDS), store=st.none() | stores)
def test_an_image_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], store: CosStore | None
) -> None:
    check_body(ImageRequest(prompt=prompt, **fields), store)


@settings(max_examples=200, deadline=None)
@given(prompt=prompts | st.just(""), fields=some_of(VIDEO_FIELDS), store=st.none() | stores)
def test_a_video_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], store: CosStore | None
) -> None:
    check_body(VideoRequest(prompt=prompt, **fields), store)


@settings(max_examples=200, deadline=None)
@given(prompt=prompts | st.just(""), fields=some_of(AUDIO_FIELDS), scene=texts, store=st.none() | stores)
def test_an_audio_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], scene: str, store: CosStore | None
) -> None:
    check_body(AudioRequest(prompt=prompt, **{"scene_type": scene, **fields}), store)


@pytest.mark.parametrize(("attribute", "value"), NOT_OF_MPS_AUDIOS.items())
def test_an_attribute_of_an_audio_that_only_vod_has_is_refused_by_name(attribute: str, value: object) -> None:
    where = "vod.storage_mode" if attribute == "vod" else attribute
    with pytest.raises(InvalidRequest, match=f"^{where}: MPS does not support it"):
        Mps().create(AudioRequest(prompt="x", scene_type="sfx", **{attribute: value}), None)


@pytest.mark.parametrize("request_type", [ImageRequest, VideoRequest])
def test_nothing_unset_is_sent(request_type: type[Step]) -> None:
    empty: dict[str, Any] = {"model_name": "", "scene_type": "", "images": (), "videos": (), "audios": ()}
    empty = {name: value for name, value in empty.items() if name in request_type.model_fields}
    assert encode(request_type(prompt="a lake")) == {"Prompt": "a lake"}
    assert encode(request_type(prompt="a lake", **empty)) == {"Prompt": "a lake"}


def test_false_and_zero_are_set() -> None:
    request = VideoRequest(prompt="x", enhance_prompt=False, logo_add=False, enable_audio=False, off_peak=False)
    assert encode(request) == {
        "Prompt": "x",
        "EnhancePrompt": False,
        "ExtraParameters": {"LogoAdd": 0, "EnableAudio": False, "OffPeak": False},
    }


def test_the_default_store_is_sent_and_the_requests_own_wins_whole() -> None:
    default = {"CosBucketName": "out-1250000000", "CosBucketRegion": "ap-guangzhou", "CosBucketPath": "/aigc/"}
    assert encode(ImageRequest(prompt="x"), STORE)["StoreCosParam"] == default
    own = CosStore(bucket="mine", region="ap-beijing")
    param = encode(ImageRequest(prompt="x", store=own), STORE)["StoreCosParam"]
    assert param == {"CosBucketName": "mine", "CosBucketRegion": "ap-beijing"}


LOCAL_FILES: list[tuple[str, Step]] = [
    ("first_frame", VideoRequest(prompt="x", first_frame="frame.png")),
    ("first_frame", VideoRequest(prompt="x", first_frame=Path("/tmp/frame.png"))),  # noqa: S108 - never opened
    ("first_frame", VideoRequest(prompt="x", first_frame="file:///frame.png")),
    ("last_frame", VideoRequest(prompt="x", last_frame="frame.png")),
    ("images", ImageRequest(prompt="x", images=("https://a/1.png", "frame.png"))),
    ("images", ImageRequest(prompt="x", images=(ReferenceImage(image=Path("frame.png")),))),
    ("images", VideoRequest(prompt="x", images=("frame.png",))),
    ("subjects", VideoRequest(prompt="x", subjects=(Subject(images=("frame.png",)),))),
    ("videos", VideoRequest(prompt="x", videos=("clip.mp4",))),
    ("videos", VideoRequest(prompt="x", videos=(ReferenceVideo(url="clip.mp4"),))),
    ("audios", VideoRequest(prompt="x", audios=("song.mp3",))),
    ("subjects", VideoRequest(prompt="x", subjects=(Subject(videos=("clip.mp4",)),))),
    ("videos", AudioRequest(prompt="x", scene_type="sfx", videos=("clip.mp4",))),
    ("audios", AudioRequest(prompt="x", scene_type="music", audios=("song.mp3",))),
]


@pytest.mark.parametrize(
    ("attribute", "request_"), LOCAL_FILES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(LOCAL_FILES)]
)
def test_a_local_file_is_refused_by_the_name_of_its_field(attribute: str, request_: Step) -> None:
    with pytest.raises(InvalidRequest, match=f"^{attribute}: .*not a URL"):
        Mps().create(request_, None)


def test_an_image_result_without_a_url_is_refused_with_its_task() -> None:
    empty = ImageResult(task_id="4-AigcImage-9", request_id="r", urls=(), expires_at=None)
    with pytest.raises(InvalidRequest, match=r"^first_frame: .*no URL") as refusal:
        encode(VideoRequest(prompt="x", first_frame=empty))
    assert refusal.value.task_id == "4-AigcImage-9"
    without = VideoResult(task_id="4-AigcVideo-9", request_id="r", urls=(), expires_at=None)
    with pytest.raises(InvalidRequest, match=r"^videos: the video of task 4-AigcVideo-9 has no URL"):
        encode(AudioRequest(scene_type="sfx", videos=(without,)))


def test_an_image_result_stands_for_its_first_url() -> None:
    two = ImageResult(task_id="t", request_id="r", urls=("https://a/1.png", "https://a/2.png"), expires_at=None)
    assert encode(VideoRequest(first_frame=two, last_frame=IMAGE)) == {
        "ImageUrl": "https://a/1.png",
        "LastImageUrl": "https://cos.example/1.png",
    }


def test_texts_go_out_as_utf_8_not_as_escapes() -> None:
    assert Mps().create(ImageRequest(prompt="月光 🌙"), None).body == '{"Prompt":"月光 🌙"}'.encode()


@pytest.mark.parametrize(
    ("request_", "create", "describe"),
    [
        (ImageRequest(prompt="x"), "CreateAigcImageTask", "DescribeAigcImageTask"),
        (VideoRequest(prompt="x"), "CreateAigcVideoTask", "DescribeAigcVideoTask"),
        (AudioRequest(prompt="x", scene_type="sfx"), "CreateAigcAudioTask", "DescribeAigcAudioTask"),
    ],
)
def test_each_kind_has_its_actions(request_: Step, create: str, describe: str) -> None:
    mps, kind = Mps(), request_.kind
    creating, describing = mps.create(request_, None), mps.describe(kind, "4-1")
    assert (mps.create_action(kind), mps.describe_action(kind)) == (create, describe)
    assert (creating.action, creating.reads) == (create, False)
    assert (describing.action, describing.reads) == (describe, True)
    assert json.loads(describing.body) == {"TaskId": "4-1"}


def test_the_documented_limits() -> None:
    assert (dict(LIMITS), Mps.default_limit, Mps.url_life_s) == (
        {
            "CreateAigcImageTask": 20,
            "DescribeAigcImageTask": 20,
            "CreateAigcVideoTask": 10,
            "DescribeAigcVideoTask": 50,
            "CreateAigcAudioTask": 20,
            "DescribeAigcAudioTask": 20,
            "DescribeAigcTaskList": 20,
            "DescribeAigcTaskStatus": 20,
            "DescribeUsageData": 100,
        },
        20,
        12 * 3600,
    )


@pytest.mark.parametrize(
    ("action", "reads"),
    [
        ("DescribeAigcTaskList", True),
        ("ListMedia", True),
        ("CreateAigcAudioTask", False),
        ("DeleteX", False),
        ("X", False),
    ],
)
def test_only_describe_and_list_actions_are_reads(action: str, reads: bool) -> None:
    assert Mps().call(action, {}).reads is reads


# --- signatures -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    prompt=prompts,
    timestamp=st.integers(0, 4_000_000_000),
    secret_id=st.text("ABCDabcd0123", min_size=1),
    secret_key=keys,
    host=st.sampled_from(["mps.tencentcloudapi.com", "127.0.0.1:8080"]),
)
def test_a_signed_request_is_what_the_official_signer_signs(
    prompt: str, timestamp: int, secret_id: str, secret_key: str, host: str
) -> None:
    keys = Credentials(secret_id, SecretStr(secret_key))
    mps = Mps(host=host)
    request = mps.sign(mps.create(ImageRequest(prompt=prompt), None), keys, timestamp)
    check_signature(request, "mps", keys, timestamp)


def test_one_dialect_signs_on_over_midnight() -> None:
    mps = Mps()
    call = mps.describe(Kind.IMAGE, "4-1")
    for timestamp in (NOW - 1, NOW, NOW + 86400, NOW):
        check_signature(mps.sign(call, KEYS, timestamp), "mps", KEYS, timestamp)


def test_the_headers_of_a_request() -> None:
    mps = Mps()
    request = mps.sign(mps.describe(Kind.VIDEO, "4-1"), KEYS, NOW)
    assert request.path == "/"
    assert {name: value for name, value in request.headers.items() if name != "Authorization"} == {
        "Content-Type": "application/json; charset=utf-8",
        "Host": "mps.tencentcloudapi.com",
        "X-TC-Action": "DescribeAigcVideoTask",
        "X-TC-Version": "2019-06-12",
        "X-TC-Timestamp": str(NOW),
        "X-TC-Language": "en-US",
    }


def test_region_and_token_are_sent_where_there_are_any() -> None:
    mps = Mps(region="ap-guangzhou", language="zh-CN")
    keys = Credentials("id", SecretStr("key"), SecretStr("session-token"))
    headers = mps.sign(mps.describe(Kind.VIDEO, "4-1"), keys, NOW).headers
    assert (headers["X-TC-Region"], headers["X-TC-Token"]) == ("ap-guangzhou", "session-token")
    assert headers["X-TC-Language"] == "zh-CN"


def test_secrets_are_in_no_repr() -> None:
    keys = Credentials("AKIDEXAMPLE", SecretStr("very-secret"), SecretStr("session-token"))
    mps = Mps()
    request = mps.sign(mps.create(ImageRequest(prompt="x"), None), keys, NOW)
    signature = request.headers["Authorization"].rpartition("=")[2]
    reprs = f"{keys!r} {keys!s} {request!r} {request!s} {mps!r} {mps._tc3!r} {mps._tc3._signer!r} {vars(mps)!r}"
    for secret in ("very-secret", "session-token", signature):
        assert secret not in reprs


# --- answers ----------------------------------------------------------------------------------------------------------


def reply_of(response: Mapping[str, object], status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps({"Response": response}).encode())


def error_answer(code: object, message: object = "no") -> HttpAnswer:
    return reply_of({"Error": {"Code": code, "Message": message}, "RequestId": "r-1"})


CREATE: Call[Created] = Mps().create(ImageRequest(prompt="x"), None)
DESCRIBE_IMAGE: Call[TaskStatus] = Mps().describe(Kind.IMAGE, "4-1")
DESCRIBE_VIDEO: Call[TaskStatus] = Mps().describe(Kind.VIDEO, "4-1")
DESCRIBE_AUDIO: Call[TaskStatus] = Mps().describe(Kind.AUDIO, "4-1")
ANY: Call[dict[str, object]] = Mps().call("DescribeAigcTaskList", {})


def test_a_create_answers_with_its_task() -> None:
    assert CREATE.decode(reply_of({"TaskId": "4-1", "RequestId": "r-1"})) == Created("4-1", "r-1")


def test_any_call_answers_with_the_inside_of_its_envelope() -> None:
    inside = {"Tasks": [{"TaskId": "4-1"}], "RequestId": "r-1"}
    assert ANY.decode(reply_of(inside)) == inside


@pytest.mark.parametrize("task", [{}, {"TaskId": ""}, {"TaskId": None}, {"TaskId": 0}, {"TaskId": ["4-1"]}])
def test_a_create_without_a_task_id_is_of_unknown_outcome(task: dict[str, object]) -> None:
    with pytest.raises(TransportError, match="TaskId") as unknown:
        CREATE.decode(reply_of({"RequestId": "r-1", **task}))
    assert unknown.value.ending is Ending.UNKNOWN
    assert unknown.value.action == "CreateAigcImageTask"


# The table of errors and of what a client may do, written out once more.
DOCUMENTED: dict[str, tuple[type[ServiceError], Ending]] = {
    "RequestLimitExceeded": (Throttled, Ending.REFUSED_FOR_NOW),
    "RequestLimitExceeded.UinLimitExceeded": (Throttled, Ending.REFUSED_FOR_NOW),
    "LimitExceeded.CreateTask": (TooManyTasks, Ending.REFUSED_FOR_NOW),
    "ResourceInsufficient": (ServiceError, Ending.REFUSED_FOR_NOW),
    "ResourceUnavailable": (ServiceError, Ending.REFUSED_FOR_NOW),
    "ServiceUnavailable": (ServiceError, Ending.REFUSED_FOR_NOW),
    "InternalError": (ServiceError, Ending.UNKNOWN),
    "InternalError.UnknownError": (ServiceError, Ending.UNKNOWN),
    "FailedOperation.CreateAIGCTaskFailed": (ServiceError, Ending.UNKNOWN),
    "FailedOperation.QueryAIGCTaskFailed": (ServiceError, Ending.UNKNOWN),
    "AuthFailure": (AccountError, Ending.ACCOUNT_REFUSED),
    "AuthFailure.SignatureExpire": (AccountError, Ending.ACCOUNT_REFUSED),
    "AuthFailure.SecretIdNotFound": (AccountError, Ending.ACCOUNT_REFUSED),
    "UnauthorizedOperation": (AccountError, Ending.ACCOUNT_REFUSED),
    "UnauthorizedOperation.CamNoAuth": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.UserArrears": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.InvalidMpsUser": (AccountError, Ending.ACCOUNT_REFUSED),
    "InvalidParameterValue.UserUnRegister": (AccountError, Ending.ACCOUNT_REFUSED),
    "IpInBlacklist": (AccountError, Ending.ACCOUNT_REFUSED),
    "IpNotInWhitelist": (AccountError, Ending.ACCOUNT_REFUSED),
    "InvalidParameter.ViolationContent": (ContentViolation, Ending.REFUSED),
    "InvalidParameter": (ServiceError, Ending.REFUSED),
    "InvalidParameter.Resolution": (ServiceError, Ending.REFUSED),
    "InvalidParameterValue": (ServiceError, Ending.REFUSED),
    "InvalidParameterValue.Prompt": (ServiceError, Ending.REFUSED),
    "MissingParameter": (ServiceError, Ending.REFUSED),
    "UnknownParameter": (ServiceError, Ending.REFUSED),
    "UnsupportedOperation": (ServiceError, Ending.REFUSED),
    "RequestSizeLimitExceeded": (ServiceError, Ending.REFUSED),
    "FailedOperation.TaskNotFound": (TaskNotFound, Ending.REFUSED),
    "ResourceNotFound.TaskNotFound": (TaskNotFound, Ending.REFUSED),
    "InvalidParameterValue.TaskId": (TaskNotFound, Ending.REFUSED),
    # Wrong bucket, user or plan: every create meets it.
    "ResourceNotFound.CosBucketNotExist": (AccountError, Ending.ACCOUNT_REFUSED),
    "ResourceNotFound.CosBucketNameInvalid": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.CosStatusInavlid": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.InvalidUser": (AccountError, Ending.ACCOUNT_REFUSED),
    "ResourceNotFound.UserUnregister": (AccountError, Ending.ACCOUNT_REFUSED),
    "LimitExceeded.TooMuchTemplate": (AccountError, Ending.ACCOUNT_REFUSED),
    "UnsupportedRegion": (AccountError, Ending.ACCOUNT_REFUSED),
    # The service answered with an error: without a row it is judged by its family.
    "FailedOperation": (ServiceError, Ending.REFUSED),
    "FailedOperation.SomethingNew": (ServiceError, Ending.REFUSED),
    "LimitExceeded": (ServiceError, Ending.REFUSED_FOR_NOW),
    "ResourceNotFound.DownloadError": (ServiceError, Ending.REFUSED),
    "ResourceNotFound.SomethingNew": (ServiceError, Ending.REFUSED),
    "OperationDenied": (ServiceError, Ending.REFUSED),
    "UnsupportedOperation.TextTooLong": (ServiceError, Ending.REFUSED),
    "RequestLimitExceededBy": (ServiceError, Ending.REFUSED),
    "SomethingNew": (ServiceError, Ending.REFUSED),
    # A code that says that something broke, an answer that was not sent, and none at all.
    "ServerError.Timeout": (ServiceError, Ending.UNKNOWN),
    "ResponseSizeLimitExceeded": (ServiceError, Ending.UNKNOWN),
    "": (ServiceError, Ending.UNKNOWN),
    ".": (ServiceError, Ending.UNKNOWN),
    "404": (ServiceError, Ending.UNKNOWN),
}


VAGUE: Final = {
    "FailedOperation",
    "FailedOperation.SomethingNew",
    "FailedOperation.TaskDuplicate",
    "RequestLimitExceededBy",
    "SomethingNew",
}
"""Codes that refuse a create by their family alone. A read that was answered so is made again."""


@pytest.mark.parametrize("code", DOCUMENTED)
@pytest.mark.parametrize("call", [CREATE, DESCRIBE_IMAGE, ANY], ids=lambda call: call.action)
def test_an_error_code_is_its_documented_class_and_ending(code: str, call: Call[object]) -> None:
    with pytest.raises(ServiceError) as failure:
        call.decode(error_answer(code, "why"))
    error = failure.value
    cls, ending = DOCUMENTED[code]
    if call.reads and code in VAGUE:
        ending = Ending.UNKNOWN
    assert (type(error), error.ending) == (cls, ending)
    assert (error.code, error.message, error.request_id, error.action) == (code, "why", "r-1", call.action)


@pytest.mark.parametrize(("code", "cls", "ending"), ERRORS, ids=[code for code, _, _ in ERRORS])
@pytest.mark.parametrize("suffix", ["", ".SomethingNew", ".Something.New"])
def test_each_row_holds_for_its_sub_codes(code: str, suffix: str, cls: type[ServiceError], ending: Ending) -> None:
    with pytest.raises(ServiceError) as failure:
        CREATE.decode(error_answer(code + suffix))
    assert (type(failure.value), failure.value.ending) == (cls, ending)


def test_the_error_table_names_each_code_once() -> None:
    assert len({code for code, _, _ in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize(("code", "message"), [(None, None), (5, 6), (["x"], {})])
def test_an_error_of_wrong_types_is_still_an_error_of_unknown_outcome(code: object, message: object) -> None:
    with pytest.raises(ServiceError) as failure:
        CREATE.decode(error_answer(code, message))
    assert failure.value.ending is Ending.UNKNOWN


DEEP = b"[" * 100_000
NO_ENVELOPE = {
    "empty": b"",
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "list": b"[]",
    "null": b"null",
    "no response": b'{"TaskId": "4-1"}',
    "response of wrong type": b'{"Response": "4-1"}',
    "response null": b'{"Response": null}',
    "truncated": b'{"Response": {"TaskId": "4-1", "Requ',
    "not utf-8": b'{"Response": "\xff"}',
    "huge number": b'{"Response": ' + b"9" * 5000 + b"}",
    "nested deep": DEEP,
    "nested deep inside": b'{"Response": {"TaskId": ' + DEEP,
}


@pytest.mark.parametrize("body", NO_ENVELOPE.values(), ids=NO_ENVELOPE)
@pytest.mark.parametrize("call", [CREATE, DESCRIBE_IMAGE, ANY], ids=lambda call: call.action)
def test_what_is_not_the_envelope_is_of_unknown_outcome(body: bytes, call: Call[object]) -> None:
    with pytest.raises(TransportError, match="200") as failure:
        call.decode(HttpAnswer(200, {}, body))
    assert (failure.value.ending, failure.value.action) == (Ending.UNKNOWN, call.action)


REFUSAL: Final = {"Code": "RequestLimitExceeded", "Message": "slower"}


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 403, 404, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("beside", [{}, {"Error": REFUSAL}])
def test_a_task_id_is_accepted_whatever_stands_beside_it(status: int, beside: dict[str, object]) -> None:
    assert CREATE.decode(reply_of({"TaskId": "4-1", "RequestId": "r-1", **beside}, status)) == Created("4-1", "r-1")


@pytest.mark.parametrize("task_id", ["", None, 0, "0", "null", " None ", False, 1.5])
def test_no_task_id_hides_no_refusal(task_id: object) -> None:
    with pytest.raises(Throttled):
        CREATE.decode(reply_of({"TaskId": task_id, "Error": REFUSAL}))


def test_the_task_id_of_a_poll_accepts_nothing() -> None:
    with pytest.raises(Throttled):
        DESCRIBE_IMAGE.decode(reply_of({"TaskId": "4-1", "Error": REFUSAL}))


@pytest.mark.parametrize("status", [201, 400, 403, 404, 429])
def test_an_envelope_behind_a_definite_status_is_judged_by_its_code(status: int) -> None:
    with pytest.raises(Throttled, match="slower"):
        CREATE.decode(reply_of({"Error": REFUSAL}, status))


@pytest.mark.parametrize("status", [100, 304, 408, 409, 425, 460, 499, 500, 502, 503, 504, 600])
def test_behind_an_uncertain_status_no_code_counts(status: int) -> None:
    for code, _, _ in ERRORS:
        with pytest.raises(TransportError, match=f"HTTP {status}") as failure:
            CREATE.decode(reply_of({"Error": {"Code": code, "Message": "why"}}, status))
        assert failure.value.ending is Ending.UNKNOWN
        assert f"{code}: why" in str(failure.value), "it is told all the same"


@pytest.mark.parametrize("status", [400, 403, 404, 407, 413, 429, 499, 500, 502])
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'{"message": "no"}', b'{"Response": {"RequestId": "r"}}'])
def test_a_gateways_own_page_leaves_a_create_unknown(status: int, body: bytes) -> None:
    """The service answers 200 to every request that it processed, and no document names a status by which a gateway
    says that the service has not seen a request."""
    with pytest.raises(TransportError, match=f"HTTP {status}") as failure:
        CREATE.decode(HttpAnswer(status, {}, body))
    assert failure.value.ending is Ending.UNKNOWN


def test_a_poll_of_another_kinds_task_finds_no_task() -> None:
    """MPS answers with the bare code (reported as tested, 2026-08). On a create it is a refusal like any other."""
    with pytest.raises(TaskNotFound):
        DESCRIBE_IMAGE.decode(error_answer("ResourceNotFound"))
    for call in (CREATE, ANY):
        with pytest.raises(ServiceError) as failure:
            call.decode(error_answer("ResourceNotFound"))
        assert (type(failure.value), failure.value.ending) == (ServiceError, Ending.REFUSED)


@pytest.mark.parametrize("error", ["RequestLimitExceeded", ["no"], 5, True])
def test_an_error_that_is_not_an_object_is_no_success(error: object) -> None:
    with pytest.raises(AigcError) as failure:
        ANY.decode(reply_of({"Error": error, "RequestId": "r-1"}))
    assert failure.value.ending is Ending.UNKNOWN


def test_the_body_of_an_answer_is_not_in_the_errors_text() -> None:
    with pytest.raises(TransportError) as failure:
        CREATE.decode(HttpAnswer(502, {"x": "header-text"}, b"body-text"))
    assert "body-text" not in str(failure.value)
    assert "header-text" not in str(failure.value)


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state", "ended"),
    [
        ("WAIT", TaskState.WAITING, False),
        ("RUN", TaskState.RUNNING, False),
        ("DONE", TaskState.DONE, True),
        ("FAIL", TaskState.FAILED, True),
        ("PAUSED", TaskState.RUNNING, False),
        ("done", TaskState.DONE, True),
        ("", TaskState.RUNNING, False),
    ],
)
def test_the_services_words(word: str, state: TaskState, ended: bool) -> None:
    answer = reply_of({"Status": word, "ImageUrls": ["https://a/1.png"], "RequestId": "r-1"})
    status = DESCRIBE_IMAGE.decode(answer)
    assert (status.state, status.word, status.has_ended, status.request_id) == (state, word, ended, "r-1")


@pytest.mark.parametrize("found", [[], None, "in preparation", [""], [None], {}, 5])
def test_done_without_a_url_has_not_ended(found: object) -> None:
    status = DESCRIBE_IMAGE.decode(reply_of({"Status": "DONE", "ImageUrls": found}))
    assert (status.state, status.urls, status.has_ended) == (TaskState.DONE, (), False)


def test_done_with_the_message_ok() -> None:
    answer = reply_of({"Status": "DONE", "Message": "ok", "ImageUrls": ["https://a/1.png", "https://a/2.png"]})
    status = DESCRIBE_IMAGE.decode(answer)
    assert status.has_ended
    assert status.urls == ("https://a/1.png", "https://a/2.png")
    assert status.state is TaskState.DONE


def test_a_failure_carries_the_services_message() -> None:
    status = DESCRIBE_VIDEO.decode(reply_of({"Status": "FAIL", "Message": "the frame is too large", "VideoUrls": None}))
    assert (status.state, status.message, status.urls) == (TaskState.FAILED, "the frame is too large", ())
    assert status.has_ended


@pytest.mark.parametrize("resolution", ["1920x1088", "1080*720"])
def test_a_videos_resolution_as_the_service_writes_it(resolution: str) -> None:
    answer = reply_of({"Status": "DONE", "VideoUrls": ["https://a/1.mp4"], "Resolution": resolution})
    status = DESCRIBE_VIDEO.decode(answer)
    assert (status.resolution, status.urls) == (resolution, ("https://a/1.mp4",))


def test_each_kind_reads_its_own_urls() -> None:
    both = reply_of({"Status": "DONE", "ImageUrls": ["https://a/1.png"], "VideoUrls": ["https://a/1.mp4"]})
    assert DESCRIBE_IMAGE.decode(both).urls == ("https://a/1.png",)
    assert DESCRIBE_VIDEO.decode(both).urls == ("https://a/1.mp4",)


@given(
    audios=st.lists(st.tuples(urls, st.integers(1, 600)), max_size=3),
    videos=st.lists(st.tuples(urls, st.integers(1, 600)), max_size=3),
)
def test_an_audios_answer_is_what_the_official_sdk_reads(
    audios: list[tuple[str, int]], videos: list[tuple[str, int]]
) -> None:
    from tencentcloud.mps.v20190612 import models

    inside = {
        "Status": "DONE",
        "Message": "ok",
        "AudioInfos": [{"Url": url, "Duration": length} for url, length in audios],
        "VideoInfos": [{"Url": url, "Duration": length} for url, length in videos],
        "RequestId": "r-1",
    }
    theirs = models.DescribeAigcAudioTaskResponse()
    theirs._deserialize(inside)
    status = DESCRIBE_AUDIO.decode(reply_of(inside))
    assert status.urls == tuple(info.Url for info in theirs.AudioInfos)
    assert status.videos == tuple(info.Url for info in theirs.VideoInfos)
    assert status.duration == next((info.Duration for info in [*theirs.AudioInfos, *theirs.VideoInfos]), None)
    assert status.durations == tuple(info.Duration for info in theirs.AudioInfos)
    assert status.video_durations == tuple(info.Duration for info in theirs.VideoInfos)
    assert status.has_ended == bool(audios or videos)


@pytest.mark.parametrize("length", [None, "12", True, 0, -1, float("inf"), float("nan"), 10**400, [], {}])
def test_a_length_that_is_none_tells_nothing(length: object) -> None:
    answer = reply_of({"Status": "DONE", "AudioInfos": [{"Url": "https://a/1.mp3", "Duration": length}]})
    status = DESCRIBE_AUDIO.decode(answer)
    assert (status.urls, status.duration, status.has_ended) == (("https://a/1.mp3",), None, True)


@pytest.mark.parametrize("found", [[], None, "in preparation", [{}], [{"Url": ""}], [{"Url": 5}], {}, 5, [[]]])
def test_an_audio_without_a_url_has_not_ended(found: object) -> None:
    status = DESCRIBE_AUDIO.decode(reply_of({"Status": "DONE", "AudioInfos": found, "VideoInfos": found}))
    assert (status.urls, status.videos, status.has_ended) == ((), (), False)


def test_absent_fields_are_empty() -> None:
    status = DESCRIBE_VIDEO.decode(reply_of({"Status": "RUN"}))
    assert (status.request_id, status.message, status.urls, status.resolution) == ("", "", (), None)


# --- the service's clock ----------------------------------------------------------------------------------------------


def test_the_services_clock_is_in_its_date_header() -> None:
    assert server_time(HttpAnswer(200, {"date": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"")) == NOW


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "2026-01-01",
        "Thu, 99 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:00 +99999999999999",
    ],
)
def test_a_date_that_is_none_tells_no_time(date: str) -> None:
    assert server_time(HttpAnswer(200, {"date": date}, b"")) is None


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_the_services_clock_does_not_depend_on_the_local_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert server_time(HttpAnswer(200, {"date": f"Thu, 01 Jan 2026 00:00:00 {zone}".strip()}, b"")) == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_date_header_tells_no_time() -> None:
    assert server_time(HttpAnswer(200, {}, b"")) is None


# --- any answer at all ------------------------------------------------------------------------------------------------

anything = almost_anything("ImageUrls", "AudioInfos")
bodies = st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode())
envelopes = anything.map(lambda value: json.dumps({"Response": value}).encode())


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (CREATE, Created),
        (DESCRIBE_IMAGE, TaskStatus),
        (DESCRIBE_VIDEO, TaskStatus),
        (DESCRIBE_AUDIO, TaskStatus),
        (ANY, dict),
    ],
    ids=["create", "image", "video", "audio", "call"],
)
@settings(max_examples=150, deadline=None)
@given(body=bodies | envelopes, status=st.just(200) | st.integers(100, 999))
def test_any_answer_is_a_value_or_one_of_our_errors(
    call: Call[object], value: Callable[..., object], body: bytes, status: int
) -> None:
    try:
        result = call.decode(HttpAnswer(status, {}, body))
    except (ServiceError, TransportError) as error:
        ended: object = error.ending
    else:
        ended = None
        # Another status than 200 is a good answer only with a TaskId, the proof that a task was made.
        assert 200 <= status < 300 or (value in (Created, dict) and b"TaskId" in body)
        assert type(result) is value
    assert ended is None or isinstance(ended, Ending)


@given(date=st.text(max_size=40))
def test_any_date_is_a_time_or_none(date: str) -> None:
    seconds = server_time(HttpAnswer(200, {"date": date}, b""))
    assert seconds is None or isinstance(seconds, float)
