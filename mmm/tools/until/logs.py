"""The binary logs that are kept beside backups: `FOLDER/HOST-log/STAMP/mysql-bin.000007` (`mmm_backup --logs`). Edge.

A log that was begun anew, or of which a file was removed before it was copied, has a folder with another stamp.
"""

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmm.binlog.contents import Before, Logged, contents
from mmm.tools.kept.facts import Facts
from mmm.tools.saved.find import pieces
from mmm.tools.until.goal import Goal, UntilError
from mmm.tools.until.plan import Plan, Read, planned

SUFFIX = "-log"
_FILE = re.compile(r"[^./][^/]*\.(\d{6,})")
_GONE_ON = frozenset({"no_start", "not_there", "no_logs", "out_of_order"})
"""Why another folder may do where one does not."""


def home_of(folder: Path, host: str) -> Path:
    """Return where the logs of a host are kept beside the backups in a folder."""
    return folder / f"{host}{SUFFIX}"


def files_in(folder: Path) -> list[str]:
    """Return the names of the log's files in a folder, in their order; raises OSError."""
    found = [path.name for path in folder.iterdir() if _FILE.fullmatch(path.name)]
    return sorted(found, key=lambda name: int(name.rpartition(".")[2]))


def archives(folder: Path, host: str) -> list[Path]:
    """Return the folders of logs beside the backups in a folder: those of that host first, the newest first."""
    homes = sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_dir())
    homes.sort(key=lambda home: home != home_of(folder, host))
    return [stamp for home in homes for stamp in sorted(stamps(home), reverse=True)]


def stamps(home: Path) -> list[Path]:
    """Return the folders of one host's logs, the older first."""
    return sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else []


def reader(folder: Path) -> Read:
    """Return what reads a file of the folder; the iteration raises UnusableError, OSError."""

    def read(name: str) -> Iterable[Before | Logged]:
        path = folder / name
        return contents(pieces(path, path.stat().st_size))

    return read


def plan_of(folders: Iterable[Path], facts: Facts, goal: Goal) -> tuple[Path, Plan]:
    """Return the folder whose logs bring a backup to the goal, and how; raises UntilError, OSError."""
    first: UntilError | None = None
    for folder in folders:
        try:
            own = folder.absolute().parent.name == f"{facts.host}{SUFFIX}"
            files = files_in(folder)
            found = planned(files, reader(folder), facts.gtid, goal, family=facts.family, own=own)
            _see_reached(folder, found, goal)
        except UntilError as error:
            if error.code not in _GONE_ON:
                raise
            first = first or error
        else:
            return folder, found
    raise first or UntilError(
        "no_logs", "no binary logs are kept beside the backup: `mmm_backup --logs` keeps them"
    )


def _see_reached(folder: Path, plan: Plan, goal: Goal) -> None:
    """Raise UntilError where the logs end before a moment, so that nobody knows what was written up to it."""
    if goal.moment is None or plan.there:
        return
    copied = (folder / files_in(folder)[-1]).stat().st_mtime
    if copied < goal.moment:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(copied))
        raise UntilError(
            "not_reached",
            f"the logs in {folder} were last copied at {at}, before {goal.text}: run `mmm_backup --logs`",
        )


def begun_in(path: Path) -> Iterator[bytes]:
    """Yield a file of the log without its first event, which says whether the file is in use; raises OSError."""
    with path.open("rb") as file:
        head = file.read(4 + 19)
        file.seek(4 + int.from_bytes(head[13:17], "little"))
        while piece := file.read(1 << 20):
            yield piece
