"""Proves a copy by a server that runs on it: it starts and ends in order, has what was promised, and lets MMM in. Edge.

    found = prove(staging, argv, came, [Login("mmm_agent", …), …])

It also makes the copy one that goes on behind the donor: MariaDB's gtid_slave_pos is set to the copy's position, for
what came along is the donor's own, which is older where that one was the writer. MySQL's channels are removed: they are
the donor's replication. With `follows` the events of a copy that is to replicate are disabled.
"""

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmm.config.model import Host
from mmm.gtid import mariadb, mysql
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError
from mmm.network.socket_table import listening_sockets
from mmm.process.socket_owner import UnknownOwnerError, hold_owner
from mmm.process.started_as import started_as
from mmm.tools.fetch import copied_events
from mmm.tools.fetch.files import SERVERS
from mmm.tools.fetch.private import Private, running
from mmm.tools.fetch.values import Cause, Failed, FailedError

_PATH = "/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin:/usr/local/bin:/usr/local/mysql/bin"


@dataclass(frozen=True, slots=True)
class Login:
    """An account of the conf that has to be in the copy."""

    user: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Proved:
    """What a server on the copy has shown."""

    server_version: str
    gtid: str
    """What it has: MariaDB's gtid_slave_pos as set, MySQL's gtid_executed."""
    came_along: str
    """What came with it and is gone: the donor's own gtid_slave_pos, or the names of MySQL's channels."""
    logged_in: tuple[str, ...]
    """The accounts that a login was tried with."""
    seconds: float


def server_of(host: Host) -> tuple[str, ...]:
    """Return how this host's server is started: as it was, or where none runs, by its option file of the conf.

    Raises FailedError where there is neither a process nor a program.
    """
    try:
        held = hold_owner(listening_sockets(host.ip, host.mysql_port), Path(host.mysql_pidfile))
    except (OSError, UnknownOwnerError):
        return _installed(host)
    try:
        return started_as(held.pid).argv
    except OSError:
        return _installed(host)
    finally:
        os.close(held.fd)


def _installed(host: Host) -> tuple[str, ...]:
    found = next((at for name in SERVERS if (at := shutil.which(name, path=_PATH))), None)
    if found is None:
        raise FailedError(
            Cause.START, f"no server runs on {host.name}, and there is no {' or '.join(SERVERS)} in {_PATH}"
        )
    own = (
        [f"--defaults-file={host.mysql_cnf}"] if Path(host.mysql_cnf).is_file() else []
    )  # else the usual files
    return (found, *own)


def prove(
    staging: Path,
    argv: Sequence[str],
    promised: Position | None,
    accounts: Iterable[Login],
    *,
    follows: bool = False,
) -> Proved | Failed:
    """Return what a server started by `argv` on the staging folder shows; where it fails the folder is removed.

    None: nothing is promised of where the data stand, and nothing will replicate from there.
    """
    began = time.monotonic()
    try:
        with running(staging, argv) as private:
            try:
                with private.connect() as session:
                    version, came_along, gtid = _set_up(session, promised)
                    if follows:
                        copied_events.disable(session)
                    logged_in = _accounts(private, session, tuple(accounts))
            except MysqlError as error:
                raise FailedError(Cause.STATE, f"the server on the copy: {error.text}") from error
    except FailedError as error:
        shutil.rmtree(staging, ignore_errors=True)
        return error.failed
    return Proved(version, gtid, came_along, logged_in, time.monotonic() - began)


def _set_up(session: Connection, promised: Position | None) -> tuple[str, str, str]:
    """Return version, what came along, and what there is now; raises MysqlError and FailedError."""
    version = str(session.query("SELECT VERSION() AS version")[0]["version"])
    if promised is None:
        session.execute(session.flavour.stop_replica)
        session.execute(session.flavour.reset_replica)
        return version, "", ""
    came_along, gtid = (_mariadb if session.flavour.mariadb else _mysql)(session, promised)
    return version, came_along, gtid


def _mariadb(session: Connection, promised: Position) -> tuple[str, str]:
    """Set where the copy goes on: in each domain behind the newest that the donor has logged or replicated.

    A donor without log_slave_updates logs only what was written on it.
    """
    asks = "SELECT @@global.gtid_slave_pos AS gtid"
    came_along = str(session.query(asks)[0]["gtid"] or "")
    both = mariadb.History(mariadb.parse(came_along), mariadb.parse(promised.gtid))
    behind = mariadb.newest_everywhere(both)
    if not behind:
        raise FailedError(Cause.STATE, "the copy names no GTID: it cannot be told where replication goes on")
    session.execute("SET GLOBAL gtid_slave_pos=%s", (mariadb.text(behind),))
    gtid = str(session.query(asks)[0]["gtid"] or "")
    if set(mariadb.parse(gtid)) != set(behind):
        text = f"gtid_slave_pos of the copy is {gtid!r} once set to {mariadb.text(behind)!r}"
        raise FailedError(Cause.STATE, text)
    return came_along, gtid


def _mysql(session: Connection, promised: Position) -> tuple[str, str]:
    flavour = session.flavour
    channels = [str(row.get("Channel_Name") or "") for row in session.query(flavour.replica_status)]
    session.execute(flavour.stop_replica)
    session.execute(flavour.reset_replica)
    gtid = str(session.query("SELECT @@global.gtid_executed AS gtid")[0]["gtid"] or "")
    if lacks := mysql.parse(promised.gtid).minus(mysql.parse(gtid)):
        raise FailedError(Cause.STATE, f"the copy lacks {lacks}, which the donor has said to be in it")
    return ", ".join(repr(channel) for channel in channels), gtid.replace("\n", "")


def _accounts(private: Private, session: Connection, accounts: tuple[Login, ...]) -> tuple[str, ...]:
    """Return the accounts that a login was tried with, those for local clients; FailedError for one of no use."""
    table = "mysql.global_priv" if session.flavour.mariadb else "mysql.user"
    clients = {
        login.user: [
            str(row["Host"])
            for row in session.query(f"SELECT Host FROM {table} WHERE User=%s", (login.user,))  # noqa: S608
        ]
        for login in accounts
    }
    session.execute("FLUSH PRIVILEGES")  # from here on accounts count
    tried = []
    for login in accounts:
        if not clients[login.user]:
            raise FailedError(
                Cause.STATE, f"the copy has no account {login.user}: the donor lacks it; make it there first"
            )
        if not {"%", "localhost"}.isdisjoint(clients[login.user]):
            _try(private, login)
            tried.append(login.user)
    return tuple(tried)


def _try(private: Private, login: Login) -> None:
    try:
        private.connect(login.user, login.password).close()
    except MysqlError as error:
        if error.kind is not ErrorKind.DENIED:
            raise
        text = (
            f"account {login.user} of the copy does not take the password of this host's conf: {error.text}"
        )
        raise FailedError(Cause.STATE, text) from error
