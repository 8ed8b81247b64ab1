"""VOD as values: bodies against the official SDK's models, signatures against its signer, answers of every shape."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.model.errors import (
    AccountError,
    ContentViolation,
    InvalidRequest,
    ServiceError,
    TaskNotFound,
    Throttled,
    TransportError,
)
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import AudioRequest, CosStore, ImageRequest, VideoRequest
from mps_aigc_async.model.results import ImageResult, Usage, VideoResult
from mps_aigc_async.model.states import Ending, Kind, TaskFault, TaskState
from mps_aigc_async.model.vod_options import VodFile, VodOptions
from mps_aigc_async.policy.lifetimes import Lifetime
from mps_aigc_async.wire import mps, relay, vod
from mps_aigc_async.wire.dialect import Call, Created, HttpAnswer, SessionRule, TaskPage, TaskStatus
from mps_aigc_async.wire.vod import MAX_BASE64_BYTES, MPS_ONLY, Vod, encode
from mps_aigc_async.wire.vod_errors import ERRORS
from mps_aigc_async.wire.vod_tasks import KIND_OF_TYPE, OTHER_TYPES, TASK_STATES

from .oracles import (
    NOT_OF_VOD_AUDIOS,
    NOT_OF_VOD_IMAGES,
    NOT_OF_VOD_VIDEOS,
    TO_DO,
    VOD_AUDIO_FIELDS,
    VOD_CONTENTS,
    VOD_IMAGE_FIELDS,
    VOD_IMAGE_OPTIONS,
    VOD_VIDEO_FIELDS,
    VOD_VIDEO_FILE,
    VOD_VIDEO_OPTIONS,
    almost_anything,
    check_signature,
    filled,
    if_any,
    keys,
    prompts,
    some_of,
    texts,
    url_of,
)

NOW = 1_767_225_600
KEYS = Credentials("AKIDEXAMPLE", SecretStr("KEYEXAMPLE"))
ONLY_OF_VIDEOS = {"last_frame_file_id", "enhance_switch", "frame_interpolate", "procedure"}


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_every_field_of_the_requests_is_generated() -> None:
    assert set(ImageRequest.model_fields) == {*VOD_IMAGE_FIELDS, *NOT_OF_VOD_IMAGES, "prompt"}, TO_DO
    assert set(VideoRequest.model_fields) == {*VOD_VIDEO_FIELDS, *NOT_OF_VOD_VIDEOS, "prompt"}, TO_DO
    assert set(AudioRequest.model_fields) == {*VOD_AUDIO_FIELDS, *NOT_OF_VOD_AUDIOS, "prompt"}, TO_DO
    assert set(VodOptions.model_fields) == {*VOD_VIDEO_OPTIONS} == {*VOD_IMAGE_OPTIONS, *ONLY_OF_VIDEOS}
    assert set(VodFile.model_fields) == {*VOD_VIDEO_FILE, *VOD_CONTENTS}


def switch(on: bool | None) -> str | None:
    return {None: None, True: "Enabled", False: "Disabled"}[on]


def by_the_sdk(request: ImageRequest | VideoRequest, sub_app_id: int | None, session_id: str) -> Any:  # noqa: ANN401 - the SDK has no types
    """The same content, told to the official SDK's models field by field. ExtInfo is compared apart."""
    from tencentcloud.vod.v20180717 import models

    vod = request.vod or VodOptions()
    fields: dict[str, Any] = {
        "SubAppId": sub_app_id,
        "SessionId": session_id or (request.vod.session_id if request.vod else None),
        "ModelName": request.model_name,
        "ModelVersion": request.model_version,
        "SceneType": request.scene_type,
        "Prompt": request.prompt or None,
        "NegativePrompt": request.negative_prompt,
        "EnhancePrompt": switch(request.enhance_prompt),
        "InputRegion": vod.input_region,
        "Seed": vod.seed,
        "SessionContext": vod.session_context,
        "TasksPriority": vod.tasks_priority,
    }
    output: dict[str, Any] = {
        "AspectRatio": request.aspect_ratio,
        "Resolution": request.resolution,
        "LogoAdd": switch(request.logo_add),
        "StorageMode": vod.storage_mode,
        "MediaName": vod.media_name,
        "ClassId": vod.class_id,
        "ExpireTime": vod.expire_time,
        "PersonGeneration": vod.person_generation,
        "InputComplianceCheck": switch(vod.input_compliance_check),
        "OutputComplianceCheck": switch(vod.output_compliance_check),
    }
    if isinstance(request, ImageRequest):
        output |= {"OutputImageCount": request.output_count, "OutputFormat": request.output_format}
        infos = [of_image(models.AigcImageTaskInputFileInfo(), image) for image in request.images]
        infos += [of_file(models.AigcImageTaskInputFileInfo(), file) for file in vod.files]
        config = if_any(models.AigcImageOutputConfig(), output)
        model = models.CreateAigcImageTaskRequest()
        return filled(model, FileInfos=infos or None, OutputConfig=config, **fields)
    output |= {
        "Duration": request.duration,
        "AudioGeneration": switch(request.enable_audio),
        "EnableBGM": switch(request.enable_bgm),
        "OffPeak": switch(request.off_peak),
        "EnhanceSwitch": switch(vod.enhance_switch),
        "FrameInterpolate": switch(vod.frame_interpolate),
    }
    fields |= {"LastFrameFileId": vod.last_frame_file_id, "Procedure": vod.procedure}
    fields["SubjectInfos"] = [of_subject(models, subject) for subject in request.subjects] or None
    config = if_any(models.AigcVideoOutputConfig(), output)
    model = models.CreateAigcVideoTaskRequest()
    return filled(model, FileInfos=video_infos(models, request) or None, OutputConfig=config, **fields)


def video_infos(models: Any, request: VideoRequest) -> list[Any]:  # noqa: ANN401 - the SDK has no types
    info = models.AigcVideoTaskInputFileInfo
    frames = [("FirstFrame", request.first_frame), ("LastFrame", request.last_frame)]
    infos = [of_image(info(), frame, Category="Image", Usage=usage) for usage, frame in frames if frame is not None]
    infos += [of_image(info(), image, Category="Image", Usage="Reference") for image in request.images]
    infos += [of_video(info(), video) for video in request.videos]
    infos += [filled(info(), Type="Url", Url=url, Category="Audio", Usage="Reference") for url in request.audios]
    return infos + [of_file(info(), file) for file in (request.vod.files if request.vod else ())]


