"""The step that gets a copy of the donor's data beside the old ones, and has a server prove it."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Cluster
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.process import job_files
from mmm.tools.fetch import own_files, stage
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.private import scratch_of
from mmm.tools.fetch.stage import Login
from mmm.tools.fetch.values import Failed, FailedError, Fetched, Progress
from mmm.tools.kept.by_method import all_of
from mmm.tools.provider.job import Job
from mmm.tools.provider.room import lacks_room
from mmm.tools.provider.table import Choice, Provider
from mmm.tools.rejoin import in_place, own_log, swap, ways
from mmm.tools.rejoin.expiry import kept_hint
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.step_error import StepError

MEGABYTE = 1_000_000
PREPARE = "prepare"
"""The part of the step in which the copy has come, and is made one that a server starts on."""
_LIMIT = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies the donor that the journal names; `say` is told how far it is, and `note` for others to know."""

    conf: Cluster
    say: Callable[[str], None]
    note: Callable[[Journal, job_files.Progress], None] = lambda _, __: None

    def __call__(self, journal: Journal) -> Journal:
        """Return the journal with what the copy has; raises StepError, MysqlError, OSError.

        The first way that is fit is taken, and where it fails the next one, once each.
        """
        before = self._logged(journal.donor)
        choice = self._choice(journal)
        if why := lacks_room(Path(journal.staging), journal.donor, choice.size):
            raise StepError(f"{why}{kept_hint(self.conf)}{in_place.hint(journal, choice.size)}")
        failures = [f"{name}: {why}" for name, why in choice.reasons]
        for provider in choice.fit:
            came = self._copied(provider, journal)
            if not isinstance(came, Failed):
                return replace(
                    journal, position=came, logged=self._logged_in_copy(journal.donor, before, came)
                )
            log.warning("%s: %s: %s", journal.host, provider.name, came.text)
            failures.append(f"{provider.name}: {came.text}")
        raise StepError("; ".join(failures) or "`providers` names no way to make a copy")

    def _choice(self, journal: Journal) -> Choice:
        if journal.emptied and journal.old_server is not None:
            return ways.chosen_without(self.conf, journal.host, journal.donor, journal.old_server)
        return ways.chosen(self.conf, journal.host, journal.donor)

    def _logged(self, donor: str) -> str:
        with connect(tools_at(self.conf.hosts[donor]), _LIMIT) as there:
            return own_log.of_donor(there)

    def _logged_in_copy(self, donor: str, before: str, position: str) -> str:
        """Return what of each server is in the copy; a donor that has died since had at least what it had before."""
        with suppress(MysqlError):
            return own_log.of_copy(before, self._logged(donor), position)
        return before

    def _copied(self, provider: Provider, journal: Journal) -> str | Failed:
        """Return what the copy has, by GTID."""
        hosts = self.conf.hosts
        donor, staging = hosts[journal.donor], Path(journal.staging)
        owner = Owner.of(Path(journal.datadir))

        def report(progress: Progress) -> None:
            self.say(f"  {said(progress)}")
            self.note(journal, noted(progress))

        argv = in_place.argv_of(journal)
        job = Job(self.conf, hosts[journal.host], donor, staging, owner, report, journal.job, argv)
        came = provider.fetch(job)
        if isinstance(came, Failed):
            return came
        self.say(f"  {came.bytes / MEGABYTE:,.0f} MB by {provider.name} in {came.seconds:.1f} s")
        own_files.carry(Path(journal.datadir), staging, more=in_place.own_files_of(self.conf, journal))
        return self._proved(journal, came)

    def _proved(self, journal: Journal, came: Fetched) -> str | Failed:
        try:
            argv = in_place.argv_of(journal) or stage.server_of(self.conf.hosts[journal.host])
        except FailedError as error:
            return error.failed
        found = stage.prove(Path(journal.staging), argv, came.position, tuple(self._logins()), follows=True)
        return found if isinstance(found, Failed) else found.gtid

    def _logins(self) -> Iterator[Login]:
        """Yield the accounts that have to be in the copy, as far as this conf names them."""
        here = self.conf.hosts[self.conf.this]
        known = {
            here.tools_user: here.tools_password,
            here.agent_user: here.agent_password,
            here.replication_user: here.replication_password,
        }
        yield from (Login(user, password) for user, password in known.items() if user)


def remove_copy(journal: Journal) -> None:
    """Remove what was copied: a job that is gone on with, or tried another way, begins with an empty folder."""
    staging = Path(journal.staging)
    for folder in (staging, scratch_of(staging), all_of(staging)):
        if folder.exists():
            shutil.rmtree(folder)
    swap.tidy(staging)


def noted(progress: Progress) -> job_files.Progress:
    """Return how far a copy is, as others are told it."""
    part = PREPARE if progress.phase == "preparing" else ""
    return job_files.Progress("", "", part, percent(progress), progress.rate / MEGABYTE, progress.left)


def percent(progress: Progress) -> int | None:
    """Return how far a copy is in percent, None where that is not known."""
    if not progress.total or not progress.rate:
        return None
    return min(99, 100 * progress.done // progress.total)


def said(progress: Progress) -> str:
    """Return how far a copy is: `copying: 1,400 of 2,400 MB, 58 %, 260 MB/s, 4 s left`."""
    parts = [f"{progress.phase}: {progress.done / MEGABYTE:,.0f}"]
    if progress.total:
        parts[0] += f" of {progress.total / MEGABYTE:,.0f} MB"
        parts.append(f"{min(99, 100 * progress.done // progress.total)} %")
    else:
        parts[0] += " MB"
    if progress.rate:
        parts.append(f"{progress.rate / MEGABYTE:,.0f} MB/s")
    if progress.left is not None:
        parts.append(f"{progress.left:,.0f} s left")
    return ", ".join(parts)
