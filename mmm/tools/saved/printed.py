"""What mariadb-binlog and mysqlbinlog print with `-vv --base64-output=decode-rows`, taken apart. Pure.

Every event begins with `# at POSITION` and a line that says when, by which server, and what it is. Rows come behind
`###`, a statement ends with `/*!*/;`, and what a client had said behind `#Q> ` (MariaDB) or, as the event Rows_query,
`# ` (MySQL). The event that begins a transaction tells which one it is: positions within a compressed one are
those of its end.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from mmm.tools.saved.values import Cell, read_cell

_AT = re.compile(rb"# at ([0-9]+)\s*")
_HEAD = re.compile(rb"#[0-9]{6} +[0-9:]+ server id [0-9]+  end_log_pos ([0-9]+)[^\t]*\t([A-Za-z_]+)")
_ROW = re.compile(rb"### (INSERT INTO|UPDATE|DELETE FROM) `(.*?)`\.`(.*)`\s*")
_BEGINNINGS = frozenset({b"GTID", b"Anonymous_GTID", b"GTID_TAGGED", b"Gtid_tagged"})
_CELL = b"###   @"
_SAID = b"#Q> "
_AT_THE_END = b"DELIMITER ;\n"
_END = b"/*!*/;\n"
_SET = re.compile(rb"SET ([^=]+)=")
_ONCE = (b"SET INSERT_ID", b"SET LAST_INSERT_ID", b"SET @@RAND_SEED1")
"""What holds for one statement only."""
_FOR_THE_CLIENT = (b"DELIMITER ", b"/*!\\C ")

T = TypeVar("T")


class Change(StrEnum):
    """What was done to a row."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


_CHANGES = {b"INSERT INTO": Change.INSERT, b"UPDATE": Change.UPDATE, b"DELETE FROM": Change.DELETE}


@dataclass(frozen=True, slots=True)
class Row:
    """A row that was changed; its columns are numbered from 1."""

    change: Change
    schema: str
    table: str
    old: Mapping[int, Cell]
    new: Mapping[int, Cell]
    whole: bool = True
    """False: the program could not print all of it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was logged as such, also BEGIN, COMMIT and those of XA."""

    text: bytes
    settings: Mapping[bytes, bytes]
    """What the session was set to for it: the variable, and the statement that sets it."""


@dataclass(frozen=True, slots=True)
class Said:
    """The statement that the rows behind it came from, as the client had sent it."""

    text: bytes


Item = Row | Statement | Said


@dataclass(slots=True)
class _Reader:
    mariadb: bool
    at: int = 0
    """Where the last event begins."""
    head: bytes = b""
    """What it is."""
    ends: int = 0
    """Where the log goes on behind it."""
    said: list[bytes] = field(default_factory=list)
    text: list[bytes] = field(default_factory=list)
    settings: dict[bytes, bytes] = field(default_factory=dict)
    row: tuple[Change, str, str] | None = None
    images: tuple[dict[int, Cell], dict[int, Cell]] = field(default_factory=lambda: ({}, {}))
    image: int = 0
    whole: bool = True
    done: list[Item] = field(default_factory=list)


def items(lines: Iterable[bytes], wanted: Mapping[int, T], *, mariadb: bool) -> Iterator[tuple[T, Item]]:
    """Return what is printed of the transactions in `wanted`, which begin at these places of the file, in its order."""
    reader = _Reader(mariadb)
    current: T | None = None
    for line in lines:
        if line.startswith(_CELL) and not reader.text:  # most lines are
            if current is not None:
                _cell(reader, line)
            continue
        if line == _AT_THE_END and not reader.text:
            break
        _read(reader, line)
        if reader.done:
            if current is not None:
                yield from ((current, item) for item in reader.done)
            reader.done.clear()
        if reader.head in _BEGINNINGS:
            current, reader.head = wanted.get(reader.at), b""
    _flush(reader)
    if current is not None:
        yield from ((current, item) for item in reader.done)


def _cell(reader: _Reader, line: bytes) -> None:
    if (cell := read_cell(line, mariadb=reader.mariadb)) is None:
        reader.whole = False
    else:
        reader.images[reader.image][cell[0]] = cell[1]


def _read(reader: _Reader, line: bytes) -> None:
    """Take a line in; what is complete with it is done."""
    if reader.text:
        _go_on(reader, line)
    elif line.startswith(b"###"):
        _row_line(reader, line)
    elif line.startswith(b"#"):
        _remark(reader, line)
    elif line.strip() and not line.startswith(_FOR_THE_CLIENT):
        _flush(reader)
        _go_on(reader, line)


def _remark(reader: _Reader, line: bytes) -> None:
    if line.startswith(_SAID) and reader.mariadb:
        reader.said.append(line.removeprefix(_SAID))
        return
    at = _AT.fullmatch(line)
    if reader.head == b"Rows_query" and not (at and int(at[1]) == reader.ends) and line.startswith(b"# "):
        reader.said.append(line.removeprefix(b"# "))
    elif at:
        _flush(reader)
        reader.at, reader.head = int(at[1]), b""
    elif head := _HEAD.match(line):
        _flush(reader)
        reader.ends, reader.head = int(head[1]), head[2]


def _row_line(reader: _Reader, line: bytes) -> None:
    if begins := _ROW.fullmatch(line):
        _flush(reader)
        reader.row = (_CHANGES[begins[1]], _name(begins[2]), _name(begins[3]))
    elif line.startswith((b"### WHERE", b"### SET")):
        reader.image = int(line.startswith(b"### SET"))
    else:
        reader.whole = False


def _name(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape").replace("``", "`")


def _go_on(reader: _Reader, line: bytes) -> None:
    """Take in a line of a statement."""
    reader.text.append(line)
    if not line.endswith((_END, _END[:-1])):
        if len(reader.text) == 1 and line.startswith(b"/*!") and line.rstrip().endswith(b"*/;"):
            reader.text.clear()  # said before the first event, with another end
        return
    text = b"".join(reader.text).rstrip().removesuffix(_END[:-1]).strip()
    reader.text.clear()
    if text.lower().startswith(b"use `"):
        reader.settings[b"use"] = text
    elif text.startswith((b"SET ", b"/*!", b"/*M!")):
        if setting := _SET.match(text):
            reader.settings[setting[0].removesuffix(b"=").rstrip()] = text
    elif text:
        reader.done.append(Statement(text, dict(reader.settings)))
        for once in _ONCE:
            reader.settings.pop(once, None)


def _flush(reader: _Reader) -> None:
    """End what was read up to here: a row, what was said."""
    if reader.row is not None:
        change, schema, table = reader.row
        old, new = reader.images
        reader.done.append(Row(change, schema, table, old, new, reader.whole))
        reader.row, reader.images, reader.image, reader.whole = None, ({}, {}), 0, True
    if reader.said:
        reader.done.append(Said(b"".join(reader.said).strip()))
        reader.said = []
