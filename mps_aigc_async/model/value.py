"""The base of requests and of their parts: frozen pydantic models whose errors are ours.

Each error names its field and its reason in `InvalidRequest.faults`, so that no caller takes a message apart.
"""

import json
from collections.abc import Callable, Hashable, Iterable
from typing import Annotated, Any, Final, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from .errors import FieldFault, InvalidRequest
from .plain_text import CUT
from .spelling import closest

T = TypeVar("T")

UNWRITABLE_NUMBER: Final = "a number that JSON cannot hold: infinite, none at all (NaN), or with too many digits"


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, got {value}")  # noqa: TRY004 — pydantic's word for it
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
"""A whole number; Python and pydantic take `true` for 1."""


class Value(BaseModel):
    """A frozen value without unknown fields. Its validation raises InvalidRequest."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    def __init__(self, /, *args: object, **data: Any) -> None:  # noqa: ANN401 — the decoder's edge: pydantic types it from here on
        if args:
            name = type(self).__name__
            first = next(field for field in type(self).model_fields if field != "id")
            raise InvalidRequest(f"{name} takes its fields by name: {name}({first}=…)")
        _validate(type(self), lambda: super(Value, self).__init__(**data))

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields that are set: a request has twenty more."""
        return ((name, value) for name, value in super().__repr_args__() if value not in (None, ()))

    # pydantic would call an unmarked `__init__` for every value inside a user's own model, and our error would hide the
    # path to the field there. The mark is pydantic's own (`BaseModel` and `RootModel` carry it).
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 — pydantic's own signature
        """Validate as pydantic does. Raises InvalidRequest."""
        return _validate(cls, lambda: super(Value, cls).model_validate(obj, **options))

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:  # noqa: ANN401 — as above
        """Validate as pydantic does. Raises InvalidRequest."""
        return _validate(cls, lambda: super(Value, cls).model_validate_json(json_data, **options))

    @classmethod
    def model_validate_strings(cls, obj: Any, **options: Any) -> Self:  # noqa: ANN401 — as above
        """Validate as pydantic does. Raises InvalidRequest."""
        return _validate(cls, lambda: super(Value, cls).model_validate_strings(obj, **options))

    @classmethod
    def hint_for(cls, name: str) -> str:
        """Return a hint about a field that this class does not have, for the error; empty without one."""
        close = closest(name, cls.model_fields)
        return f"is {close} meant?" if close else ""

    def __hash__(self) -> int:
        """Hash by content, as requests are compared; a field may hold a dict (`additional_parameters`)."""
        return hash((type(self), _as_hashable(self.__dict__)))


def _validate(cls: type[BaseModel], validation: Callable[[], T]) -> T:
    """Validate a value of this class by itself. Raises InvalidRequest.

    Inside a model of the user's, pydantic validates without this function, and its own error has the path to the field.
    """
    try:
        return validation()
    except ValidationError as error:
        refusal = InvalidRequest.of_fields(cls.__name__, [_fault_of(detail, cls) for detail in error.errors()])
    # Raised outside the handler: pydantic's error quotes the input, and must be in no exception chain.
    raise refusal


def _fault_of(detail: Any, cls: type[BaseModel]) -> FieldFault:  # noqa: ANN401 — pydantic's own TypedDict is not exported
    where = ".".join(str(part) for part in detail["loc"])
    match detail:
        case {"type": "extra_forbidden"}:
            *path, name = detail["loc"]
            owner = _class_at(cls, path)
            hint = owner.hint_for(str(name)) if owner else ""
            return FieldFault(where, f"unknown field: {hint}" if hint else "unknown field")
        case {"ctx": {"error": ValueError() as error}}:  # a validator's own: pydantic's `msg` has words before it
            return FieldFault(where, str(error))
        case _:
            return FieldFault(where, str(detail["msg"]))


def _class_at(cls: type[BaseModel], path: list[int | str]) -> type[Value] | None:
    """Return the class of the value at a path, as pydantic names one; in a union the path has the class's name."""
    classes = [cls] if issubclass(cls, Value) else []
    for part in path:
        named = [one for one in classes if one.__name__ == part]
        fields = [one.model_fields[part].annotation for one in classes if part in one.model_fields]
        if named or fields:
            classes = named or [inner for annotation in fields for inner in _classes_in(annotation)]
    return classes[0] if classes else None


def _classes_in(annotation: object) -> list[type[Value]]:
    """Return the classes of values in a type, such as `tuple[str | ReferenceVideo, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return [annotation]
    return [inner for part in get_args(annotation) for inner in _classes_in(part)]


def refusal_at(path: tuple[str, ...], value: object, why: str) -> ValidationError:
    """Return the error for a rule about several fields, at the field that breaks the rule.

    pydantic puts the path of the whole value before it, wherever the value stands.
    """
    reason = PydanticCustomError("value_error", "{why}", {"why": why})
    return ValidationError.from_exception_data("request", [{"type": reason, "loc": path, "input": value}])


def unwritable(value: object) -> str:
    """Return the reason why no JSON text for the wire can hold a value; empty if one can.

    A user's own model decides whether numbers in its requests may be infinite. JSON can hold a cut text (`"\\ud83c"`),
    and UTF-8 cannot.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False, skipkeys=True, default=str).encode()
    except UnicodeError:
        return CUT
    except ValueError:
        return UNWRITABLE_NUMBER
    return ""


def _as_hashable(value: object) -> Hashable:
    if isinstance(value, dict):
        return frozenset((name, _as_hashable(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return tuple(_as_hashable(inner) for inner in value)
    return value
