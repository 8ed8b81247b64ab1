"""COS in memory: creates that name a bucket, its objects, its refusals and its counts."""

import xml.etree.ElementTree as ET
from urllib.parse import urlencode, urlsplit

import pytest

from mps_aigc_async.emulator import Bucket, BucketStatistics, Conduct, ObjectCall, Piece, Reply, Service, Settings
from mps_aigc_async.emulator.services.cos_signature import http_string, signature
from mps_aigc_async.emulator.tasks.faults import COS

from ..callers import KEYS, NOW, Fields, InMemory, Json, code_of

BUCKET = "shots-1250000000"
STORE: Fields = {"CosBucketName": BUCKET, "CosBucketRegion": "ap-guangzhou", "CosBucketPath": "/may/"}


def caller_with(bucket: Bucket | None = None) -> InMemory:
    buckets = {} if bucket is None else {BUCKET: bucket}
    return InMemory(Service(Settings(image_seconds=(60, 60), video_seconds=(60, 60), buckets=buckets)))


def image_url(caller: InMemory) -> str:
    task_id = caller.create({"Prompt": "a lake", "StoreCosParam": STORE})
    caller.now += 60
    urls = caller.describe(task_id)["ImageUrls"]
    assert isinstance(urls, list)
    return str(urls[0])


def presigned(url: str, now: float, method: str = "GET", keys: tuple[str, str] = KEYS) -> str:
    """The URL with a signature of ten minutes over the path and the host."""
    parts, times = urlsplit(url), f"{int(now)};{int(now) + 600}"
    text = http_string(method, parts.path, {}, {"host": parts.netloc})
    fields = {
        "q-sign-algorithm": "sha1",
        "q-ak": keys[0],
        "q-sign-time": times,
        "q-key-time": times,
        "q-header-list": "host",
        "q-url-param-list": "",
        "q-signature": signature(keys[1], times, times, text),
    }
    return f"{url}?{urlencode(fields)}"


def get(caller: InMemory, url: str) -> Piece | Reply:
    return caller.service.object(ObjectCall.get(url), caller.now)


def error_of(reply: Piece | Reply) -> tuple[int, str]:
    """The status and the code of a refusal, whose form is COS's."""
    assert isinstance(reply, Reply)
    assert reply.headers["Content-Type"] == "application/xml"
    error = ET.fromstring(reply.body)  # noqa: S314 - the emulator's own
    assert error.tag == "Error"
    assert [part.tag for part in error] == ["Code", "Message", "Resource", "RequestId", "TraceId"]
    assert all(part.text for part in error)
    assert error.findtext("RequestId") == reply.headers["x-cos-request-id"]
    return reply.status, error.findtext("Code", "")


@pytest.mark.parametrize(
    ("kind", "fields", "types"),
    [
        ("Image", {"OutputImageCount": 2, "ExtraParameters": {"OutputFormat": "jpeg"}}, ["image/jpeg"] * 2),
        ("Video", {}, ["video/mp4"]),
        ("Audio", {"SceneType": "sfx", "VideoInfos": [{"VideoUrl": "u"}]}, ["audio/mpeg", "video/mp4"]),
    ],
)
def test_each_result_of_a_task_is_an_object_of_the_bucket(kind: str, fields: Fields, types: list[str]) -> None:
    caller = caller_with()
    task_id = caller.create({"Prompt": "a lake", "StoreCosParam": STORE, **fields}, kind)
    caller.now += 100
    urls = urls_in(caller.describe(task_id, kind))
    base = f"https://{BUCKET}.cos.ap-guangzhou.myqcloud.com/may/{task_id}_"
    assert [url.startswith(base) and "?" not in url for url in urls] == [True] * len(types)
    pieces = [get(caller, presigned(url, caller.now)) for url in urls]
    assert [piece.content_type for piece in pieces if isinstance(piece, Piece)] == types
    assert caller.service.statistics(caller.now).buckets == {BUCKET: BucketStatistics(len(types), len(types), {})}


def urls_in(described: dict[str, Json]) -> list[str]:
    found: list[str] = []
    for name in ("ImageUrls", "VideoUrls", "AudioInfos", "VideoInfos"):
        values = described.get(name, [])
        assert isinstance(values, list)
        found += [str(value["Url"] if isinstance(value, dict) else value) for value in values]
    return found


def test_objects_do_not_expire_at_any_speed() -> None:
    caller = InMemory(Service(Settings(speed=1000, image_seconds=(60, 60))))
    url = image_url(caller)
    caller.now += 10 * 365 * 86_400
    assert isinstance(get(caller, presigned(url, caller.now)), Piece)


def test_an_object_exists_from_its_tasks_end_on() -> None:
    caller = caller_with()
    url = image_url(caller)
    assert error_of(caller.service.object(ObjectCall.get(presigned(url, NOW)), caller.now - 1)) == (404, "NoSuchKey")
    failing = caller.create({"Prompt": "fail-later", "StoreCosParam": STORE})
    caller.now += 60
    assert urls_in(caller.describe(failing)) == []
    assert caller.service.statistics(caller.now).buckets[BUCKET].objects == 1


