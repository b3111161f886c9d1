"""Makes `transactions.sql` and `rows.sql` of the saved files of a log, by the program that belongs to the server."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from mmm.binlog.events import BEGINNING, DamagedError, read_format
from mmm.binlog.stored_rows import StoredRow, rows_of
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.process.binlog_program import lines_of
from mmm.tools.saved.exact import exact, fits, is_inexact, whole
from mmm.tools.saved.extras import Extra, Extras
from mmm.tools.saved.layouts import Layouts, Table, may_alter
from mmm.tools.saved.now import Key, answered, key_of, question
from mmm.tools.saved.outcome import Saved
from mmm.tools.saved.printed import Item, Row, Statement, items
from mmm.tools.saved.rows import Image, Listing, Rows, UnaskedError
from mmm.tools.saved.sql import OURS, Writer, told
from mmm.tools.saved.tables import Tables

_ARGUMENTS = ("-vv", "--base64-output=decode-rows")
_LARGEST = 1 << 28
"""Bytes of a transaction whose rows are read beside what is printed of them."""
_LONGEST_QUESTION = 5.0
"""Seconds that the active master may take for one statement."""
_NOT_COUNTED = (b"BEGIN", b"COMMIT", b"ROLLBACK", b"START TRANSACTION", b"XA ")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the texts come from."""

    program: str
    """mariadb-binlog or mysqlbinlog, as `mmm.process.binlog_program` finds it."""
    here: Connection | None = None
    """This host's server, which knows the names of columns; None: it does not run."""
    there: Connection | None = None
    """The active master, which is asked what it has; None: it cannot be asked."""


@dataclass(slots=True)
class Texts:
    """Makes them of `extras`, whose files lie in `raw` under their names; `left` tells the seconds that it may take.

    What LOAD DATA has loaded, where that was logged as a statement, the program writes into `loads`.
    """

    sources: Sources
    extras: Extras
    raw: Path
    loads: Path
    left: Callable[[], float]
    rows: Rows = field(default_factory=Rows)
    statements: int = 0
    unprinted: int = 0
    _listing: Listing | None = None

    def transactions(self, saved: Saved) -> Iterator[bytes]:
        """Return `transactions.sql`; raises ProgramError."""
        altering: list[tuple[int, bytes]] = []
        if any(extra.said for extra in self.extras.transactions):
            for number, item in self._items():
                if isinstance(item, Statement) and not item.text.startswith(_NOT_COUNTED):
                    self.statements += 1
                    altering += [(number, item.text)] if may_alter(item.text) else []
            for left in self.loads.iterdir():  # it comes again
                left.unlink()
        here, there = (Tables(server, self.left) for server in (self.sources.here, self.sources.there))
        layouts = Layouts(here, there, altering)
        yield f"-- What only {saved.host} had: {saved.count} transactions, {saved.names}.\n".encode()
        yield from (f"-- {line}\n".encode() for line in told(mariadb=self.extras.mariadb))
        yield f"{OURS}\n".encode()
        writer, last = Writer(), -1
        for number, item in self._items():
            if number != last:
                extra, last = self.extras.transactions[number], number
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(extra.when))
                yield from writer.begin(f"{extra.name}, {when}")
            table = None
            if isinstance(item, Statement) and saved.folder is not None:
                final = saved.folder / self.loads.name
                item = replace(item, text=item.text.replace(os.fsencode(self.loads), os.fsencode(final)))  # noqa: PLW2901
            if isinstance(item, Row):
                table = layouts.of(number, item.schema, item.table)
                self.rows.add(item, table)
                self.unprinted += not item.whole
            yield from writer.write(item, table)

    def listed(self, saved: Saved) -> Iterator[bytes]:
        """Return `rows.sql`, once all of the other was made."""
        yield f"-- Each row that the transactions of {saved.host} have changed, and what {saved.peer} has.\n".encode()
        yield b"-- What would undo something there is a comment.\n"
        yield f"{OURS}\n".encode()
        with _in_utc(self.sources.there):
            self._listing = Listing(self.rows, self._now, saved.peer)
            yield from self._listing.lines()

    def counted(self, saved: Saved) -> Saved:
        """Return it with what was counted, once both were made."""
        if self._listing is None:
            return saved
        return replace(
            saved,
            tables=self._listing.counted(),
            statements=self.statements,
            unprinted=self.unprinted,
            compared=self.sources.there is not None and not self._listing.unasked,
        )

    def _now(self, schema: str, table: str, layout: Table, keys: Sequence[Key]) -> dict[Key, Image]:
        found = self._asked(schema, table, layout, keys)
        there = {key_of(image, layout): image for image in found}
        if rest := there.keys() - set(keys):  # its letters are others, 'a' for 'A': whose row is it?
            missing = [key for key in keys if key not in there]
            for key in missing:
                there.update((key, image) for image in self._asked(schema, table, layout, [key]))
            there = {key: image for key, image in there.items() if key not in rest}
        return there

    def _asked(self, schema: str, table: str, layout: Table, keys: Sequence[Key]) -> list[Image]:
        if self.sources.there is None or self.left() <= 0:
            raise UnaskedError
        try:
            rows = self.sources.there.query(
                question(schema, table, layout, keys), timeout=min(self.left(), _LONGEST_QUESTION)
            )
            return [answered(row, layout) for row in rows]
        except (MysqlError, ValueError) as error:
            raise UnaskedError from error

    def _items(self) -> Iterator[tuple[int, Item]]:
        """Return what is printed of every transaction, each by its number."""
        numbered = list(enumerate(self.extras.transactions))
        for part in self.extras.parts:
            these = {extra.begin: number for number, extra in numbered if extra.file == part.name}
            first, last = (self.extras.transactions[find(these.values())] for find in (min, max))
            bounds = (f"--start-position={first.begin}", f"--stop-position={last.end}")
            arguments = (
                *_ARGUMENTS,
                *bounds,
                f"--local-load={self.loads}",
                str(self.raw / part.name),
            )
            mariadb = self.extras.mariadb
            with lines_of(self.sources.program, arguments, self.left(), mariadb=mariadb) as lines:
                found = items(lines, these, mariadb=mariadb)
                yield from _exact(found, self.extras.transactions, self.raw / part.name)


