"""What the angel does in the place of a worker that is dead or stuck.

The worker keeps moving a deadline in memory that it shares with the angel. When it passes, the angel has the act done
in a separate process, every second until it succeeds or the worker has moved the deadline after all. That process says
in the same memory what it has come to: it may not be able to end, as where a disk hangs.
"""

import ctypes
import logging
import math
import mmap
import os
import signal
from collections.abc import Callable

from mmm.clock import clock
from mmm.process.logs import shut_down

NONE = math.inf
"""The deadline when there is nothing to watch over."""
GRACE = 0.2
"""Seconds after the deadline that a worker, which may just be at it, is left to itself."""
AGAIN = 1.0
"""Seconds between two attempts."""
LIMIT = 10.0
"""Seconds after which an attempt is killed."""

log = logging.getLogger(__name__)


class _Shared(ctypes.Structure):
    """What worker, angel and the process of an act have in common; moments are on `clock`."""

    _fields_ = (
        ("deadline", ctypes.c_double),
        ("acting", ctypes.c_double),
        ("done", ctypes.c_double),
        ("over", ctypes.c_bool),
    )
    deadline: float
    acting: float
    """The deadline for which the act is under way, and no number where none is."""
    done: float
    """The one for which it has succeeded."""
    over: bool
    """The act that was begun last has come to its end."""


class Ward:
    """A deadline on `clock`, and the act that is due when it passes; `act` returns whether it succeeded.

    It is told how to find out whether it is still due: the worker may move the deadline while it is under way.

    Made before the worker is forked. The worker calls `set` and `put_off`, the angel the rest.
    """

    def __init__(self, act: Callable[[Callable[[], bool]], bool]) -> None:
        self._act = act
        self._shared = _Shared.from_buffer(mmap.mmap(-1, ctypes.sizeof(_Shared)))
        self._shared.done, self._shared.acting = NONE, math.nan
        self._pid = 0
        self._stuck = list[int]()
        """Attempts that do not end though they are over, or were killed."""
        self._began = -math.inf
        self.set(NONE)

    def set(self, moment: float) -> None:
        """Have the act done at `moment`; NONE: never."""
        self._shared.deadline = moment

    def put_off(self, moment: float) -> None:
        """Do the same, unless the act is under way: it is to come to its end."""
        if self._shared.acting != self._shared.deadline:
            self.set(moment)

    def wait(self) -> float:
        """Return for how many seconds there is nothing to look at."""
        if self._pid:
            return AGAIN
        shared = self._shared
        due = shared.deadline + GRACE if shared.deadline != shared.done else NONE
        # The more do not end the longer it waits: a machine has room for so many only.
        return max(0.0, max(due, self._began + AGAIN * (1 + len(self._stuck))) - clock())

    def look(self) -> None:
        """Begin the act if it is due, and take note of how it ended."""
        self._stuck = [pid for pid in self._stuck if not os.waitpid(pid, os.WNOHANG)[0]]
        if self._pid:
            self._reap()
        elif self.wait() <= 0:
            self._begin()

    def reopen(self) -> None:
        """Do nothing: an attempt is over before anybody looks for its log."""

    def close(self) -> None:
        """Begin nothing more; what is under way is left to end."""
        self._shared.done = self._shared.deadline

    def _begin(self) -> None:
        self._began, self._tried = clock(), self._shared.deadline
        late = self._began - self._tried
        log.critical("the worker is %.1f s late, dead or stuck: the angel acts in its place", late)
        self._shared.acting, self._shared.over = self._tried, False
        try:
            self._pid = os.fork()
        except OSError as error:
            self._shared.acting = math.nan
            why = error.strerror or error
            log.critical("the angel has no process to act in: %s; it tries again in %g s", why, AGAIN)
            return
        if self._pid == 0:
            status = 1
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                status = 0 if self._act(self._is_due) else 1
                self._end(well=status == 0)
            except Exception:
                log.critical("the angel's act ended by an internal error", exc_info=True)
            finally:
                shut_down()
                os._exit(status)

    def _is_due(self) -> bool:
        return self._shared.deadline == self._tried

    def _end(self, *, well: bool) -> None:
        """Say what the act has come to, in the process that has done it."""
        if well:
            self._shared.done = self._tried
        self._shared.over = True

    def _reap(self) -> None:
        late = clock() - self._began >= LIMIT
        if late:
            os.kill(self._pid, signal.SIGKILL)
        ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
        if not (ended or late or self._shared.over):
            return
        if not ended:
            self._stuck.append(self._pid)
        self._pid, self._shared.acting = 0, math.nan


def no_ward() -> Ward:
    """Return one that never has anything to do."""
    return Ward(lambda _: True)
