"""The program `mmm_restore`: arguments, what it says, exit status (docs/backups.md)."""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmm import __version__
from mmm.config.model import Cluster
from mmm.mysql.flavour import detect
from mmm.process.command_line import parsed
from mmm.process.version import version
from mmm.tools.backup.server import argv_on, side_here
from mmm.tools.fetch.values import FailedError
from mmm.tools.kept import shelf
from mmm.tools.kept.shelf import Kept
from mmm.tools.program import LOG, command_line, names, say, say_rows
from mmm.tools.rejoin import job
from mmm.tools.rejoin.job import CannotError, Place
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.look import ServerLook
from mmm.tools.rejoin.plan import left, steps_left
from mmm.tools.rejoin.run import Status
from mmm.tools.restore import classic, data_only
from mmm.tools.restore.bringing import Bringing, chosen, said, see_mode
from mmm.tools.restore.copying import Restoring
from mmm.tools.restore.guarded import guarded
from mmm.tools.restore.modes import Mode, refusals
from mmm.tools.until.goal import UntilError, parse
from mmm.wire.job import Kind

LIST = "list"
_ITS_OWN = ""
"""What `--version` stands for without the version of a backup."""
_EPILOG = """\
Run it on the host whose data are to be replaced. They are kept: the old data folder is renamed.
exit status: 0 done, 1 failed and taken back, 2 usage, conf or refused, 3 another job runs, 4 half done: run it again"""

log = logging.getLogger(__name__)


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    mode: Mode
    src_dir: Path | None
    dest_dir: Path | None
    version: str | None
    until: str | None
    before: str | None
    logs: Path | None
    lose_extra: str | None
    dry_run: bool
    check: bool


def main() -> int:
    """Run mmm_restore with the arguments of the process; returns its exit status."""
    return restore(sys.argv[1:])


def restore(argv: Sequence[str], folder: JobFolder | None = None, log_file: Path = LOG) -> int:
    """Run mmm_restore with these arguments; returns its exit status."""
    arguments = _arguments(argv)

    def do(conf: Cluster) -> int:
        return _restore(conf, arguments, folder or JobFolder())

    return guarded(arguments.config, arguments.cluster, do, log_file, check=arguments.check)


def _restore(conf: Cluster, arguments: _Arguments, folder: JobFolder) -> int:
    lose, source = job.permits(conf, "--lose-extra", arguments.lose_extra), _source(conf, arguments)
    if arguments.version == LIST:
        return _list(conf, source)
    kept, version = _chosen(source, arguments.version)
    if not kept.facts.of_ours:
        _see_method(conf, kept, version)
    bringing = _bringing(conf, arguments, kept)
    if arguments.mode is Mode.DATA_ONLY:
        return _data_only(conf, arguments, kept, bringing)
    place = job.begin(conf, folder)
    job.see_kind(place.opened, Kind.RESTORE)
    journal = _journal(place, arguments, kept, bringing)
    if not journal.source:  # nothing of it is saved: it may have what was written since the backup alone
        journal = journal.for_good()
    if place.opened is None:
        _show(kept, Path(journal.datadir), arguments, journal.source, bringing)
    if arguments.dry_run:
        for line in steps_left(journal):
            say(line)
        return Status.DONE
    ended = job.go(place, journal, Restoring(conf, say, folder.note), lose=lose)
    if ended.failed is None:
        after = f"follows {journal.source}" if journal.source else "replicates from nobody"
        brought = f", brought up to {ended.journal.position}," if journal.until else ""
        done = (
            f"{journal.host} runs on {journal.backup}{brought} after {ended.seconds:.1f} s, and {after}."
            f"{job.own(ended.journal)} {left(ended.journal, conf.keep_old_data)}"
        )
        log.info(done)
        say(f"OK: {done}")
        if others := ", ".join(_with_later_data(conf, kept.facts.family, journal)):
            say(
                f"Numbers of what came after the backup are given out again: should {others} have data of before, bring"
                " them back by `mmm_rejoin --method clone`, by no other way"
            )
    return job.told(ended, "mmm_restore")


def _with_later_data(conf: Cluster, family: str, journal: Journal) -> Iterator[str]:
    """Yield the hosts that may have what was written after the backup under numbers that are given out again.

    Not where this one follows a source; and a MySQL server has a new server_uuid on other data.
    """
    if not journal.source and family != "MySQL":
        yield from (name for name in conf.hosts if name != conf.this)


