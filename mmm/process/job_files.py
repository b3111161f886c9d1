"""The files of a job that rebuilds this host, as the tool leaves them and the agent reads them.

/var/lib/mysql-mmm/jobs/
    lock          is locked (flock) by the process of the job
    NAME.json     the journal of a job that has not ended: what is done, and what was begun
    NAME.done     the same, of one that has
    progress      how far the step is that the job is at; gone once it has ended
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmm.wire.job import Ended, Job, Kind, Result
from mmm.wire.json_text import parsed
from mmm.wire.rejoin import REWIND

FOLDER = Path("/var/lib/mysql-mmm/jobs")
LOCK, PROGRESS, OPEN, ENDED = "lock", "progress", ".json", ".done"
TOLD = 600.0
"""Seconds after the end of a job in which it is told."""
_EVERY = 1.0
"""Seconds between two writings of the progress, at least."""


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to tell of the jobs of a host."""

    job: Job | None = None
    """The one that has not ended."""
    ended: Ended | None = None
    """The last one, if it ended less than TOLD seconds ago."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step of a job is."""

    step: str
    donor: str = ""
    part: str = ""
    """What of the step it is, where that has parts with names."""
    percent: int | None = None
    rate: float | None = None
    """MB a second."""
    left: float | None = None
    """Seconds."""


class ProgressFile:
    """How far a job is, on the disk: written once a second at most, and lost in a crash of the host."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        self._written = float("-inf")
        self._part = ("", "")

    def write(self, progress: Progress) -> None:
        """Say how far a step is. What cannot be written is left out."""
        now, part = time.monotonic(), (progress.step, progress.part)
        if part == self._part and now - self._written < _EVERY:
            return
        self._part, self._written = part, now
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(progress)), "utf-8")
            new.replace(self._path)
        except OSError:
            return  # the job matters more

    def remove(self) -> None:
        """Say no more; raises OSError."""
        self._path.unlink(missing_ok=True)


class Watched:
    """The files of the jobs in `folder`, looked at by another process; that costs one stat where nothing is new."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._changed = 0
        self._kept = Told()
        self._ended_at = 0.0
        self.told = Told()
        """What the last look has found; for any thread."""

    def look(self) -> Told:
        """Return what there is to tell now. Blocks, and is for one thread."""
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed != self._changed or self._kept.job is not None:
                self._kept, self._changed = Told(self._open(), self._ended()), changed
        except FileNotFoundError:  # no job was ever done here
            self._kept = Told()
        except OSError:  # what was known counts until it can be read again
            self._changed = 0
        over = time.time() - self._ended_at > TOLD
        self.told = Told(self._kept.job) if over else self._kept
        return self.told

    def _open(self) -> Job | None:
        found = sorted(self._folder.glob(f"*{OPEN}"))
        if not found:
            return None
        journal, progress = _read(found[-1]), _read(self._folder / PROGRESS)
        kind, step, donor = _kind(journal), str(journal.get("begun") or ""), _donor(journal)
        if not self._runs():
            return Job(kind, donor, step, broken_off=True)
        if progress.get("step") != step:
            return Job(kind, donor, step)
        percent, left = progress.get("percent"), progress.get("left")
        return Job(
            kind,
            donor,
            str(progress.get("part") or step),
            percent if isinstance(percent, int) else None,
            float(left) if isinstance(left, int | float) else None,
        )

    def _ended(self) -> Ended | None:
        found = [(path.stat().st_mtime, path) for path in self._folder.glob(f"*{ENDED}")]
        if not found:
            return None
        self._ended_at, path = max(found)
        journal = _read(path)
        try:
            return Ended(
                str(journal["job"]),
                _kind(journal),
                _donor(journal),
                Result(journal["result"]),
                float(journal["seconds"]),
                int(journal["count"]),
                str(journal["saved"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def _runs(self) -> bool:
        """Tell whether a process holds the lock."""
        try:
            fd = os.open(self._folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False


def _kind(journal: dict[str, Any]) -> Kind:
    """Return whose job it is; that of a damaged journal, or of one that names none, is taken for a rejoin's."""
    found = str(journal.get("kind"))
    return Kind(found) if found in set(Kind) else Kind.REJOIN


def _donor(journal: dict[str, Any]) -> str:
    """Return whose data the host gets, empty where what only it had is undone instead."""
    return "" if journal.get("way") == REWIND else str(journal.get("donor") or "")


def _read(path: Path) -> dict[str, Any]:
    """Return what a file has; nothing where it cannot be read."""
    try:
        found = parsed(path.read_text("utf-8", "replace"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
