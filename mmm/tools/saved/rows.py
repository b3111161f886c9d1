"""Each row that was changed, once: how it was before, how these transactions left it, and what the other has. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from mmm.tools.saved.layouts import Table
from mmm.tools.saved.now import Key, differing, is_whole, key_of
from mmm.tools.saved.outcome import TableCount
from mmm.tools.saved.printed import Change, Row
from mmm.tools.saved.sql import plain, row_sql, shown
from mmm.tools.saved.values import Cell, name

MOST = 100_000
"""Rows that are followed one by one, at most."""
ROOM = 1 << 27
"""Bytes that they may take meanwhile."""
_CELL = 120
"""Bytes that a value takes besides its own."""
AT_ONCE = 200
"""Rows that the active master is asked for in one statement."""

Image = Mapping[int, Cell]
Now = Callable[[str, str, Table, Sequence[Key]], Mapping[Key, Image]]
"""Asks the active master for rows of a table; those that it has not are not in the answer. Raises UnaskedError."""


class UnaskedError(Exception):
    """The active master could not be asked for rows."""


class Standing(StrEnum):
    """How the active master has a row, against what was done to it here."""

    SAME = "the same"
    """As these transactions left it."""
    BEFORE = "as before"
    """As it was before them."""
    CHANGED = "changed since"
    """Neither: somebody has changed it there."""
    GONE = "gone since"
    """It was there before them, and is not any more."""
    UNLOGGED = "not in the log"
    """It may have been changed there: of what it was before, the log lacks columns (binlog_row_image)."""
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Touched:
    """One row."""

    before: Image | None
    """None: it was not there."""
    after: Image | None
    """None: it was removed."""
    table: Table
    changes: int = 1
    """So many made it what it is."""


@dataclass(slots=True)
class Rows:
    """All of them, by schema and table, and the literals of the key."""

    found: dict[tuple[str, str], dict[Key, Touched]] = field(default_factory=dict)
    counts: dict[tuple[str, str], Counter[Change]] = field(default_factory=dict)
    unfollowed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Changes of rows that cannot be told from others, or were too many."""
    total: int = 0
    size: int = 0

    def add(self, row: Row, table: Table | None) -> None:
        """Take in a change."""
        where = (row.schema, row.table)
        seen = plain(row, table)
        if seen is None:
            return
        self.counts.setdefault(where, Counter())[seen.change] += 1
        image = seen.old or seen.new
        if table is None or not seen.whole or not table.key or not all(at in image for at in table.key):
            self.unfollowed[where] += 1
            return
        if seen.change is not Change.UPDATE:
            self._take(where, table, seen.old or None, seen.new or None)
        elif key_of({**seen.old, **seen.new}, table) == key_of(seen.old, table):
            self._take(where, table, seen.old, seen.new)
        else:
            self._move(where, table, seen.old, seen.new)

    def _move(self, where: tuple[str, str], table: Table, old: Image, new: Image) -> None:
        """Take in a change of a row's key: a row less, and one more, where all that one has is known.

        Else neither is followed: a row less alone would be a row lost.
        """
        rows = self.found.setdefault(where, {})
        key, known = key_of({**old, **new}, table), rows.get(key_of(old, table))
        moved = {**((known.after if known else None) or {}), **old, **new}
        own = known is not None and known.before is None  # its INSERT had what it takes
        if (own or is_whole(moved, table)) and self._has_room(2, _size(old) + _size(moved)):
            self._take(where, table, old, None)
            self._take(where, table, None, moved)
            return
        left = (rows.pop(key_of(old, table), None), rows.pop(key, None))
        self.unfollowed[where] += 1 + sum(row.changes for row in left if row is not None)

    def _has_room(self, rows: int, size: int) -> bool:
        return self.total + rows <= MOST and self.size + size <= ROOM

    def _take(self, where: tuple[str, str], table: Table, old: Image | None, new: Image | None) -> None:
        rows = self.found.setdefault(where, {})
        key = key_of(old or new or {}, table)
        known = rows.get(key)
        if known is not None:
            known.changes += 1
            known.after = {**(known.after or {}), **new} if new is not None else None
        elif self.total >= MOST or self.size >= ROOM:
            self.unfollowed[where] += 1
        else:
            rows[key] = Touched(old, {**(old or {}), **new} if new is not None else None, table)
            self.total += 1
            self.size += _size(old) + _size(new)


def _size(image: Image | None) -> int:
    return sum(_CELL + len(cell.value or b"") for cell in (image or {}).values())