def _list(conf: Cluster, source: Path) -> int:
    """Say which backups are in a folder, or which versions in a backup."""
    if (source / shelf.OWN).is_dir():
        say(classic.versions(conf, shelf.read(source)).rstrip("\n"))
        return Status.DONE
    for kept in shelf.all_in(source):
        say(f"{kept.path.name}  {kept.facts.host}  {kept.facts.at}  {kept.facts.gtid}")
    return Status.DONE


def _chosen(source: Path, version: str | None) -> tuple[Kept, str]:
    """Return the backup that is meant, and which of the versions in it; raises ShelfError."""
    if version is None:
        return shelf.one(source), ""
    if (source / shelf.OWN).is_dir():
        return shelf.read(source), version
    return shelf.one(source / version), ""


def _see_method(conf: Cluster, kept: Kept, version: str) -> None:
    """Raise CannotError where the conf does not say how the backup is put back, or not all is said."""
    try:
        method = classic.method_of(conf, kept)
    except FailedError as error:
        raise CannotError(Status.REFUSED, str(error)) from error
    if method.incremental and not version:
        text = f"{kept.path} has versions: name one by --version, `--version {LIST}` says which there are"
        raise CannotError(Status.REFUSED, text)


def _bringing(conf: Cluster, arguments: _Arguments, kept: Kept) -> Bringing | None:
    """Return how the backup is brought up to a moment, None where that is not wanted; raises CannotError."""
    here = conf.hosts.get(conf.this)
    try:
        goal = parse(arguments.until, arguments.before)
        if goal is None:
            return None
        see_mode(goal, follows=arguments.mode.follows)
        found, plan = chosen(kept, goal, arguments.logs, here.mysqlbinlog if here else "")
    except UntilError as error:
        raise CannotError(Status.REFUSED, str(error), codes=(f"until_{error.code}",)) from error
    say(f"{kept.path} is at {kept.facts.gtid}; {goal.words} {found.logs} has {said(plan)}")
    return found


def _source(conf: Cluster, arguments: _Arguments) -> Path:
    if arguments.src_dir is not None:
        return arguments.src_dir.absolute()
    here = conf.hosts.get(conf.this)
    if here is None or not here.backup_dir:
        raise CannotError(
            Status.REFUSED, "this host has no backup_dir in the conf: name the backup by --src-dir"
        )
    return Path(here.backup_dir)


def _journal(place: Place, arguments: _Arguments, kept: Kept, bringing: Bringing | None) -> Journal:
    """Return the job: a new one, or the one that was broken off. Raises CannotError."""
    found = refusals(place.look, arguments.mode)
    until, logs = (bringing.goal.option, str(bringing.logs)) if bringing else ("", "")
    if place.opened is not None:
        if until != place.opened.until:
            begun = place.opened.until or "without --until"
            text = (
                f"job {place.opened.job} was begun {begun}: run the same again, or `mmm_rejoin --abort` first"
            )
            raise CannotError(Status.REFUSED, text, codes=("until_changed",))
        opened = job.gone_on_with(place, place.opened, found)
        return opened.towards(place.look.master) if opened.source else opened
    job.refuse(found)
    _see_alike(place, kept, arguments.mode)
    folder = job.datadir(place)
    if arguments.dest_dir is not None and arguments.dest_dir.resolve() not in {folder, folder.parent}:
        raise CannotError(
            Status.REFUSED,
            f"--dest-dir {arguments.dest_dir}: the server's data folder is {folder}; for another one there is"
            f" --mode {Mode.DATA_ONLY}",
        )
    source = place.look.master if arguments.mode.follows else ""
    journal = job.journal(place, Kind.RESTORE, kept.facts.host, source, folder, str(kept.path))
    journal = replace(journal, until=until, logs=logs)
    return journal if kept.facts.of_ours else replace(journal, version=arguments.version or "")


