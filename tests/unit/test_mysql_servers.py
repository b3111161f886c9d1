"""The same promises on every kind of server that can be had: followed, refused, waited for, closed to writers.

All is asked as the accounts that `grants` makes, on real servers; MariaDB 10.11 is also in test_mysql_follow and
test_mysql_replication.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from mmm.gtid.place import Hidden, LogPlace, Unread
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.binlog_tail import read_tail
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.detach import attach, detach
from mmm.mysql.server.follow import Followed, FollowRefusedError, follow
from mmm.mysql.server.read_only import access, allow_writes, deny_writes
from mmm.mysql.server.replica_status import ReplicaStatus, parse_status
from mmm.mysql.server.replication import (
    binlog_position,
    is_untouched,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.server.transactions import look_at_transactions
from mmm.mysql.session.connection import Connection, MysqlError
from tests.servers import MARIADB, OTHERS, Server, Servers, kind
from tests.unit.gate import DENIES, HELD, held_until
from tests.unit.mariadb_trio import wait_until_received
from tests.unit.trio import AGENT, MONITOR, REPLICATION, Trio, agent, cut_off, insert, rows_of, source

pytestmark = pytest.mark.mysql

LONG = 30.0


def build(servers: Servers, *options: str) -> Trio:
    # MySQL tells of the heartbeat in its performance_schema only.
    tells = () if servers.kind.flavour.mariadb else ("--performance-schema=ON",)
    one, two, slave = (
        (*options, "--auto-increment-increment=10", f"--auto-increment-offset={number}")
        for number in (1, 2, 3)
    )
    trio = Trio(servers.start(*one), servers.start(*two), servers.start(*slave, *tells))
    for server in trio.all:
        server.run(
            *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
            "SET SESSION sql_log_bin=0",
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
        )
    for replica, origin in ((trio.one, trio.two), (trio.two, trio.one), (trio.slave, trio.one)):
        replicate(replica, origin, by_gtid=not options)
    return trio


def replicate(replica: Server, origin: Server, *, by_gtid: bool) -> None:
    with origin.connect() as there, agent(replica) as here:
        place = None if by_gtid else binlog_position(there).place
        more = {"CONNECT_RETRY": 7, "HEARTBEAT_PERIOD": 3.5}
        here.execute(*change_source(here.flavour, source(origin), place, more))
        start_replica(here)


@pytest.fixture(scope="module", params=OTHERS)
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    servers = Servers(tmp_path_factory.mktemp("trio"), kind(request.param))
    try:
        yield build(servers)
    finally:
        servers.stop()


def caught(replica: Server, origin: Server, limit: float = LONG) -> Caught:
    with origin.connect() as there, agent(replica) as here:
        return wait_for_source(here, binlog_position(there), limit)


def test_replication_is_seen(trio: Trio) -> None:
    insert(trio.one, "seen")
    assert caught(trio.slave, trio.one) is Caught.REACHED
    with trio.slave.connect(MONITOR.user, MONITOR.password) as monitor:
        status = replica_status(monitor)
    assert status is not None
    assert (status.source_ip, status.source_port) == ("127.0.0.1", trio.one.port)
    assert (status.io_running, status.sql_running) == ("Yes", True)
    assert status.seconds_behind is not None
    assert status.uses_gtid
    assert (status.channel, status.last_error) == ("", "")


def test_a_switch_by_gtid_keeps_every_row_once_and_the_options(trio: Trio) -> None:
    with agent(trio.slave) as slave, agent(trio.two) as two, agent(trio.one) as one:
        assert caught(trio.two, trio.one) is Caught.REACHED
        for number, (server, at_source) in enumerate(
            [(trio.two, two), (trio.one, one), (trio.two, two), (trio.one, one)]
        ):
            assert follow(slave, source(server), at_source, LONG) is Followed.SWITCHED
            insert(server, f"switch{number}")
            assert caught(trio.slave, server) is Caught.REACHED
            assert caught(trio.one if server is trio.two else trio.two, server) is Caught.REACHED
        assert follow(slave, source(trio.one), one, LONG) is Followed.ALREADY
        with trio.slave.connect() as root:
            row = {key.lower(): value for key, value in root.query(root.flavour.replica_status)[0].items()}
        retry = row.get("connect_retry")
        assert float(slave.query(slave.flavour.heartbeat, ("",))[0]["value"] or 0) == 3.5
    assert str(retry) == "7"
    assert rows_of(trio.slave) == rows_of(trio.one) == rows_of(trio.two)


def test_a_server_knows_whether_somebody_has_started_or_stopped_its_replication(trio: Trio) -> None:
    server = trio.slave
    before = server.options
    word = "slave" if server.kind.flavour.mariadb else "replica"
    server.kill()
    server.options = (*before, f"--skip-{word}-start")
    server.restart()
    with agent(server) as connection:
        assert is_untouched(connection)
        start_replica(connection)
        assert not is_untouched(connection)
    server.kill()
    server.options = before
    server.restart()
    with agent(server) as connection:
        assert is_untouched(connection)
        server.run(
            f"{connection.flavour.stop_replica} {'IO' if connection.flavour.mariadb else 'SQL'}_THREAD"
        )
        assert not is_untouched(connection)
        start_replica(connection)


def test_waiting_has_three_ends(trio: Trio) -> None:
    """In the classic MASTER_POS_WAIT hangs for ever where the SQL thread is stopped."""
    assert caught(trio.slave, trio.one) is Caught.REACHED
    blocker = trio.slave.client()
    with blocker.cursor() as cursor, agent(trio.slave) as slave:
        cursor.execute("LOCK TABLES shop.orders READ")
        insert(trio.one, "held up")
        assert caught(trio.slave, trio.one, 0.3) is Caught.NOT_IN_TIME
        cursor.execute("UNLOCK TABLES")
        assert caught(trio.slave, trio.one) is Caught.REACHED
        trio.slave.run(f"{slave.flavour.stop_replica} SQL_THREAD")
        insert(trio.one, "not applied")
        began = time.monotonic()
        assert caught(trio.slave, trio.one) is Caught.NOT_RUNNING
        wait_until_received(trio.slave, trio.one)
        assert wait_applied(slave, LONG) is Caught.NOT_RUNNING
        assert time.monotonic() - began < LONG
        start_replica(slave)
        assert caught(trio.slave, trio.one) is Caught.REACHED
    blocker.close()


def test_a_blocker_does_not_keep_writes_allowed(trio: Trio) -> None:
    server = trio.slave
    server.run("CREATE USER IF NOT EXISTS app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app")
    client = server.client("app", "app")
    with client.cursor() as cursor, agent(server) as connection:
        cursor.execute("LOCK TABLES shop.orders WRITE")
        denied = deny_writes(connection, grace=0.5, keep=frozenset({AGENT.user, REPLICATION.user}))
        assert denied.remaining == 0
        state = access(connection)
        assert (state.writable, state.sealed) == (False, True)
        with pytest.raises(pymysql.err.MySQLError):
            cursor.execute("INSERT INTO shop.orders (what) VALUES ('too late')")
        allow_writes(connection)
        assert access(connection).writable
    assert "too late" not in rows_of(server)


def test_administrators_are_kept_out_too_where_the_server_can(trio: Trio) -> None:
    server = trio.slave
    if server.kind.flavour.mariadb:
        pytest.skip("MariaDB has no super_read_only")
    with agent(server) as connection:
        deny_writes(connection, grace=0)
    with agent(server) as connection, server.connect() as root:
        with pytest.raises(MysqlError, match="super-read-only"):
            root.execute("INSERT INTO shop.orders (what) VALUES ('root')")
        root.execute("SET GLOBAL super_read_only=0")
        assert (access(connection).writable, access(connection).sealed) == (False, False)
        deny_writes(connection, grace=0)  # as at a start with read_only alone: nobody is ended for it
        assert access(connection).sealed
        assert root.query("SELECT 1 AS alive")
        allow_writes(connection)


def test_a_slave_with_a_write_of_its_own_follows_on_mysql_and_is_refused_by_name_on_mariadb(
    trio: Trio, caplog: pytest.LogCaptureFixture
) -> None:
    with agent(trio.slave) as slave, agent(trio.two) as two, agent(trio.one) as one:
        allow_writes(slave)
        assert caught(trio.slave, trio.one) is Caught.REACHED
        assert caught(trio.two, trio.one) is Caught.REACHED
        insert(trio.slave, "stray")
        if slave.flavour.mariadb:
            with pytest.raises(FollowRefusedError, match=binlog_position(slave).gtid):
                follow(slave, source(trio.two), two, 2.0)
        else:
            assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
            assert trio.slave.value("@@server_uuid") in caplog.text
            insert(trio.two, "goes on")
            assert caught(trio.slave, trio.two) is Caught.REACHED
            assert caught(trio.one, trio.two) is Caught.REACHED
            assert follow(slave, source(trio.one), one, LONG) is Followed.SWITCHED
        status = replica_status(slave)
        assert status is not None
        assert status.source_port == trio.one.port


def test_mysql_without_gtid_is_switched_at_a_proved_position_only(tmp_path: Path) -> None:
    servers = Servers(tmp_path, kind("mysql:9.7"))
    try:
        trio = build(servers, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
        insert(trio.one, "a")
        assert caught(trio.two, trio.one) is caught(trio.slave, trio.one) is Caught.REACHED
        with agent(trio.slave) as slave, agent(trio.two) as two, agent(trio.one) as one:
            with pytest.raises(FollowRefusedError, match="must be read_only"):
                follow(slave, source(trio.two), two, 1.0)
            deny_writes(one, grace=0)
            deny_writes(two, grace=0)
            stop_replica(slave, LONG)
            assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
            allow_writes(two)
            insert(trio.two, "b")
            assert caught(trio.slave, trio.two) is Caught.REACHED
            assert detach(slave) == ""
            insert(trio.two, "c")
            attach(slave)
            assert caught(trio.slave, trio.two) is Caught.REACHED
        assert rows_of(trio.slave) == ["a", "b", "c"]
    finally:
        servers.stop()


@pytest.mark.parametrize("name", [MARIADB, *OTHERS])
def test_what_a_killed_source_had_written_behind_the_place_that_its_replica_got_is_seen(
    name: str, tmp_path: Path
) -> None:
    """Also once it has taken in what that one has written meanwhile: whose it is the events say, without GTIDs too."""
    servers = Servers(tmp_path, kind(name))
    off = () if servers.kind.flavour.mariadb else ("--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
    try:
        one, two = trio = [servers.start(*off) for _ in range(2)]
        for number, server in enumerate(trio, 1):
            server.run(
                *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
                "SET SESSION sql_log_bin=0",
                "CREATE DATABASE shop",
                "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
                f"SET GLOBAL auto_increment_increment=10, GLOBAL auto_increment_offset={number}",
            )
        for replica, origin in ((one, two), (two, one)):
            replicate(replica, origin, by_gtid=False)
        insert(one, "got")
        assert caught(two, one) is Caught.REACHED
        cut_off(two)
        with agent(two) as there:
            assert detach(there) == ""
        place = status_of(two).executed
        with agent(one) as here:  # what it applied in its last moment it would apply again
            stop_replica(here, LONG)
        write = "INSERT INTO shop.orders VALUES ({}, 'one')"  # the offset of ids does not outlive a server
        two.run(write.format(201))
        one.run(write.format(101), write.format(102))
        one.kill()
        one.restart()
        one.run(write.format(103))
        assert caught(one, two) is Caught.REACHED, status_of(one).last_error
        may_look = "BINLOG MONITOR" if servers.kind.flavour.mariadb else "REPLICATION SLAVE"
        if not servers.kind.flavour.mariadb:
            with one.connect(MONITOR.user, MONITOR.password) as monitor:
                tail = read_tail(monitor, place, LONG)
            assert tail.unread is not None
            assert (tail.unread.why, tail.unread.end.file) == (Hidden.DENIED, "bin.000002")
            assert tail.unread.size > 0
            assert tail.unread.error
        one.run("SET SESSION sql_log_bin=0", f"GRANT {may_look} ON *.* TO '{MONITOR.user}'@'%'")
        with one.connect(MONITOR.user, MONITOR.password) as monitor:
            tail = read_tail(monitor, place, LONG)
            ids = [server_id(server) for server in trio]
            assert (tail.unread, tail.complete) == (None, True)
            assert {server: written.count for server, written in tail.of.items()} == {ids[0]: 3, ids[1]: 1}
            alone = tail.not_of(ids[1])
            assert alone is not None
            assert (alone.count, alone.first.file, alone.last.file) == (3, "bin.000001", "bin.000002")
            with one.connect() as root:
                end = binlog_position(root).place
            assert read_tail(monitor, end, LONG).of == {}
            gone = LogPlace("bin.000009", 4)
            assert read_tail(monitor, gone, LONG).unread == Unread(Hidden.TOO_OLD)
            past = LogPlace(end.file, end.position + 1)
            assert read_tail(monitor, past, LONG).unread == Unread(Hidden.CUT_SHORT, end)
    finally:
        servers.stop()


def test_nothing_is_logged_any_more_when_writes_are_denied(trio: Trio) -> None:
    """A session that is ended logs the end of its temporary tables: the new master must not have synced before."""
    server = trio.two
    server.run("CREATE USER IF NOT EXISTS app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app")
    clients = [server.client("app", "app") for _ in range(20)]
    for client in clients:
        with client.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE shop.passing (id INT)")
    with agent(server) as connection, trio.one.connect() as origin:
        assert wait_for_source(connection, binlog_position(origin), LONG) is Caught.REACHED
        denied = deny_writes(connection, grace=0, keep=frozenset({AGENT.user, REPLICATION.user}))
        end = binlog_position(connection)
        assert denied.remaining == 0
        gone = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM information_schema.processlist WHERE user = 'app')"
        server.wait_for_rows(gone)
        assert binlog_position(connection) == end
        allow_writes(connection)


def status_of(server: Server) -> ReplicaStatus:
    with agent(server) as connection:
        status = replica_status(connection)
    assert status is not None
    return status


def test_a_detached_replica_receives_nothing_more_also_after_a_restart_until_it_is_attached(
    trio: Trio,
) -> None:
    insert(trio.one, "before")
    assert caught(trio.slave, trio.one) is Caught.REACHED
    cut_off(trio.slave)
    with agent(trio.slave) as slave:
        insert(trio.one, "unseen")
        assert detach(slave) == detach(slave) == ""
    trio.slave.kill()
    trio.slave.restart()
    with agent(trio.slave) as slave:
        start_replica(slave)
    status = status_of(trio.slave)
    assert (status.detached, status.source_ip, status.source_port) == (True, "127.0.0.1", trio.one.port)
    assert status.io_running != "Yes"
    assert "unseen" not in rows_of(trio.slave)
    with agent(trio.slave) as slave:
        attach(slave)
        assert caught(trio.slave, trio.one) is Caught.REACHED
        assert float(slave.query(slave.flavour.heartbeat, ("",))[0]["value"] or 0) == 3.5
    assert "unseen" in rows_of(trio.slave)
    assert not status_of(trio.slave).detached


def test_what_was_received_and_is_not_applied_is_not_thrown_away(trio: Trio) -> None:
    assert caught(trio.slave, trio.one) is Caught.REACHED
    trio.slave.run(f"{trio.slave.kind.flavour.stop_replica} SQL_THREAD")
    before = status_of(trio.slave).read
    insert(trio.one, "received")
    with trio.one.connect() as there:
        end = binlog_position(there).place
    wait_until(lambda: status_of(trio.slave).read.reaches(end))
    assert end != before
    cut_off(trio.slave)
    with agent(trio.slave) as slave:
        assert "is applied, and that would be thrown away" in detach(slave)
        assert not status_of(trio.slave).detached
        start_replica(slave)
        assert caught(trio.slave, trio.one) is Caught.REACHED
    assert rows_of(trio.slave).count("received") == 1


def test_what_was_received_is_thrown_away_where_that_is_ordered(trio: Trio) -> None:
    assert caught(trio.slave, trio.one) is Caught.REACHED
    trio.slave.run(f"{trio.slave.kind.flavour.stop_replica} SQL_THREAD")
    insert(trio.one, "thrown away")
    with trio.one.connect() as there:
        end = binlog_position(there).place
    wait_until(lambda: status_of(trio.slave).read.reaches(end))
    with agent(trio.slave) as slave:
        assert detach(slave, throw_away=LONG) == ""
        start_replica(slave)
        insert(trio.slave, "newer")
        status = replica_status(slave)
        assert status is not None
        assert (status.detached, status.sql_running) == (True, True)
        has = slave.ask(look_at_transactions(slave, status))
        assert has.got == has.executed
        assert "thrown away" not in rows_of(trio.slave)
        attach(slave)
        assert caught(trio.slave, trio.one) is Caught.REACHED
    assert rows_of(trio.slave).count("thrown away") == 1


def server_id(server: Server) -> int:
    with server.connect() as connection:
        return int(connection.query("SELECT @@server_id AS id")[0]["id"] or 0)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_another_channel_is_left_alone(trio: Trio) -> None:
    """A replica that also follows somebody else is switched, started and stopped for this cluster only."""
    replica, other = trio.two, trio.slave
    with agent(replica) as here:
        flavour = here.flavour
        elsewhere = change_source(flavour, source(other), None, {}, "east")
        here.execute(*elsewhere)
        here.execute(f"{flavour.start_replica}{flavour.of_channel}", ("east",))
        stop_replica(here, LONG)
        status = replica_status(here)
        assert status is not None
        assert (status.channel, status.source_port) == ("", trio.one.port)
        assert (status.io_running, status.sql_running) == ("No", False)
        assert running(here) == {"": False, "east": True}
        start_replica(here)
        assert running(here) == {"": True, "east": True}
        stop_replica(here, LONG)
        with replica.connect() as root:
            root.execute(f"{flavour.reset_replica.removesuffix(' ALL')}{_all(here)}", ("",))
        # The only one that is left has a name: it is this cluster's.
        only = replica_status(here)
        assert only is not None
        assert (only.channel, only.source_port) == ("east", other.port)
        here.execute(*change_source(flavour, source(trio.one), None, {}, "west"))
        with pytest.raises(MysqlError, match="channels east, west"):
            replica_status(here)


def _all(connection: Connection) -> str:
    """Return the end of what forgets one channel."""
    return (
        f"{connection.flavour.of_channel} ALL"
        if connection.flavour.mariadb
        else f" ALL{connection.flavour.of_channel}"
    )


def running(connection: Connection) -> dict[str, bool]:
    """Return for every channel whether its applying thread runs."""
    found = map(parse_status, connection.query(connection.flavour.replica_status))
    return {status.channel: status.sql_running for status in found if status.source_ip}


def test_the_writer_waits_for_whoever_writes_and_ends_who_does_not(trio: Trio) -> None:
    server = trio.two
    server.run("CREATE USER IF NOT EXISTS app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app")
    writer, idle = server.client("app", "app"), server.client("app", "app")
    outcome: list[str] = []

    def finish() -> None:
        with writer.cursor() as cursor:
            cursor.execute(f"INSERT INTO shop.orders (what) SELECT 'slow' FROM (SELECT {HELD}) AS pause")  # noqa: S608
            outcome.append("written")

    thread = threading.Thread(target=finish)
    with held_until(server, DENIES):
        thread.start()
        server.wait_for_rows("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'INSERT%LOCK%'")
        with agent(server) as connection:
            kept = frozenset({AGENT.user, REPLICATION.user, "root"})
            denied = deny_writes(connection, grace=LONG, keep=kept)
            allow_writes(connection)
    thread.join()
    assert outcome == ["written"]
    assert denied.ended_writers == 0
    with pytest.raises(pymysql.err.MySQLError):
        idle.ping(reconnect=False)
