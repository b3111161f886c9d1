"""The clock that leases are measured by."""

import time


def clock() -> float:
    """Return seconds since the boot, those included in which the host slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
