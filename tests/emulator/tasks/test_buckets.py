"""Buckets: which of them a create may name, and the addresses of their objects."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.emulator import Bucket
from mps_aigc_async.emulator.tasks.buckets import Address, Buckets
from mps_aigc_async.emulator.tasks.orders import ImageOrder
from mps_aigc_async.emulator.tasks.place import Place
from mps_aigc_async.emulator.tasks.refusal import Refused
from mps_aigc_async.emulator.tasks.tasks import ServiceTask

PLACE = Place("shots-1250000000", "ap-guangzhou", "may")
COS = "http://127.0.0.1:81"
TASK = ServiceTask(
    task_id="4-AigcImage-1",
    origin="mps",
    kind="image",
    order=ImageOrder(prompt="a lake", label="", size=(16, 16), count=2, format="png"),
    created_at=0.0,
    turn_at=0.0,
    waits=1.0,
    length=10.0,
    frames_at=0.0,
    url_life=5.0,
    place=PLACE,
)


def task_of(task_id: str) -> ServiceTask | None:
    return TASK if task_id == TASK.task_id else None


def served(base_url: str = "") -> Buckets:
    buckets = Buckets({"b-1": Bucket()})
    buckets.open(PLACE)
    buckets.base_url = base_url
    return buckets


@pytest.mark.parametrize(
    ("buckets", "place", "code"),
    [
        ({}, PLACE, None),
        ({PLACE.bucket: Bucket("public-read", "ap-guangzhou")}, PLACE, None),
        ({PLACE.bucket: Bucket(region="ap-beijing")}, PLACE, "ResourceNotFound.CosBucketNotExist"),
        ({PLACE.bucket: Bucket("missing")}, PLACE, "ResourceNotFound.CosBucketNotExist"),
        ({PLACE.bucket: Bucket("unusable")}, PLACE, "FailedOperation.CosStatusInavlid"),
        ({"another": Bucket("missing")}, PLACE, None),
        ({}, replace(PLACE, bucket="My_Bucket"), "ResourceNotFound.CosBucketNameInvalid"),
        ({}, replace(PLACE, bucket="a" * 61), "ResourceNotFound.CosBucketNameInvalid"),
        ({}, replace(PLACE, bucket="a" * 60), None),
    ],
)
def test_a_create_may_name_a_bucket_that_mps_can_write_into(
    buckets: dict[str, Bucket], place: Place, code: str | None
) -> None:
    if code is None:
        Buckets(buckets).open(place)
    else:
        with pytest.raises(Refused) as refusal:
            Buckets(buckets).open(place)
        assert refusal.value.code == code


@pytest.mark.parametrize("base_url", ["", COS])
def test_urls_are_bare_and_lead_to_their_pieces_from_the_tasks_end_on(base_url: str) -> None:
    buckets = served(base_url)
    urls = buckets.urls(TASK)
    base = f"{COS}/shots-1250000000" if base_url else "https://shots-1250000000.cos.ap-guangzhou.myqcloud.com"
    assert urls == [f"{base}/may/4-AigcImage-1_{index}.png" for index in range(2)]
    host, _, path = urls[1].partition("://")[2].partition("/")
    address = buckets.address(host, f"/{path}")
    assert address is not None
    assert buckets.piece(address, 9.9, task_of) is None
    for now in (10.0, 15.0, 1e9):
        piece = buckets.piece(address, now, task_of)
        assert piece is not None
        assert (piece.task_id, piece.index) == (TASK.task_id, 1)
    assert buckets.objects([TASK], 9.9) == {}
    assert buckets.objects([TASK, replace(TASK, place=None)], 10.0) == {"shots-1250000000": 2}


@pytest.mark.parametrize(
    "key",
    ["", "may", "may/4-AigcImage-1_2.png", "may/4-AigcImage-1_0.jpg", "4-AigcImage-1_0.png", "may/4-AigcImage-2_0.png"],
)
def test_no_other_key_is_an_object(key: str) -> None:
    assert served().piece(Address(PLACE.bucket, key, f"/{key}"), 10.0, task_of) is None
    assert served().piece(Address("another-1250000000", "may/4-AigcImage-1_0.png", "/"), 10.0, task_of) is None


def test_hosts_of_cos_and_others() -> None:
    buckets = served()
    expected = Address("b-1", "a b.png", "/a b.png")
    for host in ("b-1.cos.ap-beijing.myqcloud.com", "b-1.cos.ap-beijing.tencentcos.cn", "b-1.cos.x.myqcloud.com:443"):
        assert buckets.address(host, "/a%20b.png") == expected
    for host in ("b-1.cos.ap-beijing.example.com", "cos.ap-beijing.myqcloud.com", "127.0.0.1", ""):
        assert buckets.address(host, "/a%20b.png") is None
    for host in ("127.0.0.1:81", "localhost:81", "127.0.0.1:9999"):  # a proxy may stand in front
        assert served(COS).address(host, "/b-1/a.png") == Address("b-1", "a.png", "/b-1/a.png")


def test_urls_of_cos_and_of_others() -> None:
    url, by_path = "https://b-1.cos.ap-beijing.myqcloud.com/a.png?x=1", f"{COS}/b-1/a.png?x=1"
    assert served().address_of(url) == Address("b-1", "a.png", "/a.png")
    assert served(COS).address_of(by_path) == Address("b-1", "a.png", "/b-1/a.png")
    for other in (by_path, "http://[::bad", "data:;base64,AAAA", ""):
        assert served().address_of(other) is None
    for other in (url, f"{COS}0/b-1/a.png", "http://[::bad"):
        assert served(COS).address_of(other) is None


def test_buckets_with_an_access_or_with_results_are_the_accounts() -> None:
    assert "b-1" in served()
    assert PLACE.bucket in served()
    assert "b-2" not in served()


@given(folder=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_folder_of_any_text_survives_its_url(folder: str) -> None:
    task = replace(TASK, place=replace(PLACE, folder=folder.strip("/")))
    buckets = served(COS)
    path = buckets.urls(task)[0].removeprefix(COS)
    assert path.isascii()
    assert not {"?", "#", " "} & set(path)
    address = buckets.address("127.0.0.1:81", path)
    assert address is not None
    assert buckets.piece(address, 10.0, lambda _: task) is not None
