"""A MySQL server of a version that cannot be had here, as far as its replies and grammar are written down.

From the reference manuals, see test_mysql_written_down.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from mmm.gtid.mysql import parse
from mmm.mysql.flavour import detect
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError, Row

Values = dict[str, object]
"""A row, before its values are made text."""
ONE, TWO = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"

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
        self.workers = 4
        self.threads: list[str] = []
        """The stages of the threads that replicate."""
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
            ("SELECT @@global.slave_parallel_workers AS workers", first, gone, lambda *_: [{"workers": self.workers}]),
            ("SELECT @@global.replica_parallel_workers AS workers", (8, 0, 26), never,
             lambda *_: [{"workers": self.workers}]),
            (r"SELECT @@global.read_only AS \w+(, @@global.super_read_only AS super_read_only)?",
             first, never, self._locks),
            (r"SET SESSION lock_wait_timeout=CAST\(CEILING\(%s\) AS UNSIGNED\), GLOBAL super_read_only=1",
             first, never, self._deny),
            ("SET GLOBAL read_only=0", first, never, self._allow),
            (r"\s*SELECT .* FROM information_schema.PROCESSLIST\s.*USER = 'system user' .*",
             first, never, self._at_work),
            (r"SELECT .* FROM information_schema.PROCESSLIST .*", first, never, lambda *_: []),
            (r"\s*SELECT .* FROM information_schema.INNODB_TRX .*", first, never, lambda *_: []),
            (r"SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'", first, never, self._semi_sync),
            (r"SELECT @@global.rpl_semi_sync_.*", first, never, self._semi_sync_values),
            (r"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'", first, never, self._semi_sync_state),
            (r"SET GLOBAL rpl_semi_sync_\w+_enabled=[01]", first, never, self._set),
            (r"SELECT VERSION\(\) AS version, .*@@global.log_slave_updates AS updates", first, gone, self._side),
            (r"SELECT VERSION\(\) AS version, .*@@global.log_replica_updates AS updates",
             (8, 0, 26), never, self._side),
            (r"SELECT SUM\(FILE_SIZE\) AS size FROM information_schema.INNODB_SYS_TABLESPACES",
             first, (8, 0, 0), lambda *_: [{"size": "1048576"}]),
            (r"SELECT SUM\(FILE_SIZE\) AS size FROM information_schema.INNODB_TABLESPACES",
             (8, 0, 0), never, lambda *_: [{"size": "1048576"}]),
            (r"SHOW GLOBAL VARIABLES WHERE Variable_name IN \(.*\)", first, never, lambda *_: []),
            (r"SELECT .* FROM information_schema.(FILES|PLUGINS|TABLES) .*", first, never, lambda *_: []),
            ("SHOW GRANTS", first, never, lambda *_: [{"Grants": "GRANT ALL PRIVILEGES ON *.* TO 'mmm_tools'@'%'"}]),
            ("XA RECOVER", first, never, lambda *_: []),
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

    def _side(self, *_: object) -> list[Values]:
        known = {"datadir": "/var/lib/mysql/", "page": 16384, "lower_case": 0, "updates": 1}
        return [{"version": ".".join(map(str, self.version)), **known}]

    def _binlog(self, *_: object) -> list[Values]:
        row = {"File": "mysql-bin.000009", "Position": 412, "Binlog_Do_DB": "", "Binlog_Ignore_DB": ""}
        return [{**row, "Executed_Gtid_Set": self.executed}]  # whatever gtid_mode is now

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

    def _at_work(self, sql: str, _: object) -> list[Values]:
        """Understand only conditions of this one column, each a comparison or a pattern."""
        unlike = re.findall(r"STATE, ''\) NOT LIKE '%(.*?)%'", sql)
        other = re.findall(r"STATE, ''\) <> '(.*?)'", sql)
        return [
            {"id": number}
            for number, state in enumerate(self.threads)
            if state not in other and not any(part.lower() in state.lower() for part in unlike)
        ]

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