@pytest.mark.parametrize(
    ("bucket", "store", "code"),
    [
        (None, STORE, None),
        (None, {"CosBucketName": BUCKET, "CosBucketRegion": "ap-guangzhou"}, None),
        (None, {"CosBucketName": BUCKET}, "MissingParameter"),
        (None, {"CosBucketRegion": "ap-guangzhou"}, "MissingParameter"),
        (None, {}, "MissingParameter"),
        (None, {**STORE, "CosBucketName": "my bucket"}, "ResourceNotFound.CosBucketNameInvalid"),
        (Bucket("missing"), STORE, "ResourceNotFound.CosBucketNotExist"),
        (Bucket(region="ap-beijing"), STORE, "ResourceNotFound.CosBucketNotExist"),
        (Bucket("unusable"), STORE, "FailedOperation.CosStatusInavlid"),
    ],
)
@pytest.mark.parametrize("kind", ["Image", "Video", "Audio"])
def test_a_create_is_refused_for_its_bucket(kind: str, bucket: Bucket | None, store: Fields, code: str | None) -> None:
    caller = caller_with(bucket)
    scene = {"SceneType": "music"} if kind == "Audio" else {}
    answer = caller.call(f"CreateAigc{kind}Task", {"Prompt": "a lake", "StoreCosParam": store, **scene})
    assert code_of(answer) == code
    assert caller.service.statistics(caller.now).created[kind.lower()] == (code is None)


def test_a_private_bucket_needs_a_signature_and_a_public_one_does_not() -> None:
    for bucket, refused in ((Bucket(), {"AccessDenied": 1}), (Bucket("public-read"), {})):
        caller = caller_with(bucket)
        url = image_url(caller)
        if refused:
            assert error_of(get(caller, url)) == (403, "AccessDenied")
        else:
            assert isinstance(get(caller, url), Piece)
        assert isinstance(get(caller, presigned(url, caller.now)), Piece)
        wrong = presigned(url, caller.now, keys=(KEYS[0], "another"))
        assert error_of(get(caller, wrong)) == (403, "SignatureDoesNotMatch"), "a signature is checked if there is one"
        counts = caller.service.statistics(caller.now).buckets[BUCKET]
        assert counts == BucketStatistics(1, 2 - len(refused), {**refused, "SignatureDoesNotMatch": 1})


def test_each_refusal_in_coss_form() -> None:
    caller = caller_with()
    url = image_url(caller)
    now = caller.now
    missing = InMemory(Service(Settings(buckets={BUCKET: Bucket("missing")})), now=now)
    assert error_of(get(missing, url)) == (404, "NoSuchBucket")
    assert error_of(get(caller, presigned(url + "2", now))) == (404, "NoSuchKey")
    assert error_of(get(caller, presigned(url, now - 601))) == (403, "AccessDenied")
    assert error_of(get(caller, presigned(url, now + 1000))) == (403, "RequestTimeTooSkewed")
    assert error_of(get(caller, presigned(url, now, keys=("AKIDSTRANGER", KEYS[1])))) == (403, "InvalidAccessKeyId")
    put = ObjectCall.get(presigned(url, now, "PUT"))
    put = ObjectCall("PUT", put.host, put.path, put.query)
    assert error_of(caller.service.object(put, now)) == (405, "MethodNotAllowed")
    hostile = ObjectCall("GET", put.host, "/<&>\udcff", "", {"X": "\udcff"})
    assert error_of(caller.service.object(hostile, now)) == (403, "AccessDenied")


def test_temporary_keys_end_at_the_api_and_at_cos() -> None:
    caller = caller_with()
    url = image_url(caller)
    caller.service.issue("AKIDTEMP", "secret", "token", caller.now + 10)
    signed = presigned(url, caller.now, keys=("AKIDTEMP", "secret"))
    assert isinstance(get(caller, f"{signed}&x-cos-security-token=token"), Piece)
    assert error_of(get(caller, signed)) == (403, "InvalidAccessKeyId")
    caller.now += 10
    assert error_of(get(caller, f"{signed}&x-cos-security-token=token")) == (400, "ExpiredToken")


def test_a_first_frame_in_a_private_bucket_is_read_with_a_signature_only() -> None:
    caller = caller_with()
    service, url = caller.service, image_url(caller)
    assert isinstance(service.piece_at(presigned(url, caller.now), caller.now), Piece)
    assert error_of(service.piece_at(url, caller.now) or Reply(200, {}, b"")) == (403, "AccessDenied")
    assert service.piece_at(presigned(f"{url}2", caller.now), caller.now) is None, "as an image elsewhere"
    assert service.piece_at(url.replace(BUCKET, "another-1250000000"), caller.now) is None
    assert service.statistics(caller.now).buckets == {BUCKET: BucketStatistics(1, 0, {})}, "not counted in memory"


def test_faults_befall_objects_and_not_other_calls() -> None:
    caller = caller_with()
    service, faults = caller.service, caller.service.faults
    faults.add(action=COS, fault="error", code="SlowDown")
    faults.add(action=COS, fault="error", code="AccessDenied", status=403)
    faults.add(action=COS, fault="http_status", status=502, retry_after="3")
    faults.add(action=COS, fault="reset_after")
    url = presigned(image_url(caller), caller.now)
    assert error_of(get(caller, url)) == (503, "SlowDown")
    assert error_of(get(caller, url)) == (403, "AccessDenied")
    page = get(caller, url)
    assert isinstance(page, Reply)
    assert (page.status, page.headers["Retry-After"]) == (502, "3")
    broken = get(caller, url)
    assert isinstance(broken, Piece)
    assert broken.conduct is Conduct.RESET
    faults.add(fault="reset_before", times=None)
    assert isinstance(get(caller, url), Piece), "a fault of any action is not for downloads"
    assert service.statistics(caller.now).downloads == 0
