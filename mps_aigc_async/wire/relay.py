"""The relay's dialect: VOD's creates in snake_case behind a bearer token.

Sources:
- the relay's own page documents `POST /tencent-vod/v1/aigc-image`, its fields, its answer and the statuses 401, 429 and
  500 (quickrouter.ai, "腾讯混元图像创建接口");
- the video's route and fields, the query and the bodies of errors come from relays of the same family. The query's path
  is a setting.
No limits are published: the defaults are VOD's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from ..credentials.credentials import Credentials
from ..model.errors import (
    AccountError,
    AigcError,
    ContentViolation,
    InvalidRequest,
    NoTaskId,
    ServiceError,
    TaskNotFound,
    Throttled,
)
from ..model.inputs import ReferenceImage
from ..model.requests import AudioRequest, CosStore, ImageRequest, Step
from ..model.states import Ending, Kind, TaskState
from ..model.task_ids import require_task_id
from . import answers, concurrency, create_answers, envelope, fields, statuses, tencent_api, vod, vod_errors, vod_tasks
from .answers import as_text, text
from .code_words import is_about_payment, refusal_of
from .dialect import Call, Created, HttpAnswer, HttpRequest, SessionRule, TaskPage, TaskStatus
from .envelope import decode, inside
from .fields import FieldRow
from .statuses import Verdict, verdict_of
from .vod_files import percent

BASE_URL: Final = "https://api.quickrouter.ai"
QUERY_PATH: Final = "/tencent-vod/v1/query/{task_id}"
PATHS: Final = {Kind.IMAGE: "/tencent-vod/v1/aigc-image", Kind.VIDEO: "/tencent-vod/v1/aigc-video"}

TEMPLATE_EFFECT: Final = "CreateTemplateEffectTask"
"""This package's name for the route that makes a video by a template of effects: VOD has no such action."""
ROUTES: Final[Mapping[str, str]] = {
    vod_tasks.CREATES[Kind.IMAGE]: PATHS[Kind.IMAGE],
    vod_tasks.CREATES[Kind.VIDEO]: PATHS[Kind.VIDEO],
    # The relay's page "特效模板创建任务" has the fields; the path is of relays of the same family (read 2026-11).
    TEMPLATE_EFFECT: "/tencent-vod/v1/template-effect",
}
"""The paths of `client.call`, by action: each creates a task, which is billed. The parameters go as they are."""

_PAGE_ATTRIBUTES: Final = frozenset(
    {
        "model_name", "model_version", "prompt", "negative_prompt", "enhance_prompt", "images", "aspect_ratio",
        "resolution", "additional_parameters", "vod.files", "vod.storage_mode", "vod.person_generation",
        "vod.input_compliance_check", "vod.output_compliance_check", "vod.session_id", "vod.session_context",
        "vod.tasks_priority", "vod.ext_info",
    }
)  # fmt: skip
"""The request's attributes for which the relay's own page has a field."""
IMAGE_FIELDS: Final[tuple[FieldRow, ...]] = tuple(row for row in vod.IMAGE_FIELDS if row[0] in _PAGE_ATTRIBUTES)
VIDEO_FIELDS: Final[tuple[FieldRow, ...]] = vod.VIDEO_FIELDS
_PAGE_FILE_ATTRIBUTES: Final = frozenset({"file_id", "url", "text", "base64"})
"""The same for the files of an image. `base64` is among them, since `encode` rejects it for both kinds."""
CONFIG_KEY: Final = "relay.baseUrl"
"""The config's key for the address of the relay."""
TOO_MANY_REQUESTS: Final = 429
OF_THE_ACCOUNT: Final = frozenset({401, 402, 403})
"""Statuses that refuse the key, its payment or its rights (401 is documented by the relay; RFC 9110 for the others)."""
LIMITS: Final = {
    action: vod.LIMITS[action] for action in ("CreateAigcImageTask", "CreateAigcVideoTask", vod_tasks.DESCRIBE)
}
"""VOD's, for the relay's actions: the relay publishes none, and forwards to VOD."""

REQUIRED: Final = ("model_name", "model_version", "prompt")

STATES: Final[Mapping[str, TaskState]] = {
    # The words of the wrapping; the inner answer has VOD's words.
    "NOT_START": TaskState.WAITING,
    "SUBMITTED": TaskState.WAITING,
    "QUEUED": TaskState.WAITING,
    "IN_PROGRESS": TaskState.RUNNING,
    "SUCCESS": TaskState.DONE,
    "FAILURE": TaskState.FAILED,
}


