"""The rows in a transaction's events, each value as it is stored there. Pure.

A Table_map event says how the columns of a table are coded; the events of its rows follow. Of a value its type, what
the table says about that, and its bytes are given, of a string without its length. Source: MySQL's `rows_event.h` and
`log_event.cc`, which MariaDB shares up to its own types 140 and 141 and the events that it compresses.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mmm.binlog.events import DamagedError, Event, events

TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24 = range(1, 10)
DATE, TIME, DATETIME, YEAR, NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = range(10, 20)
BLOB_COMPRESSED, VARCHAR_COMPRESSED, VECTOR, JSON, DECIMAL = 140, 141, 242, 245, 246
ENUM, SET, BLOB, VAR_STRING, STRING, GEOMETRY = 247, 248, 252, 253, 254, 255

INSERTED, UPDATED, DELETED = range(3)

_TABLE = 19
_ROWS = {23: INSERTED, 24: UPDATED, 25: DELETED, 30: INSERTED, 31: UPDATED, 32: DELETED}
_COMPRESSED = {166: INSERTED, 167: UPDATED, 168: DELETED}
_SECOND_VERSION = 30
_PARTIAL = 39
_LENGTHS = {
    TINY: 1,
    SHORT: 2,
    INT24: 3,
    LONG: 4,
    LONGLONG: 8,
    FLOAT: 4,
    DOUBLE: 8,
    NULL: 0,
    YEAR: 1,
    DATE: 3,
    NEWDATE: 3,
    TIME: 3,
    DATETIME: 8,
    TIMESTAMP: 4,
}
_FRACTIONAL = {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}
_BLOBS = frozenset({BLOB, GEOMETRY, JSON, VECTOR, BLOB_COMPRESSED})
_ONE = _BLOBS | _FRACTIONAL.keys() | {FLOAT, DOUBLE}
"""Types of which a table says one byte."""
_LITTLE = frozenset({VARCHAR, VARCHAR_COMPRESSED, BIT})
_BIG = frozenset({STRING, ENUM, SET, DECIMAL, VAR_STRING})
DIGITS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes that so many decimal digits take."""


class Stored(NamedTuple):
    """A value as it is stored."""

    kind: int
    about: int
    """What the table says of its type: a length, a precision, how many digits of a second there are."""
    data: bytes | None
    """None: NULL."""


class StoredRow(NamedTuple):
    """A row; its columns are numbered from 1."""

    change: int
    schema: bytes
    table: bytes
    old: Mapping[int, Stored]
    new: Mapping[int, Stored]
    event: int
    """The number of its event in the transaction, for an event may hold many rows."""


class Table(NamedTuple):
    """A table, as a Table_map event names it."""

    schema: bytes
    name: bytes
    columns: tuple[tuple[int, int], ...]
    """The type of each, and what the table says about that."""


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def bytes(self, size: int) -> bytes:
        found = self._data[self.at : self.at + size]
        if len(found) < size:
            raise DamagedError("a row is cut off")
        self.at += size
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.bytes(size), "little")

    def packed(self) -> int:
        """Return a number that is coded in one byte or more."""
        first = self.number(1)
        return first if first < 0xFB else self.number({0xFC: 2, 0xFD: 3}.get(first, 8))

    @property
    def left(self) -> bool:
        return self.at < len(self._data)


def rows_of(data: bytes, *, checksums: bool) -> Iterator[StoredRow]:
    """Return the rows in the events of a transaction; raises DamagedError, also for what is not known here."""
    tables: dict[int, Table] = {}
    for number, event in enumerate(events(data, checksums=checksums)):
        if event.kind == _TABLE:
            known = named_table(event.body)
            tables[known[0]] = known[1]
        elif event.kind in _ROWS or event.kind in _COMPRESSED:
            yield from _rows(event, tables, number)
        elif event.kind == _PARTIAL:
            raise DamagedError("rows with parts of JSON documents")


