"""The account's buckets in COS: which of them MPS may write into, and the objects in them.

An object is a result of a task that names the bucket. The object exists from the task's end on, and does not expire.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from .place import Bucket, Place
from .refusal import Refused
from .storage import Piece
from .tasks import ServiceTask

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}", re.ASCII)
"""A bucket's name with its APPID: lower-case letters, digits and hyphens, at most 60 characters (COS, "Bucket
Overview", https://www.tencentcloud.com/document/product/436/13312)."""

_HOST: Final = re.compile(
    r"(?P<bucket>[a-z0-9-]+)\.cos\.[a-z0-9-]+\.(?:myqcloud\.com|tencentcos\.cn)(?::\d+)?", re.ASCII
)
_FILE: Final = re.compile(r"(?:.*/)?(?P<task>[\w-]+)_(?P<index>\d{1,3})\.[a-z0-9]+", re.ASCII | re.DOTALL)

_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("ResourceNotFound.CosBucketNotExist", "The bucket {} does not exist."),
    "unusable": ("FailedOperation.CosStatusInavlid", "The status of COS is not valid for the bucket {}."),
}
"""The refusal of a create by its bucket's access. The codes and their spelling are MPS's (official SDK 3.1.194): "Cos
bucket 不存在" and "COS 已经停服". No document has a code for a missing role."""


@dataclass(frozen=True, slots=True)
class Address:
    """An object's address in COS: `path` is the whole path of its URL, decoded, which a signature covers."""

    bucket: str
    key: str
    path: str


class Buckets:
    """The buckets of one account. A name without a `Bucket` of its own is a private bucket in every region."""

    __slots__ = ("_buckets", "_names", "base_url")

    def __init__(self, buckets: Mapping[str, Bucket]) -> None:
        self._buckets = buckets
        self._names = set(buckets)
        self.base_url = ""
        """The URL of COS, without a final slash, for objects at `/BUCKET/KEY`. When empty, each bucket has its host, as
        in reality: `https://BUCKET.cos.REGION.myqcloud.com/KEY`."""

    def __repr__(self) -> str:
        return f"Buckets({dict(self._buckets)}, {self.base_url!r})"

    def __getitem__(self, name: str) -> Bucket:
        return self._buckets.get(name) or Bucket()

    def open(self, place: Place) -> None:
        """Open a place for a task's results. Raises Refused if MPS cannot store there."""
        bucket = self[place.bucket]
        if not _NAME.fullmatch(place.bucket):
            raise Refused("ResourceNotFound.CosBucketNameInvalid", f"The bucket name {place.bucket} is not valid.")
        # COS looks a bucket up in one region, and finds none of that name in the others.
        access = "missing" if bucket.region not in {"", place.region} else bucket.access
        if access in _REFUSALS:
            code, message = _REFUSALS[access]
            raise Refused(code, message.format(place.bucket))
        self._names.add(place.bucket)

    def urls(self, task: ServiceTask) -> list[str]:
        """The URLs of a task's objects, without a signature. Call it for a task that is done and has a place."""
        place = task.place
        if place is None:
            return []
        host = f"https://{place.bucket}.cos.{place.region}.myqcloud.com"
        base = f"{self.base_url}/{place.bucket}" if self.base_url else host
        return [f"{base}/{quote(key)}" for key in _keys(task, place)]

    def __contains__(self, name: str) -> bool:
        """Whether this is the name of a bucket with a `Bucket` of its own, or with results."""
        return name in self._names

    def address(self, host: str, path: str) -> Address | None:
        """The address at the raw path of a URL; the host counts only without a `base_url`. Return None for a host that
        is not COS's."""
        path = unquote(path)
        if self.base_url:
            bucket, _, key = path.removeprefix("/").partition("/")
            return Address(bucket, key, path)
        match = _HOST.fullmatch(host)
        return match and Address(match["bucket"], path.removeprefix("/"), path)

    def address_of(self, url: str) -> Address | None:
        """The address at a URL. Return None for a URL of another server."""
        if self.base_url and not url.startswith(f"{self.base_url}/"):
            return None
        try:
            parts = urlsplit(url)
        except ValueError:  # brackets that enclose no address
            return None
        return self.address(parts.netloc, parts.path)

    def piece(self, address: Address, now: float, task_of: Callable[[str], ServiceTask | None]) -> Piece | None:
        """The object at an address; None for no object."""
        match = _FILE.fullmatch(address.key)
        task = task_of(match["task"]) if match else None
        if match is None or task is None or task.place is None or not _is_stored(task, now):
            return None
        keys = _keys(task, task.place)
        if task.place.bucket != address.bucket or address.key not in keys:
            return None
        return Piece(task.task_id, keys.index(address.key), task.order)

    @staticmethod
    def objects(tasks: Iterable[ServiceTask], now: float) -> Counter[str]:
        """The number of objects by bucket."""
        counts = Counter[str]()
        for task in tasks:
            if task.place is not None and _is_stored(task, now):
                counts[task.place.bucket] += len(task.order.formats)
        return counts


def _is_stored(task: ServiceTask, now: float) -> bool:
    return task.place is not None and task.status(now) == "DONE"


def _keys(task: ServiceTask, place: Place) -> list[str]:
    """The keys of a task's objects. The document names no file names, so the emulator chose them."""
    return [place.key(f"{task.task_id}_{index}.{format_}") for index, format_ in enumerate(task.order.formats)]
