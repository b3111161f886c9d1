"""What is said to people, as values: a code, and the fields that its sentence names. The words are made last.

class Objection(Said):
    texts: ClassVar[Texts] = {"behind": "{host} is {seconds:g} s behind"}

str(Objection("behind", {"host": "db2", "seconds": 3.0}))

Whoever decides looks at codes and fields; people read the sentence, programs get all three: `encoded`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

Fields = Mapping[str, Any]
Sentence = str | Callable[[Fields], str]
"""A format of the fields, or what makes the sentence of them where that has parts that may be missing."""

Texts = Mapping[str, Sentence]


@dataclass(frozen=True, slots=True)
class Said:
    """Something to say, of one topic; the class has the sentences of that, by code."""

    code: str
    fields: Fields = field(default_factory=dict)

    texts: ClassVar[Texts] = {}

    def __str__(self) -> str:
        sentence = self.texts[self.code]
        return sentence.format(**self.fields) if isinstance(sentence, str) else sentence(self.fields)


class Several(tuple[str, ...]):
    """Names in one field: a list in JSON, and in words one after the other."""

    __slots__ = ()

    def __str__(self) -> str:
        return listed(self)


def listed(values: Iterable[object], between: str = ", ") -> str:
    """Return the values in words, one after the other."""
    return between.join(map(str, values))


def encoded(said: Said) -> dict[str, Any]:
    """Return it as JSON has it: code, fields and text."""
    return {"code": said.code, "fields": plain(said.fields), "text": str(said)}


def plain(fields: Fields) -> dict[str, Any]:
    """Return fields as JSON has them."""
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: object) -> Any:
    if isinstance(value, Said):
        return encoded(value)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return plain(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
