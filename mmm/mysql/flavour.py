"""What each kind of server is told: the one place where their words differ (rule 11.4).

A server is recognised by what it says of itself, never by the conf. Everything else in this package takes
the statement from a `Flavour` and is the same for all.
"""

import re
from dataclasses import dataclass
from typing import Literal

Family = Literal["MariaDB", "MySQL"]

_SETTINGS = (
    "SELECT @@global.auto_increment_increment AS auto_step, @@global.auto_increment_offset AS auto_start,"
    " @@global.log_bin AS logs, @@global.log_{replica}_updates AS logs_replicated"
)
_SESSIONS = (
    "SELECT ID AS id, USER AS user, HOST AS client, COMMAND AS command, TIME AS seconds, STATE AS state,"
    " LEFT(INFO, 400) AS text, {statement} AS statement"
    " FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """The statements of one kind of server. `%s` in a statement stands for an argument."""

    family: Family
    version: tuple[int, int, int]

    replica_status: str
    """Tells of every channel, a row each."""
    of_channel: str
    """Behind what starts or stops a replica: this channel alone, an argument."""
    start_replica: str
    stop_replica: str
    stop_receiver: str
    """Stops the thread that receives from the source, of one channel, an argument."""
    start_receiver: str
    """Starts it."""
    stop_applier: str
    """Stops the thread that applies what was received, likewise."""
    start_applier: str
    """Starts it."""
    reset_replica: str
    """Forgets the source and what was received."""
    binlog_status: str
    binlog_files: str = "SHOW BINARY LOGS"
    """Lists the files of the binary log in their order: `Log_name`, `File_size`."""
    binlog_events: str = "SHOW BINLOG EVENTS IN %s FROM %s LIMIT %s"
    """Lists events: arguments file, position, how many."""
    reset_binlog: str
    """Removes the binary logs; on MySQL also the record of the transactions it has."""

    option_prefix: str
    """Begins the options of `change_source`: MASTER_ or SOURCE_."""
    change_source: str
    """Begins the statement that names a new source; options follow, separated by commas."""
    change_source_end: str
    """Follows these. The channel is an argument in one of the two."""
    by_gtid: str
    """Option of `change_source`: find the place in the source by GTID."""
    by_position: str
    """Option of `change_source`: use the named file and position, no GTID."""
    password_exchange: str
    """Option of `change_source` that lets a replica without TLS log in; empty where none is needed."""
    gtid_state: str
    """What the server has, by GTID: slave_pos, binlog_pos, binlog_state; or gtid_mode and executed.

    And `origin`, what its own transactions carry, `server_id`, what its own events do, and first `read_only`."""
    wait_gtid: str
    """Waits until this replica has applied GTIDs: arguments GTIDs, seconds."""
    wait_slice: float
    """Seconds that one `wait_gtid` takes at most, so that the threads are looked at in between."""
    workers: str
    """Asks how many threads apply in parallel: `workers`, 0 for the one thread alone."""
    heartbeat: str
    """Asks a channel's heartbeat period, which a change of source forgets: `value` in seconds."""

    settings: str
    """Asks what counts of an active master: auto_step, auto_start, logs, logs_replicated."""
    semi_sync_settings: str = "SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'"
    """Asks the settings of semi-sync: `Variable_name`, `Value`; none where there is none."""
    semi_sync_state: str = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'"
    """Asks how it goes, likewise."""
    sessions: str
    """Lists all sessions but this one: id, user, client, command, seconds, state, text, statement."""
    deny_writes: str
    """Forbids writes to all; argument: seconds to wait for statements at work, or longer (MySQL: whole ones)."""
    allow_writes: str = "SET GLOBAL read_only=0"
    """Allows writes."""
    write_locks: str
    """Reads the switches of `deny_writes` back: every column is on when writes are denied."""

    @property
    def mariadb(self) -> bool:
        """Tell whether GTIDs are MariaDB's `domain-server-sequence` and always there."""
        return self.family == "MariaDB"


def detect(version: str, comment: str) -> Flavour:
    """Return the flavour of a server that says `VERSION()` and `@@version_comment`.

    Debian's MySQL says MySQL in neither; MariaDB always says its name in one. What has no number at all
    is taken for the oldest of its family.
    """
    number = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version.removeprefix("5.5.5-"))
    parts = (int(number[1]), int(number[2]), int(number[3] or 0)) if number else (0, 0, 0)
    if "mariadb" in f"{version} {comment}".lower():
        return _mariadb(parts)
    return _mysql(parts)


