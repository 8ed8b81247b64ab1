"""Texts of strangers: on one line, and without our secrets in whatever form they are quoted."""

import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mps_aigc_async.credentials.masking import ESCAPED_MOST, ID_WIDTH, MOST_KEPT, WIDTH, Mask, one_line
from mps_aigc_async.model.errors import ServiceError, TransportError
from mps_aigc_async.model.states import Ending, TaskState
from mps_aigc_async.wire.dialect import Created, TaskPage, TaskStatus

from ..echoing import KEY, QUOTATIONS, TOKEN

SIGNATURE = "072fa53d3e8c2b0f4a4b7f9c9e3c2f3b8c1c7f6d2e9c7a6b5d4e3f2a1b0c9d8e"
SCOPE = "AKIDX/2026-11-26/mps/tc3_request"
AUTHORIZATION = f"TC3-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=content-type;host, Signature={SIGNATURE}"
MASK = Mask([KEY, TOKEN])


def pieces(secret: str, width: int = WIDTH) -> list[str]:
    return [secret[at : at + width] for at in range(len(secret) - width + 1)]


@pytest.mark.parametrize("quotation", QUOTATIONS)
@pytest.mark.parametrize("text", [f"Bearer {KEY}", f"{TOKEN}{KEY}", f"[{KEY}] [{KEY}]"])
def test_a_secret_is_found_in_each_form_that_quotes_it(quotation: str, text: str) -> None:
    shown = MASK.text(f"denied: {QUOTATIONS[quotation](text)} !").lower()
    for piece in pieces(KEY) + pieces(TOKEN):
        assert piece.lower() not in shown
    assert shown.startswith("denied: ")
    assert shown.endswith(" !")


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "x", "xy", "xyz", "Authorization: Bearer "])
def test_a_secret_in_base64_is_found_at_each_alignment(before: str, encode: Callable[[bytes], bytes]) -> None:
    told = encode(f"{before}{KEY} and so on".encode()).decode()
    shown = MASK.text(told)
    assert not any(piece in shown for piece in pieces(told[len(before) * 4 // 3 + 4 : len(before + KEY) * 4 // 3 - 4]))


@given(start=st.integers(0, len(KEY)), length=st.integers(WIDTH, len(KEY)))
def test_what_is_left_of_a_secret_that_was_cut_is_found(start: int, length: int) -> None:
    part = KEY[start : start + length]
    if len(part) >= WIDTH:
        assert MASK.text(f"key {part}… is wrong") == "key ***… is wrong"


@given(text=st.text(max_size=60), secret=st.text(st.characters(codec="utf-8"), min_size=WIDTH, max_size=40))
@example("İİİİİİİİ", "İİİİİİİİ")
@example("%25252525", "%25252525")
def test_no_text_shows_a_secret(text: str, secret: str) -> None:
    shown = Mask([secret]).text(text[:20] + secret + text[20:])
    assert secret not in shown
    assert one_line(shown) == shown


@pytest.mark.parametrize("secret", ["", "k", "key", "secret", "private"])
def test_a_secret_shorter_than_a_piece_wrecks_no_message(secret: str) -> None:
    message = "the secret key k is of no private account"
    assert Mask([secret]).text(message) == message


@pytest.mark.parametrize(
    "message",
    [
        "the prompt was blocked", "提示词违规：请修改后重试", "RequestLimitExceeded", "50% of 10 & more\\less",
        "3f9c7a6b-1b2c-4d5e-8f90-a1b2c3d4e5f6", "C:\\new\\table", "a=b&lt=c", "",
    ],
)  # fmt: skip
def test_a_message_without_secrets_stays_as_it_is(message: str) -> None:
    assert MASK.text(message, SIGNATURE) == message


@pytest.mark.parametrize(
    "quoted",
    [
        AUTHORIZATION, f"Authorization: {AUTHORIZATION}", SIGNATURE, SIGNATURE.upper(), SIGNATURE[:40],
        quote(AUTHORIZATION), b64encode(AUTHORIZATION.encode()).decode(),
        b64encode(f'{{"authorization": "{AUTHORIZATION}"}}'.encode()).decode(), f"{SIGNATURE[:30]}\r\n{SIGNATURE[30:]}",
    ],
)  # fmt: skip
def test_the_requests_signature_is_hidden(quoted: str) -> None:
    shown = MASK.text(f"refused {quoted} .", SIGNATURE)
    assert shown.startswith("refused ")
    for piece in (*pieces(SIGNATURE), b64encode(AUTHORIZATION.encode()).decode()[8:40], "Signature="):
        assert piece.lower() not in shown.lower()


def test_another_requests_signature_is_hidden_where_it_is_named() -> None:
    assert MASK.text(f"got {AUTHORIZATION}; expired") == "got ***; expired"


def test_a_urls_query_and_user_are_hidden_and_its_path_is_not() -> None:
    message = "cannot get https://me:p@ss@cos.example/in.png?q-sign=abc&t=1，请重试; http://b.example/x#frag (no)"
    assert MASK.text(message) == "cannot get https://cos.example/in.png?***，请重试; http://b.example/x?*** (no)"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\r\n\r\ntwo\tthree\u2028four", "one two three four"),
        ("\x1b[31mred\x1b[0m\x07\x9b", "[31mred[0m"),
        ("\u202egnp.exe\u2066\ufeff\u200b", "gnp.exe"),
        ("全角　空格 “ok” é 👩‍🎨", "全角　空格 “ok” é 👩‍🎨"),
        ("half \ud83c of one", "half  of one"),
        ("x" * (MOST_KEPT + 1), "x" * (MOST_KEPT - 1) + "…"),
    ],
)
def test_a_text_is_one_line_without_control_characters(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_status_is_masked_but_for_its_urls() -> None:
    urls, videos = (f"https://r.example/{KEY}.png?sign={KEY}",), (f"https://r.example/{TOKEN}.mp4",)
    status = TaskStatus(
        TaskState.FAILED, f"{KEY}", f"r {TOKEN}", f"why\n{KEY}", urls=urls, videos=videos, file_ids=(KEY, "5-1")
    )
    masked = MASK.value(status)
    assert (masked.word, masked.request_id, masked.message, masked.file_ids) == (
        "***",
        "r ***",
        "why ***",
        ("***", "5-1"),
    )
    assert (masked.urls, masked.videos, masked.state) == (urls, videos, TaskState.FAILED)


@pytest.mark.parametrize(
    ("key", "task_id"),
    [
        ("my-aigc-image-key-2026", "251000000-AigcImage-0123abcdef0123t"),
        ("my-aigcimage-key-2026", "251000000-AigcImage-0123abcdef0123t"),
        ("1251000000-of-the-relay", "1251000000-AigcVideo-0123abcdef0123t"),
        ("relay-0123456789abcdef", "relay-01fedcba9876543210"),
        ("sk-task-20261126-abcdef", "task-20261126-1"),
    ],
)
def test_an_id_that_shares_a_word_with_a_key_stays(key: str, task_id: str) -> None:
    """Masked, a paid task would be lost."""
    mask = Mask([key])
    created = Created(task_id, "r-1")
    status = TaskStatus(TaskState.DONE, "DONE", "r-1", file_ids=(task_id,), bare_file_ids=(task_id,))
    page = TaskPage({f"mine {task_id}": task_id}, "", {"mine": (task_id, "4-2")})
    assert [mask.value(value, SIGNATURE) for value in (created, status, page)] == [created, status, page]


@given(
    key=st.text("abcdef0123456789-AigcTskmVdo", min_size=WIDTH, max_size=80),
    task_id=st.from_regex(r"(2[0-9]{8,9}-Aigc(Image|Video|Audio)-|[a-z]{0,4}[-_]?)[0-9a-f]{1,15}", fullmatch=True),
    at=st.integers(0, 80),
)
def test_an_id_is_masked_only_for_a_long_piece_of_a_key(key: str, task_id: str, at: int) -> None:
    shown = Mask([key]).value(Created(task_id, "r"), SIGNATURE).task_id
    width = min(ID_WIDTH, len(key))
    quotes = any(piece.lower() in task_id.lower() for piece in pieces(key, width))
    assert (shown != task_id) == quotes
    quoted = f"{task_id}-{key[at % len(key) :]}"
    shown = Mask([key]).value(Created(quoted, "r"), SIGNATURE).task_id
    assert not any(piece.lower() in shown.lower() for piece in pieces(key, width))


def test_a_value_without_secrets_is_the_same_object_and_a_raw_answer_is_the_users() -> None:
    status, raw = TaskStatus(TaskState.RUNNING, "RUN", "r-1"), {"Echo": KEY}
    assert MASK.value(status) is status
    assert MASK.value(raw) is raw
    assert raw == {"Echo": KEY}


def test_a_task_whose_name_was_masked_is_in_no_list() -> None:
    page = TaskPage({"mine-1": "4-1", "mine-2": f"4-{KEY}", KEY: "4-3"}, "next")
    assert MASK.value(page) == TaskPage({"mine-1": "4-1"}, "next")


@dataclass(frozen=True, slots=True)
class Later:
    """A value with fields that nobody has thought of yet."""

    usage: str
    cover_url: str
    inner: tuple[Created, ...]


def test_fields_of_later_values_are_masked_as_well() -> None:
    masked = MASK.value(Later(KEY, f"https://r.example/{KEY}", (Created(f"4-{KEY}", "r"),)))
    assert masked == Later("***", f"https://r.example/{KEY}", (Created("4-***", "r"),))


def test_an_error_is_masked_whole_and_its_chain_is_cut() -> None:
    error = ServiceError(f"Odd.{KEY}", f"said {KEY}\nand {TOKEN}", request_id=f"r-{KEY}")
    error.__cause__, error.__context__ = ValueError(f"header {KEY}"), OSError(TOKEN)
    error.add_note(f"note {KEY}")
    masked = MASK.error(error)
    assert masked.reason == "Odd.***: said *** and ***"
    assert (masked.request_id, masked.args, masked.__notes__) == ("r-***", ("said *** and ***",), ["note ***"])
    assert (masked.__cause__, masked.__context__, masked.__traceback__) == (None, None, None)
    text = "".join(traceback.TracebackException.from_exception(masked, capture_locals=True).format())
    assert KEY not in f"{text} {masked!r} {vars(masked)}"


def test_a_masked_error_leads_to_no_frame_that_holds_the_answer() -> None:
    def judge(answer: str) -> None:
        raise ServiceError("Odd", answer)

    with pytest.raises(ServiceError) as raised:
        judge(f"said {KEY}")
    assert raised.value.__traceback__ is not None
    assert MASK.error(raised.value).__traceback__ is None


@pytest.mark.parametrize("layers", range(1, ESCAPED_MOST + 1))
def test_a_secret_below_several_layers_of_escapes_is_found(layers: int) -> None:
    text = KEY
    for _ in range(layers):
        text = text.replace("%", "%25") if "%" in text else "".join(f"%{ord(char):02X}" for char in text)
    assert MASK.text(f"denied: {text} !") == "denied: *** !"


def test_an_errors_ids_of_ours_stay() -> None:
    error = TransportError(KEY, ending=Ending.UNKNOWN, action="CreateAigcImageTask").with_context(
        job_id=f"my {KEY}\u200b"
    )
    masked = MASK.error(error)
    assert (masked.job_id, masked.action, masked.ending) == (f"my {KEY}\u200b", "CreateAigcImageTask", Ending.UNKNOWN)


@pytest.mark.parametrize("between", ["\u200b", "\x00", "\ufffd", "\u2060", "\u3164"])
def test_characters_that_cannot_be_seen_part_no_secret_in_an_error(between: str) -> None:
    """An error shows a stand-in for each, before the mask sees its text."""
    parted = between.join(KEY[at : at + 5] for at in range(0, len(KEY), 5))
    error = MASK.error(ServiceError("Denied", f"denied: {parted} !"))
    assert error.message == "denied: *** !"
    assert str(error) == "Denied: denied: *** !"
    assert error.args == ("denied: *** !",)


def test_a_stand_in_stays_where_it_parts_no_secret() -> None:
    assert MASK.error(ServiceError("Denied", "red\x1b[0m")).message == "red\ufffd[0m"


def test_a_mask_shows_nothing_of_its_secrets() -> None:
    assert repr(MASK) == str(MASK) == "<Mask>"


# --- URLs that are signed for COS with our own keys -------------------------------------------------------------------

SECRET_ID = "AKIDOFTHEMASKINGTEST"
BARE = "https://shots-1250000000.cos.ap-guangzhou.myqcloud.com/out/a.png"
COS_SIGNATURE = "0123456789abcdef0123456789abcdef01234567"
SIGNED_URL = (
    f"{BARE}?q-sign-algorithm=sha1&q-ak={SECRET_ID}&q-sign-time=1%3B2&q-key-time=1%3B2&q-header-list=host"
    f"&q-url-param-list=x-cos-security-token&q-signature={COS_SIGNATURE}&x-cos-security-token={TOKEN}"
)


@pytest.mark.parametrize("quotation", [name for name in QUOTATIONS if name != "wrapped"])
@pytest.mark.parametrize("text", [SIGNED_URL, SIGNED_URL.partition("?")[2]])
def test_a_message_that_quotes_an_input_shows_no_signature_for_cos(quotation: str, text: str) -> None:
    shown = Mask([SECRET_ID, TOKEN]).text(f"cannot fetch {QUOTATIONS[quotation](text)}").lower()
    for secret in (SECRET_ID, TOKEN, COS_SIGNATURE):
        assert not any(piece.lower() in shown for piece in pieces(secret, WIDTH + 4))
    assert b64encode(COS_SIGNATURE.encode()).decode().lower()[4:-4] not in shown


def test_a_result_that_repeats_the_url_of_an_input_loses_our_signature_alone() -> None:
    of_others = SIGNED_URL.replace(SECRET_ID, "AKIDOFTHESERVICEITSELF").replace(TOKEN, "x")
    urls = (SIGNED_URL, of_others, "https://a/1.png?key=1")
    status = TaskStatus(TaskState.DONE, word="DONE", request_id="r", urls=urls, videos=(SIGNED_URL,))
    safe = Mask([SECRET_ID, TOKEN]).value(status)
    assert safe.urls == (BARE, of_others, "https://a/1.png?key=1")
    assert safe.videos == (BARE,)
