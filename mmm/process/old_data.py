"""What rebuilds of this host have replaced and kept: which folders, since when, and which of them may go.

Only what the journal of a job that has ended names is known here, under the very name that the job gave it: a folder
that somebody has renamed, or made, is nobody's to remove.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm.process.job_files import ENDED, FOLDER
from mmm.wire.job import Result

OLD, LOG, GOING = ".mmm-old-", "-log", ".going"
"""What comes before the job in the name of an old data folder; behind it, of an old binary log; and of what is being
removed."""
DAY = 86_400
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class OldData:
    """A data folder, or the folder of a binary log, that a job has replaced."""

    path: Path
    since: float
    """When the job ended, in seconds since 1970."""


def old_data(host: str, folder: Path = FOLDER) -> tuple[OldData, ...]:
    """Return what is kept of a host, the oldest first; `folder` has the journals. What cannot be read is left out."""
    found = [
        OldData(path, ended.stat().st_mtime)
        for ended in folder.glob(f"*{ENDED}")
        for path in _named(ended, host)
        if path.is_dir() and not path.is_symlink()
    ]
    return tuple(sorted(found, key=lambda each: (each.since, each.path)))


def over(found: Iterable[OldData], days: int, now: float) -> tuple[OldData, ...]:
    """Return those that have been kept for so many days; `now` is in seconds since 1970."""
    return tuple(each for each in found if now - each.since >= days * DAY)


def is_time(host: str, days: int, folder: Path = FOLDER) -> bool:
    """Tell whether something is to be removed now; 0 days: nothing ever is."""
    return days > 0 and bool(over(old_data(host, folder), days, time.time()))


def taken(path: Path) -> int:
    """Return how many bytes of the disk are free once the folder is gone: what has another name, too, frees none."""
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                stat = Path(place, name).lstat()
                total += _BLOCK * stat.st_blocks if stat.st_nlink == 1 else 0
    return total


def _named(ended: Path, host: str) -> Iterator[Path]:
    """Yield the folders that a journal says to be kept, also one whose removal was broken off."""
    journal = _read(ended)
    job = str(journal.get("job") or "")
    if not job or journal.get("host") != host or journal.get("result") != Result.DONE:
        return
    data, log = Path(str(journal.get("old") or "")), Path(str(journal.get("old_log") or ""))
    for path, ending in ((data, f"{OLD}{job}"), (log, f"{OLD}{job}{LOG}")):
        if path.is_absolute() and path.name.endswith(ending):
            yield path
            yield path.with_name(f"{path.name}{GOING}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
