"""How often the active master role moves by itself (rule 10.18)."""

from dataclasses import replace

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.turn import Blocked, turn
from mmm.monitor.world.events import Answer, Killed
from mmm.monitor.world.host import Behind, State
from mmm.monitor.world.link import Kind
from mmm.monitor.world.move import Phase
from mmm.monitor.world.orders import KillHost, Order, Tell
from mmm.monitor.world.world import World
from mmm.wire.status import Status
from tests import commanding
from tests.unit.worlds import (
    FLAPPING,
    NOW,
    READER1,
    WRITER,
    answer,
    checks,
    cluster,
    settle,
    show,
    take_turn,
    unreachable,
    with_agent,
    with_host,
    world,
)


def lost(before: World, name: str, now: float, *failed: str) -> World:
    """Return the world in which checks of a host fail."""
    return with_host(before, name, checks=checks(**dict.fromkeys(failed, now)))


def failed_over(prefer: str | None = None) -> World:
    """Return the world 10 s after db2 has taken over from db1, which is back."""
    before = world({WRITER: "db1", READER1: "db2"}, conf=cluster(prefer=prefer, readers=1, slaves=0))
    after, _ = settle(lost(settle(before)[0], "db1", NOW, "mysql"))
    assert after.active_master == "db2"
    after = settle(with_host(after, "db1", checks=checks(), uptime=510.0), NOW + 10)[0]
    assert after.hosts["db1"].state is State.ONLINE
    return after


def cut_off(before: World, now: float, failure: str = "no such program") -> tuple[World, list[Order]]:
    """Return the world after the writer's host was lost and kill_host has ended."""
    after, orders = take_turn(lost(before, "db2", now, "ping", "mysql"), now)
    assert KillHost("db2", pings=False) in orders
    for order in orders:
        kill = isinstance(order, KillHost)
        after = apply(after, Killed(order.host, failure), now) if kill else answer(after, order, now=now)
    return settle(after, now)


def test_the_next_failover_waits_where_the_writers_host_has_not_let_go() -> None:
    after, _ = cut_off(failed_over(), NOW + 20)
    assert after.owner[WRITER] is None
    assert "failover of writer is blocked for another 40 s: db2 lost it" in str(failover_block.blocked(after))
    assert settle(after, NOW + 59.9)[0].owner[WRITER] is None
    after, _ = settle(after, NOW + 60)
    assert after.owner[WRITER] == "db1"
    assert failover_block.blocked(after) is None


def test_it_is_said_once() -> None:
    waits = turn(lost(failed_over(), "db2", NOW + 20, "ping", "mysql"), NOW + 20)
    assert [str(each) for each in waits.changes if isinstance(each, Blocked)] == [
        f"no host holds writer: {failover_block.blocked(waits.world)}"
    ]
    assert not [each for each in turn(waits.world, NOW + 21).changes if isinstance(each, Blocked)]


def test_other_roles_do_not_wait() -> None:
    before = failed_over()
    held = before.owner[READER1]
    after, _ = cut_off(before.with_owner({READER1: "db2"}), NOW + 20)
    assert held is not None
    assert after.owner[READER1] == "db1"


def test_a_host_that_confirms_that_it_let_go_is_not_waited_for() -> None:
    after, _ = settle(lost(failed_over(), "db2", NOW + 20, "mysql"), NOW + 20)
    assert after.owner[WRITER] == "db1"


def test_a_host_that_is_killed_is_not_waited_for() -> None:
    assert cut_off(failed_over(), NOW + 20, failure="")[0].owner[WRITER] == "db1"


def test_a_host_that_is_back_and_lets_go_is_not_waited_for() -> None:
    after, _ = cut_off(failed_over(), NOW + 20)
    assert after.owner[WRITER] is None
    after, _ = settle(with_host(after, "db2", checks=checks()), NOW + 25)
    assert after.owner[WRITER] == "db1"


