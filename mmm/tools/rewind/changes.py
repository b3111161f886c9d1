"""What a binary log says was changed from a place on, event by event; whatever cannot be undone ends it. Pure.

Only events are passed that are known to be rows, or to change nothing: of what a server logs that is
new to this module nobody knows whether it can be undone.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from mmm.binlog.events import (
    CHECKPOINT,
    FORMAT,
    GTID_LIST,
    MARIADB_GTID,
    QUERY,
    QUERY_COMPRESSED,
    ROTATE,
    STOP,
    XA_PREPARE,
    XID,
    DamagedError,
    Event,
    events_in,
)
from mmm.binlog.stored_rows import DELETED, INSERTED, UPDATED, named_table, rows_of
from mmm.binlog.transactions import COMPLETED_XA, PREPARED_XA, STANDALONE, gtid_of, statement_of
from mmm.gtid.mariadb import Gtid
from mmm.tools.rewind.unfit import UnfitError

Name = tuple[str, str]
"""Schema and table."""

ANNOTATE, TABLE_MAP = 160, 19
ROWS: Mapping[int, int] = {
    23: INSERTED,
    24: UPDATED,
    25: DELETED,
    166: INSERTED,
    167: UPDATED,
    168: DELETED,
}
"""Events of rows that MariaDB writes, plain and compressed, and what they tell."""
_DDL = 0x20
"""MariaDB's flag for a transaction that is DDL."""
_ENDS = frozenset({STOP, ROTATE})
_BETWEEN = frozenset({FORMAT, GTID_LIST, CHECKPOINT, *_ENDS})
_OF_STATEMENTS = frozenset({QUERY_COMPRESSED, 5, 13, 14, 18})
"""A statement, and what comes before one: values that it uses, and what LOAD DATA loads."""
_CONTROL = frozenset({b"BEGIN", b"COMMIT"})
_SAVEPOINT = re.compile(rb"SAVEPOINT (`[^`]*`|\w+)")
_IDS = 8
"""Bytes of an event of rows before the number of columns."""


@dataclass(slots=True)
class Touched:
    """What was done to the rows of a table."""

    columns: int
    changes: set[int] = field(default_factory=set)
    missing: int = 0
    """A bit for each column that some image of a row lacks, the first one's lowest."""
    lacking: str = ""
    """The first transaction with such an image."""


@dataclass(slots=True)
class Changes:
    """All that was read."""

    gtids: list[Gtid] = field(default_factory=list)
    """The transactions, in the order of the log."""
    tables: dict[Name, Touched] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=lambda: {INSERTED: 0, UPDATED: 0, DELETED: 0})
    """How many events of rows of each kind there are."""
    unclosed: str = ""
    """A file before the last one without an event that ends it: the server crashed there."""
    _known: dict[bytes, tuple[int, Name, int]] = field(default_factory=dict)
    _named: dict[int, Name] = field(default_factory=dict)
    _open: bool = False

    @property
    def current(self) -> str:
        """Return the GTID of the transaction that was read last."""
        return str(self.gtids[-1]) if self.gtids else "what was read first"

    def read(self, file: str, pieces: Iterable[bytes], *, last: bool) -> None:
        """Take in a file, from its Format_description event on; raises UnfitError."""
        closed = False
        try:
            for event in events_in(pieces):
                closed = event.kind in _ENDS
                self._take(event)
        except DamagedError as error:
            raise UnfitError("log", {"why": f"{file}: {error}"}) from error
        if self._open:
            raise UnfitError("log", {"why": f"{file} ends in the middle of {self.current}"})
        if not closed and not last:
            self.unclosed = file

    def _take(self, event: Event) -> None:
        kind = event.kind
        if kind in _BETWEEN and not self._open:
            return
        if kind == MARIADB_GTID and not self._open:
            self._begin(event)
        elif not self._open:
            raise UnfitError("event", {"gtid": "what stands between transactions", "kind": str(kind)})
        elif kind == XID:
            self._open = False
        elif kind == QUERY:
            self._statement(statement_of(event))
        elif kind == TABLE_MAP:
            self._table(event.body)
        elif kind in ROWS:
            self._rows(event)
        elif kind == XA_PREPARE:
            raise UnfitError("xa", {"gtid": self.current})
        elif kind in _OF_STATEMENTS:
            raise UnfitError("statement", {"gtid": self.current})
        elif kind != ANNOTATE:
            raise UnfitError("event", {"gtid": self.current, "kind": str(kind)})

    def _begin(self, event: Event) -> None:
        gtid, flags = gtid_of(event), event.body[12]
        if not isinstance(gtid, Gtid):
            raise UnfitError("log", {"why": f"{gtid} is not of MariaDB"})
        self.gtids.append(gtid)
        if flags & (PREPARED_XA | COMPLETED_XA):
            raise UnfitError("xa", {"gtid": str(gtid)})
        if flags & (STANDALONE | _DDL):
            raise UnfitError("statement", {"gtid": str(gtid)})
        self._open = True
        self._named.clear()

    def _statement(self, text: bytes) -> None:
        if text not in _CONTROL and not _SAVEPOINT.fullmatch(text):
            raise UnfitError("statement", {"gtid": self.current})
        if text == b"COMMIT":
            self._open = False

    def _table(self, body: bytes) -> None:
        known = self._known.get(body)
        if known is None:
            number, table = named_table(body)
            name = (table.schema.decode(), table.name.decode())
            known = self._known[body] = (number, name, len(table.columns))
        number, name, columns = known
        self._named[number] = name
        touched = self.tables.setdefault(name, Touched(columns))
        if touched.columns != columns:
            about = {"table": ".".join(name), "then": str(touched.columns), "now": str(columns)}
            raise UnfitError("columns", about)

    def _rows(self, event: Event) -> None:
        name = self._named.get(int.from_bytes(event.body[:6], "little"))
        if name is None:
            raise UnfitError("log", {"why": f"{self.current} has rows of a table that was not named"})
        touched, change = self.tables[name], ROWS[event.kind]
        missing = _missing(event.body, touched.columns, 2 if change == UPDATED else 1)
        if missing & ~touched.missing:
            touched.missing |= missing
            touched.lacking = touched.lacking or self.current
        touched.changes.add(change)
        self.rows[change] += 1


def _missing(body: bytes, columns: int, images: int) -> int:
    """Return a bit for each column of their table that an event's rows lack."""
    at = _IDS + (1 if columns < 0xFB else 3)
    size, whole = (columns + 7) // 8, (1 << columns) - 1
    chosen = (body[at + size * image : at + size * (image + 1)] for image in range(images))
    return reduce(or_, (whole & ~int.from_bytes(bits, "little") for bits in chosen))


def altered_columns(pieces: Iterable[bytes], *, checksums: bool) -> dict[Name, set[int]]:
    """Return which columns got another value in the rows of whole events that were updated; raises UnfitError."""
    found: dict[Name, set[int]] = {}
    try:
        for row in rows_of(b"".join(pieces), checksums=checksums):
            if row.change == UPDATED:
                columns = found.setdefault((row.schema.decode(), row.table.decode()), set())
                columns.update(at for at, value in row.old.items() if row.new.get(at) != value)
    except DamagedError as error:
        raise UnfitError("log", {"why": str(error)}) from error
    return found
