"""The writer goes on in the log of a standby that was set up anew from it; MariaDB, with GTIDs and by position."""

import pytest

from mmm.mysql.server.replication import (
    binlog_position,
    replica_status,
    start_replica,
    stop_replica,
)
from mmm.mysql.server.resume import go_on_after_rebuild
from tests.unit.mariadb_trio import LONG, catch_up, copy, wait_until_received, wait_until_source_lacks_log
from tests.unit.trio import Trio, agent, insert, rows_of

pytestmark = pytest.mark.mysql


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
        # A transaction of its own has passed the number of what is awaited.
        trio.two.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='pending'")
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
