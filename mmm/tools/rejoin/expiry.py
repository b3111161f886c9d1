"""Removes what jobs on this host have replaced, once its time is over (rule 11.8). Edge.

Never while a job runs but by that job itself; nothing that is, or has in it, a server's data folder, nothing that a
server works in, and nothing that something is mounted in.
"""

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mmm.config.model import Cluster
from mmm.process.file_owner import holders, works_in
from mmm.process.job_files import FOLDER
from mmm.process.mounts import mounted_in
from mmm.process.old_data import DAY, GOING, OLD, OldData, is_of_a_job, old_data, over, server_here, taken
from mmm.process.to_disk import settle
from mmm.tools.fetch.files import FIRST_FILE
from mmm.tools.rejoin import option_files
from mmm.tools.rejoin.journal import Journal

MEGABYTE = 1_000_000

log = logging.getLogger(__name__)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Aside:
    """What is to go has been put aside."""

    going: tuple[tuple[Path, Path], ...]
    """The folders by their names of before, and by those that they have now."""
    whole: bool
    """Nothing had to stay whose time is over."""


def plan(conf: Cluster, days: int, say: Say, folder: Path = FOLDER, used: Sequence[Path] = ()) -> bool:
    """Say what would be removed, and what stays for how long; tells whether nothing stays whose time is over.

    `used` are data folders besides that of the conf.
    """
    now, whole = time.time(), True
    where = _data_folders(conf, used)
    for each in old_data(server_here(conf), folder):
        if now - each.since < days * DAY:
            end = f"stays for {left(each, days, now)}"
        elif why := _needed(each, where):
            end, whole = f"would stay: {why}", False
        else:
            end = "would be removed"
        say(f"{each.path}, {_size(each.path)}, {end}")
    return whole


def put_aside(conf: Cluster, days: int, say: Say, folder: Path = FOLDER, used: Sequence[Path] = ()) -> Aside:
    """Give what has been kept for so many days another name, so that nobody takes half of it for all.

    `used` are data folders besides that of the conf.
    """
    going, whole = [], True
    due = over(old_data(server_here(conf), folder), days, time.time())
    where = _data_folders(conf, used) if due else ()
    for each in due:
        why = _needed(each, where)
        if not why:
            try:
                going.append((each.path, _renamed(each.path)))
            except OSError as error:
                why = error.strerror or str(error)
        if why:
            _tell(f"{each.path}, {_size(each.path)}, stays: {why}", say)
            whole = False
    return Aside(tuple(going), whole)


def remove(aside: Aside, say: Say) -> bool:
    """Remove what was put aside; tells whether nothing stays whose time is over. Another process may do the same."""
    whole = aside.whole
    for path, going in aside.going:
        size = _size(going)
        if why := _not_removed(going):
            _tell(f"{path} cannot be removed: {why}", say)
            whole = False
        else:
            log.info("%s, %s, is removed: its time is over", path, size)
            say(f"{path}, {size}, is removed: its time is over")
    return whole


def expire_before_a_copy(conf: Cluster, say: Say) -> None:
    """Remove what has been kept for `keep_old_data` days: the copy needs its room. What stays is said."""
    if conf.keep_old_data:

        def indented(text: str) -> None:
            say(f"  {text}")

        remove(put_aside(conf, conf.keep_old_data, indented), indented)


def kept_hint(conf: Cluster, folder: Path = FOLDER) -> str:
    """Return what is said where there is no room: that old data fill the disk; empty where none are kept."""
    size = sum(taken(each.path) for each in old_data(server_here(conf), folder))
    if not size:
        return ""
    return (
        f"; earlier jobs have kept {size / MEGABYTE:,.0f} MB of old data here: `mmm_rejoin --expire --keep-days 0`"
        " removes them"
    )


def for_days(journal: Journal, days: int) -> str:
    """Return how long what was replaced is kept, to be put behind its place; empty where that is for good."""
    return f", kept for {days} day{'s' if days > 1 else ''}" if days and journal.expires else ""


def left(kept: OldData, days: int, now: float) -> str:
    """Return for how long it is kept yet: `3 days`, `less than a day`."""
    whole = int((kept.since + days * DAY - now) // DAY)
    return f"{whole} day{'s' if whole > 1 else ''}" if whole else "less than a day"


def _not_removed(folder: Path) -> str:
    """Remove a folder as far as that is possible; returns why some of it stays, empty where nothing does."""
    failed: list[OSError] = []

    def note(_: object, __: str, info: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        if isinstance(info[1], OSError) and not isinstance(info[1], FileNotFoundError):
            failed.append(info[1])

    shutil.rmtree(folder, onerror=note)
    return failed[0].strerror or str(failed[0]) if failed else ""


def _renamed(path: Path) -> Path:
    if path.name.endswith(GOING):
        return path
    going = path.rename(path.with_name(f"{path.name}{GOING}"))
    settle(path.parent)
    return going


def _size(path: Path) -> str:
    return f"{taken(path) / MEGABYTE:,.0f} MB"


def _tell(text: str, say: Say) -> None:
    log.warning(text)
    say(text)


def _data_folders(conf: Cluster, used: Sequence[Path]) -> tuple[Path, ...] | str:
    """Return the data folders that are in use by the option files, and those `used` besides; why nobody knows them."""
    try:
        options = option_files.read(conf.hosts[conf.this])
    except option_files.UnknownError as error:
        return f"{error}, so nobody knows which data folder is in use"
    return (Path(options.get("datadir", option_files.USUAL)), *used)


def _needed(kept: OldData, where: tuple[Path, ...] | str) -> str:
    """Return who needs the folder as it is; empty where nobody does. What cannot be told counts as a need."""
    try:
        if pids := (*holders(kept.path / FIRST_FILE), *works_in(kept.path)):
            return f"process {pids[0]} works in it"
        if mounted := mounted_in(kept.path):
            return f"{mounted} is mounted in it"
    except OSError as error:
        return error.strerror or str(error)
    if isinstance(where, str):
        return where
    for each in (*where, kept.datadir):
        if each.resolve().is_relative_to(kept.path.resolve()):
            return f"the server's data folder {each} is in it"
    # A server that AppArmor kept to its data folder when an earlier job ran need not be any more.
    for entry in kept.path.iterdir():
        if OLD in entry.name and is_of_a_job(entry.name):
            return f"{entry.name}, which an earlier job has kept, is in it"
    return ""
