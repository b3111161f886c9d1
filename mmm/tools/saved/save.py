"""Saves transactions that only this host's server has into a folder of their own, and reads that back.

    SAVED_DIR/db1-20261128-143034/
        raw/               the files of the binary log that hold them, as they are
        loads/             what LOAD DATA has loaded, where it was logged as a statement
        transactions.sql   what they did, one after the other
        rows.sql           each row that they changed, once, and what the active master has
        summary.txt        what was saved, for people
        saved.json         the same, for programs
        SHA256             of every file; `sha256sum -c SHA256` checks it

It is written under a name that ends with `.part`, and gets its own only when all of it was read back: what has a name
is whole. Nothing here ever removes it. What a crash has left under the other name is removed by the next save.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.binlog.contents import Logged, contents
from mmm.binlog.transactions import UnusableError
from mmm.process.binlog_program import ProgramError
from mmm.process.to_disk import settle
from mmm.tools.saved.extras import Extra, Extras, name_of
from mmm.tools.saved.find import pieces
from mmm.tools.saved.outcome import Saved, decode, encode, summary
from mmm.tools.saved.texts import Sources, Texts

RAW, LOADS, SUMMARY, KEPT, SUMS = "raw", "loads", "summary.txt", "saved.json", "SHA256"
TRANSACTIONS, ROWS = "transactions.sql", "rows.sql"
PART = ".part"
LIMIT = 600.0
"""Seconds that a save may take."""


class SaveError(Exception):
    """They could not be saved, or what was saved is not what it should be; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and whose."""

    folder: Path
    """The folder of all that was ever saved."""
    host: str
    peer: str
    """The active master."""


def save(extras: Extras, target: Target, sources: Sources, limit: float = LIMIT) -> Saved:
    """Save the transactions, or find that they are saved, within `limit` seconds; returns what and where.

    Raises SaveError: nothing of it may be taken for saved then. A server that cannot be asked is no reason: columns
    have numbers then, and rows are not compared.
    """
    if not extras.transactions:
        return Saved(target.host, target.peer)
    try:
        identity = _identity(extras)
        return _again(target, identity) or _save(extras, target, identity, sources, limit)
    except ProgramError as error:
        raise SaveError(f"what only {target.host} has cannot be saved: {error}") from error
    except OSError as error:
        where = error.filename or target.folder
        text = f"what only {target.host} has cannot be saved: {where}: {error.strerror or error}"
        raise SaveError(text) from error


def kept(folder: Path) -> Saved | None:
    """Return what a folder says that it holds, without reading all of it; None where it does not say it."""
    try:
        return decode((folder / KEPT).read_text("utf-8"), folder)
    except (OSError, ValueError):
        return None


def verify(folder: Path) -> Saved:
    """Read what was saved, all of it; returns what it is. Raises SaveError where anything is not as it was written."""
    try:
        saved = decode((folder / KEPT).read_text("utf-8"), folder)
        sums = dict(line.split("  ", 1)[::-1] for line in (folder / SUMS).read_text("utf-8").splitlines())
        if saved is None:
            raise SaveError(f"{folder / KEPT} cannot be read: it is damaged, or of another version of MMM")
        _compare(folder, sums)
    except (OSError, ValueError) as error:
        raise SaveError(f"{folder} is not whole: {error}") from error
    return saved


def _identity(extras: Extras) -> str:
    """Return a hash of the transactions, by name and bytes: what has the same is the same."""
    found = hashlib.sha256()
    for part in extras.parts:
        for extra in _of(extras, part.name):
            found.update(f"{extra.name} {extra.end - extra.begin}\n".encode())
            for piece in pieces(part.path, extra.end, begin=extra.begin):
                found.update(piece)
    return found.hexdigest()


def _again(target: Target, identity: str) -> Saved | None:
    """Return what was saved before of the same transactions, if that is whole."""
    for folder in _folders(target, whole=True):
        saved = kept(folder)
        if saved is not None and saved.identity == identity:
            with suppress(SaveError):
                return replace(verify(folder), again=True)
    return None


def _folders(target: Target, *, whole: bool) -> list[Path]:
    """Return the folders of a host's transactions, those that have their name or those that have not."""
    ours = re.compile(rf"{re.escape(target.host)}-\d{{8}}-\d{{6}}x*{'' if whole else re.escape(PART)}")
    return sorted(each for each in target.folder.glob("*") if ours.fullmatch(each.name))


