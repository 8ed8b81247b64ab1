"""The URLs of objects in COS buckets. Pure decisions.

A result in the user's own bucket comes back as a bare URL: host and path, without a signature. Source: "Regions and
access endpoints" of COS (2026-11), and the bare URLs that other clients report for StoreCosParam (2026-08).
"""

import re
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(
    r"(?P<bucket>[a-z0-9][a-z0-9-]*)\.cos(?:-internal)?\.(?:accelerate|[a-z0-9-]+)\.(?:myqcloud\.com|tencentcos\.cn)"
)
"""A bucket's host, by its region or by global acceleration, in the older and the newer domain."""


def bucket_of(url: str, endpoint: str = "") -> str:
    """The bucket that holds a bare URL's object; empty for every other URL, signed ones included.

    `endpoint` is the base URL of another COS than the public one: a bucket is then a host below it, or the first part
    of the path.

    >>> bucket_of("https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/out/a.png")
    'shots-1250000000'
    >>> bucket_of("http://127.0.0.1:8080/shots/out/a.png", "http://127.0.0.1:8080")
    'shots'
    >>> bucket_of("https://shots-1.cos.ap-guangzhou.myqcloud.com/a.png?q-sign-algorithm=sha1")
    ''
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that enclose no address
        return ""
    host, path = parts.netloc.lower(), parts.path.lstrip("/")
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment or not path:
        return ""
    if not endpoint:
        return bucket_in_host(host)
    base = urlsplit(endpoint).netloc.lower()
    if host == base:
        bucket, _, key = path.partition("/")
        return bucket if key else ""
    bucket = host.removesuffix(f".{base}")
    return bucket if bucket != host and "." not in bucket else ""


def bucket_in_host(host: str) -> str:
    """The bucket that a host of the public COS names; empty for every other host.

    >>> bucket_in_host("shots-1250000000.cos.ap-guangzhou.myqcloud.com"), bucket_in_host("127.0.0.1")
    ('shots-1250000000', '')
    """
    match = _HOST.fullmatch(host.lower())
    return match["bucket"] if match else ""


def object_url(bucket: str, region: str, key: str, endpoint: str = "") -> str:
    """The bare URL of an object. Below an endpoint the bucket is the first part of the path.

    >>> object_url("shots-1250000000", "ap-guangzhou", "out/a.png")
    'https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/out/a.png'
    """
    base = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.cos.{region}.myqcloud.com"
    return f"{base}/{key.lstrip('/')}"
