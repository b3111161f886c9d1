"""Replication on real servers: seen, started, stopped, and waited for with a limit.

Everything here is asked as the accounts that `grants` makes.
"""

import pytest

from mmm.mysql.flavour import detect
from mmm.mysql.server.accounts import agent_privileges
from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.follow import follow
from mmm.mysql.server.read_only import deny_writes, writable
from mmm.mysql.server.replication import (
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.server.semi_sync import become_source
from mmm.mysql.session.connection import MysqlError
from tests.servers import Server
from tests.unit.mariadb_trio import LONG, catch_up, held_up, position, wait_until_received
from tests.unit.trio import AGENT, MONITOR, Trio, agent, insert, rows_of, source

pytestmark = pytest.mark.mysql


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
        while not (status := replica_status(monitor)) or not status.io_errno:
            pass
    assert (status.io_running, status.sql_running, status.seconds_behind) == ("Connecting", True, None)
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
