"""The binary log of a server that has it outside of its data folder: put aside with the data it is of. Edge.

A server takes from its log whose transactions it has. With the log of the old data it would count those as its own that
the copy has not: it would be one that has come apart again, and leave out what it is sent under their numbers.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mmm.config.model import Host
from mmm.mysql.server.log_home import LogHome, log_files, look_at_log_home
from mmm.mysql.session.connection import Connection
from mmm.process.old_data import LOG
from mmm.tools.rejoin import option_files, swap
from mmm.tools.rejoin.swap import Moves

_BESIDE = ".idx"
"""The end of a file that MariaDB 11.4 and later has beside each file of the log."""
_STATE = ".state"
"""The end of the one in which MariaDB writes down, as it ends, what its log has."""


def home(server: Connection | None, host: Host) -> LogHome | None:
    """Return where the log is, None where there is none, or nothing says where; raises MysqlError.

    Of a server that does not run (None) the option files tell; without a name there it is in the data folder.
    """
    if server is not None:
        found: LogHome = server.ask(look_at_log_home(server))
        return found if found.index else None
    with suppress(option_files.UnknownError, ValueError):
        return option_files.log_home(host, option_files.read(host), mariadb=True)
    return None


def moves(log: LogHome | None, datadir: Path, job: str, kept: str) -> Moves:
    """Return the renames that put aside what of the log is outside of the data folder; the server has ended.

    Nothing of a log of other data: another server's option files may be the only ones that were found. `kept` is the
    folder that has some of an older log already, if there is one. Raises OSError.
    """
    if log is None or not Path(log.index).exists() or Path(log.folder).resolve() != datadir.resolve():
        return ()
    # A folder is renamed to beside where it is, not beside a link to it: that may be on another file system.
    files = (path.parent.resolve() / path.name for path in _files(log))
    apart = [path for path in files if not path.resolve().is_relative_to(datadir.resolve())]
    if not apart:
        return ()
    into = Path(kept, "replaced") if kept else swap.places(apart[0].parent, f"{job}{LOG}")[1]
    return [(str(path), str(into / path.name)) for path in apart]


def _files(log: LogHome) -> Iterator[Path]:
    """Yield the files, the index at the end: as long as it is there, it names the others."""
    index = Path(log.index)
    names = log_files(log).values()
    for path in names:
        yield from (each for each in (path, path.with_name(f"{path.name}{_BESIDE}")) if each.exists())
    # The state is called like the log, which the index need not be (log_bin_index).
    states = {path.with_suffix(_STATE): None for path in (*names, index)}
    yield from (each for each in (*states, index) if each.exists())


def folder(of: Moves) -> str:
    """Return where the log is put, empty for no renames."""
    return str(Path(of[0][1]).parent) if of else ""


def clear_way(of: Iterable[tuple[str, str]], kept: str) -> None:
    """Put aside what a server has begun anew where its log was: a boot has started it in the middle. Raises OSError."""
    for origin, goal in of:
        here, there = Path(origin), Path(goal)
        if kept and there.is_relative_to(kept) and here.exists() and there.exists():
            here.rename(there.with_name(f"{there.name}{swap.MADE_ANEW}"))


def tidy(kept: str) -> None:
    """Remove a folder where something was put, once that is where it was; one with anything in it stays."""
    with suppress(OSError):
        Path(kept or "/").rmdir()
