"""Goes through the steps of a rejoin, its journal on the disk before and after each, and takes back what fails."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from mmm.tools.rejoin.journal import ORDER, Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.step_error import NotRewoundError, StepError
from mmm.tools.rejoin.steps import Steps
from mmm.tools.rejoin.texts import STEPS
from mmm.wire.job import Result
from mmm.wire.rejoin import REWIND

log = logging.getLogger(__name__)

Say = Callable[[str], None]


class Status(IntEnum):
    """Exit statuses of the tools."""

    DONE = 0
    TAKEN_BACK = 1
    """Failed; everything is as it was."""
    REFUSED = 2
    """Wrong usage, a conf that cannot be used, or a host that may not be touched: nothing was begun."""
    BUSY = 3
    """Another job runs, or nobody answers."""
    HALF_DONE = 4
    """The same command goes on with it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended."""

    status: Status
    journal: Journal
    seconds: float
    failed: Step | None = None
    why: str = ""


def run(steps: Steps, folder: JobFolder, journal: Journal, say: Say, began: float | None = None) -> Ended:
    """Do the steps that are left; raises OSError where the journal cannot be kept."""
    began = time.monotonic() if began is None else began

    def ended(status: Status, failed: Step | None = None, why: str = "") -> Ended:
        return Ended(status, journal, time.monotonic() - began, failed, why)

    for step in ORDER:
        if step not in journal.following:
            continue
        journal = journal.begin(step)
        folder.keep(journal)
        try:
            journal = _timed(steps, step, journal, say).finish(step)
        except (StepError, KeyboardInterrupt) as error:
            why = str(error) or "interrupted"
            log.error("%s: %s: failed: %s", journal.host, STEPS[step], why)
            if isinstance(error, NotRewoundError):
                journal = journal.by_copy(clean=error.clean)
                folder.keep(journal)
                if journal.method != REWIND:
                    say(f"{why}: a copy is made instead")
                    return run(steps, folder, journal, say, began)
            if not journal.revocable:
                return ended(Status.HALF_DONE, step, why)
            return ended(take_back(steps, folder, journal, say), step, why)
        folder.keep(journal)
    folder.end(journal, Result.DONE, time.monotonic() - began)
    return ended(Status.DONE)


def _timed(steps: Steps, step: Step, journal: Journal, say: Say) -> Journal:
    began = time.monotonic()
    say(f"{STEPS[step]} …")
    journal = steps.do(step, journal)
    log.info("%s: %s: done, %.0f ms", journal.host, STEPS[step], 1000 * (time.monotonic() - began))
    return journal


def take_back(steps: Steps, folder: JobFolder, journal: Journal, say: Say) -> Status:
    """Have everything as it was before the job, and end it; HALF_DONE where that fails. Raises OSError."""
    say("taking back what was done …")
    try:
        if journal.moves:
            journal = journal.putting_back()
            folder.keep(journal)
            steps.put_back(journal)
            journal = journal.anew()
            folder.keep(journal)
        steps.undo(journal)
    except (StepError, KeyboardInterrupt) as error:
        log.error("%s: it cannot be taken back: %s", journal.host, error)
        say(f"it cannot be taken back: {error}")
        return Status.HALF_DONE
    folder.end(journal, Result.TAKEN_BACK)
    log.info("%s: all is as it was", journal.host)
    return Status.TAKEN_BACK