# --- requests → bodies ------------------------------------------------------------------------------------------------


def encode(request: Step) -> dict[str, object]:
    """The create's parameters. Raises InvalidRequest, by the field's name."""
    if isinstance(request, AudioRequest):
        raise _no_audio()
    for name in REQUIRED:
        if not getattr(request, name):
            section = f"mps.{request.kind}Generation"
            raise InvalidRequest(
                f"{name}: the relay requires it: set it in the request, or in the config's `{section}`"
            )
    if any(file.base64 for file in (request.vod.files if request.vod else ())):
        raise InvalidRequest("vod.files: the relay takes files by file_id or url, not by base64")
    if isinstance(request, ImageRequest):
        _refuse_beyond_page(request)
    rows = IMAGE_FIELDS if isinstance(request, ImageRequest) else VIDEO_FIELDS
    return _in_snake_case(vod.with_ext_info_as_json(fields.encode(rows, request, "the relay")))


def _no_audio() -> InvalidRequest:
    return InvalidRequest("audio: the relay makes images and videos only; use the mps or the vod backend")


def _refuse_beyond_page(request: ImageRequest) -> None:
    """Raise InvalidRequest for attributes of an image's input that VOD knows and the relay's page does not."""
    if any(isinstance(image, ReferenceImage) and image.reference_type for image in request.images):
        raise InvalidRequest("images: the relay does not support reference_type; leave it out")
    for file in request.vod.files if request.vod else ():
        if odd := [name for name, value in file if value not in fields.UNSET and name not in _PAGE_FILE_ATTRIBUTES]:
            raise InvalidRequest(f"vod.files: the relay does not support {odd[0]}; leave it out")


def _in_snake_case(value: dict[str, object]) -> dict[str, object]:
    return {in_snake_case(name): _inner(name, inner) for name, inner in value.items()}


def _inner(name: str, value: object) -> object:
    if isinstance(value, dict):
        return _in_snake_case(value)
    if isinstance(value, list):
        return [_inner(name, item) for item in value]
    return str(value).lower() if name == "Type" else value


def in_snake_case(name: str) -> str:
    """
    >>> in_snake_case("OutputConfig.EnableBGM"), in_snake_case("Base64")
    ('output_config.enable_bgm', 'base64')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


# --- answers → values -------------------------------------------------------------------------------------------------


def unwrap(answer: HttpAnswer, action: str) -> dict[str, object]:
    """The JSON object of a good answer. Raises ServiceError, or TransportError for a body that is no relay's answer."""
    body = decode(answer.body)
    error = _error(answer, body, action)
    if error is not None:
        raise error.with_context(action=action)
    if verdict_of(answer.status) is not Verdict.GOOD or not body:
        message = f"HTTP {answer.status} with {len(answer.body)} bytes that are no answer of the relay"
        raise statuses.unreadable(message, answer, action)
    return body


def created_task(answer: HttpAnswer, action: str) -> Created:
    """The new task in a create's answer. A TaskId proves that the task exists, even beside an error or a bad status,
    and the task can be polled.

    Raises the errors of `unwrap`, and NoTaskId for a 2xx without a TaskId: the relay has processed the create, and no
    refusal is certain.
    """
    body = decode(answer.body)
    code, message, _ = _error_parts(body)
    good = verdict_of(answer.status) is Verdict.GOOD and not code and not message
    task = create_answers.created_task(body, reports_error=not good)
    if task is not None:
        return task
    try:
        body = unwrap(answer, action)
    except ServiceError as error:
        if verdict_of(answer.status) is not Verdict.GOOD or error.ending is not Ending.UNKNOWN:
            raise
        raise NoTaskId(
            f"the answer to the create has no TaskId, but {error.reason}", ending=Ending.UNKNOWN, action=action
        ) from None
    return tencent_api.created_task(inside(body) or body, action)


def _error(answer: HttpAnswer, body: Mapping[str, object], action: str) -> AigcError | None:
    """The error of an answer; None for a good one. The status decides whether a code counts at all. VOD's codes then
    have VOD's meaning, and the relay's own codes are judged by status and words."""
    verdict = verdict_of(answer.status)
    if verdict is Verdict.REDIRECTED:
        return statuses.redirect(answer, action, CONFIG_KEY)
    code, message, request_id = _error_parts(body)
    if verdict is Verdict.UNCERTAIN:
        return statuses.uncertain(answer, action, ": ".join(filter(None, (code, message))))
    if verdict is Verdict.GOOD and not code and not message:
        return None
    if envelope.row_of(code, vod_errors.BY_CODE) is not None:
        return envelope.service_error(code, message, request_id, vod_errors.BY_CODE, action)
    return _own_error(answer, code, message, action)


