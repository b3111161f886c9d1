"""Proves that a server's own last transactions can be undone exactly, by its log, its settings and its tables.

Nothing is changed. Nobody may write meanwhile, or what is undone later is not what was proved: `Proof.end` tells.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.binlog.contents import contents
from mmm.binlog.events import BEGINNING, DamagedError, Format, read_format
from mmm.binlog.transactions import UnusableError
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.transactions import Executed
from mmm.mysql.server.log_home import LogHome, log_files, look_at_log_home
from mmm.mysql.server.privileges import look_at_missing_grants, rewind_needs
from mmm.mysql.server.replication import history, replica_status
from mmm.mysql.session.connection import Connection
from mmm.process import binlog_program
from mmm.process.binlog_program import ProgramError
from mmm.tools.rewind.changes import Changes, Name, altered_columns
from mmm.tools.rewind.judge import judge_settings, judge_tables
from mmm.tools.rewind.look import look_at_settings, look_at_tables
from mmm.tools.rewind.place import Place, logged_before, place
from mmm.tools.rewind.unfit import UnfitError
from mmm.tools.saved.extras import Extras
from mmm.tools.saved.find import NoLogError, find, pieces

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A file of the log, from where its transactions are undone."""

    path: Path
    begin: int
    end: int
    form: Format

    def pieces(self) -> Iterator[bytes]:
        """Return its bytes, with those before them that say how it is written; raises OSError."""
        yield self.form.head
        yield from pieces(self.path, self.end, begin=self.begin)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is undone, and where the server stands then."""

    stretches: tuple[Stretch, ...]
    """In the order of the log."""
    files: tuple[Path, ...]
    """All of the log."""
    program: str
    rows: Mapping[int, int]
    """How many events of rows of each kind there are."""
    tables: tuple[Name, ...]
    count: int
    """Transactions, with those of others that came after the first one of this server's own."""
    place: Place
    end: tuple[Gtid, ...]
    """The last transactions in the log: by others somebody has written since."""

    @property
    def size(self) -> int:
        """Return the bytes of the log that are undone."""
        return sum(stretch.end - stretch.begin for stretch in self.stretches)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the conf says."""

    megabytes: int
    program: str = ""
    """The program that reads the log; empty: as it is found."""


def prove(server: Connection, there: Executed, master: str, limits: Limits) -> Proof:
    """Return what is to be undone on `server`, of which the active master, `master`, has all of `there`.

    Raises UnfitError, MysqlError, OSError.
    """
    flavour = server.flavour
    if not flavour.mariadb or not isinstance(there, History):
        version = ".".join(map(str, flavour.version))
        raise UnfitError("family", {"family": flavour.family, "version": version})
    if missing := server.ask(look_at_missing_grants(server, rewind_needs(flavour))):
        raise UnfitError("grants", {"statements": "; ".join(each.statement for each in missing)})
    status = replica_status(server)
    if status is not None and not status.detached and not status.uses_gtid:
        raise UnfitError("by_position")
    home, here = server.ask(look_at_log_home(server)), history(server)
    extras = _extras(home, there, here)
    files = log_files(home)
    stretches = _stretches(files, extras, limits.megabytes)
    changes = Changes()
    for stretch in stretches:
        changes.read(stretch.path.name, stretch.pieces(), last=stretch is stretches[-1])
    judge_settings(server.ask(look_at_settings()), changes.unclosed)
    since = float(extras.transactions[0].when)
    tables = server.ask(look_at_tables(changes.tables))
    judge_tables(changes, tables, since, lambda: _altered(stretches))
    try:
        program = binlog_program.find(limits.program, os.environ.get("PATH", ""), mariadb=True)
    except ProgramError as error:
        raise UnfitError("no_program", {"why": str(error)}) from error
    at = _place(stretches[0], here, changes, there, master)
    return Proof(
        stretches,
        tuple(files.values()),
        program,
        changes.rows,
        tuple(changes.tables),
        len(changes.gtids),
        at,
        here.logged,
    )


def _extras(home: LogHome, there: History, here: History) -> Extras:
    try:
        extras = find(home, there, here)
    except NoLogError as error:
        raise UnfitError("log", {"why": str(error)}) from error
    if extras.problem is not None:
        raise UnfitError("log", {"why": extras.why})
    if not extras.transactions:
        raise UnfitError("nothing")
    return extras


def _stretches(files: Mapping[str, Path], extras: Extras, most: int) -> tuple[Stretch, ...]:
    first = extras.transactions[0]
    names = list(files)
    found: list[Stretch] = []
    for name in names[names.index(first.file) :]:
        path = files[name]
        with path.open("rb") as file:
            try:
                form = read_format(file.read(BEGINNING))
            except DamagedError as error:
                raise UnfitError("log", {"why": f"{path}: {error}"}) from error
        begin = first.begin if name == first.file else len(form.head)
        found.append(Stretch(path, begin, path.stat().st_size, form))
    size = sum(stretch.end - stretch.begin for stretch in found)
    if size > most * MEGABYTE:
        raise UnfitError("too_large", {"size": f"{size / MEGABYTE:,.1f}", "limit": str(most)})
    return tuple(found)


def _altered(stretches: Sequence[Stretch]) -> dict[Name, set[int]]:
    found: dict[Name, set[int]] = {}
    for stretch in stretches:
        these = pieces(stretch.path, stretch.end, begin=stretch.begin)
        for name, columns in altered_columns(these, checksums=stretch.form.checksums).items():
            found.setdefault(name, set()).update(columns)
    return found


def _place(first: Stretch, here: History, changes: Changes, there: History, master: str) -> Place:
    try:
        logged = logged_before(contents(pieces(first.path, first.end)), first.begin)
        return place(logged, here.applied, changes.gtids, there)
    except UnusableError as error:
        raise UnfitError("log", {"why": f"{first.path}: {error.why}"}) from error
    except UnfitError as error:
        raise UnfitError(error.code, {**error.about, "master": master}) from error
