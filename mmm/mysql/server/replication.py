"""Replication as its servers tell it: whom one follows, how far it is, which transactions it has (rules 6.3, 7)."""

from dataclasses import dataclass

from mmm.gtid import mariadb as gtid
from mmm.gtid.mysql import parse
from mmm.gtid.place import NOWHERE, LogPlace
from mmm.gtid.transactions import Executed
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.replica_status import ReplicaStatus, parse_status
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, Row
from mmm.mysql.session.question import Question, only


@dataclass(frozen=True, slots=True)
class BinlogPosition:
    """The end of a server's binary log; no file and no GTID where it writes none."""

    place: LogPlace
    gtid: str

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.place) if self.place.file else "", self.gtid) if part)


def replica_status(connection: Connection) -> ReplicaStatus | None:
    """Return the status of this cluster's channel, None when no replication is configured.

    That is the channel without a name, else the only one there is. Where several have names and none has none, no
    one can tell: MysqlError of kind FAILED names them. Raises MysqlError; kind DENIED when the user may not ask.
    """
    return connection.ask(look_at_replica(connection))


def look_at_replica(connection: Connection) -> Question[ReplicaStatus | None]:
    """Ask for the same."""
    found = [parse_status(row) for row in (yield connection.flavour.replica_status)]
    found = [status for status in found if status.source_ip]
    unnamed = next((status for status in found if not status.channel), None)
    if unnamed or len(found) < 2:
        return unnamed or next(iter(found), None)
    names = ", ".join(sorted(status.channel for status in found))
    raise MysqlError(
        ErrorKind.FAILED,
        0,
        f"MySQL at {connection.address}: it replicates over the channels {names}; MMM looks after the one without"
        " a name: set up this cluster's replication without FOR CHANNEL and connection name",
    )


def start_replica(connection: Connection, channel: str | None = None, limit: float | None = None) -> None:
    """Start both threads of a channel, by default this cluster's; nothing happens where they run. Raises MysqlError.

    A server that is still stopping them does so first: at most `limit` seconds.
    """
    flavour, name = connection.flavour, _channel(connection) if channel is None else channel
    connection.execute(f"{flavour.start_replica}{flavour.of_channel}", (name,), timeout=limit)


def is_untouched(connection: Connection) -> bool:
    """Tell whether nobody has started or stopped replication since the server's start. Raises MysqlError.

    A server that starts no replication by itself (`skip_slave_start`) then waits for somebody to do it, and one whose
    replication was stopped by hand does not.
    """
    return not any(number != "0" for number in connection.ask(_look_at_orders(connection)).values())


def _look_at_orders(_: Connection) -> Question[dict[str, str]]:
    """Ask how often replication was started and stopped by a statement: every server has some of these counters."""
    wanted = ",".join(
        f"'Com_{name}'"
        for verb in ("start", "stop")
        for name in (f"{verb}_slave", f"{verb}_all_slaves", f"slave_{verb}", f"replica_{verb}")
    )
    rows = yield f"SHOW GLOBAL STATUS WHERE Variable_name IN ({wanted})"
    return {str(row["Variable_name"]): str(row["Value"]) for row in rows}


def stop_replica(connection: Connection, timeout: float | None = None) -> None:
    """Stop both threads of this cluster's channel; nothing happens where they are stopped.

    Waits for the event group at work, at most `timeout` seconds; raises MysqlError of kind TIMED_OUT then:
    the server goes on stopping and the connection is closed.
    """
    flavour = connection.flavour
    connection.execute(
        f"{flavour.stop_replica}{flavour.of_channel}", (_channel(connection),), timeout=timeout
    )


def _channel(connection: Connection) -> str:
    status = replica_status(connection)
    return status.channel if status else ""


def binlog_position(connection: Connection) -> BinlogPosition:
    """Return the end of the server's own binary log. Raises MysqlError.

    MySQL's GTIDs are left out unless gtid_mode is ON: the set keeps those from before it was switched off, which every
    server has, and says nothing of what was written since.
    """
    rows = connection.ask(only(connection.flavour.binlog_status))
    row = rows[0] if rows else {}
    if connection.flavour.mariadb:
        return BinlogPosition(_place(row), _logged_gtids(connection))
    by_gtid = executed(connection) is not None
    gtids = "".join(str(row.get("Executed_Gtid_Set") or "").split()) if by_gtid else ""
    return BinlogPosition(_place(row), gtids)


def to_reach(connection: Connection) -> BinlogPosition:
    """Return what a replica must have to have all of this server's: of MariaDB's the place is left out.

    Raises MysqlError.
    """
    if connection.flavour.mariadb:
        return BinlogPosition(NOWHERE, _logged_gtids(connection))
    return binlog_position(connection)


def _logged_gtids(connection: Connection) -> str:
    state = connection.ask(only(connection.flavour.gtid_state))[0]
    return str(state["binlog_pos"] or "")


def look_at_binlog_end(connection: Connection) -> Question[LogPlace]:
    """Ask for the end of the server's own binary log, NOWHERE where it writes none."""
    rows = yield connection.flavour.binlog_status
    return _place(rows[0] if rows else {})


def _place(row: Row) -> LogPlace:
    return LogPlace(str(row.get("File") or ""), int(row.get("Position") or 0))


def executed(connection: Connection) -> Executed | None:
    """Return the transactions that a server says it has, None where it has no GTIDs. Raises MysqlError."""
    return executed_in(connection.flavour, connection.ask(only(connection.flavour.gtid_state))[0])


def executed_in(flavour: Flavour, state: Row) -> Executed | None:
    """Return the same from its answer to `gtid_state`."""
    if flavour.mariadb:
        return _history(state)
    return parse(str(state["executed"] or "")) if str(state["gtid_mode"]).upper() == "ON" else None


def received_in(has: Executed, status: ReplicaStatus) -> Executed:
    """Return what a server has applied or received of its source, by GTID; `has` is what it has applied."""
    match has:
        case gtid.History():
            return gtid.History((*has.applied, *gtid.parse(status.gtid_received)), has.logged)
        case _:
            return has.plus(parse(status.gtid_received))


def history(connection: Connection) -> gtid.History:
    """Return the transactions that a MariaDB server says it has. Raises MysqlError."""
    return _history(connection.ask(only(connection.flavour.gtid_state))[0])


def _history(state: Row) -> gtid.History:
    return gtid.History(
        applied=gtid.parse(str(state["slave_pos"] or "")),
        logged=gtid.parse(str(state["binlog_state"] or "")),
    )
