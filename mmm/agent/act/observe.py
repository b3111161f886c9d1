"""Looks at the system itself: the cluster's VIPs on the interface, read_only and replication in the server."""

from collections.abc import Collection
from contextlib import suppress

from mmm.agent.act.server_session import ServerSession
from mmm.agent.decide.seen import Seen, Server, Source
from mmm.gtid.semi_sync import SemiSync
from mmm.mysql.server.read_only import Access, access, access_in
from mmm.mysql.server.replica_status import ReplicaStatus
from mmm.mysql.server.replication import is_untouched, replica_status
from mmm.mysql.server.semi_sync import ask_with_settings, switches
from mmm.mysql.session.connection import (
    Connection,
    ErrorKind,
    MysqlError,
)
from mmm.network.vips import Interface, NoInterfaceError, whole

_SERVER = {
    ErrorKind.REFUSED: Server.DEAD,
    ErrorKind.TIMED_OUT: Server.SILENT,
    ErrorKind.UNREACHABLE: Server.SILENT,
}


def look(interface: Interface, vips: Collection[str], session: ServerSession) -> Seen:
    """Return what stands on interface and server, within about two times `ANSWER_LIMIT`.

    Raises InterfaceError when the kernel does not tell; an interface that does not exist has no addresses.
    """
    bound: dict[str, tuple[int, ...]] = {}
    with suppress(NoInterfaceError):
        bound = interface.bound(vips)
    ours = frozenset(bound)
    wide = frozenset(ip for ip in ours if bound[ip] != (whole(ip),))
    stray = frozenset(interface.elsewhere(vips))
    try:
        may, semi_sync = session.ask(_access)
    except MysqlError as error:
        session.close()
        return Seen(
            ours, wide, _SERVER.get(error.kind, Server.REFUSING), None, problem=error.text, stray=stray
        )
    source, problem = _source(session)
    semi_sync = semi_sync or _semi_sync(session)
    return Seen(ours, wide, Server.UP, may.writable, source, problem, may.sealed, semi_sync, stray)


def _access(connection: Connection) -> tuple[Access, SemiSync | None]:
    """Return who may write, and what of semi-sync is switched on where one statement can tell both."""
    row = connection.ask(ask_with_settings(connection, f"{connection.flavour.write_locks}, "))
    if row is None:
        return access(connection), None
    return access_in(row), switches(connection, row)


def _source(session: ServerSession) -> tuple[Source | None, str]:
    try:
        status = replica_status(session.open())
        if status is None:
            return None, ""
        receives = status.io_running != "No"
        running = status.sql_running or receives
        asleep = not running and _is_asleep(session.open(), status)
    except MysqlError as error:
        if not error.server_alive:
            session.close()
        return None, error.text
    return Source(
        status.source_ip,
        status.source_port,
        running,
        receives,
        status.detached,
        status.refused,
        status.lifting,
        asleep,
        status.source_lacks_log,
        replicates=status.io_running == "Yes" and status.sql_running,
        behind=status.seconds_behind,
    ), ""


def _is_asleep(connection: Connection, status: ReplicaStatus) -> bool:
    """Tell whether replication that does not run waits for its first start; neither an error nor a hand ended it."""
    return not (status.detached or status.last_error) and is_untouched(connection)


def _semi_sync(session: ServerSession) -> SemiSync | None:
    try:
        return switches(session.open())
    except MysqlError as error:
        if not error.server_alive:
            session.close()
        return None