def test_a_lost_role_goes_back_to_the_host_that_wrote_last_while_nobody_has_it() -> None:
    """db2 has what db1 lacks: to give the role to db1 in the moment before db2 confirms would lose that."""
    lost_now = lost(failed_over(), "db2", NOW + 20, "ping", "mysql")
    lost_now = with_host(lost_now, "db1", state=State.AWAITING_RECOVERY, flaps=FLAPPING)
    after, _ = cut_off(lost_now, NOW + 20, failure="")
    assert after.owner[WRITER] is None
    online = {"state": State.ONLINE, "online_since": NOW + 25}
    after = with_host(with_host(after, "db1", **online), "db2", **online, checks=checks())
    told = with_agent(with_agent(after, "db1", told=Status("ONLINE")), "db2", told=None)
    assert turn(told, NOW + 25).world.owner[WRITER] is None, "db2 has still to confirm that it is ONLINE"
    assert settle(told, NOW + 25)[0].owner[WRITER] == "db2"
    assert turn(told, NOW + 30).world.owner[WRITER] == "db1", "it does not confirm"
    silent = unreachable(with_agent(told, "db2", told=None), "db2")
    assert turn(silent, NOW + 25).world.owner[WRITER] == "db1"


def test_set_online_of_a_master_ends_it_also_of_one_that_is_online() -> None:
    after, _ = cut_off(failed_over(), NOW + 20)
    result = commanding.run(after, ["set_online", "db1"], NOW + 21, pinged=True)
    assert result is not None
    assert result.text == "OK: 'db1' is already ONLINE. Failover is not blocked any more."
    assert settle(result.world, NOW + 21)[0].owner[WRITER] == "db1"
    waiting = with_host(after, "db1", state=State.AWAITING_RECOVERY, uptime=5.0)
    result = commanding.run(waiting, ["set_online", "db1"], NOW + 21, pinged=True)
    assert result is not None
    assert settle(result.world, NOW + 21)[0].owner[WRITER] == "db1"


def test_what_the_admin_orders_neither_waits_nor_makes_the_next_failover_wait() -> None:
    after, _ = settle(world())
    for host, now in (("db2", NOW + 1), ("db1", NOW + 2), ("db2", NOW + 3)):
        result = commanding.run(after, ["move_role", "writer", host], now, pinged=True)
        assert result is not None
        after, _ = settle(result.world, now)
        assert after.owner[WRITER] == host
    after, _ = cut_off(after, NOW + 10)
    assert after.owner[WRITER] == "db1"
    moved = commanding.run(failed_over(), ["set_offline", "db2"], NOW + 20, pinged=True)
    assert moved is not None
    assert settle(moved.world, NOW + 20)[0].owner[WRITER] == "db1"


def test_the_way_home_to_the_preferred_host_waits_too() -> None:
    after = failed_over(prefer="db1")
    assert after.owner[WRITER] == "db2"
    assert failover_block.blocked(after) is None
    assert settle(after, NOW + 60)[0].owner[WRITER] == "db1"


def test_nothing_waits_with_failover_block_0() -> None:
    conf = cluster(readers=1, slaves=0, failover_block=0.0)
    after, _ = settle(world({WRITER: "db1"}, conf=conf))
    after, _ = settle(lost(after, "db1", NOW, "mysql"))
    after, _ = settle(with_host(after, "db1", checks=checks(), uptime=501.0), NOW + 1)
    after, _ = cut_off(after, NOW + 2)
    assert after.owner[WRITER] == "db1"


def refused_by_the_last_writer(db2: State = State.ONLINE) -> World:
    """The world in which nobody has the role: db1 wrote last and is in use, but its conf is not the monitor's."""
    nobody = replace(world({READER1: "db3"}, {"db2": db2}, cluster(readers=1)), last_writer="db1")
    return with_agent(nobody, "db1", differs=("hosts",))


def test_a_host_that_wrote_last_and_refuses_the_role_is_not_waited_for() -> None:
    after = take_turn(refused_by_the_last_writer())[0]
    assert after.owner[WRITER] == "db2"


def test_nor_is_one_whose_agent_would_bind_what_is_not_to_be_bound() -> None:
    conf = cluster(readers=1)
    conf = replace(conf, roles={**conf.roles, "writer": replace(conf.roles["writer"], vip_via="health")})
    nobody = replace(world({READER1: "db3"}, conf=conf), last_writer="db1")
    after = take_turn(with_agent(nobody, "db1", kind=Kind.MMM2))[0]
    assert after.owner[WRITER] == "db2"