def judge(row: Touched, now: Image | None) -> Standing:
    """Return how the active master has a row; `now` is None where it has none."""
    if now is None:
        return (
            Standing.SAME if row.after is None else Standing.BEFORE if row.before is None else Standing.GONE
        )
    if row.after is not None and not differing(row.after, now, row.table):
        return Standing.SAME
    if row.before is not None and not differing(row.before, now, row.table):
        return Standing.BEFORE if is_whole(row.before, row.table) else Standing.UNLOGGED
    return Standing.CHANGED


@dataclass(slots=True)
class Listing:
    """Makes `rows.sql`, and counts for each table what came of it."""

    rows: Rows
    now: Now
    peer: str
    conflicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unlogged: Counter[tuple[str, str]] = field(default_factory=Counter)
    unasked: int = 0
    """Rows of which nobody knows what the active master has."""

    def lines(self) -> Iterator[bytes]:
        """Return what the file has for each row."""
        for (schema, table), changes in self.rows.counts.items():
            said = ", ".join(f"{change} {changes[change]}" for change in Change if changes[change])
            yield f"\n-- {schema}.{table}: {said}\n".encode("utf-8", "surrogateescape")
            if left := self.rows.unfollowed[schema, table]:
                yield f"-- {left} of these cannot be followed by a key: see transactions.sql\n".encode()
            rows = iter(self.rows.found.get((schema, table), {}).items())
            while batch := list(islice(rows, AT_ONCE)):
                there = self._there(schema, table, batch)
                for key, row in batch:
                    yield self._row(schema, table, key, row, there)

    def _there(
        self, schema: str, table: str, rows: Sequence[tuple[Key, Touched]]
    ) -> Mapping[Key, Image] | None:
        """Ask for rows; None: nobody knows."""
        there: dict[Key, Image] = {}
        for layout in {id(row.table): row.table for _, row in rows}.values():
            keys = [key for key, row in rows if row.table is layout]
            try:
                there.update(self.now(schema, table, layout, keys))
            except UnaskedError:
                return None
        return there

    def _row(
        self, schema: str, table: str, key: Key, row: Touched, found: Mapping[Key, Image] | None
    ) -> bytes:
        there = None if found is None else found.get(key)
        standing = Standing.UNKNOWN if found is None else judge(row, there)
        self.unasked += found is None
        conflict = standing in {Standing.CHANGED, Standing.GONE}
        self.conflicts[schema, table] += conflict
        self.unlogged[schema, table] += standing is Standing.UNLOGGED
        doubtful = conflict or standing in {Standing.UNLOGGED, Standing.UNKNOWN}
        named = ", ".join(
            f"{name(row.table.columns[at - 1].name)}={text}"
            for at, text in zip(row.table.key, key, strict=True)
        )
        text = f"-- {named}: {self._told(row, standing, there)}\n"
        if (net := _net(schema, table, row)) is not None and standing is not Standing.SAME:
            text += f"{'-- ' if doubtful else ''}{row_sql(net, row.table)}\n"
        return text.encode("utf-8", "surrogateescape")

    def _told(self, row: Touched, standing: Standing, there: Image | None) -> str:
        match standing:
            case Standing.SAME:
                return f"{self.peer} has the same"
            case Standing.BEFORE:
                return f"not on {self.peer}" if row.before is None else f"on {self.peer} as before"
            case Standing.GONE:
                return f"gone on {self.peer} since"
            case Standing.UNKNOWN:
                return f"{self.peer} could not be asked"
        there = there or {}
        which = list(there)  # of a row that was removed all that is there now
        if row.after is not None or standing is Standing.CHANGED:
            which = differing(row.after or row.before or {}, there, row.table)
        values = ", ".join(
            f"{name(row.table.columns[at - 1].name)}={shown(there[at], row.table, at)}" for at in which
        )
        if standing is Standing.UNLOGGED:
            return f"{self.peer} now: {values}: what it was before is not in the log"
        return f"{self.peer} now: {values}: changed on {self.peer} since"

    def counted(self) -> tuple[TableCount, ...]:
        """Return the counts of every table, once all lines were made."""
        return tuple(
            TableCount(
                f"{schema}.{table}",
                changes[Change.INSERT],
                changes[Change.UPDATE],
                changes[Change.DELETE],
                len(self.rows.found.get((schema, table), {})),
                self.conflicts[schema, table],
                self.rows.unfollowed[schema, table],
                self.unlogged[schema, table],
            )
            for (schema, table), changes in self.rows.counts.items()
        )


def _net(schema: str, table: str, row: Touched) -> Row | None:
    """Return what these transactions did to a row in all; None: nothing."""
    if row.before is None and row.after is None:
        return None
    change = Change.INSERT if row.before is None else Change.DELETE if row.after is None else Change.UPDATE
    return Row(change, schema, table, row.before or {}, row.after or {})
