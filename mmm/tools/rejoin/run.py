"""Goes through the steps of a rejoin, its journal on the disk before and after each, and takes back what fails."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum

from mmm.tools.rejoin.journal import ORDER, Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.remains import left_as_it_is
from mmm.tools.rejoin.step_error import LeadsNowhereError, NotRewoundError, StepError
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
    left: bool = False
    """It is given up, the host left as it is: the same command begins a new job."""


def run(steps: Steps, folder: JobFolder, journal: Journal, say: Say) -> Ended:
    """Do the steps that are left. Whatever stops it, a full disk or a signal, is how it ended: nothing is raised."""
    return _Run(steps, folder, journal, say).go()


class _Run:
    """One run of a job, and what is known of it at any moment."""

    def __init__(self, steps: Steps, folder: JobFolder, journal: Journal, say: Say) -> None:
        self._steps, self._folder, self._say = steps, folder, say
        self._journal = journal
        self._step = journal.begun or ORDER[0]
        self._began = time.monotonic()

    def go(self) -> Ended:
        """Return how it ended."""
        try:
            return self._go()
        except (
            OSError,
            KeyboardInterrupt,
        ) as error:  # a failure is being seen to already, or its end written down
            return self._ended(Status.HALF_DONE, _why(error))

    def _go(self) -> Ended:
        try:
            for step in ORDER:
                if step in self._journal.following:
                    self._do(step)
        except (StepError, OSError, KeyboardInterrupt) as error:
            why = _why(error)
            log.error("%s: %s: failed: %s", self._journal.host, STEPS[self._step], why)
            if isinstance(error, NotRewoundError):
                self._journal = self._journal.by_copy(clean=error.clean)
                if self._journal.method != REWIND:
                    return self._by_copy(why)
            if isinstance(error, LeadsNowhereError) and self._journal.leavable:
                return self._given_up(why)
            return self._stopped(why)
        self._folder.end(self._journal, Result.DONE, time.monotonic() - self._began)
        return self._ended(Status.DONE)

    def _by_copy(self, why: str) -> Ended:
        try:
            self._folder.keep(self._journal)
            self._say(f"{why}: a copy is made instead")
        except (OSError, KeyboardInterrupt) as error:
            return self._stopped(_why(error))
        return self._go()

    def _do(self, step: Step) -> None:
        """Do a step, the journal on the disk before and after it; raises StepError, OSError, KeyboardInterrupt.

        What is not on the disk yet counts as not begun, and what is done as done, should the disk not take that.
        """
        self._step = step
        begun = self._steps.before(step, self._journal.begin(step))
        self._folder.keep(begun)
        self._journal = begun
        self._journal = self._timed(step).finish(step)
        self._folder.keep(self._journal)

    def _timed(self, step: Step) -> Journal:
        began = time.monotonic()
        self._say(f"{STEPS[step]} …")
        journal = self._steps.do(step, self._journal)
        log.info("%s: %s: done, %.0f ms", journal.host, STEPS[step], 1000 * (time.monotonic() - began))
        return journal

    def _stopped(self, why: str) -> Ended:
        """Return how it ended that a step failed: all is taken back, as long as that can be."""
        if self._journal.revocable:
            return self._ended(take_back(self._steps, self._folder, self._journal, self._say), why)
        with suppress(OSError):  # it may not know yet how far the job is; what it knows is gone on with, too
            self._folder.keep(self._journal)
        return self._ended(Status.HALF_DONE, why)

    def _given_up(self, why: str) -> Ended:
        left = leave(self._steps, self._folder, self._journal, self._say) is Status.DONE
        return replace(self._ended(Status.HALF_DONE, why), left=left)

    def _ended(self, status: Status, why: str = "") -> Ended:
        failed = None if status is Status.DONE else self._step
        return Ended(status, self._journal, time.monotonic() - self._began, failed, why)


def take_back(steps: Steps, folder: JobFolder, journal: Journal, say: Say) -> Status:
    """Have everything as it was before the job, and end it; HALF_DONE where that fails."""
    try:
        say("taking back what was done …")
        if journal.moves:
            journal = journal.putting_back()
            folder.keep(journal)
            steps.put_back(journal)
            journal = journal.anew()
            folder.keep(journal)
        steps.undo(journal)
        folder.end(journal, Result.TAKEN_BACK)
    except (StepError, OSError, KeyboardInterrupt) as error:
        log.error("%s: it cannot be taken back: %s", journal.host, _why(error))
        say(f"it cannot be taken back: {_why(error)}")
        return Status.HALF_DONE
    log.info("%s: all is as it was", journal.host)
    return Status.TAKEN_BACK


def leave(steps: Steps, folder: JobFolder, journal: Journal, say: Say) -> Status:
    """Give a job up and leave the host as it is, on the data that it has by now; HALF_DONE where its server fails.

    Nothing removes later what the job has put aside.
    """
    try:
        remains = steps.leave(journal)
        folder.end(journal.for_good(), Result.LEFT)
    except (StepError, OSError, KeyboardInterrupt) as error:
        log.error("%s: job %s cannot be given up: %s", journal.host, journal.job, _why(error))
        say(f"job {journal.job} cannot be given up: {_why(error)}")
        return Status.HALF_DONE
    for line in left_as_it_is(journal, remains):
        log.warning(line)
        say(line)
    return Status.DONE


def _why(error: BaseException) -> str:
    """Return in one line why something was not done."""
    if isinstance(error, OSError):
        return f"{error.filename or ''}: {error.strerror or error}".lstrip(": ")
    return str(error) or "interrupted"
