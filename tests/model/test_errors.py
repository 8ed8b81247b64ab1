"""The error tree: as its docstring draws it, with the ids to go on from, and through the ledger and back."""

import inspect
import json
import re

import pytest

import mps_aigc_async
from mps_aigc_async.model import errors
from mps_aigc_async.model.error_records import SERVICE, from_record, to_record
from mps_aigc_async.model.errors import (
    MAX_MESSAGE_CHARACTERS,
    AigcError,
    ServiceError,
    TransportError,
)
from mps_aigc_async.model.states import Ending

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, AigcError)]
BRANCH = re.compile(r"^ {4}(?P<depth>(?:[│ ] {3}|[├└]── )*)(?P<name>[A-Z]\w+)(?P<says> .*)?$")


def drawing() -> dict[str, tuple[str | None, str]]:
    """Read the docstring's drawing: each class's name, its parent's, and its description."""
    tree: dict[str, tuple[str | None, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if branch := BRANCH.match(line):
            del path[len(branch["depth"]) // 4 :]
            tree[branch["name"]] = (path[-1] if path else None, branch["says"] or "")
            path.append(branch["name"])
    return tree


def make(cls: type[AigcError]) -> AigcError:
    """Make an error of the class, with arguments that its constructor takes."""
    if issubclass(cls, ServiceError):
        return cls("Some.Code", "why", ending=Ending.REFUSED_FOR_NOW, request_id="r-1")
    if issubclass(cls, TransportError):
        return cls("why", ending=Ending.NEVER_DELIVERED)
    return cls("why", request_id="r-1")


def test_the_tree_is_as_it_is_drawn() -> None:
    tree = drawing()
    assert {name: parent for name, (parent, _) in tree.items() if parent} == {
        cls.__name__: cls.__mro__[1].__name__ for cls in CLASSES if cls is not AigcError
    }
    assert tree["AigcError"][0] is None


def test_what_else_a_class_is_stands_beside_it() -> None:
    for name, (_, says) in drawing().items():
        cls = getattr(errors, name)
        also = {base.__name__ for base in cls.__bases__ if not issubclass(base, AigcError)} - {"Exception"}
        assert also == {word for word in ("ValueError", "TimeoutError") if f"(also a {word})" in says}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_is_exported_and_documented(cls: type[AigcError]) -> None:
    assert getattr(mps_aigc_async, cls.__name__) is cls
    assert cls.__name__ in mps_aigc_async.__all__
    assert cls.__doc__
    assert cls.__doc__ not in {base.__doc__ for base in cls.__mro__[1:]}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_ids_are_in_the_text(cls: type[AigcError]) -> None:
    error = make(cls)
    error.request_id = "r-1"
    text = "Some.Code: why" if issubclass(cls, ServiceError) else "why"
    assert str(error) == f"{text} [request r-1]"
    error.with_context(job_id="shot/image", task_id="4-1", action="CreateAigcImageTask")
    assert str(error) == f"{text} [job shot/image, action CreateAigcImageTask, task 4-1, request r-1]"
    assert error.ids == {"job": "shot/image", "action": "CreateAigcImageTask", "task": "4-1", "request": "r-1"}


def test_without_ids_there_are_no_brackets() -> None:
    assert str(AigcError("why")) == "why"
    assert AigcError("why").ids == {}


def test_about_fills_and_never_overwrites() -> None:
    error = AigcError("why", task_id="4-1")
    assert error.with_context(job_id="a", task_id="4-2") is error
    assert (error.job_id, error.task_id, error.action) == ("a", "4-1", None)
    error.with_context(job_id="b", task_id=None, action="X")
    assert (error.job_id, error.task_id, error.action) == ("a", "4-1", "X")


@pytest.mark.parametrize("ending", Ending)
def test_a_service_error_keeps_its_code_message_and_ending(ending: Ending) -> None:
    error = ServiceError("Some.Code", "why", ending=ending, request_id="r-1")
    assert (error.code, error.message, error.ending, error.request_id) == ("Some.Code", "why", ending, "r-1")


def test_without_an_exchange_there_is_no_ending() -> None:
    assert AigcError("why").ending is None
    assert errors.CreateOutcomeUnknown("why").ending is Ending.UNKNOWN


# --- to the ledger and back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_comes_back_from_its_record_as_it_was(cls: type[AigcError]) -> None:
    error = make(cls).with_context(job_id="shot/image", task_id="4-1", action="CreateAigcImageTask")
    record = json.loads(json.dumps(to_record(error)))
    again = from_record(record, job_id="shot/image", task_id="4-1")
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.ids == error.ids


@pytest.mark.parametrize("cls", [*SERVICE.values(), TransportError], ids=lambda cls: cls.__name__)
def test_an_ending_comes_back_from_its_record(cls: type[AigcError]) -> None:
    error = make(cls)
    assert from_record(to_record(error), job_id="a", task_id=None).ending is error.ending


@pytest.mark.parametrize("ending", [Ending.UNKNOWN, Ending.REFUSED])
def test_an_unexpected_error_keeps_its_ending(ending: Ending) -> None:
    error = errors.UnexpectedError("KeyError")
    error.ending = ending
    assert from_record(to_record(error), job_id="a", task_id=None).ending is ending


def test_a_record_holds_texts_alone() -> None:
    for cls in CLASSES:
        error = make(cls)
        error.__cause__ = ValueError("cause-secret")
        record = to_record(error)
        assert all(isinstance(value, str) for value in record.values())
        assert "secret" not in str(record)


@pytest.mark.parametrize("record", [{}, {"type": "SomethingNew", "message": "why"}, {"type": "to_record"}])
def test_a_record_of_another_version_is_a_plain_error(record: dict[str, str]) -> None:
    error = from_record(record, job_id="a", task_id="4-1")
    assert type(error) is AigcError
    assert (error.message, error.job_id, error.task_id) == (record.get("message", ""), "a", "4-1")


@pytest.mark.parametrize("char", ["x", "\u200b", "黑"])
def test_a_message_of_mebibytes_is_cut(char: str) -> None:
    """To look at each character of such an answer would stop the loop for seconds."""
    error = ServiceError("Code", char * (10 << 20))
    assert len(error.message) == MAX_MESSAGE_CHARACTERS
