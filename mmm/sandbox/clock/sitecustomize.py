"""Lets the clocks of a sandbox's daemons be shifted while they run.

The wall clock is shifted as an admin or NTP steps that of a host, the clock since the boot as that of a virtual machine
is behind which was paused.

Python imports this by its name when it starts, for the init scripts of the sandbox put this folder on its path. What
Python code reads as the time of day is then off by the seconds in SHIFT, and what it reads as the time since the boot
is behind by those in STOOD, looked up each time; all other clocks stay as they are. Libraries that ask the kernel
themselves, OpenSSL for one, see no shift.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

SHIFT = Path("/run/clock-shift")
STOOD = Path("/run/clock-stood")
"""Each machine has its own files; without one its clock is right."""
_SECOND = 1_000_000_000


def _seconds(file: Path) -> float:
    if not os.access(file, os.F_OK):
        # Reading fails as well, at ten times the cost; daemons read their clocks hundreds of times a second.
        return 0.0
    try:
        return float(file.read_text("ascii"))
    except (OSError, ValueError):
        return 0.0


def _shift(clock: int = time.CLOCK_REALTIME) -> float:
    """Return the seconds by which a clock is ahead."""
    if clock == time.CLOCK_REALTIME:
        return _seconds(SHIFT)
    return -_seconds(STOOD) if clock == time.CLOCK_BOOTTIME else 0.0


def _shifted_clock(clock: int, *, true: Callable[[int], float] = time.clock_gettime) -> float:
    return true(clock) + _shift(clock)


def _shifted_clock_ns(clock: int, *, true: Callable[[int], int] = time.clock_gettime_ns) -> int:
    return true(clock) + round(_shift(clock) * _SECOND)


def _install() -> None:
    """Put shifted clocks in the place of the true ones."""
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + _shift()
    time.time_ns = lambda: true_ns() + round(_shift() * _SECOND)
    time.clock_gettime = _shifted_clock
    time.clock_gettime_ns = _shifted_clock_ns


if __name__ == "sitecustomize":
    _install()
