"""JSON of a peer or a file, which may say anything: what is made of it can be counted with, and written down."""

import json
import math
import re
from typing import Any

LONGEST = 30
"""Digits of an integer; more need not fit into a float."""
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def parsed(text: str | bytes, *, finite: bool = True) -> Any:
    """Return the value of a JSON text. Raises ValueError for all that is none, and for what nobody can count with.

    That is one nested too deeply, an integer of more than LONGEST digits, and where all is to be `finite` a number that
    is none or has no end. Half a character, which JSON can say and nobody can write down, becomes U+FFFD.
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    numbers: dict[str, Any] = {"parse_constant": _refused, "parse_float": _finite} if finite else {}
    try:
        value = json.loads(text, parse_int=_integer, **numbers)
        return _writable(value) if _HALF.search(text) or _SURROGATES.search(text) else value
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _integer(text: str) -> int:
    if len(text) > LONGEST:
        raise ValueError(f"{text[:40]} is too large")
    return int(text)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _writable(value: Any) -> Any:
    match value:
        case str():
            return _SURROGATES.sub("\ufffd", value)
        case list():
            return [_writable(each) for each in value]
        case dict():
            return {_writable(name): _writable(each) for name, each in value.items()}
        case _:
            return value
