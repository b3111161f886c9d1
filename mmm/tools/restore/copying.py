"""The step that puts a backup beside the data of this host, and has a server prove it. Edge."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Cluster, Host
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.process import job_files
from mmm.tools.fetch import files, own_files, stage
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.stage import Login
from mmm.tools.fetch.values import Failed, FailedError
from mmm.tools.kept import hashes, putback, shelf
from mmm.tools.kept.hashes import DamagedError
from mmm.tools.kept.shelf import OWN, Kept, ShelfError
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.restore import classic
from mmm.tools.restore.bringing import Bringing
from mmm.tools.restore.oldest_log import begins_after
from mmm.tools.until.goal import UntilError, of_option

MEGABYTE = 1_000_000
_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Restoring:
    """Copies the backup that the journal names; `say` is told how far it is, and `note` for others to know."""

    conf: Cluster
    say: Callable[[str], None]
    note: Callable[[Journal, job_files.Progress], None] = lambda _, __: None

    def __call__(self, journal: Journal) -> Journal:
        """Return the journal with what the data have; raises StepError, MysqlError, OSError."""
        try:
            kept = shelf.read(Path(journal.backup))
            self._see_log(journal, kept)
            staging = Path(journal.staging)
            copy = self._ours if kept.facts.of_ours else self._by_method
            position = copy(journal, kept, staging)
            self.say(f"  {files.size(staging) / MEGABYTE:,.0f} MB; a server is tried on them …")
            here = self.conf.hosts[journal.host]
            more, own = own_files.named(here), kept.facts.host == journal.host
            own_files.carry(Path(journal.datadir), staging, more=more, keep=own)
            argv, follows = stage.server_of(here), bool(journal.source)
            found = stage.prove(staging, argv, position, logins(here), follows=follows)
        except (ShelfError, DamagedError, FailedError) as error:
            raise StepError(str(error)) from error
        if isinstance(found, Failed):
            raise StepError(found.text)
        return replace(journal, position=found.gtid)

    def _ours(self, journal: Journal, kept: Kept, staging: Path) -> Position:
        hashes.check(kept.path, kept.path / OWN / hashes.SUMS, self._reporter(journal, kept))
        self.say(f"  {kept.path} is as it was; it is copied …")
        putback.copy(kept, staging, Owner.of(Path(journal.datadir)))
        if not journal.until:
            return Position(None, kept.facts.gtid)
        here = self.conf.hosts[journal.host]
        try:
            bringing = Bringing(kept, of_option(journal.until), Path(journal.logs), here.mysqlbinlog)
            return Position(None, bringing.bring(staging, stage.server_of(here), self.say))
        except UntilError as error:
            raise StepError(str(error)) from error

    def _by_method(self, journal: Journal, kept: Kept, staging: Path) -> Position | None:
        """Copy by restore_command; None: it is not told where the data stand, and nobody is followed."""
        self.say(f"  {kept.path} is copied by {classic.method_of(self.conf, kept).name} …")
        gtid = classic.fetch(self.conf, kept, staging, Owner.of(Path(journal.datadir)), journal.version)
        if journal.source and not gtid and not kept.facts.slave:
            raise StepError(
                f"{kept.path} has no {kept.facts.log_file} with it, so nothing tells where {journal.host} would go on"
                " from: restore it without replication, or take mmm_rejoin"
            )
        return Position(None, gtid) if journal.source or gtid else None

    def _reporter(self, journal: Journal, kept: Kept) -> Callable[[int], None]:
        def report(done: int) -> None:
            whole = kept.facts.bytes
            percent = min(99, 100 * done // whole) if whole and not kept.facts.compress else None
            self.note(journal, job_files.Progress("", percent=percent))

        return report

    def _see_log(self, journal: Journal, kept: Kept) -> None:
        """See, before all data are copied, that the active master has a log of what came after the backup."""
        if not journal.source or not kept.facts.gtid:
            return
        try:
            with connect(tools_at(self.conf.hosts[journal.source]), _LIMIT) as there:
                gone = there.ask(begins_after(there, kept.facts.gtid))
        except MysqlError as error:
            raise StepError(error.text) from error
        if gone:
            raise StepError(
                f"{journal.source} has no log any more of what came after the backup ({kept.facts.gtid}): its oldest"
                f" begins after {gone}. Take a newer backup, or mmm_rejoin"
            )


def logins(here: Host) -> Iterator[Login]:
    """Yield the accounts that have to be in the data, as far as the conf names them."""
    known = {
        here.tools_user: here.tools_password,
        here.agent_user: here.agent_password,
        here.replication_user: here.replication_password,
    }
    yield from (Login(user, password) for user, password in known.items() if user)
