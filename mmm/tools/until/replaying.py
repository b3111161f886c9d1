"""Applies a plan to data on which a server is started that nobody reaches. Edge."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mmm.binlog.contents import Logged
from mmm.binlog.events import DamagedError, read_format
from mmm.binlog.replay import Batch, Statement, statements
from mmm.binlog.rows import in_parts
from mmm.mysql.server.replay import replay
from mmm.mysql.session.connection import Address, MysqlError
from mmm.process.binlog_program import ProgramError, lines_of
from mmm.tools.fetch.private import Private, running
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.until.logs import reader
from mmm.tools.until.plan import Plan, Stretch, name_of, wanted_in

LIMIT = 86_400.0
"""Seconds that applying may take."""
_OPTIONS = (
    "--loose-gtid-mode=ON",
    "--loose-enforce-gtid-consistency=ON",
    "--loose-skip-gtid-strict-mode",
    "--max-allowed-packet=1G",
    "--local-infile=ON",
    "--innodb-flush-log-at-trx-commit=0",  # what a crash breaks off is begun anew, with another copy
)
_HEAD = 1024


@dataclass(frozen=True, slots=True)
class Replaying:
    """The logs, and what turns them into statements."""

    folder: Path
    plan: Plan
    program: str
    mariadb: bool

    def on(self, staging: Path, argv: Sequence[str]) -> tuple[str, ...]:
        """Apply the plan to the data in a folder, by a server that is started by `argv`; raises FailedError.

        Returns the XA transactions that are prepared there then: the goal is before their end.
        """
        if not self.plan.count:
            return ()
        deadline = time.monotonic() + LIMIT
        with running(staging, [*argv, *_OPTIONS], guest=self.mariadb) as private:
            server = replace(private.address, sends_files=True)
            for stretch in self.plan.stretches:
                try:
                    with TemporaryDirectory(dir=Path(private.socket).parent) as loads:
                        self._apply(server, stretch, Path(loads), deadline)
                except (ProgramError, DamagedError, MysqlError, OSError) as error:
                    raise FailedError(Cause.STATE, f"{self.folder / stretch.file}: {error}") from error
            try:
                return self._end(private)
            except MysqlError as error:
                raise FailedError(Cause.STATE, error.text) from error

    def _end(self, private: Private) -> tuple[str, ...]:
        """Have the data say where they stand; raises MysqlError. On MySQL each transaction has said it."""
        with private.connect() as session:
            if self.mariadb:
                session.execute("SET GLOBAL gtid_slave_pos=%s", (self.plan.position,))
            return tuple(str(row["data"]) for row in session.query("XA RECOVER"))

    def _apply(self, server: Address, stretch: Stretch, loads: Path, deadline: float) -> None:
        """Apply a stretch; `loads` gets what LOAD DATA has loaded, where that was logged as a statement."""
        path = self.folder / stretch.file
        with path.open("rb") as file:
            form = read_format(file.read(_HEAD))
        bounds = (f"--start-position={stretch.begin}", f"--stop-position={stretch.end}")
        part = (*bounds, f"--local-load={loads}", str(path))
        wanted = wanted_in(stretch, reader(self.folder)(stretch.file))
        with lines_of(self.program, part, deadline - time.monotonic(), mariadb=self.mariadb) as lines:
            found = _batches(statements(lines), wanted, checksums=form.checksums)
            done = replay(server, found, lambda: deadline - time.monotonic())
        if done.problem or done.count != stretch.count:
            why = done.problem or f"{done.count} of {stretch.count} transactions were applied"
            raise FailedError(Cause.STATE, f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class _Named:
    """A transaction that is told of by its GTID."""

    name: str


def _batches(found: Iterable[Statement], wanted: Iterator[Logged], *, checksums: bool) -> Iterator[Batch]:
    """Return what prepares a session, with None, then the statements of each transaction, in their order."""
    following = next(wanted, None)
    current: _Named | None = None
    texts: list[bytes] = []
    for statement in found:
        while following is not None and statement.at >= following.begin:
            if texts:
                yield current, texts
            current, texts = _Named(name_of(following.gtid)), []
            following = next(wanted, None)
        texts += in_parts(statement.text, checksums=checksums)
    if texts:
        yield current, texts
