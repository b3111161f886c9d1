"""What a monitor that starts takes a host to have that it cannot ask: its file may be behind (rules 6.7, 11.1)."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mmm.lease.rules import FOREVER, NOTHING, Outstanding, margin
from mmm.monitor.act import status_file
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import start
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import World
from mmm.wire.status import Status, SystemStatus
from tests.unit.test_monitor_leases import CONF, LENGTH, rest
from tests.unit.worlds import NOW, WRITER, checks, take_turn, with_host

OVER = NOW + LENGTH + margin(LENGTH) + 0.1
TO_DB1 = Stored("ONLINE", (WRITER,), "finite", length=LENGTH)
TO_NOBODY = Stored("ONLINE")
WITHOUT = SystemStatus(False, (), "")


def gave_it_up(line: Stored) -> Found:
    """Return what is found of db1, which has let the role go by the last order it obeyed."""
    return Found(line, Status("ONLINE", (), "db2"), WITHOUT, 500.0)


def started(found: Mapping[str, Found]) -> World:
    seen = {name: dict.fromkeys(checks(), CheckStatus()) for name in CONF.hosts}
    stored = {name: host.stored for name, host in found.items() if host.stored is not None}
    return start(CONF, seen, found, NOW, stored=stored).world


def granted(before: World, now: float, deaf: tuple[str, ...] = ()) -> tuple[World, list[str]]:
    """Return what follows, and who was told to have the writer's VIP."""
    after, orders = rest(before, now, deaf)
    return after, [order.host for order in orders if WRITER in order.status.vips and not order.greet]


@pytest.mark.parametrize("line", [TO_DB1, TO_NOBODY, Stored("HARD_OFFLINE")])
def test_a_host_that_cannot_be_asked_may_have_a_lease_that_is_not_on_record(line: Stored) -> None:
    """The disk was full when the role went to db2, and the monitor died: db1 was told to take writes at once."""
    before = started({"db1": gave_it_up(TO_DB1), "db2": Found(replace(line, vips=(), lease=""))})
    assert before.holders(WRITER) >= {"db2"}
    before, told = granted(before, NOW + 0.1, deaf=("db2",))
    assert told == []
    _, told = granted(before, OVER, deaf=("db2",))
    assert told == ["db1"]


def test_nor_is_one_on_record_of_a_host_that_the_file_does_not_have() -> None:
    before = started({"db1": gave_it_up(TO_NOBODY), "db2": Found()})
    assert before.hosts["db2"].agent.given == Outstanding(NOW + LENGTH, NOW + LENGTH)


def test_without_a_file_a_host_of_a_cluster_in_use_may_have_the_role_for_good() -> None:
    """The monitor was stopped in order, and its file is gone, or on the disk of another machine."""
    online = Found(None, Status("ONLINE", (), "db1"), WITHOUT, 500.0)
    before = started({"db1": Found(), "db2": online})
    assert before.hosts["db1"].agent.given.until == FOREVER
    assert granted(before, OVER, deaf=("db1",))[1] == []
    restarted = again(before, db2=online)
    assert restarted.hosts["db1"].agent.given.until == FOREVER, "it has a file now"
    assert restarted.owner[WRITER] != "db1"
    assert restarted.passive_cause is None
    assert again(before, db1=online, db2=online).hosts["db1"].agent.given.until == NOW + LENGTH


def test_at_a_first_start_nobody_has_been_told_anything() -> None:
    fresh = Found(None, Status("UNKNOWN"), WITHOUT, 500.0)
    before = started({"db1": Found(), "db2": fresh})
    assert before.hosts["db1"].agent.given.until == NOW + LENGTH


def test_promises_by_a_conf_with_other_hosts_may_prolong_it_for_good() -> None:
    """Who is new among the hosts of the role has promised nothing."""
    old = replace(TO_DB1, hosts="00000000")
    before = started({"db1": gave_it_up(old), "db2": Found(TO_NOBODY)})
    assert before.hosts["db2"].agent.given.until == FOREVER
    new = started({"db1": gave_it_up(old), "db2": Found()})
    assert new.hosts["db2"].agent.given.until == NOW + LENGTH, "it was no host by that conf"


def test_what_is_still_on_its_way_to_a_host_that_says_it_has_nothing_may_arrive() -> None:
    """The order was in a socket, or behind another one, when it was asked."""
    asked = Found(TO_NOBODY, Status("ONLINE", (), "db1"), WITHOUT, 500.0)
    db1 = Found(TO_DB1, Status("ONLINE", (), "db1"), WITHOUT, 500.0)
    before = started({"db1": db1, "db2": asked})
    assert granted(before, NOW + 0.1, deaf=("db2",))[1] == []
    assert granted(before, NOW + 0.1)[1] == ["db1"]


def test_who_has_let_the_role_go_to_another_host_does_not_get_it_back_unasked() -> None:
    """The other one has written since, off the record: its replica here stands still, and would lose all of that."""
    before = started({"db1": gave_it_up(TO_DB1), "db2": Found(TO_NOBODY)})
    assert (before.owner[WRITER], before.last_writer) == (None, "db2")
    behind = with_host(before, "db1", checks=checks(rep_threads=NOW - 60.0))
    assert granted(behind, OVER, deaf=("db2",))[1] == []


def test_it_is_waited_for_as_long_as_any_lease_on_record_lasts() -> None:
    """The conf has a shorter one now."""
    longer = replace(TO_DB1, length=3 * LENGTH)
    before = started({"db1": gave_it_up(longer), "db2": Found(TO_NOBODY)})
    assert before.hosts["db2"].agent.given.until == NOW + 3 * LENGTH


