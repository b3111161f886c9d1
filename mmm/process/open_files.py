"""What processes have open, as /proc tells (proc_pid_fd(5)); needs root to see those of others."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def pids() -> Iterator[int]:
    """Yield all processes."""
    with os.scandir(_PROC) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdecimal())


def has_open(pid: int, wanted: Callable[["os.DirEntry[str]"], bool]) -> bool:
    """Tell whether one of the process's descriptors is `wanted`; not where it is gone, or may not be looked at.

    `wanted` may raise OSError for a descriptor that is closed meanwhile.
    """
    with suppress(OSError), os.scandir(_PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if wanted(entry):
                    return True
    return False
