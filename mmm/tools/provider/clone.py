"""A copy by MySQL's clone plugin: this host's server gets it from the donor's, into a folder beside its own data. Edge.

What the plugin does badly is watched here. When the donor dies its server goes on trying for five minutes, whatever
clone_donor_timeout_after_network_failure says: a clone of which nothing comes for SILENT seconds is killed.
"""

import threading
import time
from pathlib import Path

from mmm.mysql.backup import clone_plugin
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import Address, Connection, MysqlError, connect
from mmm.tools.fetch import files
from mmm.tools.fetch.values import Cause, Failed, FailedError, Fetched, Progress
from mmm.tools.provider.common import unlike
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side

ANSWER = 10.0
"""Seconds that either server may take to log the tools in, and for an answer."""
SILENT = 60.0
"""Seconds without a byte after which the clone has failed."""
WHOLE = 86_400.0
"""Seconds that a clone may take."""
_LOOK = 0.5
_MADE = "cloning"
"""The folder in the staging folder that the server clones into: it wants one that is not there."""


def unfit(here: Side | None, donor: Side) -> str:
    """Return why this is not the way, empty where it is."""
    for side in (donor, here):
        if side is not None and not clone_plugin.knows(side.flavour):
            return f"{side.name} runs {side.flavour.family} {side.version}, which has no clone plugin"
    if here is None:
        return "no server runs here that could clone"
    for side in (donor, here):
        if not side.clone_plugin:
            return f"{side.name} has not loaded the clone plugin: add `{clone_plugin.LOAD}` to [mysqld] in its my.cnf"
    if donor.not_innodb:
        return f"{donor.name} has tables that are not InnoDB, which would come empty: {', '.join(donor.not_innodb)}"
    return unlike(here, donor)


def fetch(job: Job) -> Fetched | Failed:
    """Return what came."""
    began = time.monotonic()
    try:
        donor, here = tools_at(job.donor), tools_at(job.here)
        with files.made(job.into):
            files.give(job.into, job.owner)  # the server makes the folder in it itself
            position, version = _state(donor)
            made = job.into / _MADE
            _clone(job, here, donor, made)
            for entry in list(made.iterdir()):
                entry.rename(job.into / entry.name)
            made.rmdir()
            files.give(job.into, job.owner)
            files.sync(job.into)
        return Fetched(files.size(job.into), time.monotonic() - began, position, version)
    except FailedError as error:
        return error.failed
    except MysqlError as error:
        return Failed(Cause.PRODUCER, error.text)
    except OSError as error:
        return Failed(Cause.HERE, f"{job.into}: {error.strerror or error}")


def _state(donor: Address) -> tuple[Position, str]:
    """Return what the donor has before the clone begins, all of which has to be in it; raises MysqlError."""
    with connect(donor, ANSWER) as session:
        row = session.query("SELECT @@global.gtid_executed AS gtid, VERSION() AS version")[0]
        return Position(None, str(row["gtid"] or "").replace("\n", "")), str(row["version"])


def _clone(job: Job, here: Address, donor: Address, folder: Path) -> None:
    """Have this host's server make the copy; raises FailedError and MysqlError."""
    with connect(here, ANSWER) as session, connect(here, ANSWER) as other:
        session.execute(*clone_plugin.begin(donor))
        number = int(session.query("SELECT CONNECTION_ID() AS id")[0]["id"] or 0)
        failures: list[MysqlError] = []
        statement = clone_plugin.clone(donor, str(folder), encrypted=job.conf.transfer != "plain")

        def run() -> None:
            try:
                session.execute(*statement, timeout=WHOLE)
            except MysqlError as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        silent = _watch(job, other, folder, thread)
        if silent:
            other.execute(f"KILL CONNECTION {number}")
            thread.join(SILENT)
            raise FailedError(
                Cause.SILENT, f"no byte came from {job.donor.name} for {SILENT:g} s: the clone was killed"
            )
        if failures:
            raise FailedError(Cause.PRODUCER, f"clone from {job.donor.name}: {failures[0].text}")


def _watch(job: Job, other: Connection, folder: Path, clone: threading.Thread) -> bool:
    """Report while the clone runs; returns True for one of which nothing came for too long."""
    done, changed, at = -1, time.monotonic(), time.monotonic()
    while clone.is_alive():
        clone.join(_LOOK)
        now = time.monotonic()
        size = _progress(other, folder)
        if size.done != done:
            rate = (size.done - max(done, 0)) / max(now - at, 0.001)
            job.report(Progress("copying", size.done, size.estimate, rate))
            done, changed = size.done, now
        at = now
        if clone.is_alive() and now - changed > SILENT:
            return True
    return False


def _progress(other: Connection, folder: Path) -> clone_plugin.Cloning:
    """Return how far it is, by the server's word, or where that says nothing by the files."""
    try:
        told = other.ask(clone_plugin.look_at_progress())
    except MysqlError:
        told = None
    if told is not None:
        return told
    size = files.size(folder)
    return clone_plugin.Cloning(size, 0)
