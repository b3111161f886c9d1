"""Puts a copy in the place of a data folder by renames alone, so that nothing is deleted and every moment is known.

A data folder that is a mount point cannot be renamed, and a server that AppArmor keeps to its data folder could not be
tried on a copy beside it: there the copy is made inside, and entries are renamed one by one. `done` tells by what is
there how far the list of renames was carried out, whenever it was broken off.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mmm.process.old_data import NEW, OLD, TEMPORARY, is_of_a_job
from mmm.process.to_disk import settle

Moves = Sequence[tuple[str, str]]


class SwapError(Exception):
    """A rename that cannot be made; the text says which, and why."""


def plan(datadir: Path, staging: Path, old: Path) -> tuple[tuple[str, str], ...]:
    """Return the renames that make `staging` the data folder and `datadir` `old`; raises OSError."""
    if not is_inside(datadir, staging):
        return ((str(datadir), str(old)), (str(staging), str(datadir)))
    away = [(str(entry), str(old / entry.name)) for entry in entries(datadir)]
    here = [(str(entry), str(datadir / entry.name)) for entry in sorted(staging.iterdir())]
    return (*away, *here)


def places(datadir: Path, job: str, *, inside: bool = False) -> tuple[Path, Path]:
    """Return where the copy is made, and what the old data folder is called: on the same file system.

    Both are in the data folder where that is a mount point, or with `inside`, and have names that its server passes
    over. MariaDB takes any folder there for a database, which ends its dumps, but for those of temporary tables. MySQL
    looks for tablespaces in all that are not hidden; those of a copy on which it is to run must not be.
    """
    if not (inside or datadir.is_mount()):
        return datadir.with_name(f"{datadir.name}{NEW}{job}"), datadir.with_name(f"{datadir.name}{OLD}{job}")
    passed_over = TEMPORARY if (datadir / _OF_MARIADB).exists() else ""
    return datadir / f"{passed_over}{NEW}{job}" / "data", datadir / f"{passed_over}{OLD}{job}"


def is_inside(datadir: Path, staging: Path) -> bool:
    """Tell whether the copy is made in the data folder, which stays where it is."""
    return datadir in staging.parents


_OF_MARIADB = "aria_log_control"
_OF_THE_DISK = "lost+found"
MADE_ANEW = ".boot"
"""The end of the name of what a server has made where something else was."""


def entries(datadir: Path) -> list[Path]:
    """Return what is in a data folder, sorted, but for what jobs have put there; raises OSError."""
    return sorted(
        entry for entry in datadir.iterdir() if not (is_of_a_job(entry.name) or entry.name == _OF_THE_DISK)
    )


def clear_way(moves: Moves, datadir: Path, staging: Path, into: Path) -> None:
    """Put aside what is neither the old data nor the copy: a server that has run in between made it. Raises OSError.

    That is so in a data folder whose entries are swapped, for one that is renamed takes all along.
    """
    if not is_inside(datadir, staging):
        return
    away = {origin: goal for origin, goal in moves if Path(origin).parent == datadir}
    here = {goal: origin for origin, goal in moves if Path(goal).parent == datadir}
    for entry in entries(datadir):
        elsewhere = (ends[str(entry)] for ends in (away, here) if str(entry) in ends)
        if all(map(os.path.lexists, elsewhere)):
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            entry.rename(_free(into / entry.name))


def _free(path: Path) -> Path:
    """Return the path, with an ending where something is there already."""
    while os.path.lexists(path):
        path = path.with_name(f"{path.name}{MADE_ANEW}")
    return path


def tidy(staging: Path) -> None:
    """Remove the folder that held a copy in the data folder, if it is empty."""
    with suppress(OSError):
        staging.rmdir()
    if is_of_a_job(staging.parent.name):
        with suppress(OSError):
            staging.parent.rmdir()


def done(moves: Moves) -> int:
    """Return how many of the renames have been made: all before one that has been made have, too."""
    made = (
        place
        for place, (origin, goal) in enumerate(moves, 1)
        if not os.path.lexists(origin) and os.path.lexists(goal)
    )
    return max(made, default=0)


def perform(moves: Moves) -> None:
    """Make those renames that have not been made yet, each on the disk before the next; raises SwapError."""
    for origin, goal in moves[done(moves) :]:
        _rename(origin, goal)


def undo(moves: Moves) -> None:
    """Take back those renames that have been made, the last one first; raises SwapError."""
    for origin, goal in reversed(moves[: done(moves)]):
        _rename(goal, origin)


def _rename(origin: str, goal: str) -> None:
    try:
        Path(goal).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.path.lexists(goal):
            raise SwapError(f"{origin} cannot be renamed: there is a {goal} already")
        Path(origin).rename(goal)
        for folder in {Path(origin).parent, Path(goal).parent}:
            settle(folder)
    except OSError as error:
        raise SwapError(f"{origin} cannot be renamed to {goal}: {error.strerror}") from error
