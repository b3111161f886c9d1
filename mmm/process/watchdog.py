"""What the angel does in the place of a worker that is dead or stuck.

The worker keeps moving a deadline in memory that it shares with the angel. When it passes, the angel has the act done
in a separate process, every second until it succeeds or the worker has moved the deadline after all.
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


class Ward:
    """A deadline on `clock`, and the act that is due when it passes; `act` returns whether it succeeded.

    It is told how to find out whether it is still due: the worker may move the deadline while it is under way.

    Made before the worker is forked. The worker calls `set`, the angel the rest.
    """

    def __init__(self, act: Callable[[Callable[[], bool]], bool]) -> None:
        self._act = act
        self._deadline = ctypes.c_double.from_buffer(mmap.mmap(-1, ctypes.sizeof(ctypes.c_double)))
        self._done = NONE
        self._pid = 0
        self._began = -math.inf
        self.set(NONE)

    def set(self, moment: float) -> None:
        """Have the act done at `moment`; NONE: never."""
        self._deadline.value = moment

    def wait(self) -> float:
        """Return for how many seconds there is nothing to look at."""
        if self._pid:
            return max(0.0, self._began + LIMIT - clock())
        due = self._deadline.value + GRACE if self._deadline.value != self._done else NONE
        return max(0.0, max(due, self._began + AGAIN) - clock())

    def look(self) -> None:
        """Begin the act if it is due, and take note of how it ended."""
        if self._pid:
            self._reap()
        elif self.wait() <= 0:
            self._begin()

    def reopen(self) -> None:
        """Do nothing: an attempt is over before anybody looks for its log."""

    def close(self) -> None:
        """Begin nothing more; what is under way is left to end."""
        self._done = self._deadline.value

    def _begin(self) -> None:
        self._began, self._tried = clock(), self._deadline.value
        late = self._began - self._tried
        log.critical("the worker is %.1f s late, dead or stuck: the angel acts in its place", late)
        try:
            self._pid = os.fork()
        except OSError as error:
            why = error.strerror or error
            log.critical("the angel has no process to act in: %s; it tries again in %g s", why, AGAIN)
            return
        if self._pid == 0:
            status = 1
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                status = 0 if self._act(self._is_due) else 1
            except Exception:
                log.critical("the angel's act ended by an internal error", exc_info=True)
            finally:
                shut_down()
                os._exit(status)

    def _is_due(self) -> bool:
        return self._deadline.value == self._tried

    def _reap(self) -> None:
        if clock() - self._began >= LIMIT:
            os.kill(self._pid, signal.SIGKILL)
        done, status = os.waitpid(self._pid, os.WNOHANG)
        if done:
            self._pid = 0
            if os.waitstatus_to_exitcode(status) == 0:
                self._done = self._tried


def no_ward() -> Ward:
    """Return one that never has anything to do."""
    return Ward(lambda _: True)