def test_it_is_not_waited_for_where_another_host_has_the_vip() -> None:
    holds = Found(TO_DB1, Status("ONLINE", (WRITER,), "db1"), SystemStatus(True, (WRITER,), ""), 500.0)
    before = started({"db1": holds, "db2": Found(TO_NOBODY)})
    assert before.holders(WRITER) == {"db1"}
    assert before.hosts["db2"].agent.given == NOTHING
    _, told = granted(before, NOW + 0.1, deaf=("db2",))
    assert told[0] == "db1"


def test_nor_once_it_has_answered() -> None:
    before = started({"db1": gave_it_up(TO_DB1), "db2": Found(TO_NOBODY)})
    after, told = granted(before, NOW + 0.1)
    assert len(told) == 1
    assert after.holders(WRITER) == set(told)


def test_the_holder_that_could_not_be_asked_either_is_not_told_to_give_up_what_it_has() -> None:
    """The monitor's own link came up late. db1 goes on by promises until db2 has answered, or its lease is over."""
    before = started({"db1": Found(TO_DB1), "db2": Found(TO_NOBODY)})
    after, orders = rest(before, NOW + 0.1, deaf=("db2",))
    assert "db1" not in [order.host for order in orders]
    after, told = granted(after, NOW + 3.5)
    assert told == ["db1"]
    assert not after.hosts["db1"].agent.may_be_taking


def test_who_is_at_the_order_that_gives_it_the_role_is_not_told_to_give_it_up_either() -> None:
    """The monitor died behind that order. What the file does not have yet the other master may have got as well."""
    lost = Found(Stored("HARD_OFFLINE"), Status("HARD_OFFLINE", (), "db2"), WITHOUT, 500.0)
    taking = Found(TO_NOBODY, Status("ONLINE", (WRITER,), "db2"), WITHOUT, 500.0)
    before = started({"db1": lost, "db2": taking})
    assert before.owner[WRITER] == "db2"
    after, orders = rest(before, NOW + 0.1, deaf=("db1",))
    assert "db2" not in [order.host for order in orders]
    after, orders = rest(after, NOW + 3.5)
    assert {order.status.vips for order in orders if order.host == "db2"} == {(WRITER,)}


def test_it_is_told_all_the_rest_where_the_other_one_has_the_role_for_good() -> None:
    """That may take days: somebody has to confirm that it is off."""
    endless = replace(TO_DB1, lease="forever")
    before = started({"db1": Found(TO_DB1), "db2": Found(endless)})
    owner = before.owner[WRITER]
    assert owner is not None
    (other,) = {"db1", "db2"} - {owner}
    before = before if other == "db2" else before.with_owner({WRITER: "db1"})
    assert before.hosts["db2"].agent.given.until == FOREVER
    _, orders = rest(before, NOW + 0.1, deaf=("db2",))
    assert {order.status.vips for order in orders if order.host == "db1"} == {()}


def test_a_dead_host_is_not_killed_for_what_nobody_tells_of() -> None:
    """It may have been off for weeks: kill_host would run again at each start."""
    before = started({"db1": gave_it_up(TO_NOBODY), "db2": Found(Stored("HARD_OFFLINE"))})
    dead = with_host(before, "db2", checks=checks(ping=NOW - 60.0, mysql=NOW - 60.0))
    for now in (NOW + 0.1, NOW + 5.0, OVER):
        dead, orders = take_turn(dead, now)
        assert dead.hosts["db2"].state is State.HARD_OFFLINE
        assert not [order for order in orders if isinstance(order, KillHost)]
        assert [order for order in orders if isinstance(order, Tell)] or now > NOW + 0.1


def again(before: World, **answers: Found) -> World:
    """Return what a monitor believes that starts once `before` is in the status file; `answers` are its hosts'."""
    lines, _ = status_file.decode(status_file.encode(before))
    found = {name: replace(answers.get(name, Found()), stored=lines[name]) for name in CONF.hosts}
    return started(found)


def test_what_nobody_tells_of_is_not_told_to_the_next_monitor() -> None:
    """A first start, twice: db1 was in use then, and active master, as nobody had chosen it."""
    new = Found(agent=Status("AWAITING_RECOVERY", (), ""), system=WITHOUT, uptime=500.0)
    before = started({"db1": Found(), "db2": new})
    assert before.holders(WRITER) >= {"db1"}
    after = again(before, db2=new)
    assert after.owner[WRITER] is None
    assert [after.hosts[name].state for name in ("db1", "db2")] == [State.AWAITING_RECOVERY] * 2
    assert not after.hosts["db1"].used
    assert after.holders(WRITER) >= {"db1"}
    assert after.hosts["db1"].agent.given == Outstanding(NOW + LENGTH, NOW + LENGTH)
    told = again(before, db1=new, db2=new)
    assert rest(told, NOW + 0.1)[0].holders(WRITER) == frozenset()
    assert not told.hosts["db1"].used


def test_what_such_a_host_was_sent_is_told() -> None:
    before = started({"db1": gave_it_up(TO_NOBODY), "db2": Found(TO_NOBODY)})
    before = with_host(before.with_owner({WRITER: "db2"}), "db1", state=State.ADMIN_OFFLINE)
    after, told = granted(before, NOW + 0.1)
    assert told == ["db2"]
    after = after.with_owner({WRITER: None})
    lines, _ = status_file.decode(status_file.encode(after))
    assert lines["db2"].vips == (WRITER,)
    assert lines["db2"].lease
