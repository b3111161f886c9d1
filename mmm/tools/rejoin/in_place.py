"""A copy takes the place of data that it has no room beside, with permission alone: these are removed first. Edge.

They are moved away before any of them is removed, so that no server ever starts on half of them: a folder by one
rename, the entries of one that is a mount point one by one, with the first file that a server needs at the beginning.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mmm.config.model import Cluster
from mmm.mysql.server.log_home import LogHome
from mmm.mysql.session.connection import Connection
from mmm.process.job_files import FOLDER
from mmm.process.mounts import mounted_below
from mmm.process.old_data import GOING, is_of_a_job, taken
from mmm.process.to_disk import settle
from mmm.tools.fetch import own_files, stage
from mmm.tools.fetch.files import FIRST_FILE, Owner, give_top
from mmm.tools.fetch.values import FailedError
from mmm.tools.provider import room
from mmm.tools.provider.job import Job
from mmm.tools.provider.table import Choice
from mmm.tools.rejoin import outside_log, own_log, swap, ways
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.old_server import OldServer
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.rejoin.user_tables import user_tables
from mmm.wire.job import Kind

_PART = ".part"
"""The end of the name of a folder that data are being moved into."""
_LAST = ("ib_logfile", "#innodb_redo")
"""With a redo log and without its first file InnoDB refuses to start, whatever else is there."""


# --- what is known before


def lack(journal: Journal, size: int) -> str:
    """Return that a copy of so many bytes has no room beside the old data; empty where it has."""
    return room.lacks_room(Path(journal.staging), journal.donor, size)


def hint(journal: Journal, size: int) -> str:
    """Return what is said where there is no room and no permission: what that would be, and what it would mean."""
    if journal.kind != Kind.REJOIN or journal.emptied or journal.in_place:
        return ""
    if why := _too_little(journal, size):
        return f"; {why}"
    return (
        f"; `mmm_rejoin --in-place {journal.host}` removes the old data before it makes the copy: then nothing can be"
        " taken back"
    )


def looked(conf: Cluster, journal: Journal, argv: Iterable[str], server: Connection | None) -> Journal:
    """Return the journal with the server whose data have to go, None where a copy has room beside them.

    `argv` is how the server is stopped and started; no `server`: it does not run. Raises StepError where its data may
    not go, or where that would not do, MysqlError and OSError.
    """
    size = ways.giving(conf, journal.donor).size
    if not lack(journal, size):
        return replace(journal, old_server=None)
    old = _old_server(conf, journal, tuple(argv), server)
    if why := why_not(conf, journal, size, old):
        raise StepError(why)
    return replace(journal, old_server=old)


def why_not(conf: Cluster, journal: Journal, size: int, old: OldServer) -> str:
    """Return why the old data may not be removed for a copy of so many bytes, empty where they may; raises MysqlError.

    What is not found now is found once they are gone.
    """
    datadir = Path(journal.datadir)
    backups = conf.hosts[journal.host].backup_dir
    if mounted := mounted_below(datadir):
        return f"{datadir} cannot be emptied: {mounted} is mounted in it"
    for kept in (conf.saved_dir, journal.saved, str(FOLDER), backups):
        if kept and Path(kept).resolve().is_relative_to(datadir):
            return f"{datadir} cannot be emptied: {kept} is in it, and would be removed, too"
    choice = ways.chosen_without(conf, journal.host, journal.donor, old)
    return _too_little(journal, size) or _no_way(conf, journal, choice, old)


def _too_little(journal: Journal, size: int) -> str:
    """Return that there would be too little room without the old data, too; empty where there would be enough."""
    free, goes, wanted = room.free(Path(journal.staging)), _freed(journal), room.needed(size)
    if free + goes >= wanted:
        return ""
    return (
        f"without the old data {(free + goes) / room.MEGABYTE:,.0f} MB would be free: too little as well"
        f" for the {wanted / room.MEGABYTE:,.0f} that the data of {journal.donor} need"
    )


def _freed(journal: Journal) -> int:
    """Return how many bytes are free once the old data are gone."""
    datadir = Path(journal.datadir)
    stays = (each for each in datadir.iterdir() if is_of_a_job(each.name))
    return taken(datadir) - sum(map(taken, stays))


def _no_way(conf: Cluster, journal: Journal, choice: Choice, old: OldServer) -> str:
    """Return why no copy could be begun once the server is down; the donor is asked for one, and gives none."""
    here, donor = conf.hosts[journal.host], conf.hosts[journal.donor]
    owner = Owner.of(Path(journal.datadir))
    job = Job(conf, here, donor, Path(journal.staging), owner, lambda _: None, journal.job, old.argv)
    failures = [f"{name}: {why}" for name, why in choice.reasons]
    for provider in choice.fit:
        failed = provider.tried(job)
        if failed is None:
            return ""
        failures.append(f"{provider.name}: {failed.text}")
    return f"no copy could be made once the old data are gone: {'; '.join(failures)}"


def _old_server(
    conf: Cluster, journal: Journal, control: tuple[str, ...], server: Connection | None
) -> OldServer:
    """Return what is known of the server; one that does not run was, where an earlier run has looked at it."""
    if server is None and journal.old_server is not None:
        return journal.old_server
    try:
        known = OldServer(stage.server_of(conf.hosts[journal.host]), control)
    except FailedError as error:
        raise StepError(str(error)) from error
    side = ways.here(conf, journal.host)
    if server is None or side is None:
        return known
    log = outside_log.home(server, conf.hosts[journal.host])
    return replace(
        known,
        version=side.version,
        family=side.flavour.family,
        page_size=side.page_size,
        lower_case_table_names=side.lower_case_table_names,
        clone_plugin=side.clone_plugin,
        keys=side.keys,
        log_index=log.index if log else "",
        state_file=own_log.state_file(server),
        own_files=own_files.named(conf.hosts[journal.host]),
    )


# --- what is remembered of the server afterwards


def argv_of(journal: Journal) -> tuple[str, ...]:
    """Return how a server is started on the copy, empty where this host's server can be asked."""
    return journal.old_server.argv if journal.emptied and journal.old_server else ()