def _error_parts(body: Mapping[str, object]) -> tuple[str, str, str | None]:
    """Code, message and RequestId of the error in each form of body that the family sends; empty without an error."""
    response = inside(body) or {}
    error = response.get("Error")
    if isinstance(error, dict):
        return as_text(error.get("Code")), as_text(error.get("Message")), text(response.get("RequestId")) or None
    flat = body.get("error")
    if isinstance(flat, dict):
        return as_text(flat.get("code")) or text(flat.get("type")), as_text(flat.get("message")), None
    if flat:
        return "", as_text(flat) or answers.quotation(flat), None
    code = as_text(body.get("code"))
    return ("", "", None) if code.casefold() in _GOOD else (code, as_text(body.get("message")), None)


_GOOD: Final = answers.NO_REASON
"""Codes of a body without an error."""


def _own_error(answer: HttpAnswer, code: str, message: str, action: str) -> ServiceError:
    """The error of a code that is the relay's own, or of an answer without a code."""
    status, code = answer.status, code or f"HTTP {answer.status}"
    if code == "task_not_exist":
        return TaskNotFound(code, message, ending=Ending.REFUSED)
    if verdict_of(status) is Verdict.GOOD:
        # The relay has processed the request: unless the code certainly refuses it, the outcome is unknown.
        cls, ending = refusal_of(code) or (ServiceError, Ending.UNKNOWN)
        return cls(code, message, ending=ending)
    if status == TOO_MANY_REQUESTS and (not is_about_payment(code) or concurrency.SIGNS.search(code)):
        slower = Throttled(code, message, ending=Ending.REFUSED_FOR_NOW)
        return concurrency.by_concurrency(slower, action)
    cls, ending = refusal_of(code) or (ServiceError, Ending.REFUSED)
    if cls is not ContentViolation and (status in OF_THE_ACCOUNT or is_about_payment(code)):
        cls, ending = AccountError, Ending.ACCOUNT_REFUSED
    return cls(code, message, ending=ending)


def status_of(answer: HttpAnswer, kind: Kind) -> TaskStatus:
    """The status in either envelope of the query: VOD's own answer, or VOD's answer in a wrapping.

    The keys may be in snake_case, like those of the creates. `made_nothing` is always False: no document says that the
    relay bills nothing for a task without results.
    """
    body = vod_tasks.in_vods_keys(unwrap(answer, vod_tasks.DESCRIBE))
    assert isinstance(body, dict)  # noqa: S101 — an object stays one
    return replace(_status(body, kind), made_nothing=False)


def _status(body: Mapping[str, object], kind: Kind) -> TaskStatus:
    """The status in a body whose keys, those of the wrapping included, are in VOD's spelling."""
    response = inside(body)
    if response is not None:
        return vod_tasks.detail(response, kind)
    data = body.get("data")
    wrapping = data if isinstance(data, dict) else {}
    word = text(wrapping.get("Status"))
    state, is_documented = answers.state_of(STATES, word)
    inner = wrapping.get("data")
    inner = (inside(inner) or inner) if isinstance(inner, dict) else {}
    # Raises for a task of another kind.
    status = _with_progress(vod_tasks.detail(inner, kind) if inner else None, wrapping)
    if state is TaskState.DONE and inner:
        # If VOD's word is missing or new, the relay's word counts beside the files.
        return status if status.known or not _has_files(status) else replace(status, state=state, word=word, known=True)
    if state is TaskState.RUNNING and inner and status.state is TaskState.WAITING:
        state = status.state  # the relay has handed the task on, and VOD has not begun it
    reason = as_text(wrapping.get("fail_reason"))
    if state is TaskState.FAILED and answers.is_no_reason(reason) and _has_files(status):
        return replace(status, state=TaskState.DONE)
    if state is TaskState.FAILED and not reason:
        reason = status.message or answers.reason(wrapping) or answers.reason(body)
    return replace(status, state=state, word=word, request_id="", message=reason, known=is_documented)


