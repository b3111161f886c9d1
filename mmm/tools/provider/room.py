"""Whether a disk has room for a copy, before any of it is made. Edge."""

import shutil
from pathlib import Path

MEGABYTE = 1_000_000
SPARE, MORE = 64 * MEGABYTE, 1.1
"""What has to be free besides the donor's data, and for each byte of them."""


def lacks_room(folder: Path, donor: str, size: int) -> str:
    """Return that a folder, made or not, has no room for a copy of so many bytes of the donor; empty where it has."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free, needed = shutil.disk_usage(there).free, size * MORE + SPARE
    if free >= needed:
        return ""
    return f"{folder}: {free / MEGABYTE:,.0f} MB are free, the data of {donor} need {needed / MEGABYTE:,.0f}"
