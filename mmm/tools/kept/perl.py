"""The status file of MMM 1.x and 2.x: what Perl's Data::Dumper writes of a hash. Parsed here, never run. Pure.

$VAR1 = { 'host' => 'db1', 'master' => { 'File' => 'mysql-bin.000002', 'Position' => '340' }, 'slave' => {} };
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

Hash: TypeAlias = "dict[str, str | Hash | None]"

_TOKEN = re.compile(
    r"\s*(?:(?P<mark>=>|[{},;])|'(?P<single>(?:[^'\\]|\\.)*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\""
    r"|(?P<word>\$?[A-Za-z0-9_.-]+|=))",
    re.DOTALL,
)
_IN_SINGLE = re.compile(r"\\([\\'])")
_IN_DOUBLE = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_DEEPEST = 4


class PerlError(ValueError):
    """A text that is no hash as Data::Dumper writes it."""


class _Token(NamedTuple):
    text: str
    quoted: bool


def parse(text: str) -> Hash:
    """Return the hash that the text assigns; numbers stay text, undef is None. Raises PerlError."""
    tokens = _tokens(text)
    head = [next(tokens, _Token("", quoted=False)).text for _ in range(2)]
    if head[1:] != ["="] or not head[0].startswith("$"):
        raise PerlError("it does not begin with `$VAR1 =`")
    found = _value(tokens, next(tokens, _Token("", quoted=False)), 0)
    if not isinstance(found, dict):
        raise PerlError("it holds no hash")
    return found


def dump(status: Mapping[str, object]) -> str:
    """Return the text that assigns the hash, as Data::Dumper writes it with its keys sorted."""
    return f"$VAR1 = {_dumped(status, '          ')};\n"


def _dumped(value: object, indent: str) -> str:
    if value is None:
        return "undef"
    if not isinstance(value, Mapping):
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
    if not value:
        return "{}"
    rows = [f"{_dumped(key, '')} => {_dumped(each, indent + '  ')}" for key, each in sorted(value.items())]
    inner = f",\n{indent}".join(rows)
    return f"{{\n{indent}{inner}\n{indent[2:]}}}"


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise PerlError(f"it cannot be read from `{text[place : place + 20].strip()}` on")
        place = found.end()
        if found["single"] is not None:
            yield _Token(_IN_SINGLE.sub(r"\1", found["single"]), quoted=True)
        elif found["double"] is not None:
            yield _Token(_IN_DOUBLE.sub(lambda m: _CONTROL.get(m[1], m[1]), found["double"]), quoted=True)
        else:
            yield _Token(found["mark"] or found["word"], quoted=False)


def _value(tokens: Iterator[_Token], first: _Token, depth: int) -> "str | Hash | None":
    if first.quoted:
        return first.text
    if first.text != "{":
        if not first.text or first.text in {"}", ",", ";", "=>", "="}:
            raise PerlError("it ends too early")
        return None if first.text == "undef" else first.text
    if depth > _DEEPEST:
        raise PerlError("hashes in hashes go too deep")
    found: Hash = {}
    while (key := next(tokens, None)) is not None:
        if not key.quoted and key.text == "}":
            return found
        if not key.quoted and key.text == ",":
            continue
        if next(tokens, _Token("", quoted=False)) != _Token("=>", quoted=False):
            raise PerlError(f"`{key.text}` has no value")
        found[key.text] = _value(tokens, next(tokens, _Token("", quoted=False)), depth + 1)
    raise PerlError("a hash is not closed")
