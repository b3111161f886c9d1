"""MySQL 5.7, 8.0 and 8.4, which cannot be had here: replies and grammar written down from the reference manuals.

A server here knows the words of its version alone and answers anything else with error 1064. 9.7 is among them though
the other tests have a real one: it says whether what is written down agrees with that.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import pytest

from mmm.gtid.mysql import parse
from mmm.gtid.place import LogPlace
from mmm.gtid.semi_sync import said
from mmm.mysql.flavour import detect
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.follow import Followed, FollowRefusedError, follow
from mmm.mysql.server.read_only import access, allow_writes, deny_writes
from mmm.mysql.server.replication import binlog_position, replica_status, start_replica, stop_replica
from mmm.mysql.server.semi_sync import become_replica, become_source, look_at_semi_sync
from mmm.mysql.server.transactions import look_at_transactions
from mmm.mysql.session.connection import (
    Address,
    Connection,
    ErrorKind,
    MysqlError,
    Row,
)

VERSIONS = ("5.7.44-log", "8.0.21", "8.0.22", "8.0.23", "8.0.36-28.1", "8.4.3", "9.7.4-2")
Values = dict[str, object]
"""A row, before its values are made text."""
ONE, TWO = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
SOURCE = Address("10.0.0.2", 3307, "repl", "p'w")

SLAVE_STATUS: Values = {
    "Slave_IO_State": "Waiting for master to send event",
    "Master_Host": "10.0.0.1",
    "Master_User": "repl",
    "Master_Port": 3306,
    "Connect_Retry": 7,
    "Master_Log_File": "mysql-bin.000002",
    "Read_Master_Log_Pos": 900,
    "Relay_Log_File": "relay-bin.000003",
    "Relay_Log_Pos": 414,
    "Relay_Master_Log_File": "mysql-bin.000002",
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Replicate_Do_DB": "",
    "Last_Errno": 0,
    "Last_Error": "",
    "Skip_Counter": 0,
    "Exec_Master_Log_Pos": 900,
    "Relay_Log_Space": 700,
    "Until_Condition": "None",
    "Master_SSL_Allowed": "Yes",
    "Master_SSL_CA_File": "/etc/mysql/ca.pem",
    "Seconds_Behind_Master": 3,
    "Master_SSL_Verify_Server_Cert": "No",
    "Last_IO_Errno": 0,
    "Last_IO_Error": "",
    "Last_SQL_Errno": 0,
    "Last_SQL_Error": "",
    "Replicate_Ignore_Server_Ids": "",
    "Master_Server_Id": 1,
    "Master_UUID": ONE,
    "SQL_Delay": 0,
    "SQL_Remaining_Delay": None,
    "Slave_SQL_Running_State": "Slave has read all relay log; waiting for more updates",
    "Master_Retry_Count": 86400,
    "Retrieved_Gtid_Set": f"{ONE}:1-9",
    "Executed_Gtid_Set": f"{ONE}:1-9,\n{TWO}:1-2",
    "Auto_Position": 1,
    "Channel_Name": "",
    "Master_TLS_Version": "",
}
"""SHOW SLAVE STATUS as the manual of 5.7 has it; filters and certificates are left out."""

SEMI_SYNC = {
    "rpl_semi_sync_master_enabled": "OFF",
    "rpl_semi_sync_master_timeout": "10000",
    "rpl_semi_sync_master_trace_level": "32",
    "rpl_semi_sync_master_wait_for_slave_count": "2",
    "rpl_semi_sync_master_wait_no_slave": "ON",
    "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
    "rpl_semi_sync_slave_enabled": "ON",
    "rpl_semi_sync_slave_trace_level": "32",
}
SEMI_SYNC_STATE = {
    "Rpl_semi_sync_master_clients": "2",
    "Rpl_semi_sync_master_no_tx": "0",
    "Rpl_semi_sync_master_status": "ON",
    "Rpl_semi_sync_master_yes_tx": "12",
    "Rpl_semi_sync_slave_status": "ON",
}


def new_words(name: str) -> str:
    """Return a column, option or variable in the words of 8.0.22 and later."""
    for old, new in (("Master", "Source"), ("master", "source"), ("Slave", "Replica"), ("slave", "replica")):
        name = name.replace(old, new)
    return name


class Written:
    """A MySQL server of a version, as far as it is written down here; takes the place of a Connection."""

    def __init__(
        self,
        version: str,
        *,
        gtid_mode: str = "ON",
        executed: str = f"{ONE}:1-9,\n{TWO}:1-2",
        plugins: str = "",
    ) -> None:
        self.address = Address("10.0.0.5", 3306, "mmm_agent")
        self.timeout = 1.0
        self.semi_sync_names: tuple[str, ...] | None = None
        self.flavour = detect(version, "MySQL Community Server - GPL")
        self.version = self.flavour.version
        self.status = dict(SLAVE_STATUS)
        self.gtid_mode, self.executed = gtid_mode, executed
        self.read_only = {"read_only": 0, "super_read_only": 0}
        self.semi_sync: dict[str, str] = {}
        self.semi_sync_words = plugins
        if plugins:
            self.semi_sync = {self._plugin(name): value for name, value in SEMI_SYNC.items()}
        self.said: list[str] = []
        self.changes: list[Mapping[str, object]] = []

    @property
    def connection(self) -> Connection:
        return cast("Connection", self)

    ask = Connection.ask

    def close(self) -> None:
        """Nothing is open."""

    def execute(self, sql: str, args: Any = (), timeout: float | None = None) -> None:
        self.query(sql, args, timeout)

    def query(self, sql: str, args: Any = (), timeout: float | None = None) -> list[Row]:  # noqa: ARG002
        assert sql.count("%s") == len(tuple(args)), sql
        self.said.append(sql)
        for pattern, since, until, answer in self._grammar():
            if re.fullmatch(pattern, sql, re.DOTALL) and since <= self.version < until:
                return [
                    {name: None if value is None else str(value) for name, value in row.items()}
                    for row in answer(sql, tuple(args))
                ]
        raise MysqlError(ErrorKind.FAILED, 1064, f"You have an error in your SQL syntax near {sql!r}")

    def _plugin(self, name: str) -> str:
        return new_words(name) if self.semi_sync_words == "source" else name

    def _grammar(self) -> list[tuple[str, tuple[int, ...], tuple[int, ...], Any]]:
        """Return what it knows: pattern, first version, first version without it, answer."""
        first, never = (5, 7, 0), (99,)
        gone = (8, 4, 0)
        return [
            ("SHOW SLAVE STATUS", first, gone, self._replica_status),
            ("SHOW REPLICA STATUS", (8, 0, 22), never, self._replica_status),
            (r"(START|STOP) SLAVE( IO_THREAD)? FOR CHANNEL %s", first, gone, self._run),
            (r"(START|STOP) REPLICA( IO_THREAD)? FOR CHANNEL %s", (8, 0, 22), never, self._run),
            (r"CHANGE MASTER TO (?:MASTER_\w+=(?:%s|[01]), )+MASTER_AUTO_POSITION=[01] FOR CHANNEL %s",
             first, (8, 0, 4), self._change),
            (r"CHANGE MASTER TO (?:MASTER_\w+=(?:%s|[01]), )+GET_MASTER_PUBLIC_KEY=1 FOR CHANNEL %s",
             (8, 0, 4), gone, self._change),
            (r"CHANGE REPLICATION SOURCE TO (?:SOURCE_\w+=(?:%s|[01]), )+GET_SOURCE_PUBLIC_KEY=1 FOR CHANNEL %s",
             (8, 0, 23), never, self._change),
            ("SHOW MASTER STATUS", first, gone, self._binlog),
            ("SHOW BINARY LOG STATUS", (8, 2, 0), never, self._binlog),
            (r"SELECT @@global.read_only AS read_only, @@global.gtid_mode .*", first, never, self._gtid_state),
            (r"SELECT GTID_SUBSET\(%s, @@global.gtid_executed\) AS inside", first, never, self._subset),
            (r"SELECT HEARTBEAT_INTERVAL AS value FROM performance_schema.\w+ WHERE CHANNEL_NAME=%s",
             first, never, lambda *_: [{"value": "3.500"}]),
            ("SELECT @@global.slave_parallel_workers AS workers", first, gone, lambda *_: [{"workers": 4}]),
            ("SELECT @@global.replica_parallel_workers AS workers", (8, 0, 26), never, lambda *_: [{"workers": 4}]),
            (r"SELECT @@global.read_only AS \w+(, @@global.super_read_only AS super_read_only)?",
             first, never, self._locks),
            (r"SET SESSION lock_wait_timeout=CAST\(CEILING\(%s\) AS UNSIGNED\), GLOBAL super_read_only=1",
             first, never, self._deny),
            ("SET GLOBAL read_only=0", first, never, self._allow),
            (r"SELECT .* FROM information_schema.PROCESSLIST .*", first, never, lambda *_: []),
            (r"\s*SELECT .* FROM information_schema.INNODB_TRX .*", first, never, lambda *_: []),
            (r"SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'", first, never, self._semi_sync),
            (r"SELECT @@global.rpl_semi_sync_.*", first, never, self._semi_sync_values),
            (r"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'", first, never, self._semi_sync_state),
            (r"SET GLOBAL rpl_semi_sync_\w+_enabled=[01]", first, never, self._set),
        ]  # fmt: skip

    def _replica_status(self, sql: str, _: object) -> list[Values]:
        new = "REPLICA" in sql
        return [{new_words(name) if new else name: value for name, value in self.status.items()}]

    def _semi_sync_values(self, sql: str, _: object) -> list[Values]:
        asked = re.findall(r"@@global\.(\w+) AS (\w+)", sql)
        assert sql == f"SELECT {', '.join(f'@@global.{name} AS {name}' for name, _ in asked)}"
        missing = [name for name, _ in asked if name not in self.semi_sync]
        if missing:
            raise MysqlError(ErrorKind.FAILED, 1193, f"Unknown system variable '{missing[0]}'")
        return [{name: self.semi_sync[name] for name, _ in asked}]

    def _run(self, sql: str, args: tuple[object, ...]) -> list[Values]:
        assert args == ("",)
        running = "Yes" if sql.startswith("START") else "No"
        self.status |= {"Slave_IO_Running": running}
        if "IO_THREAD" not in sql:
            self.status |= {"Slave_SQL_Running": running}
        return []

    def _change(self, sql: str, args: tuple[object, ...]) -> list[Values]:
        names = re.findall(r"(?:MASTER|SOURCE)_(\w+)=%s", sql)
        assert args[-1] == ""
        change = dict(zip(names, args, strict=False))
        self.changes.append({**change, "AUTO_POSITION": int("AUTO_POSITION=1" in sql)})
        self.status |= {"Master_Host": change["HOST"], "Master_Port": change["PORT"]}
        return []

    def _binlog(self, *_: object) -> list[Values]:
        row = {"File": "mysql-bin.000009", "Position": 412, "Binlog_Do_DB": "", "Binlog_Ignore_DB": ""}
        return [{**row, "Executed_Gtid_Set": self.executed if self.gtid_mode == "ON" else ""}]

    def _gtid_state(self, *_: object) -> list[Values]:
        return [
            {
                "read_only": self.read_only["read_only"],
                "gtid_mode": self.gtid_mode,
                "executed": self.executed,
                "origin": TWO,
                "server_id": 2,
            }
        ]

    def _subset(self, _: str, args: tuple[object, ...]) -> list[Values]:
        return [{"inside": int(not parse(str(args[0])).minus(parse(self.executed)))}]

    def _locks(self, sql: str, _: object) -> list[Values]:
        names = re.findall(r"AS (\w+)", sql)
        return [{name: self.read_only.get(name, self.read_only["read_only"]) for name in names}]

    def _deny(self, *_: object) -> list[Values]:
        self.read_only = {"read_only": 1, "super_read_only": 1}
        return []

    def _allow(self, *_: object) -> list[Values]:
        self.read_only = {"read_only": 0, "super_read_only": 0}
        return []

    def _semi_sync(self, *_: object) -> list[Values]:
        return [{"Variable_name": name, "Value": value} for name, value in self.semi_sync.items()]

    def _semi_sync_state(self, *_: object) -> list[Values]:
        return [
            {"Variable_name": self._plugin(name), "Value": value} for name, value in SEMI_SYNC_STATE.items()
        ]

    def _set(self, sql: str, _: object) -> list[Values]:
        name, value = sql.removeprefix("SET GLOBAL ").split("=")
        if name not in self.semi_sync:
            raise MysqlError(ErrorKind.FAILED, 1193, f"Unknown system variable '{name}'")
        self.semi_sync[name] = "ON" if value == "1" else "OFF"
        return []


each_version = pytest.mark.parametrize("version", VERSIONS)


@each_version
def test_the_replicas_status_is_read(version: str) -> None:
    status = replica_status(Written(version).connection)
    assert status is not None
    assert (status.source_ip, status.source_port, status.source_server_id) == ("10.0.0.1", 3306, 1)
    assert (status.io_running, status.sql_running, status.seconds_behind) == ("Yes", True, 3)
    assert (status.uses_gtid, status.idle, status.channel) == (True, True, "")
    assert status.read == status.executed == LogPlace("mysql-bin.000002", 900)
    assert status.gtid_received == f"{ONE}:1-9"


@each_version
def test_threads_that_stopped_are_read_with_their_reason(version: str) -> None:
    server = Written(version)
    server.status |= {
        "Slave_IO_Running": "Connecting",
        "Last_IO_Errno": 2003,
        "Last_IO_Error": "error connecting",
    }
    server.status |= {"Slave_SQL_Running": "No", "Last_SQL_Errno": 1062, "Last_SQL_Error": "Duplicate\nentry"}
    server.status |= {"Seconds_Behind_Master": None}
    status = replica_status(server.connection)
    assert status is not None
    assert (status.io_running, status.sql_running, status.seconds_behind) == ("Connecting", False, None)
    assert status.last_error == "Duplicate entry (1062); error connecting (2003)"


@each_version
def test_a_replica_follows_by_gtid_and_only_what_must_be_is_named(version: str) -> None:
    """What is not named stays: TLS options, retries, delay; the heartbeat would be forgotten and is named."""
    replica, source = Written(version), Written(version)
    assert follow(replica.connection, SOURCE, source.connection, 1.0) is Followed.SWITCHED
    login = {"HOST": "10.0.0.2", "PORT": 3307, "USER": "repl", "PASSWORD": "p'w"}
    assert replica.changes == [{**login, "HEARTBEAT_PERIOD": 3.5, "AUTO_POSITION": 1}]
    status = replica_status(replica.connection)
    assert status is not None
    assert (status.source_ip, status.io_running, status.sql_running) == ("10.0.0.2", "Yes", True)
    assert follow(replica.connection, SOURCE, source.connection, 1.0) is Followed.ALREADY


@each_version
def test_a_replica_with_more_is_refused(version: str) -> None:
    replica, source = Written(version), Written(version, executed=f"{ONE}:1-7")
    source.status |= {"Slave_SQL_Running": "No", "Retrieved_Gtid_Set": f"{ONE}:1-7"}
    with pytest.raises(FollowRefusedError, match=rf"it has 2 transactions \({ONE}:8-9\)"):
        follow(replica.connection, SOURCE, source.connection, 1.0)
    assert replica.changes == []


@each_version
def test_without_gtid_a_proved_place_is_followed(version: str) -> None:
    replica, source = Written(version, gtid_mode="OFF"), Written(version, gtid_mode="OFF")
    for server in (replica, source):
        server.status["Auto_Position"] = 0
    with pytest.raises(FollowRefusedError, match="read_only"):
        follow(replica.connection, SOURCE, source.connection, 0.0)
    source.read_only["read_only"] = 1
    assert follow(replica.connection, SOURCE, source.connection, 1.0) is Followed.SWITCHED
    (change,) = replica.changes
    assert (change["LOG_FILE"], change["LOG_POS"], change["AUTO_POSITION"]) == ("mysql-bin.000009", 412, 0)


@each_version
def test_the_end_of_the_log_is_read_and_waited_for(version: str) -> None:
    source, replica = Written(version), Written(version)
    end = binlog_position(source.connection)
    assert (end.place, end.gtid) == (LogPlace("mysql-bin.000009", 412), f"{ONE}:1-9,{TWO}:1-2")
    assert wait_for_source(replica.connection, end, 1.0) is Caught.REACHED
    stop_replica(replica.connection, 1.0)
    replica.executed = f"{ONE}:1-8"
    assert wait_for_source(replica.connection, end, 1.0) is Caught.NOT_RUNNING
    start_replica(replica.connection)
    assert replica.status["Slave_SQL_Running"] == "Yes"


@each_version
def test_writes_are_denied_to_administrators_too(version: str) -> None:
    server = Written(version)
    assert access(server.connection).writable
    deny_writes(server.connection, grace=0.0)
    state = access(server.connection)
    assert (state.writable, state.sealed) == (False, True)
    allow_writes(server.connection)
    assert access(server.connection).writable


@each_version
def test_the_checks_read_what_it_has(version: str) -> None:
    server = Written(version)
    has = server.connection.ask(look_at_transactions(server.connection, replica_status(server.connection)))
    assert (has.origin, has.end) == (TWO, LogPlace("mysql-bin.000009", 412))
    assert has.executed == parse(f"{ONE}:1-9,{TWO}:1-2")
    assert has.received == parse(f"{ONE}:1-9")
    assert said(has.semi_sync) == ""
    off = Written(version, gtid_mode="OFF")
    assert off.connection.ask(look_at_transactions(off.connection, None)).executed is None


@pytest.mark.parametrize(
    ("version", "plugins"),
    [
        ("5.7.44-log", "master"),
        ("8.0.21", "master"),
        ("8.0.36", "master"),
        ("8.0.36", "source"),
        ("8.4.3", "source"),
        ("9.7.4-2", "source"),
    ],
)
def test_semi_sync_is_switched_by_the_names_of_the_plugins_that_are_loaded(
    version: str, plugins: str
) -> None:
    server = Written(version, plugins=plugins)
    state = server.connection.ask(look_at_semi_sync(server.connection))
    assert (state.source, state.replica, state.waits, state.clients) == (False, True, True, 2)
    assert (state.needed, state.patience, state.acknowledges) == (2, 10.0, True)
    become_source(server.connection)
    assert (
        said(server.connection.ask(look_at_semi_sync(server.connection)))
        == "semi-sync source, 2 replicas acknowledge"
    )
    become_replica(server.connection, 1.0)
    assert said(server.connection.ask(look_at_semi_sync(server.connection))) == "semi-sync replica"
    words = "FOR CHANNEL %s"
    assert not [sql for sql in server.said if sql.endswith(f"IO_THREAD {words}")], "it acknowledges already"
    server.semi_sync[f"rpl_semi_sync_{'slave' if plugins == 'master' else 'replica'}_enabled"] = "OFF"
    become_source(server.connection)
    become_replica(server.connection, 1.0)
    told = [sql for sql in server.said if sql.endswith(f"IO_THREAD {words}")]
    assert [sql.split()[0] for sql in told] == ["STOP", "START"]
