"""The step that gets a copy of the donor's data beside the old ones, and has a server prove it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.config.model import Cluster
from mmm.process import job_files
from mmm.tools.fetch import stage
from mmm.tools.fetch.fetch import fetch
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.stage import Login
from mmm.tools.fetch.values import Failed, FailedError, Progress
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.step_error import StepError

MEGABYTE = 1_000_000
PREPARE = "prepare"
"""The part of the step in which the copy has come, and is made one that a server starts on."""


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies the donor that the journal names; `say` is told how far it is, and `note` for others to know."""

    conf: Cluster
    say: Callable[[str], None]
    note: Callable[[Journal, job_files.Progress], None] = lambda _, __: None

    def __call__(self, journal: Journal) -> Journal:
        """Return the journal with what the copy has; raises StepError, OSError."""
        donor, staging = self.conf.hosts[journal.donor], Path(journal.staging)
        owner = Owner.of(Path(journal.datadir))

        def report(progress: Progress) -> None:
            self.say(f"  {said(progress)}")
            self.note(journal, noted(progress))

        came = fetch(self.conf, donor, staging, report, owner=owner, job=journal.job)
        if isinstance(came, Failed):
            raise StepError(came.text)
        self.say(f"  {came.bytes / MEGABYTE:,.0f} MB from {donor.name} in {came.seconds:.1f} s")
        try:
            argv = stage.server_of(self.conf.hosts[journal.host])
        except FailedError as error:
            raise StepError(error.failed.text) from error
        found = stage.prove(staging, argv, came.position, self._logins())
        if isinstance(found, Failed):
            raise StepError(found.text)
        return replace(journal, position=found.gtid)

    def _logins(self) -> tuple[Login, ...]:
        """Return the accounts that have to be in the copy: the agent's is not in every tool's conf."""
        here = self.conf.hosts[self.conf.this]
        known = (
            Login(here.tools_user, here.tools_password),
            Login(here.agent_user, here.agent_password),
            Login(here.replication_user, here.replication_password),
        )
        return tuple(login for login in known if login.user)


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
