"""The environment's proxies, as people write them."""

import os

import pytest
from yarl import URL

from mps_aigc_async import ConfigError
from mps_aigc_async.network.proxies import proxy_for


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


MPS = URL("https://mps.tencentcloudapi.com/")


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_the_environments_proxy_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for(MPS) is None
    monkeypatch.setenv(name, "http://proxy:3128")
    assert proxy_for(MPS) == "http://proxy:3128"


@pytest.mark.parametrize(
    "bypass", ["*", "mps.tencentcloudapi.com", "intranet, tencentcloudapi.com", ".tencentcloudapi.com"]
)
def test_no_proxy_bypasses_it(bypass: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", bypass)
    assert proxy_for(MPS) is None


def test_the_proxy_of_another_scheme_or_host_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    assert proxy_for(MPS) is None
    monkeypatch.setenv("https_proxy", "http://other:3128")
    monkeypatch.setenv("no_proxy", "example.com")
    assert proxy_for(MPS) == "http://other:3128"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]:8080/", "https://127.9.9.9/"]
)
def test_loopback_needs_no_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy:3128")
    assert proxy_for(URL(url)) is None


@pytest.mark.parametrize("name", ["all_proxy", "ALL_PROXY"])
def test_the_proxy_of_all_schemes_counts_where_there_is_no_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://all:3128")
    assert proxy_for(MPS) == "http://all:3128"
    monkeypatch.setenv("https_proxy", "http://own:3128")
    assert proxy_for(MPS) == "http://own:3128"


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("proxy:3128", "http://proxy:3128"),
        (" 10.0.0.1:3128 ", "http://10.0.0.1:3128"),
        ("user:pass@proxy:3128", "http://user:pass@proxy:3128"),
        ("[::1]:3128", "http://[::1]:3128"),
        ("https://proxy", "https://proxy"),
        ("HTTP://proxy:80", "HTTP://proxy:80"),
        ("", None),
        (" ", None),
    ],
)
def test_a_proxy_may_be_written_without_a_scheme(
    value: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", value)
    assert proxy_for(MPS) == proxy


@pytest.mark.parametrize(
    "value", ["socks5://user:pass@proxy:1080", "socks4://proxy", "ftp://proxy", "http://", "http://proxy:port"]
)
@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
def test_another_proxy_is_refused_by_the_variables_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error_info:
        proxy_for(MPS)
    assert f"${name.lower()} (or ${name.upper()})" in str(error_info.value)
    assert "pass@" not in str(error_info.value)