def named_table(body: bytes) -> tuple[int, Table]:
    """Return the number by which events of rows name a table, and what a Table_map event says of it."""
    reader = _Reader(body)
    number = reader.number(6)
    reader.bytes(2)
    schema = reader.bytes(reader.number(1))
    reader.bytes(1)
    name = reader.bytes(reader.number(1))
    reader.bytes(1)
    kinds = reader.bytes(reader.packed())
    reader.packed()
    return number, Table(schema, name, tuple((kind, _about(reader, kind)) for kind in kinds))


def _about(reader: _Reader, kind: int) -> int:
    if kind in _ONE:
        return reader.number(1)
    if kind in _LITTLE:
        return reader.number(2)
    return int.from_bytes(reader.bytes(2), "big") if kind in _BIG else 0


def _rows(event: Event, tables: Mapping[int, Table], number: int) -> Iterator[StoredRow]:
    reader = _Reader(event.body)
    table = tables.get(reader.number(6))
    if table is None:
        raise DamagedError("rows of a table that was not named")
    reader.bytes(2)
    if event.kind >= _SECOND_VERSION and event.kind in _ROWS:
        reader.bytes(reader.number(2) - 2)
    width = reader.packed()
    change = _COMPRESSED[event.kind] if event.kind in _COMPRESSED else _ROWS[event.kind]
    images = [_chosen(reader, range(1, width + 1)) for _ in range(2 if change == UPDATED else 1)]
    if event.kind in _COMPRESSED:
        reader = _Reader(_inflated(event.body[reader.at :]))
    while reader.left:
        found = [_image(reader, columns, table) for columns in images]
        old = found[0] if change != INSERTED else {}
        new = found[-1] if change != DELETED else {}
        yield StoredRow(change, table.schema, table.name, old, new, number)


def _inflated(data: bytes) -> bytes:
    """Return what MariaDB has compressed, behind a byte that says how long the length is, and that length."""
    try:
        return zlib.decompress(data[1 + (data[0] & 7) :])
    except (zlib.error, IndexError) as error:
        raise DamagedError("rows that cannot be decompressed") from error


def _chosen(reader: _Reader, columns: range) -> list[int]:
    """Return those of the columns for which a bit is set."""
    bits = reader.number((len(columns) + 7) // 8)
    return [column for place, column in enumerate(columns) if bits >> place & 1]


def _image(reader: _Reader, columns: list[int], table: Table) -> dict[int, Stored]:
    nulls = reader.number((len(columns) + 7) // 8)
    image: dict[int, Stored] = {}
    for place, column in enumerate(columns):
        kind, about = table.columns[column - 1]
        image[column] = Stored(kind, about, None if nulls >> place & 1 else _value(reader, kind, about))
    return image


def _value(reader: _Reader, kind: int, about: int) -> bytes:
    if (length := _LENGTHS.get(kind)) is not None:
        return reader.bytes(length)
    if (length := _FRACTIONAL.get(kind)) is not None:
        return reader.bytes(length + (about + 1) // 2)
    if kind in _BLOBS:
        return reader.bytes(reader.number(about))
    if kind in {VARCHAR, VARCHAR_COMPRESSED}:
        return reader.bytes(reader.number(1 if about < 256 else 2))
    if kind == BIT:
        return reader.bytes((about >> 8) + (1 if about & 0xFF else 0))
    if kind == DECIMAL:
        return reader.bytes(_decimal_size(about >> 8, about & 0xFF))
    if kind in {STRING, ENUM, SET, VAR_STRING}:
        return _fixed(reader, about)
    raise DamagedError(f"a column of type {kind}")


def _fixed(reader: _Reader, about: int) -> bytes:
    """Return a CHAR, ENUM or SET: the upper byte is the type, but for two bits of the length of a long CHAR."""
    if about >> 8 in {ENUM, SET}:
        return reader.bytes(about & 0xFF)
    longest = ((about >> 4 & 0x300) ^ 0x300) + (about & 0xFF)
    return reader.bytes(reader.number(1 if longest < 256 else 2))


def _decimal_size(precision: int, scale: int) -> int:
    whole = precision - scale
    return whole // 9 * 4 + DIGITS[whole % 9] + scale // 9 * 4 + DIGITS[scale % 9]
