"""Puts the files of a backup somewhere, and touches no server. Edge."""

import os
import pwd
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from mmm.config.model import Cluster
from mmm.process.file_owner import holders
from mmm.tools.fetch import own_files
from mmm.tools.fetch.files import FIRST_FILE, Owner
from mmm.tools.kept import by_method, hashes, putback
from mmm.tools.kept.shelf import OWN, Kept
from mmm.tools.rejoin import swap
from mmm.tools.restore import classic

_USER = "mysql"


class InUseError(Exception):
    """A server runs on what is there."""


def put(
    conf: Cluster, kept: Kept, target: Path, version: str, bring: Callable[[Path], None] = lambda _: None
) -> str:
    """Put the data into the folder, and return what the one that was there is called now, empty where none was.

    `bring` is called with the copy before that. Of a backup by a copy method all its folders are put there. Raises
    InUseError, DamagedError, FailedError, UntilError, SwapError, OSError; the folder is as it was then.
    """
    if pids := holders(target / FIRST_FILE):
        raise InUseError(
            f"process {pids[0]} has {target / FIRST_FILE} open: stop that server, or name another folder"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    job = time.strftime("%Y%m%d-%H%M%S")
    staging, old = swap.places(target, job)
    if kept.facts.of_ours:
        hashes.check(kept.path, kept.path / OWN / hashes.SUMS)
        putback.copy(kept, staging, _owner())
        _bring(staging, bring)
        data = staging
    else:
        classic.fetch_all(conf, kept, staging, _owner(), version)
        data = by_method.data_folder(staging)
    there, own = target / data.relative_to(staging), kept.facts.host == conf.this
    _bring(staging, lambda _: own_files.carry(there, data, keep=own))
    return in_place(target, staging, old)


def in_place(target: Path, staging: Path, old: Path) -> str:
    """Rename the copy to the folder, and return what the one that was there is called now, empty where none was.

    Raises SwapError, OSError. What breaks it off, a signal say, leaves the folder as it was, and no copy.
    """
    there = target.is_dir() and bool(swap.entries(target))
    if target.is_dir() and not any(target.iterdir()) and not target.is_mount():
        target.rmdir()
    if not target.exists():
        staging.rename(target)
        return ""
    moves = swap.plan(target, staging, old)
    try:
        swap.perform(moves)
        swap.tidy(staging)
    except BaseException:
        swap.undo(moves)
        shutil.rmtree(staging, ignore_errors=True)
        swap.tidy(staging)
        raise
    return str(old) if there else ""


def _bring(staging: Path, bring: Callable[[Path], None]) -> None:
    """Do what is to be done with a copy, which is removed where that fails."""
    try:
        bring(staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _owner() -> Owner:
    """Return whose a server's files are on this machine, root where it has no such user."""
    try:
        user = pwd.getpwnam(_USER)
    except KeyError:
        return Owner(os.getuid(), os.getgid())
    return Owner(user.pw_uid, user.pw_gid)
