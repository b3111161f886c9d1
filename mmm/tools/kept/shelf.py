"""A folder with backups: which there are, which go by the rules of keeping, who may change it. Edge but for `going`."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmm.process.file_owner import holders
from mmm.process.to_disk import settle
from mmm.tools.fetch.files import FIRST_FILE
from mmm.tools.kept.facts import Facts, FactsError, decode, decode_classic
from mmm.tools.kept.hashes import DAMAGED

OWN, DATA, PART = "_mmm", "data", ".part"
STATUS, CLASSIC, METHOD, OPTIONS = "status.json", "status.txt", "copy_method.txt", "my.cnf"
LOCK = ".mmm_backup.lock"
STAMP = "%Y%m%d-%H%M%S"
DAY = 86_400.0
_NAME = re.compile(r"(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]*)-(?P<stamp>[0-9]{8}-[0-9]{6})")


class ShelfError(Exception):
    """What was named is no backup, or there is none; the text says which and why."""


class TakenError(Exception):
    """Another process makes or removes backups in this folder."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One backup."""

    path: Path
    facts: Facts
    damaged: bool = False
    """That was found when it was verified last."""

    @property
    def data(self) -> Path:
        """Return where the data folder is."""
        return self.path / self.facts.data

    @property
    def made(self) -> float:
        """Return when it was begun, in seconds since 1970, by its name, else by its status file."""
        if found := _NAME.fullmatch(self.path.name):
            with suppress(ValueError):  # digits that are no time: somebody has named it
                return time.mktime(time.strptime(found["stamp"], STAMP))
        return (self.path / OWN / CLASSIC).stat().st_mtime


@contextmanager
def locked(folder: Path, *, beside: bool = False) -> Iterator[None]:
    """Have the folder, which is made if need be, for this process alone; raises TakenError, OSError.

    `beside`: the lock is not in it, for another program wants to find it as it left it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = folder.with_name(f".{folder.name}{LOCK}") if beside else folder / LOCK
    with lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            who = file.read().strip() or "another process"
            raise TakenError(f"process {who} makes or removes backups in {folder}") from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def clear(folder: Path) -> tuple[str, ...]:
    """Remove what runs that were broken off have left in a folder that is locked; returns the names.

    Raises TakenError where a server that was tried on it has not ended yet.
    """
    found = [
        path for path in sorted(folder.glob(f"*{PART}")) if _NAME.fullmatch(path.name.removesuffix(PART))
    ]
    for path in found:
        for file in path.rglob(FIRST_FILE):
            if pids := holders(file):
                raise TakenError(f"process {pids[0]}, a server that was tried on {path}, has not ended yet")
        shutil.rmtree(path)
    return tuple(path.name for path in found)


def name(host: str, when: float) -> str:
    """Return what a backup of that host is called."""
    return f"{host}-{time.strftime(STAMP, time.localtime(when))}"


def read(path: Path) -> Kept:
    """Return the backup in a folder; raises ShelfError."""
    own = path / OWN
    try:
        if (own / STATUS).is_file():
            return Kept(path, decode((own / STATUS).read_text("utf-8")), (own / DAMAGED).exists())
        text = (own / CLASSIC).read_text("utf-8", "replace")
        method = (own / METHOD).read_text("utf-8").strip() if (own / METHOD).is_file() else ""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime((own / CLASSIC).stat().st_mtime))
        return Kept(path, decode_classic(text, method, at))
    except OSError as error:
        raise ShelfError(f"{path} is no backup: {error.filename}: {error.strerror}") from error
    except FactsError as error:
        raise ShelfError(f"{path}: its status file: {error}") from error


def all_in(folder: Path, host: str = "") -> tuple[Kept, ...]:
    """Return the whole backups in a folder, of one host or of all, the oldest first; what cannot be read is none."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.endswith(PART) or not (path / OWN).is_dir():
            continue
        try:
            kept = read(path)
        except ShelfError:
            continue
        if not host or kept.facts.host == host:
            found.append(kept)
    return tuple(sorted(found, key=lambda each: each.made))


def one(place: Path, host: str = "") -> Kept:
    """Return the backup at a place, or the newest one in it; raises ShelfError."""
    if place.name.endswith(PART):
        raise ShelfError(f"{place} was not finished: it is no backup")
    if (place / OWN).is_dir():
        return read(place)
    found = all_in(place, host)
    if not found:
        raise ShelfError(f"there is no backup in {place}" + (f" of {host}" if host else ""))
    return found[-1]


def going(found: Sequence[Kept], now: float, keep: int = 0, days: int = 0) -> tuple[Kept, ...]:
    """Return those of one host's backups, the oldest first, that go: beyond `keep` of them, or older than `days`. Pure.

    0 is no limit. The newest one stays whatever its age, and so does the newest that a server has run on; one that is
    damaged counts for nothing. Those that another tool has made stay.
    """
    ours = [each for each in found if each.facts.tool_version]
    sound = [each for each in ours if not each.damaged]
    staying = [*(sound or ours)[-1:], *[each for each in sound if each.facts.of_ours][-1:]]
    return tuple(
        each
        for each in ours
        if each not in staying
        and ((days and now - each.made > days * DAY) or (keep and _newer(sound, each) >= keep))
    )


def _newer(sound: Sequence[Kept], than: Kept) -> int:
    return sum(each.made > than.made for each in sound)


def mark(kept: Kept, *, damaged: bool) -> None:
    """Write down in a backup whether it is damaged; raises OSError."""
    path = kept.path / OWN / DAMAGED
    if damaged:
        path.touch(mode=0o600)
        settle(path.parent)
    else:
        path.unlink(missing_ok=True)


def remove(kept: Kept) -> None:
    """Remove a backup: at once it is none any more, whatever becomes of this process. Raises OSError."""
    gone = kept.path.with_name(kept.path.name + PART)
    kept.path.rename(gone)
    settle(gone.parent)
    shutil.rmtree(gone)
