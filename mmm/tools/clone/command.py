"""The program `mmm_clone`: arguments, what it says, exit status (docs/backups.md)."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mmm.config.model import Cluster
from mmm.process.command_line import parsed
from mmm.process.version import Version
from mmm.tools.clone.modes import CloneMode, contradiction, mode_of, refusals
from mmm.tools.program import LOG, command_line, names, say, say_rows
from mmm.tools.provider.table import NAMES
from mmm.tools.rejoin import job
from mmm.tools.rejoin.checks import Refusal, donor
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.job import CannotError, Place
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.plan import copies, left, steps_left
from mmm.tools.rejoin.run import Status
from mmm.tools.rejoin.user_tables import user_tables
from mmm.tools.restore.guarded import guarded
from mmm.wire.job import Kind

_EPILOG = """\
Run it on the new host. What its data folder held is kept: that is renamed.
exit status: 0 done, 1 failed and taken back, 2 usage, conf or refused, 3 another job runs, 4 half done: run it again"""

log = logging.getLogger(__name__)


class _Arguments(NamedTuple):
    cluster: str | None
    config: Path | None
    host: str | None
    clone_mode: CloneMode | None
    copy_method: str | None
    provider: str | None
    dest_dir: Path | None
    dry_run: bool
    yes: bool
    check: bool


def main() -> int:
    """Run mmm_clone with the arguments of the process; returns its exit status."""
    return clone(sys.argv[1:])


def clone(argv: Sequence[str], folder: JobFolder | None = None, log_file: Path = LOG) -> int:
    """Run mmm_clone with these arguments; returns its exit status."""
    arguments = _arguments(argv)

    def do(conf: Cluster) -> int:
        return _clone(conf, arguments, folder or JobFolder())

    return guarded(arguments.config, arguments.cluster, do, log_file, check=arguments.check)


def _clone(conf: Cluster, arguments: _Arguments, folder: JobFolder) -> int:
    if arguments.copy_method:
        raise CannotError(
            Status.REFUSED,
            f"--copy-method {arguments.copy_method}: a clone comes by a provider; leave it out, or copy by mmm_backup"
            f" --copy-method {arguments.copy_method}, and here by mmm_restore --mode slave-slave",
            codes=("copy_method",),
        )
    if arguments.provider:
        conf = replace(conf, providers=(arguments.provider,))
    place = job.begin(conf, folder)
    job.see_kind(place.opened, Kind.CLONE)
    found = refusals(place.look)
    if place.opened is not None:
        journal = job.gone_on_with(place, place.opened, found).towards(place.look.master)
    else:
        job.refuse(found)
        journal = _new(place, arguments)
    if arguments.dry_run:
        for line in (*steps_left(journal), *([] if journal.swapped else copies(conf, journal))):
            say(line)
        return Status.DONE
    ended = job.go(place, journal, Copying(conf, say, folder.note), lose=False)
    if ended.failed is None:
        done = (
            f"{journal.host} has a copy of {journal.donor} after {ended.seconds:.1f} s, and follows {journal.source}."
            f" {left(ended.journal, conf.keep_old_data)}"
        )
        log.info(done)
        say(f"OK: {done}")
    return job.told(ended, "mmm_clone")


def _new(place: Place, arguments: _Arguments) -> Journal:
    """Return a new job; raises CannotError."""
    conf, look = place.conf, place.look
    chosen = donor(look, arguments.host)
    if isinstance(chosen, Refusal):
        job.refuse((chosen,))
    name = str(chosen)
    here, there = conf.hosts[conf.this], conf.hosts[name]
    mode = arguments.clone_mode or mode_of(there, here)
    why = contradiction(mode, there, here) if mode else ""
    if why:
        raise CannotError(Status.REFUSED, why)
    folder = job.datadir(place)
    if arguments.dest_dir is not None and arguments.dest_dir.resolve() not in {folder, folder.parent}:
        raise CannotError(
            Status.REFUSED, f"--dest-dir {arguments.dest_dir}: the server's data folder is {folder}"
        )
    tables = user_tables(folder)
    journal = job.journal(place, Kind.CLONE, name, look.master, folder)
    _show(journal, mode, arguments)
    if tables and not arguments.yes:
        text = (
            f"{folder} holds tables: {', '.join(tables)}. With --yes it is renamed to {journal.old} and kept for"
            " good; mmm_rejoin saves what only this host has and lists it"
        )
        raise CannotError(Status.REFUSED, text)
    return journal.for_good() if tables else journal


def _show(journal: Journal, mode: CloneMode | None, arguments: _Arguments) -> None:
    """Say what is done, in the layout of MMM 2.x."""
    say_rows(
        {
            "Source host": journal.donor,
            "Destination dir": journal.datadir,
            "Clone mode": str(mode or ""),
            "Replication peer": journal.source,
            "Setup master-master": "yes" if mode is CloneMode.MASTER_MASTER else "no",
            "Dry run": "yes" if arguments.dry_run else "no",
        }
    )


def _arguments(argv: Sequence[str]) -> _Arguments:
    parser = command_line("mmm_clone", _EPILOG)
    add = parser.add_argument
    add("--host", metavar="HOST", help="whose data (a slave that is fit)")
    add("--clone-mode", type=CloneMode, choices=list(CloneMode), metavar="MODE",
        help="what is copied, and what this host is to be (by the conf): " + ", ".join(CloneMode))  # fmt: skip
    add("--copy-method", metavar="METHOD", help="refused: name it to mmm_backup, and restore that")
    add("--provider", choices=NAMES, help="the way to copy (the first of the conf's that fits)")
    add("--dest-dir", type=Path, metavar="DIR", help="the server's data folder, as it is")
    add("--dry-run", action="store_true", help="say what would be done, change nothing")
    add("--yes", action="store_true", help="go on though the data folder holds tables of users")
    add("--check", action="store_true", help="read the conf, report all errors, and exit")
    add("--version", action=Version)
    add("-h", "--help", action="help", help="show this help and exit")
    cluster, given = parsed(parser, argv, names)
    return _Arguments(cluster, **vars(given))


if __name__ == "__main__":
    sys.exit(main())
