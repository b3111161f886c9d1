"""The journal of this host's jobs on the disk, and the lock that lets one of them run at a time."""

import fcntl
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import IO

from mmm.process.job_files import ENDED, FOLDER, LOCK, OPEN, Progress, ProgressFile
from mmm.process.to_disk import settle
from mmm.tools.rejoin.journal import Journal, JournalError, decode, encode
from mmm.wire.job import Result

_TRIES, _NAP = 5, 0.02
"""How often the lock is tried: who looks whether a job runs has it for a moment."""


class BusyError(Exception):
    """Another job runs; the text names its process where that is known."""


class JobFolder:
    """The journals in `folder`, which is made with mode 700."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.path = self._folder = folder
        self._lock: IO[str] | None = None
        self._progress = ProgressFile(folder)

    def lock(self) -> None:
        """Let no other job run on this host until this process ends; raises BusyError, OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (self._folder / LOCK).open("a+", encoding="ascii")
        try:
            _lock(lock)
        except OSError as error:
            lock.seek(0)
            who = lock.read().strip()
            lock.close()
            raise BusyError(f"process {who}" if who else "another process") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def unlock(self) -> None:
        """Let other jobs run again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def open_job(self) -> Journal | None:
        """Return the job that has not ended, None where there is none; raises JournalError, OSError."""
        found = sorted(self._folder.glob(f"*{OPEN}"))
        if not found:
            return None
        try:
            return decode(found[-1].read_text("utf-8"))
        except (JournalError, UnicodeDecodeError) as error:
            raise JournalError(f"{found[-1]}: {error}") from error

    def keep(self, journal: Journal) -> None:
        """Have the disk say what the journal is; raises OSError."""
        path = self._folder / f"{journal.job}{OPEN}"
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(encode(journal))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        settle(self._folder)
        self.note(journal)

    def note(self, journal: Journal, of: Progress | None = None) -> None:
        """Let others know how far the step is that was begun."""
        step = journal.begun or ""
        self._progress.write(replace(of or Progress(step), step=step, donor=journal.donor))

    def end(self, journal: Journal, result: Result, seconds: float = 0.0) -> None:
        """Put the journal away: nothing is left to do. Raises OSError."""
        self.keep(replace(journal, result=result, seconds=seconds))
        path = self._folder / f"{journal.job}{OPEN}"
        self._progress.remove()
        path.replace(path.with_suffix(ENDED))
        settle(self._folder)


def _lock(file: IO[str]) -> None:
    """Lock the file; raises OSError."""
    for left in range(_TRIES - 1, -1, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not left:
                raise
            time.sleep(_NAP)
        else:
            return
