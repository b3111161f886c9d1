"""Keeps a host's binary log beside its backups: `mmm_backup --logs`, every few minutes. Edge.

A file that the server goes on writing is copied again by the next run; one that it has left is whole, and not touched
any more. What has its name was copied whole up to some moment, which is the time of the file.
"""

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from mmm.config.model import Cluster, Host
from mmm.mysql.backup import dump
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.login import replicates_from, tools_at
from mmm.mysql.session.connection import connect
from mmm.mysql.session.question import whole
from mmm.process.binlog_program import ProgramError, find, got
from mmm.process.secret import secret_file
from mmm.process.to_disk import settle
from mmm.tools.backup.wanted import RefusedError
from mmm.tools.fetch.values import Cause, FailedError
from mmm.tools.kept import shelf
from mmm.tools.until.logs import begun_in, files_in, home_of, stamps

ANSWER = 10.0
LIMIT = 86_400.0
"""Seconds that a file may take."""
DAY = 86_400.0
_PART = ".part-"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a run has copied."""

    folder: Path
    files: int
    bytes: int
    newest: str
    remark: str = ""
    """Why the log goes on in a folder of its own; empty: it does not."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A server whose log is copied."""

    conf: Cluster
    host: Host
    flavour: Flavour
    files: tuple[tuple[str, int], ...]
    """Names and sizes, the older first."""
    program: str
    asked: float
    """When that was asked, in seconds since 1970."""

    @property
    def names(self) -> list[str]:
        """Return the names."""
        return [name for name, _ in self.files]


def keep(conf: Cluster, host: Host, folder: Path, days: int) -> Copied:
    """Copy what is new in the host's log; files older than `days`, unless 0, go, but none behind the newest backup.

    Raises RefusedError, TakenError, FailedError, MysqlError, OSError.
    """
    source = _source(conf, host)
    home = home_of(folder, host.name)
    with shelf.locked(home):
        into, remark = _folder(home, source)
        copied = list(_copy(source, into))
        _expire(home, days)
    sizes = [(into / name).stat().st_size for name in copied]
    return Copied(into, len(copied), sum(sizes), source.names[-1], remark)


def _source(conf: Cluster, host: Host) -> _Source:
    if not host.replication_user:
        raise RefusedError(f"host {host.name} has no replication_user in the conf, by which its log is read")
    with connect(tools_at(host), ANSWER) as server:
        row = server.query("SELECT @@global.log_bin AS log")[0]
        if str(row["log"]) != "1":
            raise RefusedError(f"the server of {host.name} writes no binary log")
        asked = time.time()
        rows = server.query(server.flavour.binlog_files)
        flavour = server.flavour
    files = tuple((str(row["Log_name"]), whole(row["File_size"])) for row in rows)
    try:
        program = find(host.mysqlbinlog, os.environ.get("PATH", ""), mariadb=flavour.mariadb)
    except ProgramError as error:
        raise RefusedError(str(error)) from error
    return _Source(conf, host, flavour, files, program, asked)


def _folder(home: Path, source: _Source) -> tuple[Path, str]:
    """Return where the log goes on, and why not where it was; empty: it does, or nothing was copied yet."""
    known = stamps(home)
    for last in reversed(known):
        _clear(last)
        if not (files := files_in(last)):
            continue
        if files[-1] not in source.names:
            why = f"{source.host.name} has no {files[-1]} any more: what it wrote after the last copy may be missing"
            return _made(home), why
        _fetch(source, files[-1], last)
        if not _goes_on(last / files[-1], last / (_PART + files[-1])):
            _clear(last)
            return _made(home), f"the log of {source.host.name} was begun anew since the last copy"
        return last, ""
    return _made(home), ""


def _made(home: Path) -> Path:
    """Return a new folder, named by this second, or by the next one where a log was begun anew in this one already."""
    moment = time.time()
    while (folder := home / time.strftime(shelf.STAMP, time.localtime(moment))).exists():
        moment += 1
    folder.mkdir(mode=0o700)
    settle(home)
    return folder


def _clear(folder: Path) -> None:
    """Remove what a run that was broken off has left."""
    for path in folder.glob(f"{_PART}*"):
        path.unlink()


def _goes_on(old: Path, new: Path) -> bool:
    """Tell whether the newer copy begins with all that the older one has."""
    for mine, theirs in zip_longest(begun_in(old), begun_in(new), fillvalue=b""):
        if not theirs.startswith(mine):
            return False
        if len(mine) < len(theirs):
            return True
    return True


def _copy(source: _Source, into: Path) -> Iterator[str]:
    """Copy the files that are not there whole, and yield their names."""
    known = files_in(into)
    first = source.names.index(known[-1]) if known else 0
    for name, size in source.files[first:]:
        path, part = into / name, into / (_PART + name)
        if path.is_file() and path.stat().st_size == size and name == source.names[-1]:
            part.unlink(missing_ok=True)
            os.utime(path, (source.asked, source.asked))  # up to then nothing was written
            continue
        if not part.is_file():
            _fetch(source, name, into)
        part.chmod(0o600)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(path)
        settle(into)
        yield name


def _fetch(source: _Source, name: str, into: Path) -> None:
    """Copy a file as far as it is written, under a name that says that it is a part; raises FailedError, OSError."""
    began = time.time()
    with _login(source) as secret:
        try:
            why = got(source.program, secret, name, f"{into}/{_PART}", LIMIT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FailedError(Cause.HERE, f"{source.program}: {error}") from error
    if why:
        raise FailedError(Cause.PRODUCER, f"{source.host.name}: {name}: {why}")
    os.utime(into / (_PART + name), (began, began))


@contextmanager
def _login(source: _Source) -> Iterator[int]:
    plain = source.conf.transfer == "plain"
    address = replicates_from(source.host)
    tls = tools_at(source.host).tls
    if tls is None and not plain and source.flavour.mariadb and source.host.name != source.conf.this:
        text = "the log would come without TLS: set mysql_ssl_mode of the hosts, or write `transfer plain` in the conf"
        raise FailedError(Cause.HERE, text)
    with secret_file(dump.login(source.flavour, replace(address, tls=tls), plain=plain)) as secret:
        yield secret


def _expire(home: Path, days: int) -> None:
    """Remove what was written before all of these days, but nothing that the newest backup goes on with.

    One whose place by GTID is not known goes on with no log.
    """
    if not days:
        return
    found = [path for stamp in stamps(home) for path in (stamp / name for name in files_in(stamp))]
    usable = (kept for kept in shelf.all_in(home.parent) if not kept.damaged and kept.facts.has_place)
    newest = max((kept.made for kept in usable), default=time.time())
    for path in found[:-1]:
        written = path.stat().st_mtime
        if time.time() - written > days * DAY and written < newest:
            log.info("%s is removed: its time is over", path)
            path.unlink()
    for stamp in stamps(home)[:-1]:
        if not any(stamp.iterdir()):
            shutil.rmtree(stamp)