def of_image(info: Any, image: Any, **role: str) -> Any:  # noqa: ANN401 - an image source or a ReferenceImage
    if isinstance(image, ReferenceImage):
        return filled(info, Type="Url", Url=url_of(image.image), ReferenceType=image.reference_type, **role)
    return filled(info, Type="Url", Url=url_of(image), **role)


def of_video(info: Any, video: str | ReferenceVideo) -> Any:  # noqa: ANN401 - the SDK has no types
    role = {"Type": "Url", "Category": "Video", "Usage": "Reference"}
    if isinstance(video, str):
        return filled(info, Url=video, **role)
    keep = switch(video.keep_original_sound)
    return filled(info, Url=video.url, ReferenceType=video.refer_type, KeepOriginalSound=keep, **role)


def of_file(info: Any, file: VodFile) -> Any:  # noqa: ANN401 - the SDK has no types
    fields: dict[str, Any] = {
        "Type": "File" if file.file_id else "Url" if file.url else "Base64",
        "FileId": file.file_id,
        "Url": file.url,
        "Base64": file.base64,
        "Text": file.text,
        "ReferenceType": file.reference_type,
        "Category": file.category,
        "Usage": file.usage,
        "ObjectId": file.object_id,
        "VoiceId": file.voice_id,
        "KeepOriginalSound": switch(file.keep_original_sound),
    }
    return filled(info, **{name: value for name, value in fields.items() if value is not None})


def of_subject(models: Any, subject: Subject) -> Any:  # noqa: ANN401 - the SDK has no types
    return filled(
        models.AigcVideoTaskInputSubjectInfo(),
        Id=subject.id,
        Name=subject.name,
        VoiceId=subject.voice_id,
        ImageUrls=[url_of(image) for image in subject.images] or None,
        VideoUrls=list(subject.videos) or None,
    )


def check_body(request: ImageRequest | VideoRequest, sub_app_id: int | None, session_id: str) -> None:
    call = Vod(sub_app_id=sub_app_id).create(request, None, session_id)
    body = json.loads(call.body)
    sdk_request = by_the_sdk(request, sub_app_id, session_id)

    # The SDK's models know every field we send (they warn of those they do not, and warnings are errors here).
    sdk_copy = type(sdk_request)()
    sdk_copy._deserialize(body)
    assert sdk_copy._serialize() == body

    check_ext_info(request, body.pop("ExtInfo", None))
    assert body == sdk_request._serialize()


def check_ext_info(request: ImageRequest | VideoRequest, json_text: str | None) -> None:
    """A JSON document in a string, in which the additional parameters are one more."""
    own, additional = request.vod.ext_info if request.vod else None, request.additional_parameters
    if own is None and additional is None:
        assert json_text is None
        return
    told = json.loads(json_text or "")
    if additional is not None and "AdditionalParameters" not in (own or {}):
        assert json.loads(told.pop("AdditionalParameters")) == additional
    assert told == (own or {})


sessions = st.just("") | texts
sub_apps = st.none() | st.integers(1, 2_000_000_000)


@settings(max_examples=200, deadline=None)
@given(prompt=prompts, fields=some_of(VOD_IMAGE_FIELDS), sub_app_id=sub_apps, session_id=sessions)
def test_an_image_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], sub_app_id: int | None, session_id: str
) -> None:
    check_body(ImageRequest(prompt=prompt, **fields), sub_app_id, session_id)


@settings(max_examples=200, deadline=None)
@given(prompt=prompts | st.just(""), fields=some_of(VOD_VIDEO_FIELDS), sub_app_id=sub_apps, session_id=sessions)
def test_a_video_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], sub_app_id: int | None, session_id: str
) -> None:
    check_body(VideoRequest(prompt=prompt, **fields), sub_app_id, session_id)


@pytest.mark.parametrize("make", [ImageRequest, VideoRequest])
def test_nothing_unset_is_sent(make: Callable[..., ImageRequest | VideoRequest]) -> None:
    assert encode(make(prompt="a lake")) == {"Prompt": "a lake"}
    assert encode(make(prompt="a lake", model_name="", images=(), vod=VodOptions())) == {"Prompt": "a lake"}


def test_false_and_zero_are_set() -> None:
    request = VideoRequest(prompt="x", enhance_prompt=False, off_peak=False, vod=VodOptions(seed=0, class_id=0))
    assert encode(request) == {
        "Prompt": "x",
        "EnhancePrompt": "Disabled",
        "Seed": 0,
        "OutputConfig": {"OffPeak": "Disabled", "ClassId": 0},
    }


