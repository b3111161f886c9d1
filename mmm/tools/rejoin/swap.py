"""Puts a copy in the place of a data folder by renames alone, so that nothing is deleted and every moment is known.

A data folder that is a mount point cannot be renamed: there its entries are, one by one. `done` tells by what is
there how far the list of renames was carried out, whenever it was broken off.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from mmm.process.old_data import OLD
from mmm.process.to_disk import settle

Moves = Sequence[tuple[str, str]]


class SwapError(Exception):
    """A rename that cannot be made; the text says which, and why."""


def plan(datadir: Path, staging: Path, old: Path) -> tuple[tuple[str, str], ...]:
    """Return the renames that make `staging` the data folder and `datadir` `old`; raises OSError."""
    if not datadir.is_mount():
        return ((str(datadir), str(old)), (str(staging), str(datadir)))
    kept = sorted(entry for entry in datadir.iterdir() if entry not in {staging, old})
    away = [(str(entry), str(old / entry.name)) for entry in kept if not _is_of_a_job(entry)]
    here = [(str(entry), str(datadir / entry.name)) for entry in sorted(staging.iterdir())]
    return (*away, *here)


def places(datadir: Path, job: str) -> tuple[Path, Path]:
    """Return where the copy is made, and what the old data folder is called: on the same file system."""
    if datadir.is_mount():
        return datadir / f"{_NEW}{job}", datadir / f"{OLD}{job}"
    return datadir.with_name(f"{datadir.name}{_NEW}{job}"), datadir.with_name(f"{datadir.name}{OLD}{job}")


_NEW = ".mmm-new-"


def _is_of_a_job(entry: Path) -> bool:
    return entry.name.startswith((_NEW, OLD)) or entry.name == "lost+found"


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
        Path(goal).parent.mkdir(mode=0o700, exist_ok=True)
        if os.path.lexists(goal):
            raise SwapError(f"{origin} cannot be renamed: there is a {goal} already")
        Path(origin).rename(goal)
        for folder in {Path(origin).parent, Path(goal).parent}:
            settle(folder)
    except OSError as error:
        raise SwapError(f"{origin} cannot be renamed to {goal}: {error.strerror}") from error
