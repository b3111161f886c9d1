"""mmm_rejoin that stops itself once (SIGSTOP) beside one of its steps, so that a fault meets it right there.

`python -m mmm.proving.halting MOMENT STEP [OPTION…]`: before the step, or after it, when the journal does not say yet
that it is done; `within` and `late in` stop it where half of the step is done. It is mmm_rejoin in all else.
"""

import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from mmm.tools.fetch.unpack import Unpacking
from mmm.tools.rejoin import in_place, swap
from mmm.tools.rejoin.command import rejoin
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.steps import Steps
from mmm.tools.rewind import undo


class Moment(StrEnum):
    """When it stops."""

    BEFORE = "before"
    WITHIN = "within"
    """Some of the copy has come, the first rename is made, or it is undone, and the log still tells of it.

    Or the old data are moved away, and none of them is removed yet."""
    LATE = "late in"
    """It is undone, and the log is empty and does not say yet behind what it goes on."""
    AFTER = "after"


HALVES = {Moment.WITHIN: {Step.UNDO, Step.EMPTY, Step.FETCH, Step.SWAP}, Moment.LATE: {Step.UNDO}}
"""The steps that stop there, too."""


class _Once:
    """Stops this process, the first time."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self) -> None:
        if not self._done:
            self._done = True
            os.kill(os.getpid(), signal.SIGSTOP)


def _halve(moment: Moment, step: Step, stop: Callable[[], None]) -> None:
    """Have `stop` called in the middle of the step: behind what has done half of it, or before the other half."""
    owner, name, behind = {
        (Moment.WITHIN, Step.FETCH): (Unpacking, "write", True),
        (Moment.WITHIN, Step.EMPTY): (in_place, "_move_away", True),
        (Moment.WITHIN, Step.SWAP): (swap, "_rename", True),
        (Moment.WITHIN, Step.UNDO): (undo, "_see_same_end", False),
        (Moment.LATE, Step.UNDO): (undo, "_settled", False),
    }[moment, step]
    half: Callable[..., Any] = getattr(owner, name)

    def halved(*args: Any, **options: Any) -> None:
        if not behind and not options.get("clean", False):  # the same look before the commit has it
            stop()
        half(*args, **options)
        if behind:
            stop()

    setattr(owner, name, halved)


def main() -> int:
    """Run mmm_rejoin so; returns its exit status."""
    moment, step, *argv = sys.argv[1:]
    stop, do = _Once(), Steps.do

    def done(steps: Steps, of: Step, journal: Journal) -> Journal:
        if of == step and moment == Moment.BEFORE:
            stop()
        journal = do(steps, of, journal)
        if of == step and moment == Moment.AFTER:
            stop()
        return journal

    setattr(Steps, "do", done)  # noqa: B010  (mypy takes no method for another's place)
    if moment in HALVES:
        _halve(Moment(moment), Step(step), stop)
    return rejoin(argv)


if __name__ == "__main__":
    sys.exit(main())
