"""A replica is moved to another source or refused, on real servers; no event is lost or doubled.

Everything here is asked as the accounts that `grants` makes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mmm.mysql.server.await_applied import Caught, wait_applied, wait_for_source
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.follow import Followed, FollowRefusedError, SourceBehindError, follow
from mmm.mysql.server.read_only import deny_writes
from mmm.mysql.server.replication import (
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError
from tests.servers import Server
from tests.unit.agent_host import until
from tests.unit.mariadb_trio import LONG, catch_up, held_up, wait_until_received
from tests.unit.trio import AGENT, REPLICATION, Trio, agent, insert, rows_of, source

pytestmark = pytest.mark.mysql


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


def test_what_another_source_has_in_another_order_comes_only_once(trio: Trio) -> None:
    """Two masters went on alone, each took over what the other had written, and so their logs differ in order."""

    def note(server: Server, *what: str) -> None:
        server.run(*(f"INSERT INTO shop.notes VALUES ('{one}')" for one in what))  # noqa: S608

    catch_up(trio.two, trio.one)
    for server in (trio.one, trio.two):
        server.run("STOP SLAVE")
    note(trio.one, "1a", "1b")
    note(trio.two, "2a", "2b", "2c")
    for server in (trio.one, trio.two):
        server.run("START SLAVE")
    # The numbers of one's own transactions say nothing of what the other has.
    until(lambda: all(server.value("(SELECT COUNT(*) FROM shop.notes)") == "5" for server in trio.all))
    with agent(trio.two) as two, agent(trio.slave) as slave:
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
    note(trio.two, "later")
    catch_up(trio.slave, trio.two)
    with trio.slave.connect() as session:
        rows = session.query("SELECT what FROM shop.notes ORDER BY what")
    assert [row["what"] for row in rows] == ["1a", "1b", "2a", "2b", "2c", "later"]


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
    trio.two.run("STOP SLAVE SQL_THREAD", "SET GLOBAL read_only=ON")  # a standby that is to take over
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
        with trio.one.connect() as one, trio.slave.connect() as slave:
            end = binlog_position(one)
            assert wait_for_source(slave, end, 0.5) is Caught.NOT_IN_TIME
            with pytest.raises(MysqlError) as ended:
                slave.query(classic, (end.place.file, end.place.position), timeout=1.0)
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


def heartbeat_behind_a_switch(trio: Trio) -> "float | None":
    """Have the slave follow the second master, and return its heartbeat period then."""
    catch_up(trio.two, trio.one)
    with agent(trio.slave) as slave, agent(trio.two) as two:
        follow(slave, source(trio.two), two, LONG)
        value = slave.query(slave.flavour.heartbeat, ("",))[0]["value"]
    return None if value is None else float(value)


def test_the_heartbeat_period_outlives_a_switch(trio: Trio) -> None:
    trio.slave.run("STOP SLAVE", "CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD=1.5", "START SLAVE")
    assert heartbeat_behind_a_switch(trio) == 1.5


def test_a_server_that_never_replicated_follows_with_the_servers_own_heartbeat(trio: Trio) -> None:
    """MariaDB tells 0 there. As an option that is no heartbeats, and an idle source is lost each slave_net_timeout."""
    trio.slave.run("STOP SLAVE", "RESET SLAVE ALL")
    trio.slave.kill()
    trio.slave.restart()
    with agent(trio.slave) as slave, agent(trio.one) as one:
        follow(slave, source(trio.one), one, LONG)
        timeout = slave.query("SELECT @@global.slave_net_timeout AS value")[0]["value"]
        row = slave.query(slave.flavour.heartbeat, ("",))[0]
    assert float(row["value"] or 0) == float(timeout or 0) / 2


def test_heartbeats_that_are_switched_off_stay_off(trio: Trio) -> None:
    trio.slave.run("STOP SLAVE", "CHANGE MASTER TO MASTER_HEARTBEAT_PERIOD=0", "START SLAVE")
    assert heartbeat_behind_a_switch(trio) == 0


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
