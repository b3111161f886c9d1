"""What both dialects are read into before anything is checked: values by section, each with file and line."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

MAX_ERRORS = 100
"""More errors than this are counted, not listed."""


class Fault(NamedTuple):
    """What is wrong with a conf, or to be warned of: a code, and the fields that its sentence names.

    The sentences are those of `mmm.config.sentences`; nothing is decided by their words.
    """

    code: str
    fields: Mapping[str, Any] = MappingProxyType({})

    def __str__(self) -> str:
        from mmm.config.sentences import sentence  # noqa: PLC0415 - programs start faster without

        return sentence(self.code, self.fields)


class Problem(NamedTuple):
    """A fault at a line of a file; `line` is 0 when it is about the whole file, `file` empty when about none."""

    file: str
    line: int
    fault: Fault

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{place if self.file else ''}{self.fault}"


class ConfError(Exception):
    """A conf that cannot be used; `problems` holds everything that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__()
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.errors)

    @property
    def may_pass(self) -> bool:
        """Tell whether all of it are names that this system does not know: before its network is up it knows none."""
        return all(problem.fault.code == "unknown_host_name" for problem in self.problems)

    @property
    def errors(self) -> tuple[str, ...]:
        """Return each as one line `FILE:LINE: what is wrong; what to do`."""
        return tuple(map(str, self.problems))


def only(code: str, fields: Mapping[str, Any]) -> ConfError:
    """Return the error that is about no file."""
    return ConfError((Problem("", 0, Fault(code, fields)),))


class Value(NamedTuple):
    """A line `KEY VALUE`."""

    key: str
    text: str
    file: str
    line: int

    def problem(self, fault: Fault) -> Problem:
        """Return `fault` as a problem of this line."""
        return Problem(self.file, self.line, fault)


class Block:
    """A section, all places where it is written added up; `file` and `line` are the first of them."""

    def __init__(self, kind: str, name: str, file: str, line: int) -> None:
        self.type = kind
        self.name = name
        self.file = file
        self.line = line
        self.values: dict[str, Value] = {}


class Tree:
    """The conf as it is written, unchecked. Unique sections and the top have the name ""."""

    def __init__(self, file: str, dialect: Literal[1, 2], files: list[str], problems: list[Problem]) -> None:
        self.file = file
        self.dialect = dialect
        self.files = files
        self.blocks: dict[tuple[str, str], Block] = {}
        self.opened: set[str] = set()
        """The files in which a section is opened."""
        self.problems = problems
        self.overwritten: list[tuple[Block, Value, Value]] = []
        """What is written twice in one section and one file, with other values: the first one, and the second."""
        self.incomplete = bool(problems)
        """Files or lines could not be read: what is missing may stand there."""

    def block(self, kind: str, name: str, file: str, line: int) -> Block:
        """Return the section `kind` `name`, made if it is not there yet."""
        if line:
            self.opened.add(file)
        return self.blocks.setdefault((kind, name), Block(kind, name, file, line))

    def put(self, block: Block, value: Value) -> None:
        """Add a value to a section; of one that is there already the later one counts."""
        old = block.values.pop(value.key, None)
        if old is not None and old.file == value.file and old.text != value.text:
            self.overwritten.append((block, old, value))
        block.values[value.key] = value

    def values(self, kind: str, name: str = "") -> dict[str, Value]:
        """Return the values of a section; empty when it is not written."""
        block = self.blocks.get((kind, name))
        return block.values if block else {}

    def plain(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return sections by (type, name), each key with the text of its value."""
        return {at: {key: v.text for key, v in block.values.items()} for at, block in self.blocks.items()}

    def error(self) -> ConfError:
        """Return all problems as the exception to raise, in the order of files and lines."""
        order = {file: number for number, file in enumerate(self.files)}
        unlike = {str(problem): problem for problem in self.problems}.values()
        found = sorted(unlike, key=lambda p: (order.get(p.file, len(order)), p.line))
        more = Fault("more_errors", {"number": len(found) - MAX_ERRORS})
        end = (Problem(self.file, 0, more),) if len(found) > MAX_ERRORS else ()
        return ConfError((*found[:MAX_ERRORS], *end))
