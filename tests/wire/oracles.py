"""Shared parts of the wire's tests: generated requests, and the same content for the official SDK."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from mps_aigc_async.credentials.credentials import Credentials
from mps_aigc_async.model.inputs import ReferenceImage, ReferenceVideo, Subject
from mps_aigc_async.model.requests import CosStore
from mps_aigc_async.model.results import ImageResult, TaskResult, VideoResult
from mps_aigc_async.model.vod_options import SESSION_PREFIX, VodFile, VodOptions
from mps_aigc_async.wire.dialect import HttpRequest

# --- requests ---------------------------------------------------------------------------------------------------------

texts = st.text(min_size=1, max_size=12)
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
"""Texts that an HTTP header can carry."""
urls = st.builds("https://{}".format, st.text("abcdef/.-", min_size=1, max_size=12))
results = st.builds(
    ImageResult,
    task_id=texts,
    request_id=texts,
    urls=st.lists(urls, min_size=1, max_size=2).map(tuple),
    expires_at=st.none() | st.just(datetime(2026, 11, 1, tzinfo=UTC)),
)
sources = urls | results
films = urls | st.builds(
    VideoResult,
    task_id=texts,
    request_id=texts,
    urls=st.lists(urls, min_size=1, max_size=2).map(tuple),
    expires_at=st.none(),
    resolution=st.none() | texts,
)
stores = st.builds(CosStore, bucket=texts, region=texts, path=st.none() | texts)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


def some_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Any choice of the fields, each with a value."""
    return st.fixed_dictionaries({}, optional=fields)


def without(fields: Mapping[str, st.SearchStrategy[Any]], names: Iterable[str]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: values for name, values in fields.items() if name not in set(names)}


COMMON: dict[str, st.SearchStrategy[Any]] = {
    "id": texts.filter(str.isprintable),
    "model_name": texts,
    "model_version": texts,
    "scene_type": texts,
    "additional_parameters": st.dictionaries(texts, json_values, max_size=3),
    "store": stores,
    "operator": texts,
}
PICTURE = COMMON | {
    "negative_prompt": texts,
    "enhance_prompt": st.booleans(),
    "images": several(sources | st.builds(ReferenceImage, image=sources, reference_type=st.none() | texts)),
    "aspect_ratio": texts,
    "resolution": texts,
    "logo_add": st.booleans(),
}
IMAGE_FIELDS = PICTURE | {"output_count": st.integers(1, 9), "output_format": texts}
VIDEO_FIELDS = PICTURE | {
    "first_frame": sources,
    "last_frame": sources,
    "videos": several(
        urls
        | st.builds(
            ReferenceVideo,
            url=urls,
            refer_type=st.none() | texts,
            keep_original_sound=st.none() | st.booleans(),
        )
    ),
    "audios": several(urls),
    "subjects": several(
        st.builds(
            Subject,
            id=st.none() | texts,
            name=st.none() | texts,
            voice_id=st.none() | texts,
            images=several(sources),
            videos=several(urls),
        )
    ),
    "duration": st.integers(1, 60),
    "enable_audio": st.booleans(),
    "enable_bgm": st.booleans(),
    "off_peak": st.booleans(),
}
AUDIO_FIELDS = COMMON | {
    "videos": several(films),
    "audios": several(urls),
    "resource_id": texts,
    "output_format": texts,
    "lyrics": texts,
}
NOT_OF_MPS_AUDIOS: dict[str, Any] = {"duration": 5, "vod": VodOptions(storage_mode="Permanent")}
"""The attributes of an audio that MPS has no field for, and refuses by name; each with a value."""
prompts = st.text(min_size=1, max_size=20).filter(lambda prompt: bool(prompt.strip()))


VOD_FILE: dict[str, st.SearchStrategy[Any]] = {"text": texts, "reference_type": texts}
VOD_VIDEO_FILE = VOD_FILE | {
    "category": texts,
    "usage": texts,
    "object_id": texts,
    "voice_id": texts,
    "keep_original_sound": st.booleans(),
}
VOD_CONTENTS = {
    "file_id": texts,
    "url": urls,
    "base64": st.binary(min_size=1, max_size=20).map(lambda data: b64encode(data).decode()),
}
session_ids = st.text(min_size=1, max_size=50).filter(
    lambda text: text.isprintable() and text == text.strip() and not text.startswith(SESSION_PREFIX)
)
VOD_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "storage_mode": texts,
    "media_name": texts,
    "class_id": st.integers(),
    "expire_time": texts,
    "person_generation": texts,
    "input_compliance_check": st.booleans(),
    "output_compliance_check": st.booleans(),
    "input_region": texts,
    "seed": st.integers(),
    "session_id": session_ids,
    "session_context": texts,
    "tasks_priority": st.integers(-10, 10),
    "ext_info": st.dictionaries(texts, json_values, max_size=3),
}


def vod_files(
    more: Mapping[str, st.SearchStrategy[Any]], contents: Iterable[str] = VOD_CONTENTS
) -> st.SearchStrategy[tuple[VodFile, ...]]:
    def of(name: str) -> st.SearchStrategy[VodFile]:
        fields = st.fixed_dictionaries({name: VOD_CONTENTS[name]}, optional=dict(more))
        return fields.map(lambda given: VodFile(**given))

    return several(st.one_of(*map(of, contents)))


