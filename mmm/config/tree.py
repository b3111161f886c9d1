"""What both dialects are read into before anything is checked: values by section, each with file and line."""

from typing import Literal, NamedTuple

MAX_ERRORS = 100
"""More errors than this are counted, not listed."""


class Problem(NamedTuple):
    """Something wrong at a line of a file; `line` is 0 when it is about the whole file."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


class ConfError(Exception):
    """A conf that cannot be used.

    `errors` holds everything that is wrong, each one line `FILE:LINE: what is wrong; what to do`.
    """

    def __init__(self, errors: tuple[str, ...]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class Value(NamedTuple):
    """A line `KEY VALUE`."""

    key: str
    text: str
    file: str
    line: int

    def problem(self, text: str) -> Problem:
        """Return `text` as a problem of this line."""
        return Problem(self.file, self.line, text)


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
        self.incomplete = bool(problems)
        """Files or lines could not be read: what is missing may stand there."""

    def block(self, kind: str, name: str, file: str, line: int) -> Block:
        """Return the section `kind` `name`, made if it is not there yet."""
        if line:
            self.opened.add(file)
        return self.blocks.setdefault((kind, name), Block(kind, name, file, line))

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
        found = sorted(dict.fromkeys(self.problems), key=lambda p: (order.get(p.file, len(order)), p.line))
        lines = [str(problem) for problem in found[:MAX_ERRORS]]
        if len(found) > MAX_ERRORS:
            lines.append(f"{self.file}: and {len(found) - MAX_ERRORS} errors more; is it a conf file of MMM?")
        return ConfError(tuple(lines))
