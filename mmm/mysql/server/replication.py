"""Replication as a replica's server tells it, and waiting for it with a limit (rules 6.3, 7, 10.2)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Literal

from mmm.gtid import mariadb as gtid
from mmm.gtid.mysql import parse
from mmm.gtid.place import NOWHERE, LogPlace
from mmm.gtid.transactions import Executed
from mmm.mysql.server.flavour import Flavour
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, Row
from mmm.mysql.session.errors import refuses
from mmm.mysql.session.question import Question, only

IoRunning = Literal["Yes", "No", "Connecting"]
DETACHED = "//"
"""Begins the host name of a source that is not to be reached: no resolver takes it, and people read what follows."""

LIFTING = "///"
"""Begins it likewise while MariaDB's relay log is read to its end, see mmm.mysql.server.delay."""

_WORKERS_AT_WORK = """
    SELECT ID AS id FROM information_schema.PROCESSLIST
    WHERE COMMAND = 'Slave_worker' AND STATE <> 'Waiting for work from SQL thread' LIMIT 1"""
_DIGITS = 20
_SHORT_NAP = 0.001
_LONG_NAP = 0.02
_LOOK_BETWEEN = 0.2


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What SHOW REPLICA STATUS or SHOW SLAVE STATUS says, in one spelling."""

    io_running: IoRunning
    sql_running: bool
    seconds_behind: int | None
    """Lag in seconds; None is the server's NULL: it does not know."""
    source_ip: str
    """The source's host, without what detaches from it."""
    source_port: int
    source_server_id: int
    uses_gtid: bool
    io_errno: int
    io_error: str
    sql_errno: int
    sql_error: str
    read: LogPlace
    """How far the source's log was received."""
    executed: LogPlace
    """How far the source's log was applied."""
    relay: LogPlace
    gtid_received: str
    """What was received completely: MariaDB's last GTIDs, MySQL's set since the relay log began."""
    gtid_executed: str
    """MySQL's executed set; empty on MariaDB, see `binlog_position`."""
    idle: bool
    """The applying thread has read all of the relay log; with parallel workers these may still be at work."""
    channel: str
    """MySQL's channel or MariaDB's connection name; empty for the only one."""
    detached: bool = False
    """The source was made unreachable on purpose, see mmm.mysql.server.detach."""
    delay: int = 0
    """Seconds by which it is to stay behind: MASTER_DELAY, SOURCE_DELAY."""
    lifting: bool = False
    """Setting the delay to 0 was begun and not finished, see mmm.mysql.server.delay."""
    source_user: str = ""
    """The user that it logs in as at the source."""

    @property
    def last_error(self) -> str:
        """Return what replication complains of, in one line; empty when nothing."""
        found = ((self.sql_errno, self.sql_error), (self.io_errno, self.io_error))
        return "; ".join(f"{' '.join(text.split())} ({number})" for number, text in found if number)

    @property
    def refused(self) -> bool:
        """Tell whether the source turns the account away that this replica comes with, which no waiting mends."""
        return self.io_running != "Yes" and refuses(self.io_errno)

    @property
    def all_applied(self) -> bool:
        """Tell whether everything received is applied."""
        return self.executed.reaches(self.read)


class Caught(Enum):
    """How a wait for replication ended (rule 10.2)."""

    REACHED = "reached"
    NOT_IN_TIME = "not in time"
    NOT_RUNNING = "not running"


@dataclass(frozen=True, slots=True)
class BinlogPosition:
    """The end of a server's binary log; no file and no GTID where it writes none."""

    place: LogPlace
    gtid: str

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.place) if self.place.file else "", self.gtid) if part)


def parse_status(row: Row) -> ReplicaStatus:
    """Return the status in a row of either spelling.

    Columns that a server lacks, and those with a number that is none, count as empty.
    """
    new = "Replica_IO_Running" in row

    def value(name: str) -> object:
        return row.get(_new(name) if new else name)

    def text(name: str) -> str:
        return str(value(name) or "")

    def number(name: str) -> int:
        return _number(value(name)) or 0

    lifting = text("Master_Host").startswith(LIFTING)
    return ReplicaStatus(
        io_running=_io_running(text("Slave_IO_Running")),
        sql_running=text("Slave_SQL_Running") == "Yes",
        seconds_behind=_number(value("Seconds_Behind_Master")),
        source_ip=text("Master_Host").lstrip("/"),
        source_port=number("Master_Port"),
        source_server_id=number("Master_Server_Id"),
        uses_gtid=text("Using_Gtid") not in {"", "No"} or text("Auto_Position") == "1",
        io_errno=number("Last_IO_Errno"),
        io_error=text("Last_IO_Error"),
        sql_errno=number("Last_SQL_Errno"),
        sql_error=text("Last_SQL_Error"),
        read=LogPlace(text("Master_Log_File"), number("Read_Master_Log_Pos")),
        executed=LogPlace(text("Relay_Master_Log_File"), number("Exec_Master_Log_Pos")),
        relay=LogPlace(text("Relay_Log_File"), number("Relay_Log_Pos")),
        gtid_received="".join((text("Gtid_IO_Pos") or text("Retrieved_Gtid_Set")).split()),
        gtid_executed="".join(text("Executed_Gtid_Set").split()),
        idle="has read all relay log" in text("Slave_SQL_Running_State"),
        channel=text("Channel_Name") or text("Connection_name"),
        detached=text("Master_Host").startswith(DETACHED) and not lifting,
        lifting=lifting,
        delay=number("SQL_Delay"),
        source_user=text("Master_User"),
    )


@cache
def _new(name: str) -> str:
    return name.replace("Slave_", "Replica_").replace("Master", "Source")


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


