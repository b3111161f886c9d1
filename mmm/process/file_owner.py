"""Which processes have a file open, or work in a folder."""

import os
from contextlib import suppress
from pathlib import Path

from mmm.process.open_files import has_open, pids


def holders(path: Path) -> tuple[int, ...]:
    """Return the processes that have the file open; none where it does not exist. Takes some ms; needs root."""
    try:
        wanted = path.stat()
    except OSError:
        return ()
    place = wanted.st_dev, wanted.st_ino
    return tuple(
        pid for pid in pids() if has_open(pid, lambda fd: (fd.stat().st_dev, fd.stat().st_ino) == place)
    )


def works_in(folder: Path) -> tuple[int, ...]:
    """Return the processes whose working directory the folder is, as a server's is its data directory; needs root."""
    try:
        wanted = folder.stat()
    except OSError:
        return ()
    found = []
    for pid in pids():
        with suppress(OSError):
            at = os.stat(f"/proc/{pid}/cwd")  # noqa: PTH116
            if (at.st_dev, at.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(pid)
    return tuple(found)