def _mariadb(version: tuple[int, int, int]) -> Flavour:
    """Return MariaDB's words, the same from 10.5 to 11.8: it never took the new ones for all statements."""
    return Flavour(
        family="MariaDB",
        version=version,
        replica_status="SHOW ALL SLAVES STATUS",
        of_channel=" %s",
        start_replica="START SLAVE",
        stop_replica="STOP SLAVE",
        stop_receiver="STOP SLAVE %s IO_THREAD",
        start_receiver="START SLAVE %s IO_THREAD",
        stop_applier="STOP SLAVE %s SQL_THREAD",
        start_applier="START SLAVE %s SQL_THREAD",
        reset_replica="RESET SLAVE ALL",
        binlog_status="SHOW MASTER STATUS",
        reset_binlog="RESET MASTER",
        option_prefix="MASTER_",
        change_source="CHANGE MASTER %s TO",
        change_source_end="",
        by_gtid="MASTER_USE_GTID=slave_pos",
        by_position="MASTER_USE_GTID=no",
        password_exchange="",
        gtid_state="SELECT @@global.read_only AS read_only,"
        " @@global.gtid_slave_pos AS slave_pos, @@global.gtid_binlog_pos AS binlog_pos,"
        " @@global.gtid_binlog_state AS binlog_state, @@global.server_id AS origin, @@global.server_id AS server_id",
        wait_gtid="SELECT MASTER_GTID_WAIT(%s, %s) AS result",
        wait_slice=0.25,
        workers="SELECT @@global.slave_parallel_threads AS workers",
        heartbeat="SELECT VARIABLE_VALUE AS value FROM information_schema.global_status"
        " WHERE VARIABLE_NAME='Slave_heartbeat_period' AND %s=''",
        settings=_SETTINGS.format(replica="slave"),
        sessions=_SESSIONS.format(statement="QUERY_ID"),
        deny_writes="SET STATEMENT max_statement_time=%s, lock_wait_timeout=1 FOR SET GLOBAL read_only=1",
        write_locks="SELECT @@global.read_only AS read_only",
    )


def _mysql(version: tuple[int, int, int]) -> Flavour:
    """Return MySQL's words: replica since 8.0.22, source since 8.0.23, binary log since 8.2."""
    replica = "REPLICA" if version >= (8, 0, 22) else "SLAVE"
    applier = "replica" if version >= (8, 0, 26) else "slave"
    new = version >= (8, 0, 23)
    source = "SOURCE" if new else "MASTER"
    return Flavour(
        family="MySQL",
        version=version,
        replica_status=f"SHOW {replica} STATUS",
        of_channel=" FOR CHANNEL %s",
        start_replica=f"START {replica}",
        stop_replica=f"STOP {replica}",
        stop_receiver=f"STOP {replica} IO_THREAD FOR CHANNEL %s",
        start_receiver=f"START {replica} IO_THREAD FOR CHANNEL %s",
        stop_applier=f"STOP {replica} SQL_THREAD FOR CHANNEL %s",
        start_applier=f"START {replica} SQL_THREAD FOR CHANNEL %s",
        reset_replica=f"RESET {replica} ALL",
        binlog_status="SHOW BINARY LOG STATUS" if version >= (8, 2, 0) else "SHOW MASTER STATUS",
        reset_binlog="RESET BINARY LOGS AND GTIDS" if version >= (8, 2, 0) else "RESET MASTER",
        option_prefix=f"{source}_",
        change_source="CHANGE REPLICATION SOURCE TO" if new else "CHANGE MASTER TO",
        change_source_end=" FOR CHANNEL %s",
        by_gtid=f"{source}_AUTO_POSITION=1",
        by_position=f"{source}_AUTO_POSITION=0",
        password_exchange=f"GET_{source}_PUBLIC_KEY=1" if version >= (8, 0, 4) else "",
        gtid_state="SELECT @@global.read_only AS read_only, @@global.gtid_mode AS gtid_mode,"
        " @@global.gtid_executed AS executed,"
        " @@global.server_uuid AS origin, @@global.server_id AS server_id",
        wait_gtid="SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s) AS result",
        wait_slice=1.0,  # 5.7 knows whole seconds only, and takes 0 for ever
        workers=f"SELECT @@global.{applier}_parallel_workers AS workers",
        heartbeat="SELECT HEARTBEAT_INTERVAL AS value"
        " FROM performance_schema.replication_connection_configuration WHERE CHANNEL_NAME=%s",
        settings=_SETTINGS.format(replica=applier),
        sessions=_SESSIONS.format(statement="0"),
        deny_writes="SET SESSION lock_wait_timeout=CAST(CEILING(%s) AS UNSIGNED), GLOBAL super_read_only=1",
        write_locks="SELECT @@global.read_only AS read_only, @@global.super_read_only AS super_read_only",
    )
