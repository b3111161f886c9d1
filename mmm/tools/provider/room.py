"""Whether a disk has room for a copy, before any of it is made. Edge."""

import shutil
from pathlib import Path

MEGABYTE = 1_000_000
SPARE, MORE = 64 * MEGABYTE, 1.1
"""What has to be free besides the donor's data, and for each byte of them."""


def needed(size: int) -> int:
    """Return how many bytes have to be free for a copy of so many."""
    return int(size * MORE) + SPARE


def free(folder: Path) -> int:
    """Return how many bytes are free where a folder is, made or not."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return shutil.disk_usage(there).free


def lacks_room(folder: Path, donor: str, size: int) -> str:
    """Return that a folder, made or not, has no room for a copy of so many bytes of the donor; empty where it has."""
    there, wanted = free(folder), needed(size)
    if there >= wanted:
        return ""
    return f"{folder}: {there / MEGABYTE:,.0f} MB are free, the data of {donor} need {wanted / MEGABYTE:,.0f}"
