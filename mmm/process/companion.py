"""A second process beside the worker, which the angel keeps: it answers while the worker is dead or stuck.

It ends with the angel, by the kernel's means, and is started again when it ends before. One that `outlives` the angel
has to see itself that its parent has ended.
"""

import logging
import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmm.clock import clock
from mmm.process.angel import HANDLERS, leave, run
from mmm.process.parent_death import signal_at_parents_end

HEALTH = "mmm_health"
"""What ps calls the one that answers load balancers beside an agent."""
AGAIN = 1.0
"""Seconds between two starts."""

log = logging.getLogger(__name__)


class Companion:
    """A process that runs `work`, which returns an exit status, for as long as the angel lives; ps calls it `name`."""

    def __init__(self, name: str, work: Callable[[], int], *, outlives: bool = False) -> None:
        self._name = name
        self._outlives = outlives
        self._work = work
        self._pid = 0
        self._began = -math.inf

    def wait(self) -> float:
        """Return for how many seconds there is nothing to do; that the process has ended the kernel signals."""
        return math.inf if self._pid else max(0.0, self._began + AGAIN - clock())

    def look(self) -> None:
        """Start the process if none runs."""
        if self._pid:
            self._reap()
        if not self._pid and self.wait() <= 0:
            self._start()

    def reopen(self) -> None:
        """Have it open its log files anew."""
        if self._pid:
            os.kill(self._pid, signal.SIGHUP)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Have it run during the block, where there is no angel; nobody starts it again."""
        self.look()
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """End it."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0

    def _start(self) -> None:
        self._began, parent = clock(), os.getpid()
        try:
            self._pid = os.fork()
        except OSError as error:
            why = error.strerror or error
            log.error("%s cannot be started: %s; it is tried again in %g s", self._name, why, AGAIN)
            return
        if self._pid == 0:
            status = 1
            try:
                with suppress(OSError):
                    Path("/proc/self/comm").write_text(self._name)  # proc_pid_comm(5)
                if not self._outlives:
                    signal_at_parents_end(
                        signal.SIGKILL
                    )  # there is nothing that it would have to put in order
                if os.getppid() != parent:
                    os._exit(0)
                for number, handler in HANDLERS.items():
                    signal.signal(number, handler)
                status = run(self._work)
            finally:
                leave(status)

    def _reap(self) -> None:
        done, status = os.waitpid(self._pid, os.WNOHANG)
        if done:
            log.error("%s ended with status %d", self._name, os.waitstatus_to_exitcode(status))
            self._pid = 0
