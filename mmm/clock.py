"""The clock that leases are measured by, and the one on the wall."""

import time


def clock() -> float:
    """Return seconds since the boot, those included in which the host slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_AT_ONCE = 0.05


def wall_ahead() -> float | None:
    """Return by how many seconds the wall clock is ahead of `clock`; None where that was not seen at one moment."""
    before, wall, after = clock(), time.time(), clock()
    return wall - after if after - before < _AT_ONCE else None


def local_time(seconds: float) -> str:
    """Return the wall-clock time `seconds` since 1970 as `YYYY/MM/DD HH:MM:SS`, local."""
    return time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))
