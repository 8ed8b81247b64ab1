"""URLs as they go out, and which hosts a redirect may lead to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mps_aigc_async.network.addresses import is_global, may_be_public, redirect_target, sendable


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://r.example/a%28b%29.png?sig=x%2Fy%2Bz%3D", "/a%28b%29.png?sig=x%2Fy%2Bz%3D"),
        ("https://r.example/a(b).png?sig=x/y+z=", "/a(b).png?sig=x/y+z="),
        ("https://r.example/a%2fb/../c/./d?x=%7e", "/a%2fb/../c/./d?x=%7e"),
        ("https://r.example/a//b?", "/a//b"),  # a question mark that asks nothing
        ("https://r.example", "/"),
        ("https://r.example?a=1", "/?a=1"),
        ("https://r.example/a;b=c?d=e;f#part", "/a;b=c?d=e;f"),
        ("https://r.example/图.png?词=图", "/%E5%9B%BE.png?%E8%AF%8D=%E5%9B%BE"),
        ("https://r.example/%E5%9B%BE图", "/%E5%9B%BE%E5%9B%BE"),
        ("https://r.example/\udce5\udc9b\udcbe", "/%E5%9B%BE"),
        ('https://r.example/a"b|c^d', '/a"b|c^d'),
        ("https://r.example/a@b?c=d@e", "/a@b?c=d@e"),
    ],
)
def test_a_url_goes_out_byte_for_byte(url: str, target: str) -> None:
    assert sendable(url).raw_path_qs == target


def test_a_host_and_a_port_stay() -> None:
    assert str(sendable("http://127.0.0.1:8080/a").origin()) == "http://127.0.0.1:8080"
    assert sendable("http://[::1]:80/a").host == "::1"
    assert sendable("https://bücher.example/a").raw_host == "xn--bcher-kva.example"
    assert sendable("https://my_bucket-125.cos.example/a").raw_host == "my_bucket-125.cos.example"
    assert sendable("HTTPS://R.Example/A").raw_path_qs == "/A"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not an http or https URL"),
        ("no-url", "not an http or https URL"),
        ("//host/x.png", "not an http or https URL"),
        ("/x.png", "not an http or https URL"),
        ("http://", "not an http or https URL"),
        ("http:///x.png", "not an http or https URL"),
        ("http://:80/x.png", "not an http or https URL"),
        ("ftp://host/a.png", "not an http or https URL"),
        ("file:///etc/passwd", "not an http or https URL"),
        ("http://[::1", "not an http or https URL"),
        ("http://host:99999/", "not an http or https URL"),
        ("http://host:port/", "not an http or https URL"),
        ("http://a b/", "blanks"),
        (" http://host/", "blanks"),
        ("http://host/a\r\nX: y", "blanks"),
        ("http://host/a\tb", "blanks"),
        ("http://host/a\0", "blanks"),
        ("http://user:secret@host/a", "a user name"),
        ("http://@host/a", "a user name"),
    ],
)
def test_an_unsendable_url_is_refused_with_a_plain_message(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error_info:
        sendable(url)
    assert "secret" not in str(error_info.value)


@given(url=st.text() | st.text().map(lambda text: f"http://{text}") | st.text().map(lambda text: f"https://h/{text}"))
def test_any_text_can_be_sent_or_is_a_value_error(url: str) -> None:
    try:
        target = sendable(url).raw_path_qs
    except ValueError:
        return
    assert target.isascii()
    assert target.startswith("/")
    assert not set(target) & set(" \r\n\t\0")


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b%2Fc?s=%2B", "https://r.example/b%2Fc?s=%2B"),
        ("c", "https://r.example/a/c"),
        ("?x=%3D", "https://r.example/a/b?x=%3D"),
        ("//o.example/x%28", "https://o.example/x%28"),
        ("http://o.example/x%28?y=%2F", "http://o.example/x%28?y=%2F"),
        (" /my file.png", "https://r.example/my%20file.png"),
    ],
)
def test_a_redirect_leads_on_byte_for_byte(location: str, leads_to: str) -> None:
    assert redirect_target(sendable("https://r.example/a/b?s=1"), location) == leads_to


@pytest.mark.parametrize("location", ["http://[x/?sign=secret", "//me:secret@[/", "https://me:secret@\u2100/"])
def test_a_redirect_that_means_no_url_is_told_plainly(location: str) -> None:
    with pytest.raises(ValueError, match=r"^(its URL is no|a redirect leads to what is no|its URL has a)") as odd:
        sendable(redirect_target(sendable("https://r.example/a"), location))
    assert "secret" not in str(odd.value)


PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.100.100.200",
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "fec0::1", "64:ff9b:1::8.8.8.8", "::ffff:0:127.0.0.1",
    "2130706433", "0x7f000001", "0x7f.1", "127.1",
    "017700000001", "0177.0.0.1", "10.1", "0",
]  # fmt: skip
PUBLIC = [
    "43.152.0.1",
    "8.8.8.8",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::808:808",
    "134744072",
    "8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_inside_are_not_global(address: str) -> None:
    assert not is_global(address)
    assert not may_be_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_global(address: str) -> None:
    assert is_global(address)
    assert may_be_public(address)


@pytest.mark.parametrize("name", ["localhost", "LocalHost.", "a.localhost"])
def test_names_of_this_machine_are_not_public(name: str) -> None:
    assert not may_be_public(name)


@pytest.mark.parametrize("name", ["r.example", "localhost.example", "1.2.3.4.example", "x"])
def test_a_name_may_be_public_until_it_is_resolved(name: str) -> None:
    assert may_be_public(name)
    assert not is_global(name)


@given(host=st.text())
def test_any_host_is_judged(host: str) -> None:
    assert is_global(host) in (True, False)
    assert may_be_public(host) in (True, False)
