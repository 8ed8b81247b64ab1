"""The URLs of objects in COS buckets, and every other text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.policy.cos_urls import bucket_of, object_url

HOST = "shots-1250000000.cos.ap-guangzhou.myqcloud.com"


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}/out/a.png",
        f"http://{HOST}/a.png",
        f"HTTPS://{HOST.upper()}/a.png",
        f"https://{HOST}//a.png",
        "https://shots-1250000000.cos.accelerate.myqcloud.com/a.png",
        "https://shots-1250000000.cos.ap-guangzhou.tencentcos.cn/a.png",
        "https://shots-1250000000.cos-internal.ap-guangzhou.tencentcos.cn/a.png",
    ],
)
def test_a_bare_url_of_an_object(url: str) -> None:
    assert bucket_of(url) == "shots-1250000000"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        f"https://{HOST}",
        f"https://{HOST}/",
        f"https://{HOST}/a.png?q-sign-algorithm=sha1&q-ak=AKID",  # signed by the service
        f"https://{HOST}/a.png?imageView2/1",
        f"https://{HOST}/a.png#top",
        f"https://{HOST}.example.com/a.png",
        f"https://{HOST}:8443/a.png",
        f"https://user@{HOST}/a.png",
        f"https://evil.example/{HOST}/a.png",
        "https://cos.ap-guangzhou.myqcloud.com/a.png",
        "https://a.b.cos.ap-guangzhou.myqcloud.com/a.png",
        "https://1250000000.vod2.myqcloud.com/a/b.png",
        f"ftp://{HOST}/a.png",
        "https://[::1/a.png",
    ],
)
def test_no_bare_url_of_an_object(url: str) -> None:
    assert bucket_of(url) == ""


@pytest.mark.parametrize(
    ("endpoint", "url", "bucket"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/shots/out/a.png", "shots"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081/shots/out/a.png", ""),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/shots", ""),
        ("https://cos.cloud.example", "https://shots-1.cos.cloud.example/a.png", "shots-1"),
        ("https://cos.cloud.example", "https://a.shots-1.cos.cloud.example/a.png", ""),
        ("https://cos.cloud.example", "https://shotscos.cloud.example/a.png", ""),
        ("https://cos.cloud.example", f"https://{HOST}/a.png", ""),
    ],
)
def test_another_cos_than_the_public_one(endpoint: str, url: str, bucket: str) -> None:
    assert bucket_of(url, endpoint) == bucket


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert bucket_of(text) == ""
    assert bucket_of(text, "http://127.0.0.1:8080") == ""


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:8080", "http://127.0.0.1:8080/"])
def test_the_url_of_an_object_leads_into_its_bucket(endpoint: str) -> None:
    url = object_url("shots-1250000000", "ap-guangzhou", "/out/a.png", endpoint)
    assert bucket_of(url, endpoint.rstrip("/")) == "shots-1250000000"
    assert url.endswith("/out/a.png")
