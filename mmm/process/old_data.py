"""What rebuilds of this host have replaced and kept: which folders, since when, and which of them may go.

Only what the journal of a job that has ended names is known here, under the very name that the job gave it: a folder
that somebody has renamed, or made, is nobody's to remove.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmm.config.model import Cluster
from mmm.process.job_files import ENDED, FOLDER
from mmm.wire.job import Result
from mmm.wire.json_text import parsed

NEW = ".mmm-new-"
"""What comes before the job in the name of the folder that a copy is made in."""
OLD, LOG, GOING = ".mmm-old-", "-log", ".going"
"""What comes before the job in the name of an old data folder; behind it, of an old binary log; and of what is being
removed."""
TEMPORARY = "#sql"
"""How these names begin in MariaDB's data folder: it takes any other folder there for a database."""
DAY = 86_400
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class OldData:
    """A data folder, or the folder of a binary log, that a job has replaced."""

    path: Path
    since: float
    """When the job ended, in seconds since 1970."""
    datadir: Path
    """The data folder in whose place, or beside which, it was."""


def is_of_a_job(name: str) -> bool:
    """Tell whether what is called so in a data folder is a job's, and no data."""
    return name.removeprefix(TEMPORARY).startswith((NEW, OLD))


def server_here(conf: Cluster) -> str:
    """Return which server of this machine the conf is about: `IP:PORT`. Two clusters may have one host name."""
    here = conf.hosts[conf.this]
    return f"{here.ip}:{here.mysql_port}"


def old_data(server: str, folder: Path = FOLDER) -> tuple[OldData, ...]:
    """Return what is kept of a server, the oldest first; `folder` has the journals. What cannot be read is left out."""
    found = (each for ended in folder.glob(f"*{ENDED}") for each in _kept(ended, server))
    return tuple(sorted(found, key=lambda each: (each.since, each.path)))


def over(found: Iterable[OldData], days: int, now: float) -> tuple[OldData, ...]:
    """Return those that have been kept for so many days; `now` is in seconds since 1970."""
    return tuple(each for each in found if now - each.since >= days * DAY)


def is_time(server: str, days: int, folder: Path = FOLDER) -> bool:
    """Tell whether something is to be removed now; 0 days: nothing ever is."""
    return days > 0 and bool(over(old_data(server, folder), days, time.time()))


def taken(path: Path, limit: float = math.inf) -> int:
    """Return how many bytes of the disk are free once the folder is gone: what has another name, too, frees none.

    After `limit` seconds what was counted by then is returned.
    """
    total, end = 0, time.monotonic() + limit
    for place, _, names in os.walk(path):
        if time.monotonic() > end:
            break
        for name in names:
            with suppress(OSError):
                stat = Path(place, name).lstat()
                total += _BLOCK * stat.st_blocks if stat.st_nlink == 1 else 0
    return total


def _kept(ended: Path, server: str) -> Iterator[OldData]:
    journal = _read(ended)
    datadir = Path(str(journal.get("datadir") or ""))
    with suppress(OSError):  # it is no more, or no such name can be
        since = ended.stat().st_mtime
        for path in _named(journal, server):
            if path.is_dir() and not path.is_symlink():
                yield OldData(path, since, datadir)


def _named(journal: dict[str, Any], server: str) -> Iterator[Path]:
    """Yield the folders that a journal says to be kept for a while, also one whose removal was broken off."""
    job = str(journal.get("job") or "")
    if not job or journal.get("expires") != server or journal.get("result") != Result.DONE:
        return
    data, log = Path(str(journal.get("old") or "")), Path(str(journal.get("old_log") or ""))
    for path, ending in ((data, f"{OLD}{job}"), (log, f"{OLD}{job}{LOG}")):
        if path.is_absolute() and path.name.endswith(ending):
            yield path
            yield path.with_name(f"{path.name}{GOING}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = parsed(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