REFUSED: list[tuple[str, ImageRequest | VideoRequest]] = [
    *((name, ImageRequest(prompt="x", **{name: value})) for name, value in NOT_OF_VOD_IMAGES.items()),
    *((name, VideoRequest(prompt="x", **{name: value})) for name, value in NOT_OF_VOD_VIDEOS.items()),
    *(
        (f"vod.{name}", ImageRequest(prompt="x", vod=VodOptions(**{name: value})))
        for name, value in {
            "last_frame_file_id": "5", "enhance_switch": False, "frame_interpolate": True, "procedure": "p"
        }.items()
    ),
    *(
        ("vod.files", ImageRequest(vod=VodOptions(files=(VodFile(file_id="5", **{name: value}),))))
        for name, value in {
            "category": "Image", "usage": "Reference", "object_id": "5", "voice_id": "5", "keep_original_sound": False
        }.items()
    ),
    ("vod.files", ImageRequest(vod=VodOptions(files=(VodFile(base64="aaaa" * (MAX_BASE64_BYTES // 3 + 2)),)))),
    ("vod.files", VideoRequest(vod=VodOptions(files=(VodFile(base64="aaaa" * (MAX_BASE64_BYTES // 6 + 2)),) * 2))),
    ("vod.files", ImageRequest(vod=VodOptions(files=(VodFile(url="frame.png"),)))),
    ("images", ImageRequest(images=("frame.png",))),
    ("first_frame", VideoRequest(first_frame="frame.png")),
    ("videos", VideoRequest(videos=(ReferenceVideo(url="clip.mp4"),))),
    ("audios", VideoRequest(prompt="x", audios=("song.mp3",))),
    ("subjects", VideoRequest(subjects=(Subject(videos=("clip.mp4",)),))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("attribute", "request_"), REFUSED, ids=[f"{name}-{number}" for number, (name, _) in enumerate(REFUSED)]
)
def test_what_vod_cannot_be_asked_for_is_refused_by_name(attribute: str, request_: ImageRequest | VideoRequest) -> None:
    with pytest.raises(InvalidRequest, match=f"^{attribute}: "):
        Vod().create(request_, None)


def audio_by_the_sdk(request: AudioRequest, sub_app_id: int | None) -> Any:  # noqa: ANN401 - the SDK has no types
    """The same content, told to the official SDK's models field by field. AdditionalParameters are compared apart."""
    from tencentcloud.vod.v20180717 import models

    vod = request.vod or VodOptions()
    output = {
        "StorageMode": vod.storage_mode,
        "MediaName": vod.media_name,
        "ClassId": vod.class_id,
        "ExpireTime": vod.expire_time,
        "Duration": request.duration,
        "OutputAudioFormat": request.output_format,
    }
    films = [filled(models.AigcAudioReferenceVideoInfo(), Type="Url", Url=url_of(film)) for film in request.videos]
    songs = [filled(models.AigcAudioReferenceAudioInfo(), Type="Url", Url=url) for url in request.audios]
    return filled(
        models.CreateAigcAudioTaskRequest(),
        SubAppId=sub_app_id,
        ModelName=request.model_name,
        ModelVersion=request.model_version,
        SceneType=request.scene_type,
        Prompt=request.prompt or None,
        VideoInfos=films or None,
        AudioInfos=songs or None,
        OutputConfig=if_any(models.AigcAudioOutputConfig(), output),
    )


@settings(max_examples=300, deadline=None)
@given(prompt=prompts | st.just(""), fields=some_of(VOD_AUDIO_FIELDS), sub_app_id=sub_apps)
def test_an_audio_create_is_what_the_official_sdk_sends(
    prompt: str, fields: dict[str, Any], sub_app_id: int | None
) -> None:
    request = AudioRequest(prompt=prompt, **fields)
    call = Vod(sub_app_id=sub_app_id).create(request, None)
    assert call.action == "CreateAigcAudioTask"
    body = json.loads(call.body)
    theirs = audio_by_the_sdk(request, sub_app_id)
    copy = type(theirs)()
    copy._deserialize(body)
    assert copy._serialize() == body
    additional = json.loads(body.pop("AdditionalParameters", "null"))
    lyrics = {"lyrics": request.lyrics} if request.lyrics else {}
    is_sent = request.additional_parameters is not None or lyrics
    assert additional == ({**(request.additional_parameters or {}), **lyrics} if is_sent else None)
    assert body == theirs._serialize()


@pytest.mark.parametrize(("prompt", "sent"), [("a waltz", "a waltz\n\nLyrics:\nla"), ("", "Lyrics:\nla")])
def test_gls_lyrics_are_the_end_of_its_prompt(prompt: str, sent: str) -> None:
    request = AudioRequest(prompt=prompt, model_name="GL", lyrics="la", scene_type="music")
    body = json.loads(Vod(sub_app_id=None).create(request, None).body)
    assert body == {"ModelName": "GL", "SceneType": "music", "Prompt": sent}


@pytest.mark.parametrize(("attribute", "value"), NOT_OF_VOD_AUDIOS.items())
def test_an_attribute_of_an_audio_that_only_mps_has_is_refused_by_name(attribute: str, value: object) -> None:
    with pytest.raises(InvalidRequest, match=f"^{attribute}: VOD does not support it"):
        Vod().create(AudioRequest(prompt="x", **{attribute: value}), None)


def test_a_video_that_vod_stores_is_an_audios_input_by_its_id() -> None:
    stored = VideoResult(task_id="t", request_id="r", urls=(), file_ids=("57",), expires_at=None)
    assert encode(AudioRequest(videos=(stored,)))["VideoInfos"] == [{"Type": "File", "FileId": "57"}]


def test_the_sdk_has_no_session_for_an_audio_so_none_is_promised() -> None:
    """A session in an audio's create would be an unknown parameter, and a promise that nobody keeps."""
    from tencentcloud.vod.v20180717 import models

    for kind in Kind:
        request = getattr(models, f"CreateAigc{kind.title()}TaskRequest")
        has_session = isinstance(getattr(request, "SessionId", None), property)
        assert (Vod().sessions(kind) is not SessionRule.NONE) is has_session, kind


DESCRIBE_AUDIO = Vod().describe(Kind.AUDIO, "5")
SONG = {"FileUrl": "https://a/1.mp3", "FileType": "mp3", "StorageMode": "Temporary", "Duration": 12.5}


def audio_answer(output: object, **more: object) -> HttpAnswer:
    task = {"TaskId": "5", "Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Output": output, **more}
    return reply_of({"TaskType": "AigcAudioTask", "Status": "FINISH", "AigcAudioTask": task})


def test_an_audios_answer_is_what_the_official_sdk_reads() -> None:
    from tencentcloud.vod.v20180717 import models

    film = {"FileUrl": "https://a/1.mp4", "FileId": "8", "MetaData": {"Duration": 5.0}}
    stored = {"FileId": "9", "StorageMode": "Permanent", "FileUrl": ""}
    output = {"AudioInfos": [SONG, {"FileUrl": "https://a/2.mp3"}, stored], "VideoInfos": [film]}
    theirs = models.AigcAudioTaskOutput()
    theirs._deserialize(output)
    status = DESCRIBE_AUDIO.decode(audio_answer(output))
    assert status.urls == tuple(info.FileUrl for info in theirs.AudioInfos if info.FileUrl)
    assert status.videos == tuple(info.FileUrl for info in theirs.VideoInfos)
    assert (status.durations, status.video_durations, status.duration) == ((12.5, None), (5.0,), 12.5)
    assert (status.file_ids, status.bare_file_ids) == (("9", "8"), ("9",))
    assert (status.state, status.has_ended, status.resolution) == (TaskState.DONE, True, None)


@pytest.mark.parametrize("member", ["AudioInfos", "VideoInfos", "FileInfos"])
def test_a_failed_audio_with_any_file_has_made_something(member: str) -> None:
    """Created again, it would be paid for twice."""
    fault = {"ErrCode": 0, "ErrCodeExt": "RequestLimitExceeded", "Message": "full"}
    nothing = DESCRIBE_AUDIO.decode(audio_answer({member: []}, **fault))
    assert (nothing.ended_failed, nothing.fault, nothing.made_nothing) == (True, TaskFault.CONCURRENCY, True)
    something = DESCRIBE_AUDIO.decode(audio_answer({member: [SONG]}, **fault))
    assert not something.made_nothing
    assert something.has_results


def test_an_image_or_a_video_takes_no_files_from_an_audios_members() -> None:
    status = DESCRIBE_IMAGE.decode(detail(infos=[{"FileUrl": "https://a/1.png"}]))
    assert (status.urls, status.videos, status.durations) == (("https://a/1.png",), (), ())


# --- signatures -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    prompt=prompts,
    timestamp=st.integers(0, 4_000_000_000),
    secret_id=st.text("ABCDabcd0123", min_size=1),
    secret_key=keys,
    host=st.sampled_from(["vod.tencentcloudapi.com", "127.0.0.1:8080"]),
)
def test_a_signed_request_is_what_the_official_signer_signs(
    prompt: str, timestamp: int, secret_id: str, secret_key: str, host: str
) -> None:
    keys = Credentials(secret_id, SecretStr(secret_key))
    vod = Vod(host=host)
    calls: list[Call[Any]] = [vod.create(ImageRequest(prompt=prompt), None), vod.describe(Kind.VIDEO, prompt)]
    for call in calls:
        check_signature(vod.sign(call, keys, timestamp), "vod", keys, timestamp)


def test_the_headers_of_a_request() -> None:
    vod = Vod()
    request = vod.sign(vod.describe(Kind.VIDEO, "5"), KEYS, NOW)
    assert (request.method, request.path) == ("POST", "/")
    assert {name: value for name, value in request.headers.items() if name != "Authorization"} == {
        "Content-Type": "application/json; charset=utf-8",
        "Host": "vod.tencentcloudapi.com",
        "X-TC-Action": "DescribeTaskDetail",
        "X-TC-Version": "2018-07-17",
        "X-TC-Timestamp": str(NOW),
        "X-TC-Language": "en-US",
    }


def test_the_sub_application_is_in_every_call() -> None:
    vod = Vod(sub_app_id=5)
    calls = [
        vod.create(ImageRequest(prompt="x"), None),
        vod.describe(Kind.IMAGE, "1"),
        vod.call("DescribeTasks", {"Limit": 1}),
        vod.tasks(TaskState.DONE, ""),
    ]
    assert [json.loads(call.body)["SubAppId"] for call in calls if call] == [5, 5, 5, 5]


# --- errors -----------------------------------------------------------------------------------------------------------


def reply_of(response: Mapping[str, object], status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps({"Response": response}).encode())


CREATE: Call[Created] = Vod().create(ImageRequest(prompt="x"), None)
DESCRIBE_IMAGE: Call[TaskStatus] = Vod().describe(Kind.IMAGE, "5")
DESCRIBE_VIDEO: Call[TaskStatus] = Vod().describe(Kind.VIDEO, "5")
ANY: Call[dict[str, object]] = Vod().call("DescribeTasks", {})


def list_tasks(state: TaskState = TaskState.RUNNING, page: str = "") -> Call[TaskPage]:
    call = Vod().tasks(state, page)
    assert call is not None
    return call


# The contract, written out once more.
DOCUMENTED: dict[str, tuple[type[ServiceError], Ending]] = {
    "RequestLimitExceeded": (Throttled, Ending.REFUSED_FOR_NOW),
    "LimitExceeded": (ServiceError, Ending.REFUSED_FOR_NOW),
    "LimitExceeded.SomethingNew": (ServiceError, Ending.REFUSED_FOR_NOW),
    "LimitExceeded.Quota": (AccountError, Ending.ACCOUNT_REFUSED),
    "LimitExceeded.TooMuchTemplate": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.InvalidAccount": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.NoPrivileges": (AccountError, Ending.ACCOUNT_REFUSED),
    "FailedOperation.UserStatusInavlid": (AccountError, Ending.ACCOUNT_REFUSED),
    "ResourceNotFound.ServiceNotExist": (AccountError, Ending.ACCOUNT_REFUSED),
    "InvalidParameterValue.AppId": (AccountError, Ending.ACCOUNT_REFUSED),
    "InternalError.UnknownError": (ServiceError, Ending.UNKNOWN),
    "FailedOperation": (ServiceError, Ending.REFUSED),
    "FailedOperation.TaskDuplicate": (ServiceError, Ending.REFUSED),
    "FailedOperation.InvalidVodUser": (AccountError, Ending.ACCOUNT_REFUSED),
    "AuthFailure.SignatureExpire": (AccountError, Ending.ACCOUNT_REFUSED),
    "UnauthorizedOperation": (AccountError, Ending.ACCOUNT_REFUSED),
    "InvalidParameterValue.SubAppId": (AccountError, Ending.ACCOUNT_REFUSED),
    "InvalidParameterValue.SessionId": (ServiceError, Ending.ACCEPTED_BEFORE),
    "InvalidParameter.VoilationContent": (ContentViolation, Ending.REFUSED),
    "InvalidParameterValue.TaskId": (TaskNotFound, Ending.REFUSED),
    "InvalidParameterValue.Prompt": (ServiceError, Ending.REFUSED),
    "MissingParameter": (ServiceError, Ending.REFUSED),
    "SomethingNew": (ServiceError, Ending.REFUSED),
    "SystemError": (ServiceError, Ending.UNKNOWN),
    "": (ServiceError, Ending.UNKNOWN),
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
@pytest.mark.parametrize("call", [CREATE, DESCRIBE_IMAGE, ANY, list_tasks()], ids=["create", "ask", "any", "list"])
def test_an_error_code_is_its_documented_class_and_ending(code: str, call: Call[object]) -> None:
    with pytest.raises(ServiceError) as failure:
        call.decode(reply_of({"Error": {"Code": code, "Message": "why"}, "RequestId": "r-1"}))
    error = failure.value
    cls, ending = DOCUMENTED[code]
    if call.reads and code in VAGUE:
        ending = Ending.UNKNOWN
    assert (type(error), error.ending) == (cls, ending)
    assert (error.code, error.message, error.request_id, error.action) == (code, "why", "r-1", call.action)


def test_the_error_table_names_each_code_once() -> None:
    assert len({code for code, _, _ in ERRORS}) == len(ERRORS)


def test_a_create_answers_with_its_task() -> None:
    assert CREATE.decode(reply_of({"TaskId": "5-AigcImage-1", "RequestId": "r-1"})) == Created("5-AigcImage-1", "r-1")


@pytest.mark.parametrize("task", [{}, {"TaskId": ""}, {"TaskId": None}, {"TaskId": False}])
def test_a_create_without_a_task_id_is_of_unknown_outcome(task: dict[str, object]) -> None:
    with pytest.raises(TransportError, match="TaskId") as unknown:
        CREATE.decode(reply_of({"RequestId": "r-1", **task}))
    assert unknown.value.ending is Ending.UNKNOWN


# --- statuses ---------------------------------------------------------------------------------------------------------

URL = "https://vod.example/1.png"


def detail(kind: Kind = Kind.IMAGE, word: str = "FINISH", infos: object = None, **task: object) -> HttpAnswer:
    """DescribeTaskDetail's answer; the inner task is finished, without a fault."""
    member = {Kind.IMAGE: "AigcImageTask", Kind.VIDEO: "AigcVideoTask"}[kind]
    output = {"FileInfos": [{"FileUrl": URL}] if infos is None else infos}
    inner = {"TaskId": "5", "Status": "FINISH", "ErrCode": 0, "ErrCodeExt": "", "Message": "", "Output": output}
    return reply_of({"TaskType": member, "Status": word, member: inner | task, "RequestId": "r-1"})


@pytest.mark.parametrize(
    ("word", "state", "ended"),
    [
        ("WAITING", TaskState.WAITING, False),
        ("PROCESSING", TaskState.RUNNING, False),
        ("FINISH", TaskState.DONE, True),
        ("ABORTED", TaskState.DONE, True),  # by its files: see below
        ("PAUSED", TaskState.RUNNING, False),
        ("", TaskState.RUNNING, False),
    ],
)
def test_the_services_words(word: str, state: TaskState, ended: bool) -> None:
    status = DESCRIBE_IMAGE.decode(detail(word=word))
    assert (status.state, status.word, status.has_ended, status.request_id) == (state, word, ended, "r-1")
    assert status.known is (word in TASK_STATES)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"ErrCode": 1, "Message": "no"}, "1: no"),
        ({"ErrCode": -1}, "-1: the service gives no reason"),
        ({"ErrCode": 70000, "ErrCodeExt": "InternalError", "Message": "no"}, "InternalError: no"),
        ({"ErrCodeExt": "RequestLimitExceeded", "Message": "busy"}, "RequestLimitExceeded: busy"),
        ({"ErrCode": None, "ErrCodeExt": "InvalidParameter.VoilationContent"}, "InvalidParameter.VoilationContent: "),
        ({"ErrCode": "1"}, "1: "),
        ({"ErrCode": 1, "Status": "PROCESSING"}, "1: "),
    ],
)
@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.VIDEO])
@pytest.mark.parametrize("infos", [None, []])
def test_finish_can_hide_a_failure(kind: Kind, infos: object, task: dict[str, Any], message: str) -> None:
    status = Vod().describe(kind, "5").decode(detail(kind, infos=infos, **task))
    assert (status.state, status.word, status.has_ended) == (TaskState.FAILED, "FINISH", True)
    assert status.message.startswith(message)


@pytest.mark.parametrize("code", [0, None])
@pytest.mark.parametrize("code_ext", ["", "0", None])
def test_no_fault_is_no_failure(code: object, code_ext: object) -> None:
    status = DESCRIBE_IMAGE.decode(detail(ErrCode=code, ErrCodeExt=code_ext, Message="SUCCESS"))
    assert (status.state, status.has_ended, status.urls) == (TaskState.DONE, True, (URL,))


@pytest.mark.parametrize(
    "infos",
    [
        [],
        {},
        "x",
        [None],
        [{}],
        [{"FileUrl": ""}],
        [{"FileUrl": 5}],
        [[URL]],
        [{"FileUrl": "null"}],
        ["null"],
        [{"FileUrl": " - ", "FileId": 0}],
        [{"FileId": "null"}],
    ],
)
def test_finish_without_a_url_has_not_ended(infos: object) -> None:
    status = DESCRIBE_IMAGE.decode(detail(infos=infos))
    assert (status.state, status.urls, status.has_ended) == (TaskState.DONE, (), False)


def test_finish_whose_task_still_runs_has_not_ended() -> None:
    status = DESCRIBE_IMAGE.decode(detail(Status="PROCESSING"))
    assert (status.state, status.has_ended) == (TaskState.RUNNING, False)


@pytest.mark.parametrize(("outer", "inner"), [("ABORTED", "FINISH"), ("ABORTED", "PROCESSING"), ("FINISH", "ABORTED")])
def test_an_aborted_task_has_failed_unless_it_has_made_files_and_tells_no_fault(outer: str, inner: str) -> None:
    """The files are billed: to call the task failed would have it paid for again."""
    status = DESCRIBE_IMAGE.decode(detail(word=outer, Status=inner))
    assert (status.state, status.word, status.has_ended, status.urls) == (TaskState.DONE, outer, True, (URL,))
    status = DESCRIBE_IMAGE.decode(detail(word=outer, Status=inner, infos=[]))
    assert (status.state, status.has_ended) == (TaskState.FAILED, True)
    status = DESCRIBE_IMAGE.decode(detail(word=outer, Status=inner, ErrCodeExt="InternalError"))
    assert (status.state, status.urls) == (TaskState.FAILED, (URL,))


@pytest.mark.parametrize("code", [0, "0", "", None, False, "Success"])
@pytest.mark.parametrize("code_ext", ["SUCCESS", "Success", "ok", " success ", 0, "0", "", None])
def test_a_word_of_success_is_no_failure(code: object, code_ext: object) -> None:
    status = DESCRIBE_IMAGE.decode(detail(ErrCode=code, ErrCodeExt=code_ext))
    assert (status.state, status.has_ended, status.urls, status.message) == (TaskState.DONE, True, (URL,), "")


def test_files_are_evidence_beside_a_word_that_is_no_documented_failure() -> None:
    status = DESCRIBE_IMAGE.decode(detail(ErrCode=0, ErrCodeExt="Finished.WithNotes"))
    assert (status.state, status.urls) == (TaskState.DONE, (URL,))
    status = DESCRIBE_IMAGE.decode(detail(infos=[], ErrCode=0, ErrCodeExt="Finished.WithNotes"))
    assert (status.state, status.message[:19]) == (TaskState.FAILED, "Finished.WithNotes:")


def failures() -> list[str]:
    """The documented values of ErrCodeExt."""
    from tencentcloud.vod.v20180717 import models

    text = models.AigcVideoTask.__init__.__doc__ or ""
    list_items = text.partition("_ErrCodeExt:")[2].partition(":type")[0]
    return re.findall(r"<li>([\w.]+)", list_items)


@pytest.mark.parametrize("code_ext", failures())
def test_a_documented_failure_is_one_beside_files_too_and_the_files_are_told(code_ext: str) -> None:
    assert len(failures()) == 13
    infos = [{"FileUrl": URL, "FileId": "7"}]
    status = DESCRIBE_IMAGE.decode(detail(infos=infos, ErrCodeExt=code_ext))
    assert (status.state, status.urls, status.file_ids) == (TaskState.FAILED, (URL,), ("7",))


def test_a_result_that_is_an_id_alone_is_a_result() -> None:
    status = DESCRIBE_IMAGE.decode(detail(infos=[{"FileId": "7", "FileUrl": "", "StorageMode": "Permanent"}]))
    assert (status.state, status.has_ended, status.urls) == (TaskState.DONE, True, ())
    assert (status.file_ids, status.bare_file_ids) == (("7",), ("7",))
    assert status.lifetime == Lifetime(permanent=True, endless=True)


def test_progress_usage_and_times_are_read() -> None:
    answer = json.loads(detail(Kind.VIDEO, word="PROCESSING", Progress=42).body)["Response"]
    answer |= {"BeginProcessTime": "2026-01-01T00:00:05Z", "FinishTime": ""}
    answer["AigcVideoTask"]["Output"]["Usage"] = {"OutputSeconds": 5, "InputTokens": None}
    status = DESCRIBE_VIDEO.decode(reply_of(answer))
    assert (status.progress, status.begun_at, status.finished_at) == (42, 1_767_225_605.0, None)
    assert status.usage == Usage(output_seconds=5)


@pytest.mark.parametrize("told", ["CreateTime", "BeginProcessTime"])
def test_no_file_ends_before_its_task_was_made(told: str) -> None:
    infos = [{"FileUrl": URL, "StorageMode": "Temporary", "ExpireTime": "2026-01-01T00:00:00Z"}]
    answer = json.loads(detail(infos=infos).body)["Response"]
    assert DESCRIBE_IMAGE.decode(reply_of({**answer, told: "2025-12-31T23:59:59Z"})).lifetime.ends_at is not None
    assert DESCRIBE_IMAGE.decode(reply_of({**answer, told: "2026-01-01T00:00:00Z"})).lifetime.ends_at is None


def with_type(task_type: object, **members: object) -> dict[str, object]:
    return {"TaskType": task_type, "Status": "FINISH", "RequestId": "r-1", **members}


FINISHED = {"Status": "FINISH", "ErrCode": 0, "Output": {"FileInfos": [{"FileUrl": URL}]}}
EMPTY = {"TaskId": "", "Status": "", "ErrCode": 0, "ErrCodeExt": "", "Message": "", "Progress": 0, "Output": None}
"""How a program with fixed structures writes a member that is not there."""


@pytest.mark.parametrize(
    "answer",
    [
        with_type("SceneAigcImageTask", SceneAigcImageTask=FINISHED),
        with_type("SceneAigcImageTask", AigcImageTask=FINISHED, AigcVideoTask=None),
        with_type("AigcImageTask", SceneAigcImageTask=FINISHED, AigcImageTask=None),
        with_type("NewAigcImageTask", NewAigcImageTask=FINISHED, AigcVideoTask=None),
        with_type("NewAigcImageTask", Task=FINISHED, Other={"Status": "PROCESSING"}),
        with_type("NewAigcImageTask", Output=FINISHED["Output"]),
        with_type("", AigcImageTask=FINISHED),
        with_type(None, Whatever=FINISHED),
        with_type(5, SceneAigcImageTask=FINISHED),
        with_type("SceneAigcImageTask", AigcImageTask={}, SceneAigcImageTask=FINISHED),
        with_type("AigcImageTask", AigcImageTask=EMPTY, SceneAigcImageTask=FINISHED, AigcVideoTask=EMPTY),
        with_type("NewAigcImageTask", AigcImageTask=EMPTY, NewAigcImageTask=FINISHED, AigcVideoTask={}),
        with_type("AigcImageTask", AigcImageTask={"TaskId": "5"}, NewAigcImageTask=FINISHED),
    ],
)
def test_a_task_is_read_by_the_member_that_is_there(answer: dict[str, object]) -> None:
    status = DESCRIBE_IMAGE.decode(reply_of(answer))
    assert (status.state, status.urls, status.has_ended) == (TaskState.DONE, (URL,), True)


@pytest.mark.parametrize(
    "answer",
    [
        with_type("SceneAigcVideoTask", SceneAigcVideoTask=FINISHED),
        with_type("AigcVideoTask", AigcImageTask=FINISHED),
        with_type("Procedure", ProcedureTask=FINISHED),
        with_type("", AigcVideoTask=FINISHED),
        with_type("New", SceneAigcVideoTask=FINISHED),
        with_type("New", AigcAudioTask=FINISHED, AigcImageTask=None),
        with_type("", AigcVideoTask=FINISHED, AigcImageTask=EMPTY),
    ],
)
def test_another_kinds_task_is_not_found(answer: dict[str, object]) -> None:
    with pytest.raises(TaskNotFound, match="the task's kind is not image"):
        DESCRIBE_IMAGE.decode(reply_of(answer))


@pytest.mark.parametrize("task_type", ["SceneAigcImageTask", "NewAigcImageTask", ""])
def test_a_task_of_a_new_type_that_tells_nothing_yet_is_polled_on(task_type: str) -> None:
    for other in (None, {}, EMPTY):
        answer = {"TaskType": task_type, "Status": "WAITING", task_type or "x": None, "AigcVideoTask": other}
        assert DESCRIBE_IMAGE.decode(reply_of(answer)).state is TaskState.WAITING


def test_a_member_that_tells_little_is_read_unless_another_has_files() -> None:
    answer = with_type("AigcImageTask", AigcImageTask={"Progress": 5}, Other={"Status": "FINISH"})
    assert DESCRIBE_IMAGE.decode(reply_of(answer)).progress == 5


def test_every_documented_type_of_task_is_in_one_table() -> None:
    from tencentcloud.vod.v20180717 import models

    text = models.DescribeTaskDetailResponse.__init__.__doc__ or ""
    task_types = set(re.findall(r"<li> ?(\w+) ?[：:]", text.partition("_Status:")[0]))
    # Not ours, and told by members of their own kind of output: read if one ever comes.
    new = {"AigcVideoRedrawTask", "AigcHunyuan3DTask"}
    assert task_types - new == OTHER_TYPES | KIND_OF_TYPE.keys()


# --- files that VOD keeps ---------------------------------------------------------------------------------------------


def test_the_urls_of_kept_files_are_asked_for_as_the_sdk_knows_it() -> None:
    from tencentcloud.vod.v20180717 import models

    call = Vod(sub_app_id=5).media_urls(["7", "8"])
    assert call is not None
    body = json.loads(call.body)
    sdk_copy = models.DescribeMediaInfosRequest()
    sdk_copy._deserialize(body)
    assert sdk_copy._serialize() == body
    assert (sdk_copy.FileIds, sdk_copy.SubAppId, sdk_copy.Filters) == (["7", "8"], 5, ["basicInfo"])
    assert (call.action, call.reads) == ("DescribeMediaInfos", True)


def test_the_urls_of_kept_files_by_their_ids() -> None:
    call = Vod().media_urls(["7"])
    assert call is not None
    entries: list[object] = [
        {"FileId": "7", "BasicInfo": {"MediaUrl": " http://vod.example/7.png "}},
        {"FileId": 8, "BasicInfo": {"MediaUrl": "http://vod.example/8.png"}},
        {"FileId": "9", "BasicInfo": {"MediaUrl": ""}},
        {"FileId": "10", "BasicInfo": None},
        {"FileId": "", "BasicInfo": {"MediaUrl": "http://vod.example/x.png"}},
        "11",
    ]
    urls = call.decode(reply_of({"MediaInfoSet": entries, "NotExistFileIdSet": ["12"]}))
    assert urls == {"7": "http://vod.example/7.png", "8": "http://vod.example/8.png"}
    nothings: list[object] = [None, {}, "x", [None]]
    for nothing in nothings:
        assert call.decode(reply_of({"MediaInfoSet": nothing})) == {}


KEPT = ImageResult(task_id="5", request_id="r", urls=(), expires_at=None, file_ids=("7", "8"), bare_file_ids=("7", "8"))


@pytest.mark.parametrize(
    ("request_", "files"),
    [
        (
            VideoRequest(prompt="x", first_frame=KEPT, last_frame=KEPT),
            [
                {"Type": "File", "FileId": "7", "Category": "Image", "Usage": "FirstFrame"},
                {"Type": "File", "FileId": "7", "Category": "Image", "Usage": "LastFrame"},
            ],
        ),
        (
            VideoRequest(prompt="x", images=(ReferenceImage(image=KEPT, reference_type="style"),)),
            [{"Type": "File", "FileId": "7", "ReferenceType": "style", "Category": "Image", "Usage": "Reference"}],
        ),
        (ImageRequest(prompt="x", images=(KEPT,)), [{"Type": "File", "FileId": "7"}]),
    ],
)
def test_a_result_without_a_url_is_handed_on_by_its_id(
    request_: ImageRequest | VideoRequest, files: list[dict[str, object]]
) -> None:
    assert vod.encode(request_)["FileInfos"] == files
    with pytest.raises(InvalidRequest, match="has no URL"):
        mps.encode(request_)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (VodOptions(storage_mode="Permanent"), True),
        (VodOptions(storage_mode="Permanent", expire_time="2026-10-01T10:00:00Z"), False),
        (VodOptions(storage_mode="Temporary"), False),
        (None, False),
    ],
)
def test_which_results_are_stored_without_an_end(options: VodOptions | None, kept: bool) -> None:
    store = CosStore(bucket="b", region="r")
    for make in (ImageRequest, VideoRequest):
        assert Vod().keeps(make(prompt="x", vod=options), store) is kept
        assert Vod().keeps(AudioRequest(prompt="x", vod=options), store) is kept
        assert relay.Relay(host="h").keeps(make(prompt="x", vod=options), store) is kept
    assert not Vod().keeps(AudioRequest(prompt="x"), None)
    assert mps.Mps().keeps(ImageRequest(prompt="x"), store)
    assert mps.Mps().keeps(ImageRequest(prompt="x", store=store), None)
    assert not mps.Mps().keeps(ImageRequest(prompt="x"), None)
    assert mps.Mps().media_urls(["7"]) is None


def test_finish_without_its_task_has_not_ended() -> None:
    status = DESCRIBE_IMAGE.decode(reply_of({"TaskType": "AigcImageTask", "Status": "FINISH", "AigcImageTask": None}))
    assert not status.has_ended


@pytest.mark.parametrize("task_type", ["AigcVideoTask", "Procedure", "AigcAudioTask"])
def test_a_task_of_another_type_is_not_found(task_type: str) -> None:
    with pytest.raises(TaskNotFound, match=task_type) as failure:
        DESCRIBE_IMAGE.decode(reply_of({"TaskType": task_type, "Status": "FINISH"}))
    assert failure.value.ending is Ending.REFUSED


def test_results_have_urls_and_where_they_are_kept_file_ids() -> None:
    infos = [{"FileUrl": "https://a/1.png", "FileId": "7"}, {"FileUrl": "https://a/2.png", "FileId": ""}]
    status = DESCRIBE_IMAGE.decode(detail(infos=infos))
    assert (status.urls, status.file_ids) == (("https://a/1.png", "https://a/2.png"), ("7",))


@pytest.mark.parametrize(
    ("meta", "resolution"),
    [
        ({"Width": 1920, "Height": 1080}, "1920x1080"),
        ({"Width": 0, "Height": 0}, None),
        ({"Width": 1920}, None),
        ({"Width": "1920", "Height": [1080]}, None),
        ({"Width": True, "Height": True}, None),
        ({}, None),
        (None, None),
        ("1920x1080", None),
    ],
)
def test_a_videos_resolution_is_in_its_files_meta_data(meta: object, resolution: str | None) -> None:
    infos = [{"FileUrl": URL}, {"FileUrl": URL, "MetaData": meta}]
    assert DESCRIBE_VIDEO.decode(detail(Kind.VIDEO, infos=infos)).resolution == resolution
    assert DESCRIBE_IMAGE.decode(detail(Kind.IMAGE, infos=infos)).resolution is None


# --- the account's tasks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "word"),
    [(TaskState.WAITING, "WAITING"), (TaskState.RUNNING, "PROCESSING"), (TaskState.DONE, "FINISH")],
)
def test_the_list_of_tasks_is_asked_for_as_the_sdk_knows_it(state: TaskState, word: str) -> None:
    from tencentcloud.vod.v20180717 import models

    body = json.loads(list_tasks(state, "next").body)
    sdk_copy = models.DescribeTasksRequest()
    sdk_copy._deserialize(body)
    assert sdk_copy._serialize() == body
    assert (sdk_copy.Status, sdk_copy.ScrollToken, sdk_copy.Limit) == (word, "next", 100)
    assert "ScrollToken" not in json.loads(list_tasks(state).body)
    assert list_tasks().reads


def test_a_page_of_tasks_tells_them_by_their_sessions() -> None:
    tasks = [
        {"TaskId": "1", "SessionId": "a"},
        {"TaskId": "2", "SessionId": ""},
        {"TaskId": "3"},
        {"TaskId": "", "SessionId": "b"},
        {"TaskId": 5, "SessionId": "c"},
        {"TaskId": "6", "SessionId": 6},
        "7",
    ]
    page = list_tasks().decode(reply_of({"TaskSet": tasks, "ScrollToken": "next"}))
    assert page == TaskPage({"a": "1", "c": "5"}, "next")


@pytest.mark.parametrize("entries", [None, [], {}, "x", [None]])
def test_a_page_without_tasks_is_the_last(entries: object) -> None:
    assert list_tasks().decode(reply_of({"TaskSet": entries, "ScrollToken": None})) == TaskPage({}, "")


# --- any answer at all ------------------------------------------------------------------------------------------------

MEMBERS = (
    "AigcImageTask", "AigcVideoTask", "TaskType", "ErrCode", "ErrCodeExt", "Output", "FileInfos", "FileUrl", "FileId",
    "MetaData", "Width", "Height", "TaskSet", "SessionId", "ScrollToken",
)  # fmt: skip
anything = almost_anything(*MEMBERS)
details = st.fixed_dictionaries(
    {"Status": st.sampled_from([*TASK_STATES, "PAUSED"])},
    optional={
        "TaskType": st.sampled_from(["AigcImageTask", "AigcVideoTask"]) | anything,
        "AigcImageTask": anything,
        "AigcVideoTask": st.fixed_dictionaries(
            {},
            optional={
                "Status": anything,
                "ErrCode": anything,
                "ErrCodeExt": anything,
                "Output": st.fixed_dictionaries({"FileInfos": st.lists(anything, max_size=2) | anything}),
            },
        ),
    },
)
inside = anything | details
bodies = st.binary(max_size=60) | (anything | inside.map(lambda value: {"Response": value})).map(
    lambda value: json.dumps(value).encode()
)


@pytest.mark.parametrize(
    ("call", "value"),
    [(CREATE, Created), (DESCRIBE_IMAGE, TaskStatus), (DESCRIBE_VIDEO, TaskStatus), (list_tasks(), TaskPage)],
    ids=["create", "image", "video", "list"],
)
@settings(max_examples=200, deadline=None)
@given(body=bodies, status=st.just(200) | st.integers(100, 999))
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


@pytest.mark.parametrize("depth", [100, 300, 450, 600, 900, 2000, 100_000])
@pytest.mark.parametrize("member", ["ErrCode", "ErrCodeExt", "Message", "Output"])
def test_a_member_nested_deep_is_no_other_exception(member: str, depth: int) -> None:
    deep = f"{'[' * depth}{']' * depth}"
    body = f'{{"Response": {{"Status": "FINISH", "AigcImageTask": {{"{member}": {deep}}}}}}}'
    try:
        result: object = DESCRIBE_IMAGE.decode(HttpAnswer(200, {}, body.encode()))
    except TransportError as error:  # too deep to be read at all
        result = error
    assert isinstance(result, TaskStatus | TransportError)


def files_of(*sizes: int) -> ImageRequest:
    files = tuple(VodFile(base64=b64encode(bytes(size)).decode()) for size in sizes)
    return ImageRequest(prompt="x", vod=VodOptions(files=files))


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_the_bound_of_base64_counts_the_files_bytes(parts: int) -> None:
    """Not those of their padding: files of exactly 7 MiB are sent."""
    sizes = [MAX_BASE64_BYTES // parts] * (parts - 1)
    sizes.append(MAX_BASE64_BYTES - sum(sizes))
    assert encode(files_of(*sizes))["FileInfos"]
    with pytest.raises(InvalidRequest, match=r"vod\.files: .*7 MiB"):
        encode(files_of(*sizes[:-1], sizes[-1] + 1))


def test_the_actions_that_only_mps_has_are_those_of_the_official_sdk() -> None:
    from tencentcloud.mps.v20190612.mps_client import MpsClient
    from tencentcloud.vod.v20180717.vod_client import VodClient

    assert {name for name in dir(MpsClient) if "Aigc" in name and not hasattr(VodClient, name)} == MPS_ONLY