def _save(extras: Extras, target: Target, identity: str, sources: Sources, limit: float) -> Saved:
    deadline = time.monotonic() + limit
    target.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in _folders(target, whole=False):
        shutil.rmtree(left)
    folder = target.folder / f"{target.host}-{time.strftime('%Y%m%d-%H%M%S')}"
    while folder.exists():  # another save of the same second
        folder = folder.with_name(f"{folder.name}x")
    part = folder.with_name(folder.name + PART)
    part.mkdir(mode=0o700)
    raw = part / RAW
    raw.mkdir(mode=0o700)
    sums = {
        f"{RAW}/{each.name}": _write(raw / each.name, pieces(each.path, each.size)) for each in extras.parts
    }
    saved = Saved(
        target.host,
        target.peer,
        folder,
        len(extras),
        extras.names,
        extras.uncertain,
        identity,
        size=extras.size,
    )
    saved = _write_texts(
        Texts(sources, extras, raw, part / LOADS, lambda: deadline - time.monotonic()), saved, sums
    )
    sums[SUMMARY] = _write(part / SUMMARY, [summary(saved, extras).encode()])
    sums[KEPT] = _write(part / KEPT, [encode(saved).encode()])
    _write(part / SUMS, [f"{of}  {name}\n".encode() for name, of in sums.items()])
    for each in (raw, part / LOADS, part):
        if each.exists():
            settle(each)
    _read_back(extras, part, sums)
    part.rename(folder)
    settle(target.folder)
    return saved


def _write_texts(texts: Texts, saved: Saved, sums: dict[str, str]) -> Saved:
    """Write what is made of the logs; returns it with what was counted."""
    part = texts.raw.parent
    texts.loads.mkdir(mode=0o700)
    sums[TRANSACTIONS] = _write(part / TRANSACTIONS, texts.transactions(saved))
    sums |= _loaded(texts.loads)
    sums[ROWS] = _write(part / ROWS, texts.listed(saved))
    return texts.counted(saved)


def _write(path: Path, data: Iterable[bytes]) -> str:
    """Write a file that is on the disk when this returns; returns its SHA-256."""
    written = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for piece in data:
            file.write(piece)
            written.update(piece)
        file.flush()
        os.fsync(file.fileno())
    return written.hexdigest()


def _loaded(folder: Path) -> dict[str, str]:
    """Take over what the program has written there, see that it is on the disk; an empty folder goes."""
    sums: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        size, mine = path.stat().st_size, path.with_name(f"{path.name}{PART}")
        sums[f"{LOADS}/{path.name}"] = _write(mine, pieces(path, size))
        mine.replace(path)
    if not sums:
        folder.rmdir()
    return sums


def _read_back(extras: Extras, folder: Path, sums: Mapping[str, str]) -> None:
    """See that every file is what was written, and that the logs hold the transactions; raises SaveError."""
    _compare(folder, sums)
    for part in extras.parts:
        wanted = {extra.name for extra in _of(extras, part.name)}
        path = folder / RAW / part.name
        try:
            for entry in contents(pieces(path, part.size)):
                if isinstance(entry, Logged):
                    wanted.discard(name_of(part.name, entry.gtid, entry.begin))
        except UnusableError as error:
            if wanted:
                raise SaveError(f"what was saved cannot be read: {path}: {error.why}") from error
        if wanted:
            raise SaveError(f"{len(wanted)} transactions are missing in {path}, {min(wanted)} say")


def _compare(folder: Path, sums: Mapping[str, str]) -> None:
    for name, wanted in sums.items():
        found = hashlib.sha256()
        for piece in pieces(folder / name, (folder / name).stat().st_size):
            found.update(piece)
        if found.hexdigest() != wanted:
            raise SaveError(f"{folder / name} is not what was written: its SHA-256 is {found.hexdigest()}")


def _of(extras: Extras, file: str) -> Iterator[Extra]:
    return (extra for extra in extras.transactions if extra.file == file)
