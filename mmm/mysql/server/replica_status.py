"""SHOW REPLICA STATUS and SHOW SLAVE STATUS, in one spelling (rule 6.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from mmm.gtid.place import LogPlace
from mmm.mysql.session.errors import refuses

IoRunning = Literal["Yes", "No", "Connecting"]
DETACHED = "//"
"""Begins the host name of a source that is not to be reached: no resolver takes it, and people read what follows."""

LIFTING = "///"
"""Begins it likewise while MariaDB's relay log is read to its end, see mmm.mysql.server.delay."""
_DIGITS = 20
_ROWS_DIFFER = frozenset({1032, 1062, 1451, 1452, 1950})
"""No such row, a row with that key is there, a foreign key forbids it, and a GTID that is older than the last one."""
_FILTERS = (
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Rewrite_DB",
)
_LACKS_LOG = frozenset({1236, 13114})  # the second is what MySQL calls it since 8.0


def lacks_log(number: int) -> bool:
    """Tell whether a source that answers with this error has no binary log, or not what it is asked for."""
    return number in _LACKS_LOG


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
    filters: tuple[tuple[str, str], ...] = ()
    """What it leaves out of what it receives: each filter's name and value."""

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
    def source_lacks_log(self) -> bool:
        """Tell whether the source has no binary log, or not what this replica asks for, which no waiting mends."""
        return self.io_running != "Yes" and lacks_log(self.io_errno)

    @property
    def rows_differ(self) -> bool:
        """Tell whether what it received does not fit what it has, which no waiting mends."""
        return not self.sql_running and self.sql_errno in _ROWS_DIFFER

    @property
    def all_applied(self) -> bool:
        """Tell whether everything received is applied."""
        return self.executed.reaches(self.read)


class _Columns:
    """A row of either spelling, asked for by the old names; columns that a server lacks count as empty."""

    def __init__(self, row: Mapping[str, object]) -> None:
        self._row, self._new = row, "Replica_IO_Running" in row

    def value(self, name: str) -> object:
        return self._row.get(_new(name) if self._new else name)

    def text(self, name: str) -> str:
        return str(self.value(name) or "")

    def gtids(self, name: str) -> str:
        return "".join(self.text(name).split())

    def number(self, name: str) -> int:
        return _number(self.value(name)) or 0

    def place(self, file: str, position: str) -> LogPlace:
        return LogPlace(self.text(file), self.number(position))


def parse_status(row: Mapping[str, object]) -> ReplicaStatus:
    """Return the status in a row of either spelling; columns that a server lacks, or with no number, count as empty."""
    of = _Columns(row)
    source = of.text("Master_Host")
    lifting = source.startswith(LIFTING)
    return ReplicaStatus(
        io_running=_io_running(of.text("Slave_IO_Running")),
        sql_running=of.text("Slave_SQL_Running") == "Yes",
        seconds_behind=_number(of.value("Seconds_Behind_Master")),
        source_ip=source.lstrip("/"),
        source_port=of.number("Master_Port"),
        source_server_id=of.number("Master_Server_Id"),
        uses_gtid=of.text("Using_Gtid") not in {"", "No"} or of.text("Auto_Position") == "1",
        io_errno=of.number("Last_IO_Errno"),
        io_error=of.text("Last_IO_Error"),
        sql_errno=of.number("Last_SQL_Errno"),
        sql_error=of.text("Last_SQL_Error"),
        read=of.place("Master_Log_File", "Read_Master_Log_Pos"),
        executed=of.place("Relay_Master_Log_File", "Exec_Master_Log_Pos"),
        relay=of.place("Relay_Log_File", "Relay_Log_Pos"),
        gtid_received=of.gtids("Gtid_IO_Pos") or of.gtids("Retrieved_Gtid_Set"),
        idle="has read all relay log" in of.text("Slave_SQL_Running_State"),
        channel=of.text("Channel_Name") or of.text("Connection_name"),
        detached=source.startswith(DETACHED) and not lifting,
        lifting=lifting,
        delay=of.number("SQL_Delay"),
        source_user=of.text("Master_User"),
        filters=tuple((name.lower(), text) for name in _FILTERS if (text := of.text(name))),
    )


@cache
def _new(name: str) -> str:
    return name.replace("Slave_", "Replica_").replace("Master", "Source")


def _number(value: object) -> int | None:
    """Return a column's value as a number, None when it is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else None


def _io_running(text: str) -> IoRunning:
    if text == "Yes":
        return "Yes"
    return "Connecting" if text in {"Connecting", "Preparing"} else "No"
