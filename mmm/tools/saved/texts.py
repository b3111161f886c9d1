"""Makes `transactions.sql` and `rows.sql` of the saved files of a log, by the program that belongs to the server."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from mmm.binlog.compressed import without_compression
from mmm.binlog.events import Format, read_format
from mmm.mysql.session.connection import Connection, MysqlError
from mmm.process.binlog_program import lines_of
from mmm.tools.saved.extras import Extra, Extras
from mmm.tools.saved.layouts import Layouts, Table, may_alter
from mmm.tools.saved.now import Key, answered, key_of, question
from mmm.tools.saved.outcome import Saved
from mmm.tools.saved.printed import Item, Row, Statement, items
from mmm.tools.saved.rows import Image, Listing, Rows, UnaskedError
from mmm.tools.saved.sql import OURS, Writer, told
from mmm.tools.saved.tables import Tables
from mmm.tools.saved.values import Cell, in_doubt, resolved

_ARGUMENTS = ("-vv", "--base64-output=decode-rows", "--verify-binlog-checksum")
_LARGEST = 1 << 26
"""Bytes of a transaction in which strings are looked for."""
_OF_MARIADB = ("--loose-skip-gtid-strict-mode",)
"""The log of a host that came apart may have another's transactions behind later numbers of its own (since 10.8)."""
_BEGINNING = 4096
"""Bytes of a log that say how it is written."""
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
    """Makes them of `extras`, whose files lie in `raw` under their names; `left` tells the seconds that it may take."""

    sources: Sources
    extras: Extras
    raw: Path
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
        except MysqlError as error:
            raise UnaskedError from error
        return [answered(row, layout) for row in rows]

    def _items(self) -> Iterator[tuple[int, Item]]:
        """Return what is printed of every transaction, each by its number."""
        numbered = list(enumerate(self.extras.transactions))
        for part in self.extras.parts:
            these = {extra.begin: number for number, extra in numbered if extra.file == part.name}
            first, last = (self.extras.transactions[find(these.values())] for find in (min, max))
            bounds = (f"--start-position={first.begin}", f"--stop-position={last.end}")
            arguments = (
                *_ARGUMENTS,
                *(_OF_MARIADB if self.extras.mariadb else ()),
                *bounds,
                str(self.raw / part.name),
            )
            with lines_of(self.sources.program, arguments, self.left()) as lines:
                found = items(lines, these, mariadb=self.extras.mariadb)
                yield from _exact(found, self.extras.transactions, self.raw / part.name)


def _exact(
    found: Iterator[tuple[int, Item]], extras: Sequence[Extra], log: Path
) -> Iterator[tuple[int, Item]]:
    """Return the same, with strings that are printed in two ways as the log has them."""
    current, raw, at = -1, b"", 0
    with log.open("rb") as file:
        form = read_format(file.read(_BEGINNING))
        for number, item in found:
            if isinstance(item, Row) and any(
                cell.printed for cell in (*item.old.values(), *item.new.values())
            ):
                if number != current:
                    current, at = number, 0
                    raw = _doubtful(file, extras[number], form)
                old, at = _image(item.old, raw, at)
                new, at = _image(item.new, raw, at)
                yield number, replace(item, old=old, new=new)
            else:
                yield number, item


def _doubtful(file: BinaryIO, extra: Extra, form: Format) -> bytes:
    """Return a transaction's bytes, none where all strings in it can be read in one way only, or it is too large."""
    if extra.end - extra.begin > _LARGEST:
        return b""
    file.seek(extra.begin)
    raw = without_compression(file.read(extra.end - extra.begin), checksums=form.checksums)
    return raw if in_doubt(raw) else b""


def _image(image: Mapping[int, Cell], raw: bytes, at: int) -> tuple[dict[int, Cell], int]:
    if not raw:
        return dict(image), at
    exact: dict[int, Cell] = {}
    for number, cell in image.items():
        exact[number], at = resolved(cell, raw, at)
    return exact, at


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
