"""Finds the transactions that only this host's server has in the files of its binary log, whether it runs or not."""

from collections.abc import Iterator
from pathlib import Path

from mmm.binlog.contents import Before, Logged, contents
from mmm.binlog.transactions import Problem, UnusableError
from mmm.gtid.transactions import Executed
from mmm.mysql.server.log_home import LogHome, log_files
from mmm.tools.saved.extras import Extra, Extras, Part, Sieve, not_logged, sifted

PIECE = 1 << 23
"""Bytes of a file that are read at once."""


class NoLogError(Exception):
    """There is no binary log to look into; the text says why."""


def find(home: LogHome, there: Executed, here: Executed | None = None) -> Extras:
    """Return what only this server has, by GTID: `there` is what the active master says it has.

    `here` is what this server says itself, where it runs: what that names and the log does not show is a problem,
    never passed over. Nobody may write meanwhile. Raises NoLogError.
    """
    found = _find(home, Sieve(there))
    if found.problem is None and here is not None and (rest := not_logged(here, there, found.transactions)):
        why = f"the server has {rest}, which its binary log does not show"
        return Extras(found.transactions, found.parts, home.mariadb, Problem.GAP, why)
    return found


class _Entries:
    """What a file of the log holds, as far as it can be read."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self.before: Before | None = None
        self.problem: UnusableError | None = None

    def __iter__(self) -> Iterator[Logged]:
        try:
            for entry in contents(pieces(self._path, self._size)):
                if isinstance(entry, Logged):
                    yield entry
                else:
                    self.before = entry
        except UnusableError as error:
            self.problem = UnusableError(error.problem, f"{self._path}: {error.why}")


def _find(home: LogHome, sieve: Sieve) -> Extras:
    found: list[tuple[Extra, ...]] = []
    parts: list[Part] = []
    problem: UnusableError | None = None
    covered = False
    for name, path in reversed(_files(home).items()):
        try:
            size = path.stat().st_size
            entries = _Entries(path, size)
            these = sifted(name, sieve.lacking(entries))
        except OSError as error:
            raise _unreadable(path, error) from error
        problem = entries.problem or problem
        if these:
            found.append(these)
            parts.append(Part(name, path, size))
        covered = sieve.covers(entries.before)
        if covered:
            break
    if not covered and problem is None and entries.before is not None:
        problem = UnusableError(Problem.GAP, f"the binary log begins with {name}, too late for all of them")
    return Extras(
        tuple(extra for each in reversed(found) for extra in each),
        tuple(reversed(parts)),
        home.mariadb,
        problem.problem if problem else None,
        problem.why if problem else "",
    )


def pieces(path: Path, end: int, *, begin: int = 0) -> Iterator[bytes]:
    """Return a file's bytes up to `end` in pieces; raises OSError."""
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(PIECE, end - begin))):
            begin += len(piece)
            yield piece


def _files(home: LogHome) -> dict[str, Path]:
    if not home.index:
        raise NoLogError("the server writes no binary log")
    try:
        files = log_files(home)
    except OSError as error:
        raise _unreadable(Path(home.index), error) from error
    if not files:
        raise NoLogError(f"the binary log has no files: {home.index} is empty")
    return files


def _unreadable(path: Path, error: OSError) -> NoLogError:
    return NoLogError(f"the binary log cannot be read: {path}: {error.strerror or error}")