def own_files_of(conf: Cluster, journal: Journal) -> tuple[str, ...]:
    """Return the keys and certificates in the data folder that the host's server names."""
    if journal.emptied and journal.old_server:
        return journal.old_server.own_files
    return own_files.named(conf.hosts[journal.host])


def log_moves(conf: Cluster, journal: Journal) -> swap.Moves:
    """Return the renames that put the old server's log aside where that is elsewhere; it has ended. Raises OSError."""
    index, here = journal.old_server.log_index if journal.old_server else "", conf.hosts[journal.host]
    log = LogHome(index, journal.datadir, 0, mariadb=True) if index else outside_log.home(None, here)
    return outside_log.moves(log, Path(journal.datadir), journal.job, journal.old_log)


# --- the removal


def empty(journal: Journal) -> Journal:
    """Move the old data away and remove them, wherever that was broken off; the server has ended.

    The data folder is left as it was, with the host's own files alone: they are put into the copy later. Returns the
    journal as it is; raises SwapError, OSError.
    """
    datadir, going = Path(journal.datadir), Path(f"{journal.old}{GOING}")
    outside_log.clear_way(journal.log_moves, journal.old_log)
    swap.perform(journal.log_moves)
    if not going.exists():
        _move_away(journal, datadir, going)
    if not swap.is_inside(datadir, Path(journal.staging)):
        _make_like(datadir, going)
        for name in _own(journal):  # again and again: what is there by now is not among the old data any more
            if os.path.lexists(going / name):
                (going / name).rename(datadir / name)
        settle(datadir)
    shutil.rmtree(going)
    settle(going.parent)
    return journal


def _move_away(journal: Journal, datadir: Path, going: Path) -> None:
    """Give the data a name under which they are no server's any more."""
    if not swap.is_inside(datadir, Path(journal.staging)):
        swap.perform(((str(datadir), str(going)),))
        return
    part = going.with_name(f"{going.name}{_PART}")
    part.mkdir(mode=0o700, exist_ok=True)
    into = part / str(len(list(part.iterdir())))  # a boot in the middle may have made files of the same names
    entries = [entry for entry in swap.entries(datadir) if entry.name not in _own(journal)]
    swap.perform([(str(entry), str(into / entry.name)) for entry in sorted(entries, key=_turn)])
    swap.perform(((str(part), str(going)),))


def _own(journal: Journal) -> frozenset[str]:
    """Return what the host's own files in its data folder are called."""
    more = journal.old_server.own_files if journal.old_server else ()
    return frozenset((own_files.PERSISTED, *own_files.KEYS, *more))


def _turn(entry: Path) -> tuple[bool, bool, str]:
    return entry.name != FIRST_FILE, entry.name.startswith(_LAST), entry.name


def _make_like(datadir: Path, other: Path) -> None:
    """Make the folder with the owner and the mode of the other one."""
    datadir.mkdir(mode=0o700, exist_ok=True)
    give_top(datadir, Owner.of(other))
    settle(datadir.parent)


def tidied(journal: Journal) -> Journal:
    """Return the journal once the copy is in place: of the empty folder that was there nothing is kept.

    Nor of what a boot has begun in it; but tables that somebody has put there are. Raises OSError.
    """
    old = Path(journal.old or "/")
    if journal.old and old.exists():
        if user_tables(old):
            return journal
        shutil.rmtree(old)
    return replace(journal, old="")