def _see_alike(place: Place, kept: Kept, mode: Mode) -> None:
    """Raise CannotError where this host's server cannot run on the backup, or could not replicate from where it is."""
    master = place.look.others.get(place.look.master)
    if (
        not kept.facts.of_ours
        and mode.follows
        and isinstance(master, ServerLook)
        and master.family == "MySQL"
    ):
        raise CannotError(
            Status.REFUSED,
            f"{kept.path} does not say which transactions of MySQL are in it: restore it without replication, or take"
            " mmm_rejoin",
        )
    found = side_here(place.conf)
    if found is not None and found.outside:
        raise CannotError(
            Status.REFUSED,
            f"{place.look.host} has data outside of its data directory: {', '.join(found.outside)}:"
            f" there is --mode {Mode.DATA_ONLY}",
        )
    if not kept.facts.server_version:  # then it is tried
        return
    there = detect(kept.facts.server_version, kept.facts.family)
    here = place.look.server
    if isinstance(here, ServerLook) and (here.family, here.version[:2]) != (there.family, there.version[:2]):
        raise CannotError(
            Status.REFUSED,
            f"{kept.path} is of {there.family} {kept.facts.server_version}, {place.look.host} runs {here.series}:"
            " data files cannot be taken over",
        )


def _data_only(conf: Cluster, arguments: _Arguments, kept: Kept, bringing: Bringing | None) -> int:
    here = conf.hosts.get(conf.this)
    target = arguments.dest_dir or (Path(here.restore_dir) if here and here.restore_dir else None)
    if target is None:
        raise CannotError(Status.REFUSED, "there is no restore_dir in the conf: name a folder by --dest-dir")
    target = target.absolute()
    _show(kept, target, arguments, "", bringing)
    if arguments.dry_run:
        return Status.DONE
    reached = [kept.facts.gtid]

    def bring(staging: Path) -> None:
        if bringing is not None:
            flavour = detect(kept.facts.server_version, kept.facts.family)
            argv = argv_on(conf, side_here(conf), flavour, kept.facts.settings)
            reached[:] = [bringing.bring(staging, argv, say)]

    old = data_only.put(conf, kept, target, arguments.version or "", bring)
    kept_old = f" What was there is in {old}." if old else ""
    place = reached[0] or f"{kept.facts.log_file}:{kept.facts.log_position}"
    say(f"OK: {target} has the data of {kept.path}, at {place}.{kept_old}")
    return Status.DONE


def _show(kept: Kept, target: Path, arguments: _Arguments, source: str, bringing: Bringing | None) -> None:
    """Say what is done, in the layout of MMM 2.x."""
    until = {"Transactions": bringing.goal.words} if bringing else {}
    say_rows(
        {
            "Source dir": str(kept.path),
            "Destination dir": str(target),
            "Restore mode": str(arguments.mode),
            "Replication peer": source,
            "Skip mysqld operations": "yes" if arguments.mode is Mode.DATA_ONLY else "no",
            "Dry run": "yes" if arguments.dry_run else "no",
            **until,
        }
    )


def _arguments(argv: Sequence[str]) -> _Arguments:
    parser = command_line("mmm_restore", _EPILOG)
    add = parser.add_argument
    add("--mode", type=Mode, choices=list(Mode), default=Mode.SINGLE_SINGLE, metavar="MODE",
        help="what was backed up, and what this host is to be: " + ", ".join(Mode))  # fmt: skip
    add("--src-dir", "--backup-dir", type=Path, metavar="DIR",
        help="the backup, or a folder of which the newest is taken (backup_dir of this host)")  # fmt: skip
    add(
        "--dest-dir",
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where to, with mode data-only (restore_dir)",
    )
    add(
        "--version",
        nargs="?",
        const=_ITS_OWN,
        metavar="VERSION",
        help=f"which of the backups in the folder; `{LIST}`: say what there is; alone: print the program's version",
    )
    add("--until", metavar="WHEN",
        help="then apply what the kept binary logs have up to a moment, a GTID, or FILE:POSITION")  # fmt: skip
    add("--before", metavar="GTID", help="as --until, but without this transaction")
    add("--logs", type=Path, metavar="DIR", help="where these logs are (beside the backup)")
    add("--lose-extra", metavar="HOST", help="go on where what only this host has cannot be saved: name it")
    add("--dry-run", action="store_true", help="say what would be done, change nothing")
    add("--check", action="store_true", help="read the conf, report all errors, and exit")
    add("-h", "--help", action="help", help=f"show this help and exit (MMM {__version__})")
    cluster, given = parsed(parser, argv, names)
    if given.version == _ITS_OWN:
        print(f"{parser.prog} {version()}")
        parser.exit()
    return _Arguments(cluster, **vars(given))


if __name__ == "__main__":
    sys.exit(main())
