"""A copy by MySQL's clone plugin: a server of this host gets it from the donor's, into a folder of its own. Edge.

It is the server that runs here where that can: its data stay as they are. It refuses a folder within its own data
directory (3632); there, and where none runs or it has not loaded the plugin, an empty server is started on the folder
and clones itself.

What the plugin does badly is watched here. When the donor dies its server goes on trying for five minutes, whatever
clone_donor_timeout_after_network_failure says: a clone of which nothing comes for SILENT seconds is killed. And a clone
whose client has gone goes on: it is killed then, too.
"""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmm.mysql.backup import clone_plugin
from mmm.mysql.backup.data_size import look_at_size
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import Address, Connection, MysqlError, connect
from mmm.process.apparmor import may_forbid
from mmm.tools.fetch import files
from mmm.tools.fetch.private import initialized, running
from mmm.tools.fetch.stage import server_of
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
_ENDED = 3707
"""It has cloned itself, and ends: nothing is there that would start it again."""


@dataclass(frozen=True, slots=True)
class _State:
    """What the donor has before the clone begins, all of which has to be in it."""

    position: Position
    version: str
    size: int


def unfit(here: Side | None, donor: Side) -> str:
    """Return why this is not the way, empty where it is. Without a server here the clone finds what is unlike."""
    for side in (donor, here):
        if side is not None and not clone_plugin.knows(side.flavour):
            return f"{side.name} runs {side.flavour.family} {side.version}, which has no clone plugin"
    if not donor.clone_plugin:
        return f"{donor.name} has not loaded the clone plugin: add `{clone_plugin.LOAD}` to [mysqld] in its my.cnf"
    if donor.not_innodb:
        return f"{donor.name} has tables that are not InnoDB, which would come empty: {', '.join(donor.not_innodb)}"
    return unlike(here, donor)


def fetch(job: Job) -> Fetched | Failed:
    """Return what came."""
    began = time.monotonic()
    try:
        donor = tools_at(job.donor)
        with files.made(job.into):
            files.give(job.into, job.owner)  # the server makes what is in it itself
            state = _state(donor)
            if _may_clone(job):
                _beside(job, donor, state)
            else:
                _itself(job, donor, state)
            files.give(job.into, job.owner)
            files.sync(job.into)
        size, seconds = files.size(job.into), time.monotonic() - began
        return Fetched(size, seconds, state.position, state.version)
    except FailedError as error:
        return error.failed
    except MysqlError as error:
        return Failed(Cause.PRODUCER, error.text)
    except OSError as error:
        return Failed(Cause.HERE, f"{job.into}: {error.strerror or error}")


def _state(donor: Address) -> _State:
    """Ask the donor; raises MysqlError."""
    with connect(donor, ANSWER) as session:
        row = session.query("SELECT @@global.gtid_executed AS gtid, VERSION() AS version")[0]
        size = 0
        with suppress(MysqlError):  # without PROCESS the clone does all the same
            size = session.ask(look_at_size(session.flavour))
        return _State(Position(None, str(row["gtid"] or "").replace("\n", "")), str(row["version"]), size)


def _may_clone(job: Job) -> bool:
    """Tell whether the server that runs here can make the copy in the folder."""
    try:
        with connect(tools_at(job.here), ANSWER) as session:
            datadir = Path(str(session.query("SELECT @@global.datadir AS datadir")[0]["datadir"]))
            within = job.into.resolve().is_relative_to(datadir.resolve())
            return not within and session.ask(clone_plugin.is_active(session))
    except MysqlError:
        return False


def _beside(job: Job, donor: Address, state: _State) -> None:
    """Have the server that runs here make the copy; raises FailedError and MysqlError."""
    made = job.into / _MADE
    here = tools_at(job.here)
    with connect(here, ANSWER) as session:
        _clone(job, _Cloning(session, here, donor, str(made)), state)
    for entry in list(made.iterdir()):
        entry.rename(job.into / entry.name)
    made.rmdir()


def _itself(job: Job, donor: Address, state: _State) -> None:
    """Have an empty server on the folder clone itself; raises FailedError and MysqlError."""
    argv = tuple(job.argv or server_of(job.here))
    initialized(job.into, argv)
    with running(job.into, (*argv, clone_plugin.LOADING), asks=True) as private, private.connect() as session:
        _clone(job, _Cloning(session, private.address, donor, ""), state)


@dataclass(frozen=True, slots=True)
class _Cloning:
    """A server that clones."""

    session: Connection
    address: Address
    """Of that server, to look after it by other sessions."""
    donor: Address
    folder: str
    """Where the copy is made, which is not there yet; empty: the server's own data give way to it."""


def _clone(job: Job, cloning: _Cloning, state: _State) -> None:
    """Have it done; raises FailedError and MysqlError. Afterwards no clone runs, whatever has broken this off."""
    session = cloning.session
    session.execute(*clone_plugin.begin(cloning.donor))
    number = int(session.query("SELECT CONNECTION_ID() AS id")[0]["id"] or 0)
    failures: list[MysqlError] = []
    encrypted = job.conf.transfer != "plain"
    statement = clone_plugin.clone(cloning.donor, cloning.folder, encrypted=encrypted)

    def run() -> None:
        try:
            session.execute(*statement, timeout=WHOLE)
        except MysqlError as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        silent = _watch(job, cloning, state, thread)
    finally:
        _end(cloning, number, thread)
    if silent:
        text = f"no byte came from {job.donor.name} for {SILENT:g} s: the clone was killed"
        raise FailedError(Cause.SILENT, text)
    if failures and (cloning.folder or failures[0].number != _ENDED):
        hint = may_forbid(_program(job), job.into)
        raise FailedError(Cause.PRODUCER, f"clone from {job.donor.name}: {failures[0].text}{hint}")


def _program(job: Job) -> str:
    with suppress(FailedError):
        return (job.argv or server_of(job.here))[0]
    return ""


def _end(cloning: _Cloning, number: int, clone: threading.Thread) -> None:
    """Kill the clone if it still runs, and wait for its end: its server does not see that nobody waits for it."""
    if not clone.is_alive():
        return
    asked = f"SELECT 1 AS one FROM information_schema.PROCESSLIST WHERE ID={number}"  # noqa: S608
    deadline = time.monotonic() + SILENT
    with suppress(MysqlError), connect(cloning.address, ANSWER) as other:
        other.execute(f"KILL CONNECTION {number}")
        while other.query(asked) and time.monotonic() < deadline:
            time.sleep(_LOOK)
    clone.join(_LOOK)


def _watch(job: Job, cloning: _Cloning, state: _State, clone: threading.Thread) -> bool:
    """Report while the clone runs; returns True for one of which nothing came for too long."""
    done, changed, at = -1, time.monotonic(), time.monotonic()
    with connect(cloning.address, ANSWER) as other:
        while clone.is_alive():
            clone.join(_LOOK)
            now = time.monotonic()
            size = _told(other) or clone_plugin.Cloning(files.size(job.into), state.size)
            if size.done != done:
                rate = (size.done - max(done, 0)) / max(now - at, 0.001)
                job.report(Progress("copying", size.done, size.estimate, rate))
                done, changed = size.done, now
            at = now
            if clone.is_alive() and now - changed > SILENT:
                return True
    return False


def _told(other: Connection) -> clone_plugin.Cloning | None:
    """Return how far the server says it is; None: it does not say."""
    with suppress(MysqlError):
        return other.ask(clone_plugin.look_at_progress())
    return None
