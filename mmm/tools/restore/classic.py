"""Puts back what a copy method has copied: backups of MMM 1.x and 2.x. Edge."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmm.binlog.contents import Before, Logged, contents
from mmm.binlog.transactions import UnusableError
from mmm.config.model import Cluster, CopyMethod
from mmm.gtid import mariadb
from mmm.gtid.mariadb import Gtid, History
from mmm.tools.fetch import files
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept import by_method, methods
from mmm.tools.kept.methods import MethodError
from mmm.tools.kept.shelf import OWN, Kept

_AT_ONCE = 1 << 20


def method_of(conf: Cluster, kept: Kept) -> CopyMethod:
    """Return the copy method that the backup was made by; raises FailedError where the conf has none of that name."""
    found = conf.copy_methods.get(kept.facts.copy_method or conf.default_copy_method)
    if found is None:
        name = kept.facts.copy_method or "one that it does not name"
        raise FailedError(
            Cause.HERE, f"{kept.path} was made by copy method {name}: add <copy_method {name}> to the conf"
        )
    return found


def versions(conf: Cluster, kept: Kept) -> str:
    """Return what the copy method prints of the versions in the backup; raises FailedError."""
    method = method_of(conf, kept)
    if not method.incremental or not method.incremental_command:
        raise FailedError(
            Cause.HERE, f"copy method {method.name} keeps no versions (incremental, incremental_command)"
        )
    return by_method.output(methods.list_command(method, str(kept.path)))


def fetch(conf: Cluster, kept: Kept, into: Path, owner: Owner, version: str) -> str:
    """Make `into` the data folder of the backup, and return where it stands by GTID, empty where that is not told.

    Raises FailedError, OSError, and leaves nothing then.
    """
    with _copied(conf, kept, by_method.all_of(into), version) as folder:
        data = by_method.data_folder(folder)
        place = position(folder, kept)
        by_method.only_data(folder, data, kept.facts)
        data.rename(into)
    try:
        files.give(into, owner)
        files.sync(into)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return place


def fetch_all(conf: Cluster, kept: Kept, into: Path, owner: Owner, version: str) -> None:
    """Make `into` all folders of the backup, the data folder cleared of logs; raises FailedError, OSError."""
    with files.made(into):
        _run(conf, kept, into, version)
        by_method.only_data(into, by_method.data_folder(into), kept.facts)
        shutil.rmtree(into / OWN, ignore_errors=True)
        files.give(into, owner)
        files.sync(into)


@contextmanager
def _copied(conf: Cluster, kept: Kept, folder: Path, version: str) -> Iterator[Path]:
    """Give a folder with what the copy method has put there, which is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    with files.made(folder):
        _run(conf, kept, folder, version)
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _run(conf: Cluster, kept: Kept, folder: Path, version: str) -> None:
    method = method_of(conf, kept)
    if method.incremental and not version:
        raise FailedError(
            Cause.HERE, f"{kept.path} has versions: name one by --version, `list` says which there are"
        )
    try:
        commands = methods.restore_commands(method, conf.clone_dirs, str(kept.path), str(folder), version)
    except MethodError as error:
        raise FailedError(Cause.HERE, f"restore_command of copy method {method.name}: {error}") from error
    by_method.run(commands)


def position(folder: Path, kept: Kept) -> str:
    """Return what had been logged at the place that the backup names, by the binary log that was copied with it.

    Empty where that was not copied, or cannot be read. MariaDB.
    """
    log = by_method.log_in(folder, kept.facts.log_file)
    if log is None:
        return ""
    newest: dict[int, Gtid] = {}
    try:
        with log.open("rb") as file:
            for entry in contents(iter(lambda: file.read(_AT_ONCE), b"")):
                if isinstance(entry, Before) and isinstance(entry.executed, History):
                    newest = {gtid.domain: gtid for gtid in mariadb.newest_everywhere(entry.executed)}
                elif isinstance(entry, Logged) and isinstance(entry.gtid, Gtid):
                    if entry.end > kept.facts.log_position:
                        break
                    newest[entry.gtid.domain] = entry.gtid
    except UnusableError:
        return ""
    return mariadb.text(tuple(newest.values()))
