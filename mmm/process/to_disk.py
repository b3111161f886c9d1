"""Sees that what was written is on the disk, before something rests on it (fsync(2))."""

import os
from pathlib import Path


def settle(path: Path, *, follow: bool = True) -> None:
    """Have a file's bytes, or the names in a folder, on the disk; raises OSError.

    Without `follow` a symbolic link is an error.
    """
    fd = os.open(path, os.O_RDONLY | (0 if follow else os.O_NOFOLLOW))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
