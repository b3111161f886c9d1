"""The angel: a parent that starts the worker, starts it again when it fails, and passes signals on.

TERM, INT and QUIT end the worker, and then the angel. HUP opens the log files anew in both. A worker that
does not end in time is killed. A worker whose angel is gone gets TERM from the kernel. The angel also looks after
what the worker should have done and has not (`Ward`), and after the pid file.
"""

import faulthandler
import gc
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn, Protocol

from mmm.process.logs import reopen, shut_down
from mmm.process.parent_death import signal_at_parents_end
from mmm.process.restart import Again, End, GiveUp, Policy, after

Worker = Callable[[], int]

ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
"""What a daemon is asked to end by."""
SIGNALS = ENDING | {signal.SIGHUP, signal.SIGCHLD}
"""What the angel waits for; they are blocked in it, and unblocked in its worker."""

_LONG = 3600.0

log = logging.getLogger(__name__)


class Duty(Protocol):
    """What the angel does beside its worker."""

    def wait(self) -> float:
        """Return for how many seconds there is nothing to look at."""

    def look(self) -> None:
        """Do what is due."""

    def reopen(self) -> None:
        """Have log files opened anew by a process that was started for it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: its status, negative for a signal, and whether it had been asked to."""

    status: int
    asked: bool


def supervise(
    worker: Worker, policy: Policy, stop_limit: float, ready: Callable[[], bool], duties: Sequence[Duty]
) -> int:
    """Keep `worker` running in a child; returns the exit status of the angel.

    `ready` tells whether a worker has ever got to its work: when the first one ends before, so does the angel, for
    the start has failed. `SIGNALS` must be blocked. A worker that was asked to end is killed after `stop_limit`
    seconds. `duties` are looked at when they are due.
    """
    failures: tuple[float, ...] = ()
    try:
        pid = _start(worker)
    except OSError as error:
        log.error("the worker cannot be started: %s", error.strerror or error)
        return 1
    while True:
        ended = _watch(pid, stop_limit, duties)
        if ended.asked:
            return 0 if ended.status == 0 else 1
        if not ready():
            log.error("worker %s before it was ready: not started", _how(ended.status))
            return 1
        match after(ended.status, failures, time.monotonic(), policy):
            case End():
                return 0
            case GiveUp(count):
                log.critical(
                    "worker %s; %d failures within %g s: giving up", _how(ended.status), count, policy.window
                )
                return 1
            case Again(delay, failures):
                log.error("worker %s; starting it again %s", _how(ended.status), _when(delay))
                again = _start_after(delay, worker, policy.delay, duties)
                if again is None:
                    return 0
                pid = again


def _start_after(delay: float, worker: Worker, pause: float, duties: Sequence[Duty]) -> int | None:
    """Return the pid of a worker that is started after `delay` seconds, None where the angel is to end instead.

    Where the machine has no room for a process that is tried again every `pause` seconds.
    """
    missed_hup = False
    while True:
        number = _asked_within(delay, duties)
        if number in ENDING:
            return None
        missed_hup = missed_hup or number == signal.SIGHUP
        try:
            pid = _start(worker)
        except OSError as error:
            why, delay = error.strerror or error, pause
            log.error("the worker cannot be started: %s; starting it again %s", why, _when(delay))
            continue
        if missed_hup:
            os.kill(pid, signal.SIGHUP)
        return pid


def run(worker: Worker) -> int:
    """Return the exit status of `worker`, run in this process; what it raises is logged.

    `HANDLERS` are to be set; until it sets up its own they hold.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    faulthandler.enable()
    try:
        return worker()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 0
    except Exception:
        log.critical("ended by an internal error", exc_info=True)
        return 1


def _start(worker: Worker) -> int:
    """Return the pid of a new worker; raises OSError."""
    angel = os.getpid()
    gc.freeze()  # so that the worker's collections do not copy all that it shares with the angel
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _end_with(angel)
            status = run(worker)
        finally:
            leave(status)
    return pid


def _end_with(angel: int) -> None:
    """Have the kernel send TERM when the angel ends, also if it has ended already."""
    signal_at_parents_end(signal.SIGTERM)
    if os.getppid() != angel:
        os._exit(0)


def leave(status: int) -> NoReturn:
    """End a child of the angel with this exit status, once its last log lines are written."""
    shut_down()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status & 0xFF)


def _watch(pid: int, stop_limit: float, duties: Sequence[Duty]) -> Ended:
    asked, end = False, math.inf
    while True:
        number = _next_signal(end - time.monotonic(), duties)
        if number in ENDING:
            log.info("got %s, ending the worker", signal.Signals(number).name)
            os.kill(pid, number)
            asked, end = True, end if asked else time.monotonic() + stop_limit
        elif number == signal.SIGHUP:
            _reopen_all(duties)
            os.kill(pid, signal.SIGHUP)
        elif asked and time.monotonic() >= end:
            log.error("worker %d did not end within %g s: killing it", pid, stop_limit)
            os.kill(pid, signal.SIGKILL)
            end = math.inf  # it may hang in the kernel, on a dead disk; SIGCHLD tells
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return Ended(os.waitstatus_to_exitcode(status), asked)


def _asked_within(seconds: float, duties: Sequence[Duty]) -> int | None:
    """Wait `seconds`, and return SIGHUP where that came, which the next worker is to hear of, else None.

    A signal to end by is returned at once.
    """
    end, asked = time.monotonic() + seconds, None
    while (left := end - time.monotonic()) > 0:
        number = _next_signal(left, duties)
        if number in ENDING:
            return number
        if number == signal.SIGHUP:
            asked = number
            _reopen_all(duties)
    return asked


def _reopen_all(duties: Sequence[Duty]) -> None:
    reopen()
    for duty in duties:
        duty.reopen()


def _next_signal(limit: float, duties: Sequence[Duty]) -> int | None:
    """Return the next signal, None without one until the limit, or until a duty was due."""
    wait = min(limit, _LONG, *(duty.wait() for duty in duties))
    info = signal.sigtimedwait(SIGNALS, max(0.0, wait))
    for duty in duties:
        duty.look()
    return None if info is None else info.si_signo


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _reopen(_number: int, _frame: FrameType | None) -> None:
    """Open the log files anew; that the conf is to be read is kept for who takes SIGHUP over: `hung_up`."""
    _EARLY.append(signal.SIGHUP)
    reopen()


def hung_up() -> bool:
    """Tell, once, whether SIGHUP came before this worker took it over."""
    came = bool(_EARLY)
    _EARLY.clear()
    return came


_EARLY: list[int] = []

HANDLERS: dict[signal.Signals, Callable[[int, FrameType | None], None] | signal.Handlers] = {
    **dict.fromkeys(ENDING, _end),
    signal.SIGHUP: _reopen,
    signal.SIGCHLD: signal.SIG_DFL,
}
"""What signals do to a worker: end it with status 0, or open its log files anew."""


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _when(delay: float) -> str:
    return f"in {delay:g} s" if delay else "at once"
