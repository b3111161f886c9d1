"""MySQL 5.7, 8.0 and 8.4, which cannot be had here: replies and grammar written down from the reference manuals.

A server here knows the words of its version alone and answers anything else with error 1064. 9.7 is among them though
the other tests have a real one: it says whether what is written down agrees with that.
"""

from typing import Any

import pytest

from mmm.gtid.mysql import parse
from mmm.gtid.place import LogPlace
from mmm.gtid.semi_sync import said
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.follow import Followed, FollowRefusedError, follow
from mmm.mysql.server.read_only import access, allow_writes, deny_writes
from mmm.mysql.server.replication import (
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
    to_reach,
)
from mmm.mysql.server.semi_sync import become_replica, become_source, look_at_semi_sync
from mmm.mysql.server.transactions import look_at_transactions
from mmm.mysql.session.connection import Address, Row
from mmm.tools.provider.sides import look
from mmm.tools.provider.table import choose
from tests.unit.written_mysql import ONE, TWO, Written

VERSIONS = ("5.7.44-log", "8.0.21", "8.0.22", "8.0.23", "8.0.36-28.1", "8.4.3", "9.7.4-2")
SOURCE = Address("10.0.0.2", 3307, "repl", "p'w")

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
def test_a_copy_is_chosen_by_what_a_server_says_of_itself(version: str) -> None:
    """5.7 has no clone plugin, and its own name for the table of tablespaces."""
    server = Written(version)
    found = server.connection.ask(look(server.connection, "db1"))
    assert (found.size, found.logs_updates, found.prepared, found.dump_lacks) == (1 << 20, True, False, ())
    ways = [provider.name for provider in choose(found, found).fit]
    assert ways == ["dump"]


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
@pytest.mark.parametrize("mode", ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE"])
def test_gtids_from_before_they_were_switched_off_are_no_measure(version: str, mode: str) -> None:
    """Every server has those, whatever it lacks of what was written since."""
    source, replica = Written(version, gtid_mode=mode), Written(version, gtid_mode=mode)
    end = to_reach(source.connection)
    assert (end.gtid, end.place) == ("", LogPlace("mysql-bin.000009", 412))
    assert wait_for_source(replica.connection, end, 0.0) is Caught.NOT_IN_TIME
    replica.status |= {"Relay_Master_Log_File": "mysql-bin.000009", "Exec_Master_Log_Pos": 412}
    assert wait_for_source(replica.connection, end, 0.0) is Caught.REACHED


def with_half_of_one(version: str, kind: type[Written] = Written) -> Written:
    """Return a replica by file and position, with workers, whose source died while it sent a transaction."""
    server = kind(version, gtid_mode="OFF", executed="")
    server.status |= {"Auto_Position": 0, "Retrieved_Gtid_Set": "", "Exec_Master_Log_Pos": 700}
    server.status["Slave_IO_Running"] = "Connecting"
    words = ("source", "Replica") if server.version >= (8, 0, 26) else ("master", "Slave")
    server.threads = [
        f"Reconnecting after a failed {words[0]} event read",
        f"{words[1]} has read all relay log; waiting for more updates",
        *["Waiting for an event from Coordinator"] * 4,
    ]
    return server


@each_version
def test_the_rest_of_a_transaction_that_never_comes_is_not_waited_for_with_workers(version: str) -> None:
    assert wait_applied(with_half_of_one(version).connection, 10.0) is Caught.REACHED


class LateReader(Written):
    """A server whose one applying thread gets no processor before it was looked at some times."""

    def query(self, sql: str, args: Any = (), timeout: float | None = None) -> list[Row]:
        found = super().query(sql, args, timeout)
        if [said for said in self.said if said == sql == "SHOW REPLICA STATUS"][5:]:
            self.status["Exec_Master_Log_Pos"] = 800
        return found


def test_a_thread_that_has_not_noticed_yet_what_it_has_to_read_is_waited_for() -> None:
    """It says that it has read all until then; what is thrown away behind it would be whole transactions."""
    server = with_half_of_one("8.4.3", LateReader)
    server.workers = 0
    assert wait_applied(server.connection, 10.0) is Caught.REACHED
    assert server.status["Exec_Master_Log_Pos"] == 800


@pytest.mark.parametrize(
    "stage", ["Applying batch of row changes (update)", "Waiting for table metadata lock", ""]
)
def test_a_worker_that_applies_something_is_waited_for(stage: str) -> None:
    server = with_half_of_one("8.4.3")
    server.threads[-1] = stage
    assert wait_applied(server.connection, 1.0) is Caught.NOT_IN_TIME


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