def _exact(
    found: Iterator[tuple[int, Item]], extras: Sequence[Extra], log: Path
) -> Iterator[tuple[int, Item]]:
    """Return the same, with what is printed less exactly as the log has it."""
    current = -1
    with log.open("rb") as file:
        checksums = read_format(file.read(BEGINNING)).checksums
        for number, item in found:
            if number != current:
                current, stored = number, _Stored(file, extras[number], checksums=checksums)
            if isinstance(item, Row):
                yield from ((number, row) for row in stored.exact(item))
            else:
                yield number, item


class _Stored:
    """The rows of a transaction as its log has them, read only where a row is printed less exactly."""

    def __init__(self, file: BinaryIO, extra: Extra, *, checksums: bool) -> None:
        self._file = file
        self._extra = extra
        self._checksums = checksums
        self._passed = 0
        """Rows that were printed exactly, before one that was not."""
        self._rows: Iterator[StoredRow] | None = None
        self._next: StoredRow | None = None

    def exact(self, row: Row) -> Iterator[Row]:
        """Return a printed row as it is stored, with those of its event that could not be printed behind it.

        What is stored in a way that is not known here stays as it is printed.
        """
        if self._rows is None and not is_inexact(row):
            self._passed += 1
            yield row
            return
        try:
            of = self._taken()
            if of is None or not fits(row, of):
                self._rows = iter(())
                yield row
            elif row.whole:
                yield exact(row, of)
            else:
                yield from self._unprinted(row, of)
        except DamagedError:
            self._rows, self._next = iter(()), None
            yield row

    def _unprinted(self, row: Row, of: StoredRow) -> Iterator[Row]:
        yield _whole(of) or row
        while (following := self._taken()) is not None:
            if following.event != of.event:
                self._next = following
                return
            yield _whole(following) or replace(row, old={}, new={})

    def _taken(self) -> StoredRow | None:
        if self._rows is None:
            self._rows = islice(self._read(), self._passed, None)
        taken, self._next = self._next or next(self._rows, None), None
        return taken

    def _read(self) -> Iterator[StoredRow]:
        size = self._extra.end - self._extra.begin
        if size > _LARGEST:
            return iter(())
        self._file.seek(self._extra.begin)
        return rows_of(self._file.read(size), checksums=self._checksums)


def _whole(of: StoredRow) -> Row | None:
    """Return a stored row; None where it has what cannot be read here."""
    try:
        return whole(of)
    except DamagedError:
        return None


@contextmanager
def _in_utc(server: Connection | None) -> Iterator[None]:
    """Have a session say times in UTC meanwhile."""
    if server is None:
        yield
        return
    try:
        before = server.query("SELECT @@session.time_zone AS zone")[0]["zone"]
        server.execute("SET SESSION time_zone='+00:00'")
    except MysqlError:
        yield
        return
    yield
    try:
        server.execute("SET SESSION time_zone=%s", (before,))
    except MysqlError:
        return
