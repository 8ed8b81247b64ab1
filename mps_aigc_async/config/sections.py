"""The sections of the config file, as values: keys in camelCase in the file, in snake_case here."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic.alias_generators import to_camel

from ..catalog.prices import Price, PriceList
from ..limits import DEFAULT_JITTER_S
from ..model.config_values import Bucket, Id, Length, Line, Milliseconds, Money, QueryPath, Region, Seconds, Tasks
from ..model.states import Kind
from ..network.addresses import without_secrets
from ..policy.deadlines import TASK_DEADLINE_S
from ..wire.relay import BASE_URL, QUERY_PATH

_URLS: Final = frozenset({"endpoint", "base_url", "query_path", "limit_store"})
"""The settings that are URLs, or the path of a URL."""


class Section(BaseModel):
    """A part of the config file: camelCase in the file, snake_case here.

    Values have their JSON type: neither `true` nor `"8"` is a number, and `"no"` is not false.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show URLs without user names and queries, which may be secrets, even in a value that was not checked."""
        for name, value in super().__repr_args__():
            yield name, without_secrets(value) if name in _URLS and isinstance(value, str) else value


class TencentCloud(Section):
    """The keys and the endpoint. Keys are better kept in the environment."""

    secret_id: str = Field(default="", repr=False)
    secret_key: SecretStr = SecretStr("")
    token: SecretStr | None = None
    """Session token of temporary credentials."""
    region: Region | None = None
    endpoint: Line | None = None
    """A base URL in place of the service's own; plain http only towards loopback."""


class CosOutput(Section):
    """The place of results in COS, sent as StoreCosParam. The guide's example bucket is ignored."""

    bucket: Bucket = ""
    region: Region = ""
    output_dir: Line | None = None
    access: Literal["private", "public"] = "private"
    """How results are read from a bucket. `private`: by signed URLs, which need the extra `cos`. `public`: by their
    bare URLs, which everybody can read."""
    endpoint: Line | None = None
    """The base URL of another COS than the public one; plain http only towards loopback."""


class ImageGeneration(Section):
    """Defaults of image requests without a model."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None


class VideoGeneration(Section):
    """Defaults of video requests without a model."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None
    duration: Length | None = None
    enable_audio: bool | None = None


class AudioGeneration(Section):
    """Defaults of audio requests without a model. The guide has no such section: it is this package's own."""

    enabled: bool = True
    model_name: Line | None = None
    model_version: Line | None = None


class Generation(Section):
    """The `mps` section."""

    image_generation: ImageGeneration = Field(default_factory=ImageGeneration)
    video_generation: VideoGeneration = Field(default_factory=VideoGeneration)
    audio_generation: AudioGeneration = Field(default_factory=AudioGeneration)


class Concurrency(Section):
    """Tasks running at the service at once, and the interval of their polls. Defaults: the guide's example."""

    max_image_tasks: Tasks = 2
    max_video_tasks: Tasks = 1
    max_audio_tasks: Tasks = 1
    """A key and a default of this package: the documents name no cap on audio tasks."""
    poll_interval_ms: Milliseconds = 5000
    """Milliseconds between two polls of a task, on average over its life."""
    poll_strategy: Literal["fixed", "adaptive"] = "adaptive"
    """`fixed`: a poll each interval. `adaptive`: about as many polls, at the ages at which earlier tasks of the model
    ended. Both poll less often if the action's rate allows no more."""


class PriceRow(Section):
    """A price for the requests that have all of these values; a value that is left out matches every request."""

    model: Line | None = None
    version: Line | None = None
    resolution: Line | None = None

    @property
    def price(self) -> Price:
        return Price(**{name: value for name, value in self if value is not None})


class ImagePrice(PriceRow):
    """A price of images."""

    each: Money


class TimedPrice(PriceRow):
    """A price of videos or audios: of a second, or of each one."""

    sound: bool | None = None
    each: Money | None = None
    second: Money | None = None

    @model_validator(mode="after")
    def _is_one_price(self) -> Self:
        if (self.each is None) == (self.second is None):
            raise ValueError("names one price: `second` (of a second) or `each`")
        return self


class PriceSection(Section):
    """The user's prices: the service bills without telling them."""

    currency: Line = "CNY"
    image: Annotated[tuple[ImagePrice, ...], Field(strict=False)] = ()
    video: Annotated[tuple[TimedPrice, ...], Field(strict=False)] = ()
    audio: Annotated[tuple[TimedPrice, ...], Field(strict=False)] = ()

    def price_list(self, backend: str) -> PriceList:
        rows = ((Kind.IMAGE, self.image), (Kind.VIDEO, self.video), (Kind.AUDIO, self.audio))
        return PriceList({kind: [row.price for row in of_kind] for kind, of_kind in rows}, self.currency, backend)


class Pacing(Section):
    """Send times."""

    jitter_ms: Annotated[float, Field(ge=0, le=1000)] = DEFAULT_JITTER_S * 1000
    """Delivery jitter, in milliseconds, under which the limit holds: 25 ms leaves 97.6% of the rate (measured
    2026-11)."""


class TaskTimeouts(Section):
    """Seconds until the client stops waiting. The job stays in the ledger and can be resumed."""

    image_seconds: Seconds = TASK_DEADLINE_S[Kind.IMAGE]
    """Seconds that the client waits for an image's task after a poll first saw it running. The wait in the service's
    queue has its own deadline, `queue_seconds`."""
    video_seconds: Seconds = TASK_DEADLINE_S[Kind.VIDEO]
    """The same for a video's task; at least 48 hours for a video that waits for off-peak hours."""
    audio_seconds: Seconds = TASK_DEADLINE_S[Kind.AUDIO]
    """The same for an audio's task."""
    queue_seconds: Seconds | None = None
    """Seconds that the client waits for a task of any kind in the service's queue, until a poll sees it running. By
    default 12 hours, or the kind's own time above if that is longer; at least 48 hours for a video that waits for
    off-peak hours."""
    save_seconds: Seconds | None = None
    """Seconds for fetching one result, with all retries. By default the life of its URL: the result is paid for."""


class Vod(Section):
    """Settings of the vod backend alone."""

    sub_app_id: Id | None = None
    """The application's id: VOD requires it of accounts since 2023-12-25."""


class Relay(Section):
    """Settings of the relay backend alone. The key is better kept in $MPS_AIGC_RELAY_KEY."""

    base_url: Line = BASE_URL
    api_key: SecretStr = SecretStr("")
    query_path: QueryPath = QUERY_PATH
    """The path that polls a task, with an optional query. The relay does not document it: other relays of its family
    have it."""
    sessions: Literal["unproven", "trusted"] = "unproven"
    """Whether the relay refuses a second create of one `session_id`. `trusted`: the user states that it does, for 3
    days; a create without a reply is then sent again with its session. `unproven`: such a create is not sent again by
    itself, until the relay has refused a repeated session (recorded in the ledger, for its base URL)."""
