"""Replication on real servers: seen, waited for with a limit, and moved to another source or refused.

Everything here is asked as the accounts that `grants` makes.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.mysql.server.accounts import agent_privileges, grants
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.detach import attach, detach
from mmm.mysql.server.flavour import detect
from mmm.mysql.server.follow import Followed, FollowRefusedError, SourceBehindError, follow
from mmm.mysql.server.read_only import deny_writes, writable
from mmm.mysql.server.replication import (
    BinlogPosition,
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.server.resume import go_on_after_rebuild
from mmm.mysql.server.semi_sync import become_source
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError
from tests.servers import Server, Servers
from tests.unit.trio import AGENT, MONITOR, REPLICATION, Trio, agent, insert, rows_of, source

pytestmark = pytest.mark.mysql

LONG = 30.0


def catch_up(replica: Server, source: Server) -> None:
    with source.connect() as there, replica.connect() as here:
        assert wait_for_source(here, binlog_position(there), LONG) is Caught.REACHED


def make_accounts(*servers: Server) -> None:
    for server in servers:
        with server.connect() as connection:
            for statement in grants(connection.flavour, MONITOR, AGENT, REPLICATION):
                connection.execute(statement)


def build(pool: Servers, how: str) -> Trio:
    trio = Trio(pool.start(), pool.start(), pool.start())
    make_accounts(*trio.all)
    login = f"{how}, MASTER_USER='{REPLICATION.user}', MASTER_PASSWORD='r\\\\r'"
    trio.two.replicate_from(trio.one, login)
    trio.one.replicate_from(trio.two, login)
    trio.slave.replicate_from(trio.one, login)
    trio.one.run(
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(99)) ENGINE=InnoDB",
        "CREATE TABLE shop.notes (what VARCHAR(99)) ENGINE=MyISAM",
    )
    return trio


@pytest.fixture
def trio(server_pool: Servers) -> Iterator[Trio]:
    with server_pool.lent() as lent:
        yield build(lent, "MASTER_USE_GTID=slave_pos")


@pytest.fixture
def old_trio(server_pool: Servers) -> Iterator[Trio]:
    """The same, set up by file and position as the old handbooks say."""
    with server_pool.lent() as lent:
        yield build(lent, "MASTER_USE_GTID=no, MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=4")


@contextmanager
def held_up(server: Server, table: str = "orders") -> Iterator[None]:
    """Keep the server's replication from applying rows of a table."""
    client = server.client()
    client.query(f"LOCK TABLES shop.{table} WRITE")
    try:
        yield
    finally:
        client.close()


def wait_until_received(replica: Server, source: Server) -> None:
    with source.connect() as connection:
        end = binlog_position(connection).place
    with replica.connect() as connection:
        while not (status := replica_status(connection)) or not status.read.reaches(end):
            pass


def test_roles_change_and_no_event_is_lost_or_doubled(trio: Trio) -> None:
    insert(trio.one, "1a", "1b", "1c")
    with agent(trio.one) as one, agent(trio.two) as two, agent(trio.slave) as slave:
        deny_writes(one, grace=0.0, keep=frozenset({AGENT.user, REPLICATION.user}))
        end = binlog_position(one)
        assert wait_for_source(two, end, LONG) is Caught.REACHED
        insert(trio.two, "2a")
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
        insert(trio.two, "2b")
        end = binlog_position(two)
        assert wait_for_source(one, end, LONG) is Caught.REACHED  # no change of source was needed here
        assert wait_for_source(slave, end, LONG) is Caught.REACHED
    assert trio.rows() == [["1a", "1b", "1c", "2a", "2b"]] * 3


def test_moving_to_and_fro_under_load_keeps_every_row_once(trio: Trio) -> None:
    catch_up(trio.two, trio.one)
    written: list[str] = []
    stop = threading.Event()

    def write() -> None:
        client = trio.one.client()
        while not stop.is_set():
            what = f"row {len(written):06d}"
            client.query(f"INSERT INTO shop.orders (what) VALUES ('{what}')")  # noqa: S608
            written.append(what)
        client.close()

    writer = threading.Thread(target=write)
    writer.start()
    with agent(trio.slave) as slave, agent(trio.one) as one, agent(trio.two) as two:
        for _ in range(3):
            assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
            assert follow(slave, source(trio.one), one, LONG) is Followed.SWITCHED
        stop.set()
        writer.join()
        assert wait_for_source(slave, binlog_position(one), LONG) is Caught.REACHED
    assert rows_of(trio.slave) == sorted(written)


