"""mmm_rejoin that stops itself once (SIGSTOP) beside one of its steps, so that a fault meets it right there.

`python -m mmm.proving.halting MOMENT STEP [OPTION…]`: before the step, or after it, when the journal does not say yet
that it is done; `within` stops it in the middle of the copy. It is mmm_rejoin in all else.
"""

import os
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from mmm.tools.fetch.unpack import Unpacking
from mmm.tools.rejoin.command import rejoin
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.steps import Steps


class Moment(StrEnum):
    """When it stops."""

    BEFORE = "before"
    WITHIN = "within"
    """Some of the copy has come; of FETCH alone."""
    AFTER = "after"


class _Once:
    """Stops this process, the first time."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self) -> None:
        if not self._done:
            self._done = True
            os.kill(os.getpid(), signal.SIGSTOP)


def main() -> int:
    """Run mmm_rejoin so; returns its exit status."""
    moment, step, *argv = sys.argv[1:]
    stop, do, write = _Once(), Steps.do, Unpacking.write

    def done(steps: Steps, of: Step, journal: Journal) -> Journal:
        if of == step and moment == Moment.BEFORE:
            stop()
        journal = do(steps, of, journal)
        if of == step and moment == Moment.AFTER:
            stop()
        return journal

    def written(unpacking: Unpacking, data: bytes) -> None:
        write(unpacking, data)
        if moment == Moment.WITHIN:
            stop()

    replaced: tuple[tuple[type, str, Callable[..., Any]], ...] = (
        (Steps, "do", done),
        (Unpacking, "write", written),
    )
    for owner, name, new in replaced:
        setattr(owner, name, new)
    return rejoin(argv)


if __name__ == "__main__":
    sys.exit(main())
