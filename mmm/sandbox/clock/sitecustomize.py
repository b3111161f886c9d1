"""Lets the wall clock of a sandbox's daemons be shifted while they run, as an admin or NTP steps that of a host.

Python imports this by its name when it starts, for the init scripts of the sandbox put this folder on its path. What
Python code reads as the time of day is then off by the seconds in SHIFT, looked up each time; all other clocks, which
the daemons may count on, stay as they are. Libraries that ask the kernel themselves, OpenSSL for one, see no shift.
"""

import time
from collections.abc import Callable
from pathlib import Path

SHIFT = Path("/run/clock-shift")
"""Each machine has its own file; without one its clock is right."""
_SECOND = 1_000_000_000


def _shift() -> int:
    """Return the seconds by which the wall clock is off."""
    try:
        return int(SHIFT.read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _shifted_clock(clock: int, *, true: Callable[[int], float] = time.clock_gettime) -> float:
    return true(clock) + (_shift() if clock == time.CLOCK_REALTIME else 0)


def _shifted_clock_ns(clock: int, *, true: Callable[[int], int] = time.clock_gettime_ns) -> int:
    return true(clock) + (_shift() * _SECOND if clock == time.CLOCK_REALTIME else 0)


def _install() -> None:
    """Put shifted clocks in the place of the true ones."""
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + _shift()
    time.time_ns = lambda: true_ns() + _shift() * _SECOND
    time.clock_gettime = _shifted_clock
    time.clock_gettime_ns = _shifted_clock_ns


if __name__ == "sitecustomize":
    _install()
