"""Whether rows that were touched by what was undone are the same on both servers, once this one has caught up. Edge.

The active master goes on meanwhile. A row counts as different only where it stood still there: it is read there before
and after it was read here, and this server has in between all that the other one had the first time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mmm.binlog.events import BEGINNING, DamagedError, read_format
from mmm.binlog.stored_rows import StoredRow, rows_of
from mmm.mysql.session.connection import Connection
from mmm.tools.rewind.changes import Name
from mmm.tools.saved.exact import whole
from mmm.tools.saved.find import pieces
from mmm.tools.saved.layouts import Table
from mmm.tools.saved.now import Key, key_of, question
from mmm.tools.saved.sql import plain
from mmm.tools.saved.tables import look_at_table

MOST = 10_000
"""Rows that are compared, at most."""
_AT_ONCE = 200
_TRIES = 3

Rows = list[tuple[str, ...]]


@dataclass(slots=True)
class Compared:
    """What came of it."""

    same: int = 0
    different: dict[Name, list[Key]] = field(default_factory=dict)
    moving: int = 0
    """Rows that the active master changed all the time."""
    left_out: int = 0
    """Changes of rows that no key tells from others, or beyond MOST."""

    def __str__(self) -> str:
        parts = [f"{self.same} of the rows that were touched are the same"]
        parts += [f"{self.moving} change all the time"] if self.moving else []
        parts += [f"{self.left_out} changes were not compared"] if self.left_out else []
        return ", ".join(parts)


@dataclass(slots=True)
class Touched:
    """Which rows they are, by the log that is kept."""

    keys: dict[Name, tuple[Table, dict[Key, None]]] = field(default_factory=dict)
    left_out: int = 0


def touched(server: Connection, logs: Sequence[Path], begin: int) -> Touched:
    """Return the rows that a log has from `begin` of its first file on; raises OSError, MysqlError."""
    found = Touched()
    tables: dict[Name, Table | None] = {}
    count = 0
    for path in logs:
        for row in _rows(path, begin if path is logs[0] else 0):
            name = (row.schema.decode(), row.table.decode())
            if name not in tables:
                tables[name] = server.ask(look_at_table(*name))
            table = tables[name]
            keys = _keys(row, table) if table is not None and table.key and count < MOST else None
            if table is None or keys is None:
                found.left_out += 1
                continue
            known = found.keys.setdefault(name, (table, {}))[1]
            count -= len(known)
            known.update(dict.fromkeys(keys))
            count += len(known)
    return found


def _rows(path: Path, begin: int) -> Iterator[StoredRow]:
    size = path.stat().st_size
    with path.open("rb") as file:
        form = read_format(file.read(BEGINNING))
    data = b"".join(pieces(path, size, begin=begin or len(form.head)))
    return rows_of(data, checksums=form.checksums)


def _keys(row: StoredRow, table: Table) -> list[Key] | None:
    """Return what tells a row from others, before and after; None where that cannot be read."""
    old, new = ({at: image[at] for at in table.key if at in image} for image in (row.old, row.new))
    try:
        read = plain(whole(row._replace(old=old, new=new)), table)
    except DamagedError:
        return None
    images = (read.old, read.new) if read is not None else ()
    return [key_of(image, table) for image in images if image]


def compare(here: Connection, there: Connection, found: Touched, wait: Callable[[], None]) -> Compared:
    """Return how they are on both; `wait` returns once this server has what the other one has now.

    Raises MysqlError, and what `wait` does.
    """
    for server in (here, there):
        server.execute("SET SESSION time_zone='+00:00'")
    compared = Compared(left_out=found.left_out)
    for name, (table, keys) in found.keys.items():
        ask = _Asks(here, there, name, table, wait)
        rest = iter(keys)
        while some := list(islice(rest, _AT_ONCE)):
            before, ours, after = ask(some)
            if before == ours == after:
                compared.same += len(some)
            else:
                _one_by_one(ask, some, compared)
    return compared


@dataclass(frozen=True, slots=True)
class _Asks:
    """Asks both servers for rows of a table."""

    here: Connection
    there: Connection
    name: Name
    table: Table
    wait: Callable[[], None]

    def __call__(self, keys: Sequence[Key]) -> tuple[Rows, Rows, Rows]:
        """Return the rows as the other server had them, as this one has them then, and as the other one has them."""
        before = self._rows(self.there, keys)
        self.wait()
        return before, self._rows(self.here, keys), self._rows(self.there, keys)

    def _rows(self, server: Connection, keys: Sequence[Key]) -> Rows:
        rows = server.query(question(*self.name, self.table, keys))
        return sorted(tuple(str(value) for value in row.values()) for row in rows)


def _one_by_one(ask: _Asks, keys: Sequence[Key], compared: Compared) -> None:
    for key in keys:
        stood_still = False
        for _ in range(_TRIES):
            before, ours, after = ask([key])
            stood_still = before == after
            if stood_still and ours == after:
                compared.same += 1
                break
        else:
            if stood_still:
                compared.different.setdefault(ask.name, []).append(key)
            else:
                compared.moving += 1
