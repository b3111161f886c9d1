"""The programs `mmm_backup` and `mmm_get_dump`: arguments, what they say, exit status (docs/backups.md)."""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mmm import __version__
from mmm.config import load as config
from mmm.config.model import Cluster, CopyMethod
from mmm.mysql.session.connection import MysqlError
from mmm.process.command_line import parsed
from mmm.process.version import Version
from mmm.tools.backup import logs, make
from mmm.tools.backup.donor import NoDonor, Why, choose
from mmm.tools.backup.planned import planned
from mmm.tools.backup.snapshot import lacks
from mmm.tools.backup.verify import see_room_for, verify
from mmm.tools.backup.wanted import RefusedError, Wanted
from mmm.tools.fetch.values import Cause, FailedError, Progress
from mmm.tools.kept import shelf
from mmm.tools.kept.facts import AT, Facts
from mmm.tools.kept.hashes import DamagedError
from mmm.tools.kept.shelf import Kept, ShelfError, TakenError
from mmm.tools.program import (
    LOG,
    command_line,
    end_as_by_interrupt,
    give_up,
    load_conf,
    log_to,
    names,
    say,
    tell,
)
from mmm.tools.provider.table import NAMES
from mmm.tools.rejoin.copying import said
from mmm.tools.rejoin.looking import look_at
from mmm.tools.rejoin.run import Status
from mmm.tools.until.logs import home_of

MEGABYTE = 1_000_000
_EPILOG = """\
Without --host a slave that is fit is backed up, else the master that takes no writes.
exit status: 0 done, 1 failed and nothing is left of it, 2 usage, conf or refused, 3 locked, or nobody answers"""

log = logging.getLogger(__name__)


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    host: str | None
    dest_dir: Path | None
    copy_method: str | None
    provider: str | None
    keep: int | None
    keep_days: int | None
    compress: str
    logs: bool
    list: bool
    verify: Path | None
    expire: bool
    dry_run: bool
    check: bool


class _EndError(Exception):
    """It ends here."""

    def __init__(self, status: Status, *lines: str) -> None:
        super().__init__(*lines)
        self.status = status
        self.lines = lines


def main() -> int:
    """Run mmm_backup with the arguments of the process; returns its exit status."""
    return backup(sys.argv[1:])


def get_dump() -> int:
    """Run mmm_get_dump, the same by its name of MMM 1.x, with the arguments of the process; returns its exit status."""
    return backup(sys.argv[1:], program="mmm_get_dump")


def backup(argv: Sequence[str], log_file: Path = LOG, program: str = "mmm_backup") -> int:
    """Run it with these arguments, called by that name; returns its exit status."""
    arguments = _arguments(argv, program)
    log_to(log_file)
    end_as_by_interrupt()
    try:
        conf = load_conf(arguments.config, arguments.cluster)
        return _run(conf, arguments)
    except _EndError as error:
        status, lines = error.status, error.lines
    except config.ConfError as error:
        status, lines = Status.REFUSED, error.errors
    except (RefusedError, ShelfError) as error:
        status, lines = Status.REFUSED, (str(error),)
    except TakenError as error:
        status, lines = Status.BUSY, (str(error),)
    except MysqlError as error:
        status, lines = Status.BUSY, (error.text,)
    except FailedError as error:
        silent = error.failed.cause is Cause.UNREACHABLE
        status, lines = Status.BUSY if silent else Status.TAKEN_BACK, (str(error),)
    except (DamagedError, OSError) as error:
        status, lines = Status.TAKEN_BACK, (str(error),)
    except KeyboardInterrupt:
        status, lines = Status.TAKEN_BACK, ("interrupted: nothing is left of what was begun",)
    give_up(lines)
    return status


def _run(conf: Cluster, arguments: _Arguments) -> int:
    if arguments.check:
        say(f"{conf.path}: OK")
        return Status.DONE
    if arguments.list:
        return _list(conf, arguments)
    if arguments.verify is not None:
        return _verify(conf, arguments)
    if arguments.expire:
        return _expire_all(conf, arguments)
    return _make(conf, arguments)


