"""Which processes have a file open."""

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
