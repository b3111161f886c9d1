"""A staging folder: how much is in it, and whose it is. Edge."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mmm.process.to_disk import settle
from mmm.tools.fetch.values import Cause, FailedError

BETWEEN = 1.0
"""Seconds between two looks at what has come."""
FIRST_FILE = "ibdata1"
"""The file that InnoDB has wherever there are data, and open while a server runs on them."""
SERVERS = ("mariadbd", "mysqld")
"""The names of the servers' programs."""
FILE, FOLDER = 0o660, 0o700
"""Modes of the servers' own files and folders, by their UMASK and UMASK_DIR."""
_PASSED = 0o711
"""Of a folder in which a server has its own: it is to come by there."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a data directory is, and the mode of its top folder."""

    uid: int
    gid: int
    mode: int = FOLDER

    @classmethod
    def of(cls, folder: Path) -> "Owner":
        """Return that of a folder; raises OSError."""
        found = folder.stat()
        return cls(found.st_uid, found.st_gid, found.st_mode & 0o7777)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make the folder, for root alone, and remove it with all that is in it unless all goes well.

    The one that it is in may be missing, and stays. Raises FailedError where it cannot be made, or is there: that may
    be somebody's data.
    """
    try:
        if not folder.parent.exists():
            folder.parent.mkdir()
            folder.parent.chmod(_PASSED)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise FailedError(Cause.HERE, f"{folder} cannot be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def size(folder: Path) -> int:
    """Return the bytes of all files in it."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(place, name).lstat().st_size
    return total


def give(folder: Path, owner: Owner) -> None:
    """Give all in it to the owner, with the modes that a server's files have; raises OSError."""
    for place, folders, names in os.walk(folder):
        for name in folders:
            _own(Path(place, name), owner, FOLDER)
        for name in names:
            _own(Path(place, name), owner, FILE)
    give_top(folder, owner)


def give_top(folder: Path, owner: Owner) -> None:
    """Give a folder to the owner, and nothing that is in it; raises OSError."""
    _own(folder, owner, owner.mode)


def add(path: Path, text: str) -> None:
    """Write a small file of the server's, as the owner of its folder has them, and on the disk; raises OSError."""
    path.write_text(text, "utf-8")
    _own(path, Owner.of(path.parent), FILE)
    settle(path)
    settle(path.parent)


@contextmanager
def settling(folder: Path) -> Iterator[None]:
    """Have the disk write what is in the folder while more comes, so that little is left to be waited for at the end.

    Raises OSError for what it could not write: nobody else is told.
    """
    over, failed = threading.Event(), list[OSError]()

    def settle_all() -> None:
        known: dict[Path, int] = {}
        try:
            while not over.wait(BETWEEN):
                _settle_changed(folder, known)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=settle_all, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def _settle_changed(folder: Path, known: dict[Path, int]) -> None:
    """Have those files on the disk whose size is another than is `known`."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            size = path.lstat().st_size
            if known.get(path) != size:
                known[path] = size
                settle(path, follow=False)


def sync(folder: Path) -> None:
    """Have all of it on the disk; raises OSError."""
    for place, _, names in os.walk(folder):
        for path in (Path(place), *(Path(place, name) for name in names)):
            settle(path, follow=False)


def _own(path: Path, owner: Owner, mode: int) -> None:
    os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
    if not path.is_symlink():
        path.chmod(mode)
