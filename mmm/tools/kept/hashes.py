"""The list of hashes of a backup, which `sha256sum -c` reads, and whether its files are still the same. Edge."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

SUMS, DAMAGED = "SHA256", "DAMAGED"
"""The list, and the file beside it that says that the backup was found not to be what it was."""
Said = Callable[[int], None]
"""Is told the bytes that are done, now and then."""


class DamagedError(Exception):
    """A backup whose files are not what they were when it was made; the text names one of them."""


def listed(backup: Path, sums: Path, said: Said = lambda _: None) -> str:
    """Return the list for all files of the backup but `sums` itself; raises OSError."""
    done, lines = 0, []
    for path in files(backup):
        if path == sums:
            continue
        lines.append(f"{_hash(path)}  {path.relative_to(backup)}\n")
        done += path.stat().st_size
        said(done)
    return "".join(lines)


def check(backup: Path, sums: Path, said: Said = lambda _: None) -> int:
    """See that all files are as they were, and that there are no others; returns their bytes.

    Raises DamagedError, OSError.
    """
    rows = (line.split("  ", 1) for line in sums.read_text("utf-8").splitlines())
    wanted = {row[1]: row[0] for row in rows if len(row) > 1}
    besides = {sums, sums.with_name(DAMAGED)}
    there = {str(path.relative_to(backup)): path for path in files(backup) if path not in besides}
    for name in sorted(wanted.keys() ^ there.keys()):
        raise DamagedError(
            f"{backup / name} {'is missing' if name in wanted else 'was not in it when it was made'}"
        )
    done = 0
    for name, path in there.items():
        if _hash(path) != wanted[name]:
            raise DamagedError(f"{path} is not what it was when the backup was made")
        done += path.stat().st_size
        said(done)
    return done


def files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, in order."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(place, name) for name in sorted(names))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