def _with_progress(inner: TaskStatus | None, wrapping: Mapping[str, object]) -> TaskStatus:
    """The inner answer's status, with the progress in the wrapping (`37%`) if the inner answer has none."""
    status = inner or TaskStatus(state=TaskState.RUNNING, word="", request_id="")
    return status if status.progress is not None else replace(status, progress=percent(wrapping.get("Progress")))


def _has_files(status: TaskStatus) -> bool:
    """Whether a task has results at VOD and no fault. VOD bills the files, even if the relay calls the task failed and
    gives no reason."""
    return status.has_results and status.fault is None


def _inside_of_create(answer: HttpAnswer, action: str) -> dict[str, object]:
    """The inside of the answer to a create. Raises the errors of `created_task`: any of them may have been accepted."""
    created_task(answer, action)
    body = decode(answer.body)
    return inside(body) or body


def _inside_of_query(answer: HttpAnswer, action: str) -> dict[str, object]:
    body = unwrap(answer, action)
    return inside(body) or body


def _task_in(params: Mapping[str, object]) -> str:
    """The TaskId that is the only parameter of a query. Raises InvalidRequest."""
    task_id = envelope.parameters(params).get("TaskId")
    if len(params) != 1 or not isinstance(task_id, str):
        raise InvalidRequest(f'{vod_tasks.DESCRIBE}: give the task alone, as {{"TaskId": "251000000-AigcVideo-…"}}')
    return require_task_id(task_id)


# --- the dialect ------------------------------------------------------------------------------------------------------


class Relay:
    """The relay's dialect. Its actions have VOD's names in limits and paces."""

    backend = "relay"
    limits = LIMITS
    limits_region = ""
    default_limit = vod.DEFAULT_LIMIT
    url_life_s = vod.URL_LIFE_S
    signs_time = False
    scope: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self, *, host: str, query_path: str = QUERY_PATH, sessions: SessionRule = SessionRule.UNPROVEN
    ) -> None:
        self._host = host
        self._query_path = query_path
        self._sessions: Final = sessions

    def create_action(self, kind: Kind) -> str:
        if kind is Kind.AUDIO:
            raise _no_audio()
        return vod_tasks.CREATES[kind]

    def describe_action(self, _kind: Kind, /) -> str:
        return vod_tasks.DESCRIBE

    def sessions(self, _kind: Kind, /) -> SessionRule:
        return self._sessions

    def create(self, request: Step, _store: CosStore | None, session_id: str = "", /) -> Call[Created]:
        kind = request.kind
        action = self.create_action(kind)
        session = fields.only_set(session_id=session_id)
        return Call(
            action,
            envelope.body({**encode(request), **session}),
            partial(created_task, action=action),
            path=PATHS[kind],
        )

    def describe(self, kind: Kind, task_id: str) -> Call[TaskStatus]:
        if kind is Kind.AUDIO:
            raise _no_audio()
        decode_status = partial(status_of, kind=kind)
        return Call(vod_tasks.DESCRIBE, b"", decode_status, path=self._path_of(task_id), method="GET")

    def _path_of(self, task_id: str) -> str:
        return self._query_path.replace("{task_id}", quote(task_id, safe=""))

    def keeps(self, request: Step, _store: CosStore | None, /) -> bool:
        return vod.never_expires(request)

    def media_urls(self, _file_ids: Sequence[str], /) -> Call[Mapping[str, str]] | None:
        return None

    def takes_file_ids(self, _kind: Kind, /) -> frozenset[str]:
        return frozenset()  # its accounts at VOD may be several, and a file's id is good in one of them

    def call(self, action: str, params: Mapping[str, object], /) -> Call[dict[str, object]]:
        if action == vod_tasks.DESCRIBE:
            decode_query = partial(_inside_of_query, action=action)
            return Call(action, b"", decode_query, path=self._path_of(_task_in(params)), method="GET")
        if action in ROUTES:
            return Call(action, envelope.body(params), partial(_inside_of_create, action=action), path=ROUTES[action])
        vod.require_other_than_mps(action, "the relay")
        raise InvalidRequest(f"{action}: the relay has no such action: {', '.join((*ROUTES, vod_tasks.DESCRIBE))}")

    def tasks(self, _state: TaskState, _page: str, /) -> Call[TaskPage] | None:
        return None

    def sign(self, call: Call[object], credentials: Credentials, _timestamp: int, /) -> HttpRequest:
        headers = {
            "Authorization": f"Bearer {credentials.secret_key.get_secret_value()}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Host": self._host,
        }
        return HttpRequest(call.path, headers, call.body, call.method)
