"""A master that was detached from its source is attached to it again, and nothing is skipped."""

import pytest

from mmm.mysql.server.detach import attach, detach
from mmm.mysql.server.replication import (
    replica_status,
    start_replica,
    stop_replica,
)
from tests.unit.mariadb_trio import catch_up, copy
from tests.unit.trio import Trio, agent, insert, rows_of

pytestmark = pytest.mark.mysql


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
        catch_up(trio.one, trio.two)
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
