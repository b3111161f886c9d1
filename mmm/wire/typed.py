"""Values of JSON as the dataclass that they were made of: each field of its own type, whoever wrote the text."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


def built(kind: type[T], values: object) -> T:
    """Return a `kind` with the fields in `values`, a mapping; what it has no field for is left out.

    Fields may be text, numbers, booleans, enums, dataclasses, tuples and mappings of these, or None. Raises TypeError
    for a value that is not of its field's type and for a field that is missing, ValueError for what no enum has.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{values!r:.40} is no {kind.__name__}")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hints[name], each) for name, each in values.items() if name in hints})


def _value(hint: Any, value: Any) -> Any:
    """Return a value of JSON as the type that a field has."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return None if value is None else _value(arguments[0], value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r:.40} is no list")
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(_value(kind, each) for kind, each in zip(kinds, value, strict=True))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise TypeError(f"{value!r:.40} is no mapping")
        return {str(name): _value(arguments[1], each) for name, each in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return built(hint, value)
    return _plain(hint, value)


def _plain(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Enum):
        return kind(value)
    if kind is float and type(value) is int:
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r:.40} is no {kind.__name__}")
    return value
