"""The surface of `SyncClient` is that of `AigcClient`: names, parameters, defaults, types, first sentences, and the
arguments that are handed on. So neither can gain a method, a parameter or a meaning alone."""

import inspect
import re
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final, get_overloads, get_type_hints

import pytest

from mps_aigc_async import AigcClient, Job, SyncClient, SyncJob, SyncRun, SyncTask, Task
from mps_aigc_async.client.sync_handles import SyncWorker
from mps_aigc_async.concurrency.fan_out import Run
from mps_aigc_async.engine.worker import Worker
from mps_aigc_async.model.errors import AigcError

from ..support import configured

TYPES: Final = {
    "Run": "SyncRun",
    "Task": "SyncTask",
    "Job": "SyncJob",
    "Worker": "SyncWorker",
    "AsyncIterator": "Iterator",
}

MODELS: Final[Mapping[type, type]] = {SyncClient: AigcClient, SyncRun: Run, SyncTask: Task, SyncWorker: Worker}


def public(owner: type) -> set[str]:
    """The names that users call, also those of an instance's attributes."""
    names = set(dir(owner)) | set(getattr(owner, "__annotations__", ()))
    return {name for name in names if not name.startswith("_")}


METHODS: Final = sorted(name for name in public(AigcClient) if name != "aclose")


def form_of(function: Callable[..., Any]) -> list[str]:
    """The parameters with their kinds, defaults and types, and the type of the result, as words."""
    hints = get_type_hints(function, localns={"Worker": Worker})
    parameters = [
        f"{parameter.kind.description} {name}: {plain(hints.get(name))} = {plain(parameter.default)}"
        for name, parameter in inspect.signature(function).parameters.items()
    ]
    return [*parameters, f"-> {plain(hints['return'])}"]


def plain(value: object) -> str:
    """A type without its modules, under its name in code without a loop; a lambda by its code."""
    if isinstance(value, FunctionType):
        return value.__code__.co_code.hex()
    text = re.sub(r"[\w.]+\.(\w+)", r"\1", str(value))
    return re.sub(r"\w+", lambda word: TYPES.get(word[0], word[0]), text)


def first_sentence(function: Callable[..., Any]) -> str:
    return " ".join((function.__doc__ or "").split()).partition(".")[0].partition(",")[0]


@pytest.mark.parametrize("own", MODELS, ids=lambda owner: owner.__name__)
def test_no_public_name_is_missing_or_additional(own: type) -> None:
    attributes = {"kind", "task_id", "request_id"} if own is SyncTask else set()  # set by Task's constructor
    model = {name.replace("aclose", "close") for name in public(MODELS[own]) | attributes}
    assert public(own) == model


def test_the_constructors_take_the_same_arguments() -> None:
    assert form_of(SyncClient.__init__) == form_of(AigcClient.__init__)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_form_of_its_model(name: str) -> None:
    own, model = getattr(SyncClient, name), getattr(AigcClient, name)
    assert not inspect.iscoroutinefunction(own)
    assert form_of(own) == form_of(model)
    assert list(map(form_of, get_overloads(own))) == list(map(form_of, get_overloads(model)))
    assert first_sentence(own) == first_sentence(model)


@pytest.mark.parametrize("own", [SyncTask, SyncWorker])
def test_the_methods_of_a_handle_have_the_form_of_their_models(own: type) -> None:
    methods = [name for name in public(own) if callable(getattr(own, name))]
    assert methods
    for name in methods:
        assert form_of(getattr(own, name)) == form_of(getattr(MODELS[own], name)), name


@pytest.mark.parametrize("name", ["result", "cancel"])
def test_the_methods_of_a_job_have_the_form_of_their_models(name: str) -> None:
    assert form_of(getattr(SyncJob, name)) == form_of(getattr(Job, name))


class Reached(AigcError):
    """A method of the model was called."""


@pytest.mark.parametrize("name", METHODS)
def test_a_method_hands_on_all_of_its_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = getattr(AigcClient, name)
    signature = inspect.signature(model)
    calls: list[Mapping[str, object]] = []

    def note(*args: object, **kwargs: object) -> None:
        calls.append(signature.bind(*args, **kwargs).arguments)
        raise Reached(name)

    monkeypatch.setattr(AigcClient, name, note)
    client = SyncClient(configured())
    values: dict[str, Any] = {parameter: [parameter] for parameter in list(signature.parameters)[1:]}
    places = [name for name, one in signature.parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD][1:]
    positional = list(map(values.pop, places))
    with pytest.raises(Reached):
        getattr(client, name)(*positional, **values)
    client.close()
    handed_on = dict(calls[0])
    assert isinstance(handed_on.pop("self"), AigcClient)
    assert handed_on == {parameter: [parameter] for parameter in list(signature.parameters)[1:]}