def start_replica(connection: Connection, channel: str | None = None) -> None:
    """Start both threads of a channel, by default this cluster's; nothing happens where they run. Raises MysqlError."""
    flavour, name = connection.flavour, _channel(connection) if channel is None else channel
    connection.execute(f"{flavour.start_replica}{flavour.of_channel}", (name,))


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
    """Return the end of the server's own binary log. Raises MysqlError."""
    rows = connection.ask(only(connection.flavour.binlog_status))
    row = rows[0] if rows else {}
    if connection.flavour.mariadb:
        return BinlogPosition(_place(row), _logged_gtids(connection))
    return BinlogPosition(_place(row), "".join(str(row.get("Executed_Gtid_Set") or "").split()))


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


def wait_applied(
    connection: Connection, timeout: float, between: Callable[[], object] = lambda: None
) -> Caught:
    """Wait until every transaction received before this call is applied, at most `timeout` seconds.

    What is `between` is called now and then while it is not.

    A transaction of which the source sent only a part before it died does not count: it is no one's.
    NOT_RUNNING as soon as the applying thread stands still short of that. Raises MysqlError.
    """
    status = replica_status(connection)
    if status is None:
        return Caught.NOT_RUNNING
    if status.lifting:
        return wait_applying(connection, status.gtid_received, timeout, between)
    if status.uses_gtid:
        return _wait(connection, *_gtids(connection, status.gtid_received), timeout, between)
    row = connection.query(connection.flavour.workers)[0]
    one_thread = int(row["workers"] or 0) == 0
    target = status.read

    def reached() -> bool:
        now = replica_status(connection)
        if now is None:
            return False
        cut_short = one_thread and now.sql_running and now.idle and now.io_running != "Yes"
        return now.executed.reaches(target) or cut_short

    return _wait(connection, reached, "", timeout, between)


def wait_for_source(
    connection: Connection,
    target: BinlogPosition,
    timeout: float,
    between: Callable[[], object] = lambda: None,
) -> Caught:
    """Wait until this replica has the source's transactions up to `target`, at most `timeout` seconds.

    `target` is what the source tells `to_reach`. By GTID where it has one, else by place in the log of the
    server that this one replicates from. NOT_RUNNING as soon as replication cannot get there.
    `between` as in `wait_applied`. Raises MysqlError.
    """
    if connection.flavour.mariadb or target.gtid:
        return _wait(connection, *_gtids(connection, target.gtid), timeout, between)

    def reached() -> bool:
        now = replica_status(connection)
        return now is not None and now.executed.reaches(target.place)

    return _wait(connection, reached, "", timeout, between)


def wait_applying(
    connection: Connection, received: str, timeout: float, between: Callable[[], object] = lambda: None
) -> Caught:
    """Wait until these GTIDs, which are in the relay log, are applied, at most `timeout` seconds.

    Where a server that has been started since does not know which they are, until all of the relay log is. NOT_RUNNING
    as soon as the applying thread stands still, whatever places of logs say. `between` as in `wait_applied`. Raises
    MysqlError.
    """
    runs: Callable[[ReplicaStatus | None], bool] = lambda status: status is not None and status.sql_running  # noqa: E731

    def all_read() -> bool:
        now = replica_status(connection)
        return now is not None and now.idle and not connection.ask(only(_WORKERS_AT_WORK))

    reached, awaited = _gtids(connection, received) if received else (all_read, "")
    return _wait(connection, reached, awaited, timeout, between, runs)


def has_all(connection: Connection, target: BinlogPosition) -> bool:
    """Tell whether this server has what another tells `to_reach`, where that has GTIDs. Raises MysqlError."""
    return _gtids(connection, target.gtid)[0]()


def _gtids(connection: Connection, wanted: str) -> tuple[Callable[[], bool], str]:
    """Return the question whether the server has the wanted GTIDs, and these as the server can await them."""
    if connection.flavour.mariadb:
        ids = gtid.parse(wanted)
        return lambda: not gtid.missing(history(connection), ids), gtid.text(ids)
    subset = "SELECT GTID_SUBSET(%s, @@global.gtid_executed) AS inside"
    return lambda: bool(connection.query(subset, (wanted,))[0]["inside"]), wanted


def _can_advance(status: ReplicaStatus | None) -> bool:
    """Tell whether waiting can help: something received is being applied, or more may come."""
    if status is None or not status.sql_running:
        return False
    return status.io_running != "No" or not status.all_applied


def _wait(
    connection: Connection,
    reached: Callable[[], bool],
    awaited: str,
    timeout: float,
    between: Callable[[], object],
    can_advance: Callable[[ReplicaStatus | None], bool] = _can_advance,
) -> Caught:
    """Ask `reached` until it is so; between, sleep in the server on the GTIDs `awaited`, else here."""
    deadline = time.monotonic() + timeout
    nap = _SHORT_NAP
    looks_at = time.monotonic() + _LOOK_BETWEEN
    while not reached():
        if time.monotonic() > looks_at:
            between()
            looks_at = time.monotonic() + _LOOK_BETWEEN
        status = replica_status(connection)
        if not can_advance(status):
            return Caught.REACHED if reached() else Caught.NOT_RUNNING
        left = deadline - time.monotonic()
        if left <= 0:
            return Caught.NOT_IN_TIME
        in_server = connection.flavour.wait_slice
        if awaited and left >= in_server:
            connection.query(
                connection.flavour.wait_gtid, (awaited, in_server), timeout=in_server + connection.timeout
            )
        else:
            time.sleep(min(nap, left))
            nap = min(nap * 1.5, _LONG_NAP)
    return Caught.REACHED


def _number(value: object) -> int | None:
    """Return a column's value as a number, None when it is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _io_running(text: str) -> IoRunning:
    if text == "Yes":
        return "Yes"
    return "Connecting" if text in {"Connecting", "Preparing"} else "No"
