"""How often the active master role moves by itself (rule 10.18)."""

from mmm.monitor.apply.apply import apply
from mmm.monitor.decide import failover_block
from mmm.monitor.decide.turn import Blocked, turn
from mmm.monitor.world.events import Killed
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Order
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
