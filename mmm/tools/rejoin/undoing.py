"""The steps of a rejoin by rewind: the proof, undoing, and the comparison once the host has caught up."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Cluster
from mmm.gtid.place import LogPlace
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import Connection, connect
from mmm.process.old_data import LOG
from mmm.tools.rejoin import swap
from mmm.tools.rejoin.gtids import gtids_of
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.step_error import NotRewoundError, StepError
from mmm.tools.rewind.compare import compare, touched
from mmm.tools.rewind.proof import Limits, Proof, prove
from mmm.tools.rewind.texts import sentence
from mmm.tools.rewind.undo import NotUndoneError, undo
from mmm.tools.rewind.unfit import UnfitError
from mmm.wire.rejoin import CLONE, REWIND

log = logging.getLogger(__name__)

_LIMIT = 10.0


@dataclass(slots=True)
class Undoing:
    """Undoes what only this host has; the proof of one step is what the next one works by."""

    conf: Cluster
    say: Callable[[str], None] = lambda _: None
    _proof: Proof | None = None

    def prove(self, journal: Journal, server: Connection | None) -> Journal:
        """Return the journal with the way that is gone; raises StepError where a rewind alone is wanted."""
        try:
            self._proof = proved(self.conf, journal.source, server)
        except UnfitError as unfit:
            why = sentence(unfit)
            log.info("%s: no rewind (%s): %s", journal.host, unfit.code, why)
            if journal.method == REWIND:
                raise StepError(f"no rewind: {why}") from unfit
            self.say(f"  no rewind: {why}")
            return replace(journal, way=CLONE)
        first = self._proof.stretches[0]
        place, folder = LogPlace(first.path.name, first.begin), first.path.parent
        return replace(journal, way=REWIND, undone=str(place), old_log=str(_kept(folder, journal.job)))

    def undo(self, journal: Journal) -> Journal:
        """Return the journal, the transactions undone; raises NotRewoundError."""
        if self._proof is None:
            raise NotRewoundError("nothing is proved that could be undone", clean=True)
        try:
            with connect(tools_at(self.conf.hosts[journal.host]), _LIMIT) as server:
                undo(server, self._proof, Path(journal.old_log))
        except NotUndoneError as error:
            if error.clean:  # the log is where it was
                shutil.rmtree(journal.old_log, ignore_errors=True)
            raise NotRewoundError(f"the rewind did not do: {error}", clean=error.clean) from error
        self.say(f"  {self._proof.count} transactions undone")
        return journal

    def compare(
        self, journal: Journal, here: Connection, there: Connection, wait: Callable[[], None]
    ) -> None:
        """See that the rows that were touched are those of the active master; raises NotRewoundError, OSError."""
        name, _, begin = journal.undone.rpartition(":")
        logs = sorted(path for path in Path(journal.old_log).iterdir() if path.name >= name)
        compared = compare(here, there, touched(here, logs, int(begin)), wait)
        self.say(f"  {compared}")
        log.info("%s: compared with %s: %s", journal.host, journal.source, compared)
        if compared.different:
            table, keys = next(iter(compared.different.items()))
            row = ", ".join(keys[0])
            raise NotRewoundError(
                f"after the rewind {'.'.join(table)} differs from {journal.source}'s: row {row}"
            )


def proved(conf: Cluster, master: str, server: Connection | None) -> Proof:
    """Return what would be undone on this host's server; raises UnfitError, MysqlError, OSError."""
    if server is None:
        raise UnfitError("server_down")
    here = conf.hosts[conf.this]
    with connect(tools_at(conf.hosts[master]), _LIMIT) as source:
        there = gtids_of(source)
    return prove(server, there, master, Limits(conf.rewind_limit, here.mysqlbinlog))


def _kept(folder: Path, job: str) -> Path:
    return swap.places(folder, f"{job}{LOG}")[1]