def _make(conf: Cluster, arguments: _Arguments) -> int:
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = dict(zip(conf.hosts, pool.map(look_at, conf.hosts.values()), strict=True))
    chosen = choose(conf.hosts, looks, arguments.host)
    if isinstance(chosen, NoDonor):
        raise _EndError(Status.REFUSED if chosen.why is Why.UNKNOWN else Status.BUSY, chosen.text)
    folder = _folder(conf, arguments, chosen.host)
    if arguments.logs:
        return _keep_log(conf, arguments, chosen.host, folder)
    method = _method(conf, arguments, chosen.host)
    ways = (arguments.provider,) if arguments.provider else ()
    if chosen.remark:
        tell(f"WARN: {chosen.remark}")
    compress = arguments.compress == "zstd"
    wanted = Wanted(conf, chosen.host, folder, ways, compress, _reporter(), say)
    if arguments.dry_run:
        return _plan(wanted, method, _limits(conf, arguments))
    with shelf.locked(folder, beside=method is not None and method.incremental):
        for name in shelf.clear(folder):
            say(f"{folder / name} was not finished, and is removed")
        say(f"{chosen.host} is backed up into {folder}")
        kept = make.make_by_method(wanted, method) if method else make.make(wanted)
        done = _done(kept, time.monotonic() - began)
        log.info(done)
        _expire(folder, chosen.host, *_limits(conf, arguments), dry=False)
    say(f"OK: {done}")
    return Status.DONE


def _plan(wanted: Wanted, method: CopyMethod | None, limits: tuple[int, int]) -> int:
    """Say what would be made, how, and what would go then."""
    lines, now = planned(wanted, method), time.time()
    into = wanted.folder
    if method is None or not method.incremental:
        into /= shelf.name(wanted.donor, now)
    say(f"{wanted.donor} would be backed up into {into}")
    for line in lines:
        say(f"  {line}")
    way = "" if method is not None and not method.true_copy else "tried"
    at = time.strftime(AT, time.localtime(now))
    new = Kept(into, Facts(wanted.donor, at, way, tool_version=__version__))
    for kept in shelf.going((*shelf.all_in(wanted.folder, wanted.donor), new), now, *limits):
        say(f"{kept.path} would be removed")
    return Status.DONE


def _keep_log(conf: Cluster, arguments: _Arguments, host: str, folder: Path) -> int:
    if arguments.dry_run:
        say(f"the binary log of {host} would be kept in {home_of(folder, host)}")
        return Status.DONE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copied = logs.keep(conf, conf.hosts[host], folder, _limits(conf, arguments)[1])
    if copied.remark:
        tell(f"WARN: {copied.remark}: a backup made before that cannot be brought past it")
        log.warning("%s: %s", host, copied.remark)
    size = f"{copied.bytes / MEGABYTE:,.1f} MB"
    files = f"{copied.files} file{'s' * (copied.files != 1)}"
    say(f"OK: {copied.folder} has the binary log of {host} up to {copied.newest}: {files}, {size} copied")
    return Status.DONE


def _method(conf: Cluster, arguments: _Arguments, host: str) -> CopyMethod | None:
    """Return the copy method that is to be used; None: a provider is."""
    name = arguments.copy_method
    if name is None:
        if arguments.provider or conf.providers or not conf.default_copy_method:
            return None
        missing = lacks(conf.hosts[host], local=host == conf.this)
        return None if missing else conf.copy_methods[conf.default_copy_method]
    if name not in conf.copy_methods:
        known = ", ".join(conf.copy_methods) or "none"
        raise _EndError(Status.REFUSED, f"--copy-method {name}: the conf has no such one; it has {known}")
    return conf.copy_methods[name]


def _done(kept: Kept, seconds: float) -> str:
    facts = kept.facts
    if not facts.of_ours:
        return f"{kept.path}: a backup of {facts.host} by {facts.copy_method} in {seconds:.1f} s; it was not tried"
    return (
        f"{kept.path}: {facts.bytes / MEGABYTE:,.0f} MB of {facts.host} by {facts.provider} in {seconds:.1f} s,"
        f" at {facts.gtid}; a server has run on it"
    )


def _folder(conf: Cluster, arguments: _Arguments, host: str) -> Path:
    found = arguments.dest_dir or conf.hosts[host].backup_dir
    if not found:
        raise _EndError(
            Status.REFUSED, f"host {host} has no backup_dir in the conf: name a folder by --dest-dir"
        )
    return Path(found).absolute()


def _reporter() -> Callable[[Progress], None]:
    """Return what is told how far it is: said where somebody looks."""
    if not sys.stdout.isatty():
        return lambda _: None
    return lambda progress: say(f"  {said(progress)}")


def _list(conf: Cluster, arguments: _Arguments) -> int:
    for folder in _folders(conf, arguments):
        for kept in shelf.all_in(folder, arguments.host or ""):
            facts = kept.facts
            how = facts.provider or facts.copy_method or "an older tool"
            size = f"{facts.bytes / MEGABYTE:,.0f} MB" if facts.bytes else "size not known"
            packed = f", {facts.compress}" if facts.compress else ""
            place = facts.gtid or (
                f"{facts.log_file}:{facts.log_position}" if facts.log_file else "place not known"
            )
            damaged = "  damaged" if kept.damaged else ""
            say(f"{kept.path}  {facts.host}  {facts.at}  {size}{packed}  {how}  {place}{damaged}")
    return Status.DONE


