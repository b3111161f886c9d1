"""Which processes have a file open, as /proc tells (proc_pid_fd(5))."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def holders(path: Path) -> tuple[int, ...]:
    """Return the processes that have the file open; none where it does not exist. Takes some ms; needs root."""
    try:
        wanted = path.stat()
    except OSError:
        return ()
    return tuple(pid for pid in _pids() if _has(pid, (wanted.st_dev, wanted.st_ino)))


def _pids() -> Iterator[int]:
    with os.scandir(_PROC) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdecimal())


def _has(pid: int, wanted: tuple[int, int]) -> bool:
    with suppress(OSError), os.scandir(_PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with suppress(OSError):
                found = entry.stat()
                if (found.st_dev, found.st_ino) == wanted:
                    return True
    return False
