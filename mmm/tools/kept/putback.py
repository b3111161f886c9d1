"""Copies a backup's data to where a server can run on them; the backup stays as it is. Edge."""

import os
import subprocess
from pathlib import Path

from mmm.tools.fetch import files
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept.facts import ZSTD
from mmm.tools.kept.shelf import Kept
from mmm.tools.provider import room

MEGABYTE = 1_000_000
LIMIT = 86_400.0
"""Seconds that copying may take."""


def copy(kept: Kept, into: Path, owner: Owner) -> int:
    """Copy the data into the new folder `into`, of that owner, and return their bytes.

    Raises FailedError, and leaves no folder then.
    """
    _see_room(kept, into)
    with files.made(into):
        _run(["cp", "-a", "--reflink=auto", f"{kept.data}/.", str(into)])
        if kept.facts.compress == ZSTD:
            _run(["zstd", "-q", "-d", "-T0", "--rm", "-r", str(into)])
        files.give(into, owner)
        files.sync(into)
        return files.size(into)


def _see_room(kept: Kept, into: Path) -> None:
    free = room.free(into.parent)
    if free < kept.facts.bytes:
        text = f"{into.parent}: {free / MEGABYTE:,.0f} MB are free, the backup needs {kept.facts.bytes / MEGABYTE:,.0f}"
        raise FailedError(Cause.HERE, text)


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LIMIT,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(Cause.HERE, f"{argv[0]} cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise FailedError(
            Cause.UNPACK, f"{argv[0]} ended with {done.returncode}: {said[-1] if said else 'it said nothing'}"
        )