def _folders(conf: Cluster, arguments: _Arguments) -> list[Path]:
    """Return the folders with backups that are meant: as named, else all that the conf knows."""
    if arguments.dest_dir is not None:
        return [arguments.dest_dir.absolute()]
    named = conf.hosts.get(arguments.host or "")
    hosts = [named] if named else list(conf.hosts.values())
    found = list(dict.fromkeys(Path(host.backup_dir) for host in hosts if host.backup_dir))
    if not found:
        raise _EndError(Status.REFUSED, "no host has a backup_dir in the conf: name a folder by --dest-dir")
    return found


def _verify(conf: Cluster, arguments: _Arguments) -> int:
    began = time.monotonic()
    kept = shelf.one((arguments.verify or Path()).absolute(), arguments.host or "")
    if not kept.facts.of_ours:
        raise _EndError(
            Status.REFUSED, f"{kept.path} was made by a copy method: it has no list of hashes to check"
        )
    with shelf.locked(kept.path.parent):
        shelf.clear(kept.path.parent)
        see_room_for(kept)
        try:
            found = verify(conf, kept, say)
        except DamagedError as error:
            shelf.mark(kept, damaged=True)
            raise DamagedError(f"{error}: it counts no more among those that are kept") from error
        shelf.mark(kept, damaged=False)
    say(
        f"OK: {kept.path}: {found.bytes / MEGABYTE:,.0f} MB are as they were, and a server of"
        f" {found.proved.server_version} has run on a copy, at {found.proved.gtid}, in {time.monotonic() - began:.1f} s"
    )
    return Status.DONE


def _expire_all(conf: Cluster, arguments: _Arguments) -> int:
    keep, days = _limits(conf, arguments)
    if not keep and not days:
        raise _EndError(
            Status.REFUSED, "--expire: by which rule? Name --keep or --keep-days, or backup_keep in the conf"
        )
    for folder in _folders(conf, arguments):
        with shelf.locked(folder):
            if not arguments.dry_run:
                shelf.clear(folder)
            hosts = dict.fromkeys(kept.facts.host for kept in shelf.all_in(folder, arguments.host or ""))
            for host in hosts:
                _expire(folder, host, keep, days, dry=arguments.dry_run)
    return Status.DONE


def _limits(conf: Cluster, arguments: _Arguments) -> tuple[int, int]:
    if arguments.keep is not None or arguments.keep_days is not None:
        return arguments.keep or 0, arguments.keep_days or 0
    return conf.backup_keep, conf.backup_keep_days


def _expire(folder: Path, host: str, keep: int, days: int, *, dry: bool) -> None:
    gone: tuple[Kept, ...] = shelf.going(shelf.all_in(folder, host), time.time(), keep, days)
    for kept in gone:
        say(f"{kept.path} {'would be' if dry else 'is'} removed")
        if not dry:
            log.info("%s is removed: its time is over", kept.path)
            shelf.remove(kept)


def _arguments(argv: Sequence[str], program: str) -> _Arguments:
    parser = command_line(program, _EPILOG)
    add = parser.add_argument
    add("--host", metavar="HOST", help="whose data")
    add("--dest-dir", type=Path, metavar="DIR", help="folder of the backups (backup_dir of the host)")
    add("--copy-method", metavar="METHOD", help="copy by this method of the conf, from a snapshot")
    add("--provider", choices=NAMES, help="the way to copy (the first of the conf's that fits)")
    add("--keep", type=_count, metavar="N", help="then remove all but the N newest backups of the host")
    add(
        "--keep-days", type=_count, metavar="N", help="then remove those that are older, but never the newest"
    )
    add("--compress", choices=("zstd", "no"), default="no", help="keep the files compressed")
    add("--logs", action="store_true", help="only keep the host's binary log, for mmm_restore --until")
    add("--list", action="store_true", help="say what backups there are")
    add("--verify", type=Path, metavar="BACKUP", help="see whether one is whole, and a server runs on it")
    add("--expire", action="store_true", help="only remove what --keep and --keep-days do not keep")
    add("--dry-run", action="store_true", help="say what would be done, change nothing")
    add("--check", action="store_true", help="read the conf, report all errors, and exit")
    add("--version", action=Version)
    add("-h", "--help", action="help", help="show this help and exit")
    cluster, given = parsed(parser, argv, names)
    return _Arguments(cluster, **vars(given))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number


if __name__ == "__main__":
    sys.exit(main())