def options(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[VodOptions]:
    return some_of(dict(fields)).map(lambda given: VodOptions(**given))


VOD_IMAGE_OPTIONS = VOD_OPTIONS | {"files": vod_files(VOD_FILE)}
VOD_VIDEO_OPTIONS = VOD_OPTIONS | {
    "files": vod_files(VOD_VIDEO_FILE),
    "last_frame_file_id": texts,
    "enhance_switch": st.booleans(),
    "frame_interpolate": st.booleans(),
    "procedure": texts,
}
NOT_OF_VOD_IMAGES: dict[str, Any] = {
    "store": CosStore(bucket="b", region="r"),
    "operator": "me",
}
"""The attributes of an image that VOD and the relay have no field for, and refuse by name; each with a value."""
NOT_OF_VOD_VIDEOS: dict[str, Any] = {
    "store": CosStore(bucket="b", region="r"),
    "operator": "me",
}
"""The same of a video."""
NOT_OF_VOD_AUDIOS: dict[str, Any] = {"store": CosStore(bucket="b", region="r"), "operator": "me", "resource_id": "5"}
"""The same of an audio, for VOD."""
VOD_AUDIO_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    name: VOD_OPTIONS[name] for name in ("storage_mode", "media_name", "class_id", "expire_time")
}
VOD_AUDIO_FIELDS = without(AUDIO_FIELDS, NOT_OF_VOD_AUDIOS) | {
    "duration": st.integers(0, 60),
    "vod": options(VOD_AUDIO_OPTIONS),
}
VOD_IMAGE_FIELDS = without(IMAGE_FIELDS, NOT_OF_VOD_IMAGES) | {"vod": options(VOD_IMAGE_OPTIONS)}
VOD_VIDEO_FIELDS = without(VIDEO_FIELDS, NOT_OF_VOD_VIDEOS) | {"vod": options(VOD_VIDEO_OPTIONS)}

# The relay's image page has fewer fields, and no video page tells of others than VOD's.
RELAY_FILES = ("file_id", "url")
RELAY_IMAGE_OPTIONS = without(VOD_IMAGE_OPTIONS, {"media_name", "class_id", "expire_time", "input_region", "seed"}) | {
    "files": vod_files({"text": texts}, RELAY_FILES)
}
RELAY_VIDEO_OPTIONS = VOD_VIDEO_OPTIONS | {"files": vod_files(VOD_VIDEO_FILE, RELAY_FILES)}
NOT_OF_RELAY_IMAGES = NOT_OF_VOD_IMAGES | {
    "scene_type": "x",
    "logo_add": False,
    "output_count": 1,
    "output_format": "png",
}
"""The attributes of an image that the relay's page lacks: refused by name too."""
RELAY_IMAGE_FIELDS = without(VOD_IMAGE_FIELDS, NOT_OF_RELAY_IMAGES) | {
    "images": several(sources | st.builds(ReferenceImage, image=sources)),
    "vod": options(RELAY_IMAGE_OPTIONS),
}
RELAY_VIDEO_FIELDS = VOD_VIDEO_FIELDS | {"vod": options(RELAY_VIDEO_OPTIONS)}
REQUIRED = {"prompt": prompts, "model_name": texts, "model_version": texts}

TO_DO = (
    "an attribute that only the left set has needs values in tests/wire/oracles.py: generated ones in IMAGE_FIELDS, "
    "VIDEO_FIELDS or AUDIO_FIELDS; and one in NOT_OF_VOD_IMAGES, NOT_OF_VOD_VIDEOS or NOT_OF_RELAY_IMAGES, if the "
    "service has no field for it"
)
"""The message of the tests that compare the attributes of the requests with the tables above."""


def relay_fields(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A choice of the fields, and always those that the relay requires."""
    return st.fixed_dictionaries(REQUIRED, optional=without(fields, REQUIRED))


def almost_anything(*names: str) -> st.SearchStrategy[Any]:
    """JSON that is likely to have members of an answer, these among them, in any place and of any type."""
    known = ["Response", "Error", "Code", "Message", "RequestId", "TaskId", "Status", *names]
    return st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5) | st.sampled_from(known), inner, max_size=4)
        ),
        max_leaves=12,
    )


# --- the official SDK -------------------------------------------------------------------------------------------------


def url_of(source: Any) -> str:  # noqa: ANN401 - any source
    return source.urls[0] if isinstance(source, TaskResult) else str(source)


def filled(model: Any, **fields: Any) -> Any:  # noqa: ANN401 - the SDK has no types
    """An SDK model with its fields set through its own properties."""
    for name, value in fields.items():
        assert isinstance(getattr(type(model), name), property)
        setattr(model, name, value)
    return model


def if_any(model: Any, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - the SDK has no types
    """The same, or None where nothing was set: the SDK would send an empty object."""
    return filled(model, **fields) if any(value is not None for value in fields.values()) else None


def check_signature(request: HttpRequest, service: str, keys: Credentials, timestamp: int) -> None:
    """The signature recomputed from the sent bytes, by the canonical text of the documents and the official signer."""
    from tencentcloud.common.sign import Sign

    method, _, rest = request.headers["Authorization"].partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(", "))
    headers = {name.lower(): value for name, value in request.headers.items()}
    signed = parts["SignedHeaders"].split(";")
    assert signed == sorted(signed)
    assert {"content-type", "host"} <= set(signed)

    lines = [f"{name}:{headers[name].lower() if name == 'x-tc-action' else headers[name]}" for name in signed]
    body_hash = hashlib.sha256(request.body).hexdigest()
    canonical = "\n".join(["POST", "/", "", *lines, "", ";".join(signed), body_hash])
    date = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{service}/tc3_request"
    text = "\n".join([method, str(timestamp), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    assert method == "TC3-HMAC-SHA256"
    assert parts["Credential"] == f"{keys.secret_id}/{scope}"
    assert parts["Signature"] == Sign.sign_tc3(keys.secret_key.get_secret_value(), date, service, text)
