"""Servers whose logs have parted are not made to follow each other by numbers that happen to fit."""

import re
from pathlib import Path

import pytest

from mmm.mysql.server.follow import FollowRefusedError, follow
from mmm.mysql.server.replication import (
    replica_status,
)
from tests.unit.mariadb_trio import (
    LONG,
    catch_up,
    copy,
)
from tests.unit.trio import Trio, agent, insert, source

pytestmark = pytest.mark.mysql


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