def test_why_nobody_gets_the_role_is_said_of_each_host_as_it_is() -> None:
    failed = lost(refused_by_the_last_writer(State.HARD_OFFLINE), "db2", NOW, "mysql")
    said = "no host holds writer: the conf of db1 differs from the monitor's in hosts, db2 is HARD_OFFLINE"
    assert f"# Warning: {said}" in show(failed)
    assert said in [str(each) for each in turn(failed, NOW).changes], "it is not about to be assigned"
    lags = with_host(refused_by_the_last_writer(), "db2", behind=Behind(61.0, NOW))
    text = show(take_turn(lags)[0])
    assert "db2 is not promoted: it may be 61 s behind db1, max_lag_on_failover is 60 s" in text
    assert (
        "Nothing is lost if db1, which wrote last, has it again: make its conf like the monitor's, it" in text
    )
    back = with_agent(refused_by_the_last_writer(), "db1", differs=(), told=None)
    waits = take_turn(with_host(back, "db1", online_since=NOW))[0]
    assert waits.owner[WRITER] is None
    assert "db1 is ONLINE but has not confirmed it, db2 stands back for db1, which wrote last" in show(waits)


def of_masters(writer: str, prefer: str | None = None) -> World:
    """The quiet world of three masters, of which `writer` has the active master role."""
    conf = cluster(slaves=1, readers=0, prefer=prefer)
    conf = replace(
        conf,
        hosts={**conf.hosts, "db3": replace(conf.hosts["db3"], mode="master", peer="db1")},
        roles={"writer": replace(conf.roles["writer"], hosts=("db1", "db2", "db3"))},
    )
    return replace(world({WRITER: writer}, conf=conf), last_writer=writer, last_master=writer)


def of_three() -> World:
    """The world of three masters in which the writer could not go from db1 to db2 a moment ago."""
    moved = commanding.run(settle(of_masters("db1"))[0], ["move_role", "writer", "db2"], NOW, pinged=True)
    assert moved is not None
    after = moved.world
    for _ in range(6):
        after, orders = take_turn(after, NOW + 1)
        for order in (each for each in orders if isinstance(each, Tell)):
            no = order.host == "db2" and WRITER in order.status.vips
            after = answer(after, order, Answer.ERROR if no else Answer.OK, "ERROR: no", NOW + 1)
    assert (after.owner[WRITER], after.move) == ("db1", None)
    assert after.could_not_go_to(WRITER, "db2")
    return after


def test_a_machine_that_goes_down_after_a_move_that_failed_hands_the_role_to_a_third_host() -> None:
    assert take_turn(of_three(), NOW + 5)[0].owner[WRITER] == "db1"
    halts = with_agent(of_three(), "db1", halting=True)
    after = take_turn(halts, NOW + 5)[0]
    assert after.move is not None
    assert (after.owner[WRITER], after.move.source, after.move.target) == ("db3", "db1", "db3")


def test_with_nobody_else_it_keeps_the_role_and_does_not_try_the_same_again_and_again() -> None:
    halts = with_agent(with_host(of_three(), "db3", state=State.HARD_OFFLINE), "db1", halting=True)
    after, now = halts, NOW + 5
    after = take_turn(after, now)[0]
    assert (after.owner[WRITER], after.move) == ("db1", None)


@pytest.mark.parametrize("prefer", [None, "db1"])
def test_a_writer_whose_machine_goes_down_soon_after_a_failover_hands_the_role_on(prefer: str | None) -> None:
    """There is nothing to wait for: the role would go down with the machine."""
    before = replace(of_masters("db2", prefer), failed_over=NOW - 10)
    before = with_host(before, "db1", state=State.HARD_OFFLINE, checks=checks(ping=NOW - 20, mysql=NOW - 20))
    after = take_turn(with_agent(before, "db2", halting=True), NOW + 1)[0]
    assert after.move is not None
    assert (after.owner[WRITER], after.move.phase, after.hold) == ("db3", Phase.FREEZING, None)


def test_a_role_that_leaves_a_machine_that_goes_down_goes_to_its_preferred_host_at_once() -> None:
    """Else it would go to another one first, and from there home."""
    before = replace(of_masters("db1", "db3"), failed_over=NOW - 10)
    after = take_turn(with_agent(before, "db1", halting=True), NOW + 1)[0]
    assert after.owner[WRITER] == "db3"