def test_the_right_source_is_left_alone_and_started_when_stopped(trio: Trio) -> None:
    with agent(trio.slave) as slave, agent(trio.one) as one:
        assert follow(slave, source(trio.one), one, LONG) is Followed.ALREADY
        stop_replica(slave, LONG)
        assert follow(slave, source(trio.one), one, LONG) is Followed.STARTED
        status = replica_status(slave)
    assert status
    assert (status.io_running, status.sql_running, status.source_port) == ("Yes", True, trio.one.port)


def test_a_slave_with_a_write_of_its_own_is_not_switched(trio: Trio) -> None:
    catch_up(trio.slave, trio.one)
    insert(trio.slave, "stray")
    stray = trio.slave.value("@@gtid_binlog_pos")
    with agent(trio.slave) as slave, agent(trio.two) as two:
        with pytest.raises(FollowRefusedError, match=stray):
            follow(slave, source(trio.two), two, LONG)
        status = replica_status(slave)
    assert status
    assert (status.source_port, status.sql_running) == (trio.one.port, True)
    trio.slave.wait_for_rows("SELECT 1 FROM information_schema.processlist WHERE command='Slave_IO'")


def test_a_slave_ahead_of_a_source_that_cannot_apply_is_not_switched(trio: Trio) -> None:
    insert(trio.one, "before")
    catch_up(trio.two, trio.one)
    trio.two.run("STOP SLAVE SQL_THREAD")
    insert(trio.one, "only the slave has it")
    catch_up(trio.slave, trio.one)
    wait_until_received(trio.two, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        with pytest.raises(SourceBehindError):
            follow(slave, source(trio.two), two, LONG)
        trio.two.run("STOP SLAVE", "RESET SLAVE")  # what it has received is gone
        with pytest.raises(FollowRefusedError, match=trio.one.value("@@gtid_binlog_pos")):
            follow(slave, source(trio.two), two, LONG)
        status = replica_status(slave)
        assert status
        assert (status.source_port, status.sql_running) == (trio.one.port, True)


def wait_until_it_waits(server: Server) -> None:
    """Wait until somebody waits there for what is to be applied."""
    server.wait_for_rows(
        "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT MASTER_GTID_WAIT%'"
    )


def test_a_slave_ahead_of_a_source_that_is_still_applying_waits_for_it(trio: Trio) -> None:
    with held_up(trio.two):
        insert(trio.one, "late")
        catch_up(trio.slave, trio.one)
        wait_until_received(trio.two, trio.one)
        outcome: list[Followed] = []

        def switch() -> None:
            with agent(trio.slave) as slave, agent(trio.two) as two:
                outcome.append(follow(slave, source(trio.two), two, LONG))

        switching = threading.Thread(target=switch)
        switching.start()
        wait_until_it_waits(trio.two)
    switching.join()
    assert outcome == [Followed.SWITCHED]
    assert trio.rows() == [["late"]] * 3


Switch = Callable[[Connection, Address, Connection], object]


def as_the_classic(slave: Connection, new: Address, at_new: Connection) -> None:
    """Switch as MMM 2.x does: to where the new master's log ends at this moment."""
    end = binlog_position(at_new).place
    stop_replica(slave, LONG)
    slave.execute(*change_source(slave.flavour, new, end, {}))
    start_replica(slave)


def as_ours(slave: Connection, new: Address, at_new: Connection) -> None:
    assert follow(slave, new, at_new, LONG) is Followed.SWITCHED


@pytest.mark.parametrize(("switch", "copies"), [(as_the_classic, 0), (as_ours, 1)])
def test_in_a_planned_move_a_slave_that_lags_a_little_skips_what_it_lacks_only_in_the_classic(
    trio: Trio, switch: Switch, copies: int
) -> None:
    catch_up(trio.slave, trio.one)
    trio.slave.run("STOP SLAVE SQL_THREAD")
    trio.one.run("INSERT INTO shop.notes VALUES ('late')")
    catch_up(trio.two, trio.one)
    wait_until_received(trio.slave, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        switch(slave, source(trio.two), two)
    assert notes(trio, "late") == copies


@pytest.mark.parametrize(("switch", "copies"), [(as_the_classic, 2), (as_ours, 1)])
def test_in_a_planned_move_to_a_master_that_lags_a_little_its_slave_repeats_events_only_in_the_classic(
    trio: Trio, switch: Switch, copies: int
) -> None:
    def do() -> None:
        with agent(trio.slave) as slave, agent(trio.two) as two:
            switch(slave, source(trio.two), two)

    switching = threading.Thread(target=do)
    catch_up(trio.two, trio.one)
    with held_up(trio.two, "notes"):
        trio.one.run("INSERT INTO shop.notes VALUES ('twice')")
        catch_up(trio.slave, trio.one)
        wait_until_received(trio.two, trio.one)
        switching.start()
        if switch is as_ours:
            wait_until_it_waits(trio.two)
        else:
            switching.join()
    switching.join()
    catch_up(trio.two, trio.one)
    assert notes(trio, "twice") == copies


def test_a_wait_for_what_is_not_applied_ends_in_time_which_the_classics_does_not(trio: Trio) -> None:
    """MASTER_POS_WAIT without a limit waits for as long as the SQL thread is held up, and a move waits for it.

    Where that thread is stopped it says NULL, which the classic takes for done.
    """
    classic = "SELECT MASTER_POS_WAIT(%s, %s) AS result"
    catch_up(trio.slave, trio.one)
    with held_up(trio.slave, "notes"):
        trio.one.run("INSERT INTO shop.notes VALUES ('held up')")
        wait_until_received(trio.slave, trio.one)
        with trio.one.connect() as one, trio.slave.connect(timeout=1.0) as slave:
            end = binlog_position(one)
            assert wait_for_source(slave, end, 0.5) is Caught.NOT_IN_TIME
            with pytest.raises(MysqlError) as ended:
                slave.query(classic, (end.place.file, end.place.position))
    assert ended.value.kind is ErrorKind.TIMED_OUT
    catch_up(trio.slave, trio.one)
    trio.slave.run("STOP SLAVE SQL_THREAD")
    trio.one.run("INSERT INTO shop.notes VALUES ('not applied')")
    with trio.one.connect() as one, trio.slave.connect() as slave:
        end = binlog_position(one)
        assert slave.query(classic, (end.place.file, end.place.position)) == [{"result": None}]
        assert wait_for_source(slave, end, LONG) is Caught.NOT_RUNNING


def notes(trio: Trio, what: str) -> int:
    """Return how often the slave has the note once it has all that its new source has written up to now."""
    trio.two.run("INSERT INTO shop.notes VALUES ('end')")
    with trio.slave.connect() as slave:
        deadline = time.monotonic() + LONG
        while not slave.query("SELECT 1 FROM shop.notes WHERE what='end'"):
            assert time.monotonic() < deadline
        return len(slave.query("SELECT 1 FROM shop.notes WHERE what=%s", (what,)))


def test_an_old_master_with_a_write_nobody_got_does_not_follow_the_new_one(trio: Trio) -> None:
    insert(trio.one, "shared")
    catch_up(trio.two, trio.one)
    catch_up(trio.slave, trio.one)
    trio.two.run("STOP SLAVE")
    trio.slave.run("STOP SLAVE")
    insert(trio.one, "lost")
    lost = trio.one.value("@@gtid_binlog_pos")
    trio.one.run("STOP SLAVE", "RESET SLAVE ALL")
    insert(trio.two, "new", "newer", "newest")
    with (
        agent(trio.one) as one,
        agent(trio.two) as two,
        pytest.raises(FollowRefusedError, match=rf"refuses to follow .* it has 1 transaction \({lost}\)"),
    ):
        follow(one, source(trio.two), two, LONG)


def test_a_server_without_replication_follows(trio: Trio) -> None:
    insert(trio.one, "x")
    catch_up(trio.slave, trio.one)
    trio.slave.run("STOP SLAVE", "RESET SLAVE ALL")
    with agent(trio.slave) as slave, agent(trio.one) as one:
        assert replica_status(slave) is None
        assert wait_applied(slave, LONG) is Caught.NOT_RUNNING
        assert follow(slave, source(trio.one), one, LONG) is Followed.SWITCHED
    insert(trio.one, "y")
    catch_up(trio.slave, trio.one)
    assert rows_of(trio.slave) == ["x", "y"]


def test_the_heartbeat_period_outlives_a_switch(trio: Trio) -> None:
    trio.slave.run("STOP SLAVE", "CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD=1.5", "START SLAVE")
    catch_up(trio.two, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        follow(slave, source(trio.two), two, LONG)
        row = slave.query(slave.flavour.heartbeat, ("",))[0]
    assert float(row["value"] or 0) == 1.5


def test_a_source_that_turns_the_replica_away_is_said(trio: Trio) -> None:
    catch_up(trio.two, trio.one)
    wrong = Address("127.0.0.1", trio.two.port, REPLICATION.user, "wrong")
    with agent(trio.slave) as slave, agent(trio.two) as two, pytest.raises(MysqlError, match="1045"):
        follow(slave, wrong, two, LONG)


def test_an_old_set_up_by_file_and_position_moves_on_by_gtid(old_trio: Trio) -> None:
    trio = old_trio
    insert(trio.one, "1a", "1b")
    catch_up(trio.two, trio.one)
    catch_up(trio.slave, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
    insert(trio.two, "2a")
    catch_up(trio.slave, trio.two)
    catch_up(trio.one, trio.two)
    assert trio.rows() == [["1a", "1b", "2a"]] * 3
    with agent(trio.slave) as slave:
        status = replica_status(slave)
    assert status
    assert status.uses_gtid


def test_a_former_master_goes_on_after_its_own_writes(old_trio: Trio) -> None:
    """Its gtid_slave_pos does not know them, and the new source has purged the logs that hold them."""
    trio = old_trio
    insert(trio.one, "1a", "1b")
    catch_up(trio.two, trio.one)
    trio.one.run("STOP SLAVE", "RESET SLAVE ALL")
    trio.two.run("FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    trio.two.purge_logs()
    with agent(trio.one) as one, agent(trio.two) as two:
        assert follow(one, source(trio.two), two, LONG) is Followed.SWITCHED
    insert(trio.two, "2a")
    catch_up(trio.one, trio.two)
    assert rows_of(trio.one) == ["1a", "1b", "2a"]


@contextmanager
def without_gtid(*connections: Connection) -> Iterator[None]:
    """Have the servers treated as ones that know no GTID: what is left is file and position."""
    for connection in connections:
        known = connection.flavour
        connection.flavour = replace(known, family="MySQL", gtid_state="SELECT 'OFF' AS gtid_mode")
    yield


def test_without_gtid_a_proved_place_is_followed(old_trio: Trio) -> None:
    trio = old_trio
    trio.two.run("SET GLOBAL read_only=1")
    insert(trio.one, "1a", "1b")
    catch_up(trio.two, trio.one)
    catch_up(trio.slave, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two, without_gtid(slave, two):
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
        status = replica_status(slave)
    assert status
    assert not status.uses_gtid
    insert(trio.two, "2a")
    catch_up(trio.slave, trio.two)
    assert trio.rows()[1:] == [["1a", "1b", "2a"]] * 2


def test_without_gtid_nothing_is_guessed(old_trio: Trio) -> None:
    trio = old_trio
    insert(trio.one, "1a")
    catch_up(trio.two, trio.one)
    catch_up(trio.slave, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two, without_gtid(slave, two):
        with pytest.raises(FollowRefusedError, match="read_only"):
            follow(slave, source(trio.two), two, LONG)
        trio.two.run("SET GLOBAL read_only=1", "STOP SLAVE SQL_THREAD")
        insert(trio.one, "1b")
        catch_up(trio.slave, trio.one)
        with pytest.raises(FollowRefusedError, match="must have applied the same"):
            follow(slave, source(trio.two), two, LONG)
        status = replica_status(slave)
    assert status
    assert (status.source_port, status.sql_running) == (trio.one.port, True)


@pytest.mark.parametrize("how", ["trio", "old_trio"])
def test_everything_received_is_applied_or_it_is_said_why_not(
    how: str, request: pytest.FixtureRequest
) -> None:
    trio: Trio = request.getfixturevalue(how)
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two:
        assert wait_applied(two, 0.0) is Caught.REACHED
        with held_up(trio.two):
            insert(trio.one, "waits")
            wait_until_received(trio.two, trio.one)
            assert wait_applied(two, 0.3) is Caught.NOT_IN_TIME
            assert wait_for_source(two, position(trio.one), 0.3) is Caught.NOT_IN_TIME
        assert wait_applied(two, LONG) is Caught.REACHED
        assert rows_of(trio.two) == ["waits"]
        trio.two.run("STOP SLAVE SQL_THREAD")
        insert(trio.one, "stands still")
        wait_until_received(trio.two, trio.one)
        assert wait_applied(two, LONG) is Caught.NOT_RUNNING
        assert wait_for_source(two, position(trio.one), LONG) is Caught.NOT_RUNNING


def position(server: Server) -> BinlogPosition:
    with server.connect() as connection:
        return binlog_position(connection)


def test_waiting_for_what_will_never_come_ends_at_once(trio: Trio) -> None:
    catch_up(trio.slave, trio.one)
    trio.slave.run("STOP SLAVE IO_THREAD")
    insert(trio.one, "never received")
    with agent(trio.slave) as slave:
        assert wait_applied(slave, LONG) is Caught.REACHED
        assert wait_for_source(slave, position(trio.one), LONG) is Caught.NOT_RUNNING


def test_everything_received_from_a_master_that_was_killed_is_applied(trio: Trio) -> None:
    client = trio.one.client()
    for number in range(50):
        client.query(f"INSERT INTO shop.orders (what) VALUES ('{number}'), ('{number}+')")  # noqa: S608
    trio.one.kill()
    with agent(trio.two) as two:
        assert wait_applied(two, LONG) is Caught.REACHED
        status = replica_status(two)
    assert status
    assert status.io_running != "Yes"
    assert len(rows_of(trio.two)) % 2 == 0


def test_a_source_that_is_gone_shows_as_connecting(trio: Trio) -> None:
    trio.one.kill()
    trio.slave.wait_for_rows("SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Reconnecting%'")
    with trio.slave.connect(MONITOR.user, MONITOR.password) as monitor:
        status = replica_status(monitor)
    assert status
    assert (status.io_running, status.sql_running, status.seconds_behind) == ("Connecting", True, None)
    assert status.io_errno
    assert status.last_error


def test_broken_replication_says_why(trio: Trio) -> None:
    insert(trio.one, "shared")
    catch_up(trio.slave, trio.one)
    trio.slave.run("SET SESSION sql_log_bin=0", "DROP TABLE shop.orders")
    insert(trio.one, "breaks")
    with agent(trio.slave) as slave:
        assert wait_for_source(slave, position(trio.one), LONG) is Caught.NOT_RUNNING
        status = replica_status(slave)
    assert status
    assert (status.io_running, status.sql_running) == ("Yes", False)
    assert "(1146)" in status.last_error


def test_a_replica_stops_and_starts(trio: Trio) -> None:
    with agent(trio.slave) as slave:
        for _ in range(2):
            stop_replica(slave, LONG)
        status = replica_status(slave)
        assert status
        assert (status.io_running, status.sql_running) == ("No", False)
        for _ in range(2):
            start_replica(slave)
        status = replica_status(slave)
        assert status
        assert status.sql_running


def test_a_server_that_replicates_from_nobody(server: Server) -> None:
    with server.connect() as connection:
        assert replica_status(connection) is None
        with pytest.raises(MysqlError):
            start_replica(connection)


def test_the_monitor_may_look_and_nothing_else(trio: Trio) -> None:
    with trio.slave.connect(MONITOR.user, MONITOR.password) as monitor:
        assert replica_status(monitor)
        assert writable(monitor)
        with pytest.raises(MysqlError):
            stop_replica(monitor)


def trouble(trio: Trio) -> str:
    """Return what goes wrong when everything that an agent uses is used, on both sides of a switch."""
    client = trio.two.client("other")
    try:
        with agent(trio.slave) as slave, agent(trio.one) as one, agent(trio.two) as two:
            problem = deny_writes(two, grace=0.0).problem
            become_source(two)
            binlog_position(two)
            wait_applied(slave, LONG)
            follow(slave, source(trio.two), two, LONG)
            follow(slave, source(trio.one), one, LONG)
        with agent(trio.two) as replays:
            replays.execute(
                "SET SESSION gtid_seq_no=1"
            )  # as what is got out of another server's binary log begins
    except MysqlError as error:
        return error.text
    finally:
        client.close()
    return problem


@pytest.mark.parametrize("revoked", ["", *agent_privileges(detect("10.11.0-MariaDB", ""))])
def test_the_agents_privileges_suffice_and_each_is_needed(trio: Trio, revoked: str) -> None:
    trio.two.run("SET SESSION sql_log_bin=0", "CREATE USER other@'%'")
    for server in (trio.one, trio.two, trio.slave) if revoked else ():
        server.run("SET SESSION sql_log_bin=0", f"REVOKE {revoked} ON *.* FROM '{AGENT.user}'@'%'")
    catch_up(trio.two, trio.one)
    catch_up(trio.slave, trio.one)
    assert bool(trouble(trio)) == bool(revoked)


def part(trio: Trio) -> None:
    """The old master and the slave go on to where the new master is not; then that one writes."""
    insert(trio.one, "shared")
    catch_up(trio.two, trio.one)
    trio.two.run("STOP SLAVE")
    insert(trio.one, "1a", "1b", "1c")
    catch_up(trio.slave, trio.one)
    insert(trio.one, "1d", "1e")
    trio.slave.run("STOP SLAVE")
    trio.two.run("INSERT INTO shop.orders VALUES (101, '2a')", "INSERT INTO shop.orders VALUES (102, '2b')")


def test_a_slave_does_not_skip_what_its_new_master_wrote_before_it_took_the_old_ones_transactions_in(
    trio: Trio,
) -> None:
    """Numbers say that the new master has all that the slave has, its log has others in between."""
    trio.one.run("STOP SLAVE")
    insert(trio.one, "0")
    part(trio)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        with pytest.raises(FollowRefusedError, match=r"it has .* transactions"):
            follow(slave, source(trio.two), two, LONG)
        trio.two.run("START SLAVE")
        catch_up(trio.two, trio.one)
        with pytest.raises(FollowRefusedError, match=r"it lacks 0-2-[0-9]+, which stands before"):
            follow(slave, source(trio.two), two, LONG)


def test_strict_mode_keeps_the_new_master_from_taking_them_in(trio: Trio) -> None:
    trio.two.run("SET GLOBAL gtid_strict_mode=ON")
    part(trio)
    trio.two.run("START SLAVE")
    trio.two.wait_for_rows("SELECT 1 FROM information_schema.global_variables LIMIT 1")
    with trio.two.connect() as two:
        while (status := replica_status(two)) is None or not status.sql_errno:
            pass
        assert status.sql_errno == 1950
    with (
        agent(trio.slave) as slave,
        agent(trio.two) as two,
        pytest.raises(FollowRefusedError, match=r"it has .* transactions"),
    ):
        follow(slave, source(trio.two), two, LONG)


def copy(origin: Server, to: Server, place: str = "") -> None:
    """Make `to` a copy of the rows and the place of a server, without its binary log, as a dump or a backup is."""
    with origin.connect() as connection:
        found = connection.query("SELECT id, what FROM shop.orders")
    rows = ", ".join(f"({row['id']}, '{row['what']}')" for row in found)
    to.run(
        "STOP SLAVE",
        "RESET MASTER",
        "SET SESSION sql_log_bin=0",
        "DELETE FROM shop.orders",
        f"INSERT INTO shop.orders VALUES {rows}",  # noqa: S608
        f"SET GLOBAL gtid_slave_pos='{origin.value('@@gtid_current_pos')}'",
        *([f"CHANGE MASTER TO {place}"] if place else []),
        "START SLAVE",
    )


@pytest.mark.parametrize("strict", [0, 1])
def test_a_master_is_attached_to_one_that_was_set_up_anew_from_it(trio: Trio, strict: int) -> None:
    """Its last transaction from there is in no log any more; what it wrote meanwhile it goes on from."""
    for server in (trio.one, trio.two):
        server.run(f"SET GLOBAL gtid_strict_mode={strict}")
    insert(trio.one, "old")
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two, agent(trio.one) as one:
        assert detach(two) == ""
        insert(trio.two, "meanwhile")
        copy(trio.two, trio.one)
        insert(trio.two, "later")
        assert attach(two, one) == ""
        insert(trio.two, "attached")
        catch_up(trio.one, trio.two)
        stop_replica(two)
        start_replica(two)  # a source that has written nothing since it was copied lets everybody in
        insert(trio.one, "back")
        catch_up(trio.two, trio.one)
    assert rows_of(trio.one) == rows_of(trio.two) == ["attached", "back", "later", "meanwhile", "old"]


def test_a_master_is_not_attached_before_its_source_has_what_it_has(trio: Trio) -> None:
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two, agent(trio.one) as one:
        assert detach(two) == ""
        stop_replica(one)
        insert(trio.two, "a")
        place = trio.two.value("@@gtid_slave_pos")
        assert attach(two, one) == f"127.0.0.1 has not applied {trio.two.value('@@gtid_binlog_pos')} yet"
        assert trio.two.value("@@gtid_slave_pos") == place
        start_replica(one)
        catch_up(trio.one, trio.two)
        assert attach(two, one) == ""
        assert (status := replica_status(two)) is not None
        assert not status.detached


def test_a_source_with_more_is_gone_on_with_where_replication_was(trio: Trio) -> None:
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two, agent(trio.one) as one:
        assert detach(two) == ""
        trio.one.run("INSERT INTO shop.orders VALUES (100, 'more')")
        insert(trio.two, "other")
        catch_up(trio.one, trio.two)
        assert attach(two, one) == ""
    trio.two.wait_for_rows("SELECT id FROM shop.orders WHERE what='more'")


def wait_until_source_lacks_log(replica: Connection) -> None:
    while (status := replica_status(replica)) is None or not status.source_lacks_log:
        pass


@pytest.fixture
def rebuilt(trio: Trio) -> Trio:
    """Have the standby, `one`, set up anew from the writer, `two`, which had got a transaction of it before."""
    insert(trio.one, "old")
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two:
        stop_replica(two)  # its own transactions, which it is sent back, would move its place
        insert(trio.two, "mine")
        copy(trio.two, trio.one)
        insert(trio.two, "later")
        catch_up(trio.one, trio.two)
        start_replica(two)
        wait_until_source_lacks_log(two)
    return trio


@pytest.mark.parametrize("strict", [0, 1])
def test_the_writer_goes_on_in_the_log_of_a_standby_that_was_set_up_anew(rebuilt: Trio, strict: int) -> None:
    for server in (rebuilt.one, rebuilt.two):
        server.run(f"SET GLOBAL gtid_strict_mode={strict}")
    with agent(rebuilt.two) as two, agent(rebuilt.one) as one:
        assert go_on_after_rebuild(two, one, LONG) == ""
        insert(rebuilt.one, "back")
        catch_up(rebuilt.two, rebuilt.one)
        assert (status := replica_status(two)) is not None
        assert (status.io_running, status.last_error) == ("Yes", "")
    assert rows_of(rebuilt.one) == rows_of(rebuilt.two) == ["back", "later", "mine", "old"]


def test_the_writer_skips_nothing_of_a_standby_that_has_more(rebuilt: Trio) -> None:
    """What it has more may stand anywhere in its log."""
    rebuilt.one.run("INSERT INTO shop.orders VALUES (100, 'more')")
    place = rebuilt.two.value("@@gtid_slave_pos")
    with agent(rebuilt.two) as two, agent(rebuilt.one) as one:
        assert "which this server lacks" in go_on_after_rebuild(two, one, LONG)
        assert (status := replica_status(two)) is not None
        assert status.source_lacks_log
    assert rebuilt.two.value("@@gtid_slave_pos") == place


def test_the_writer_waits_until_the_standby_has_what_it_has(rebuilt: Trio) -> None:
    place = rebuilt.two.value("@@gtid_slave_pos")
    with agent(rebuilt.two) as two, agent(rebuilt.one) as one:
        stop_replica(one)
        insert(rebuilt.two, "not there yet")
        assert "has not applied" in go_on_after_rebuild(two, one, 0.0)
        assert rebuilt.two.value("@@gtid_slave_pos") == place
        start_replica(one)
        catch_up(rebuilt.one, rebuilt.two)
        assert go_on_after_rebuild(two, one, LONG) == ""


def test_a_replica_that_is_well_is_left_alone(trio: Trio) -> None:
    insert(trio.one, "a")
    catch_up(trio.two, trio.one)
    place = trio.two.value("@@gtid_slave_pos")
    with agent(trio.two) as two, agent(trio.one) as one:
        assert go_on_after_rebuild(two, one, 0.0) == ""
        assert (status := replica_status(two)) is not None
        assert status.io_running == "Yes"
    assert trio.two.value("@@gtid_slave_pos") == place


def test_what_was_received_of_the_old_standby_is_not_thrown_away(trio: Trio) -> None:
    """Nobody else may have it."""
    insert(trio.one, "old")
    catch_up(trio.two, trio.one)
    blocker = trio.two.client()
    blocker.query("LOCK TABLES shop.orders READ")
    insert(trio.one, "pending")
    wait_until_received(trio.two, trio.one)
    trio.two.run("STOP SLAVE IO_THREAD")
    copy(trio.two, trio.one)
    trio.two.run("INSERT INTO shop.notes VALUES ('later')")
    catch_up(trio.one, trio.two)
    with agent(trio.two) as two, agent(trio.one) as one:
        trio.two.run("START SLAVE IO_THREAD")
        wait_until_source_lacks_log(two)
        assert "would be thrown away" in go_on_after_rebuild(two, one, 0.1)
        blocker.close()
        catch_up(trio.two, trio.one)
    assert rows_of(trio.two) == ["old", "pending"]


def test_a_writer_that_replicates_by_position_goes_on_at_the_end_of_the_log(old_trio: Trio) -> None:
    trio = old_trio
    insert(trio.one, "old")
    catch_up(trio.two, trio.one)
    with agent(trio.two) as two, agent(trio.one) as one:
        stop_replica(two)
        insert(trio.two, "mine")
        end = binlog_position(two).place
        copy(trio.two, trio.one, f"MASTER_LOG_FILE='{end.file}', MASTER_LOG_POS={end.position}")
        start_replica(two)
        wait_until_source_lacks_log(two)
        insert(trio.two, "later")
        assert go_on_after_rebuild(two, one, LONG) == ""
        catch_up(trio.one, trio.two)
        insert(trio.one, "back")
        catch_up(trio.two, trio.one)
        assert (status := replica_status(two)) is not None
        assert (status.io_running, status.last_error, status.uses_gtid) == ("Yes", "", False)
    assert rows_of(trio.one) == rows_of(trio.two) == ["back", "later", "mine", "old"]


def test_a_slave_with_a_transaction_thrown_away_since_is_not_fooled_by_its_number(trio: Trio) -> None:
    """The server that wrote it was set up anew from one that has not got it, and numbers on past it."""
    trio.two.run("STOP SLAVE")
    insert(trio.one, "lost")
    catch_up(trio.slave, trio.one)
    trio.slave.run("STOP SLAVE")
    insert(trio.two, "a", "b", "c")
    copy(trio.two, trio.one)
    insert(trio.two, "d")
    catch_up(trio.one, trio.two)
    insert(trio.one, "e")
    with agent(trio.slave) as slave, agent(trio.one) as one:
        slave.execute("CHANGE MASTER TO MASTER_HOST='127.0.0.9'")
        with pytest.raises(
            FollowRefusedError, match=r"it has 0-[0-9]+-[0-9]+, which the new source never had"
        ):
            follow(slave, source(trio.one), one, LONG)


def test_the_numbers_of_a_domain_are_moved_past_those_that_were_thrown_away(trio: Trio) -> None:
    """The statement that docs/diverged.md has for it: it is logged and changes nothing."""
    insert(trio.one, "a")
    catch_up(trio.two, trio.one)
    page = (Path(__file__).parents[2] / "docs/diverged.md").read_text()
    (found,) = re.findall(r"^ +(SET SESSION gtid_seq_no=\d+; .*);$", page, re.MULTILINE)
    trio.two.run(*found.split("; "))
    highest = re.search(r"seq_no=(\d+)", found)
    assert highest is not None
    assert trio.two.value("@@gtid_binlog_pos").endswith(f"-{highest[1]}")
    catch_up(trio.one, trio.two)
    insert(trio.one, "b")
    assert trio.one.value("@@gtid_binlog_pos").endswith(f"-{int(highest[1]) + 1}")
