from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from mmm.config.model import Vip
from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess.slaves_first import SLAVES_FIRST
from mmm.monitor.decide.reconcile import heartbeat
from mmm.monitor.world.events import Answer, Answered, Killed
from mmm.monitor.world.host import State
from mmm.monitor.world.link import Kill, KillStep
from mmm.monitor.world.orders import KillHost, Order, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status
from tests import commanding
from tests.unit.worlds import (
    NOW,
    READER1,
    WRITER,
    answer,
    checks,
    cluster,
    settle,
    take_turn,
    told_at,
    with_agent,
    with_host,
    world,
)


def tells(orders: Sequence[Order]) -> dict[str, Status]:
    return {order.host: order.status for order in orders if isinstance(order, Tell)}


def command(before: World, text: str) -> World:
    result = commanding.run(before, text.split(), NOW, pinged=True)
    assert result is not None
    assert result.text.startswith("OK"), result.text
    return result.world


def with_file_positions(before: World) -> World:
    for name in before.hosts:
        before = with_host(before, name, uses_gtid=False)
    return before


def test_a_quiet_cluster_is_told_nothing_until_the_heartbeat() -> None:
    after, orders = take_turn(world(), NOW + HEARTBEAT - 0.1)
    assert orders == ()
    assert set(tells(take_turn(after, NOW + HEARTBEAT)[1])) == {"db1", "db2", "db3"}


def test_the_heartbeats_of_many_hosts_are_spread_over_turns_and_none_is_forgotten() -> None:
    after, _ = settle(world(conf=cluster(slaves=58)))
    for number in range(60):  # told one after the other
        after = told_at(after, f"db{number + 1}", NOW + number / 1e3)
    told: list[str] = []
    for turns in range(1, 7):
        after, orders = take_turn(after, NOW + HEARTBEAT + 0.25 * turns)
        told += tells(orders)
        assert len(told) == 10 * turns
    assert told == [f"db{number + 1}" for number in range(60)]


def test_in_a_large_cluster_a_hundred_are_told_a_second_and_a_lease_is_renewed_as_ever() -> None:
    many = world(conf=cluster(slaves=998))
    assert heartbeat(world()) == HEARTBEAT
    assert heartbeat(many) == 10.0
    leased = replace(cluster(slaves=998), vip_lease=8.0)
    after, _ = settle(world(conf=leased))
    assert "db1" in tells(take_turn(after, NOW + 2.5)[1])


def test_a_planned_move_asks_the_old_holder_first_then_slaves_then_the_new_one() -> None:
    moving = command(with_file_positions(world()), "move_role writer db2")
    moving, orders = take_turn(moving)
    assert WRITER not in tells(orders)["db1"].vips
    assert "db2" not in tells(orders)
    assert tells(orders).get("db3", Status("", (), "db1")).master == "db1"
    for order in orders:
        moving = answer(moving, order)
    moving, orders = take_turn(moving)
    assert tells(orders)["db3"].master == "db2"
    assert WRITER not in tells(orders).get("db2", Status("")).vips
    moving = answer(moving, next(order for order in orders if order.host == "db3"))
    moving, orders = take_turn(moving)
    assert WRITER in tells(orders)["db2"].vips


def test_slaves_that_follow_by_gtid_are_told_together_with_the_new_master() -> None:
    moving = command(world(), "move_role writer db2")
    moving, orders = take_turn(moving)
    for order in orders:
        moving = answer(moving, order)
    _, orders = take_turn(moving)
    assert tells(orders)["db3"].master == "db2"
    assert WRITER in tells(orders)["db2"].vips


def test_a_slow_slave_holds_the_new_master_up_for_a_limited_time_only() -> None:
    moving = command(with_file_positions(world()), "move_role writer db2")
    moving, orders = take_turn(moving)
    for order in orders:
        moving = answer(moving, order)
    moving, orders = take_turn(moving)
    assert WRITER not in tells(orders).get("db2", Status("")).vips
    moving, orders = take_turn(moving, NOW + SLAVES_FIRST)
    assert WRITER in tells(orders)["db2"].vips


def test_a_move_that_the_old_holder_cannot_do_puts_it_back() -> None:
    for how in (Answer.ERROR, Answer.SILENT, Answer.REFUSED):
        moving, orders = take_turn(command(world(), "move_role writer db2"))
        for order in orders:
            moving = answer(moving, order, how if order.host == "db1" else Answer.OK)
        assert moving.owner[WRITER] == "db1", how
        assert not any(isinstance(order, KillHost) for order in take_turn(moving)[1])


def test_a_dead_server_gives_its_roles_away_once_its_agent_has_let_them_go() -> None:
    dead = with_host(world(), "db1", checks=checks(mysql=NOW))
    after, orders = take_turn(dead)
    assert tells(orders)["db1"] == Status("HARD_OFFLINE", (), "db2")
    assert WRITER not in tells(orders).get("db2", Status("")).vips
    after = answer(after, next(order for order in orders if order.host == "db1"))
    assert WRITER in tells(take_turn(after)[1])["db2"].vips


def test_a_host_that_cannot_be_told_is_killed_before_its_roles_go_elsewhere() -> None:
    dead = with_host(world(), "db1", checks=checks(ping=NOW, mysql=NOW))
    after, orders = take_turn(dead)
    assert KillHost("db1", pings=False) in orders
    assert not any(WRITER in status.vips for status in tells(orders).values())
    after = apply(after, Killed("db1", "no such program"), NOW)
    after, given = settle(after)
    assert after.hosts["db2"].agent.told is not None
    assert WRITER in after.hosts["db2"].agent.told.vips
    assert not any(isinstance(order, KillHost) for order in given)


def test_a_host_that_does_not_ping_is_killed_without_waiting_for_an_order_under_way() -> None:
    under_way, _ = take_turn(world(), NOW + HEARTBEAT)
    dead = with_host(under_way, "db1", checks=checks(ping=NOW, mysql=NOW))
    after, orders = take_turn(dead, NOW + HEARTBEAT)
    assert orders == (KillHost("db1", pings=False),)
    after = apply(after, Killed("db1"), NOW + HEARTBEAT)
    after = apply(
        after, Answered("db1", after.hosts["db1"].agent.orders.number, Answer.SILENT), NOW + HEARTBEAT
    )
    assert not after.hosts["db1"].agent.may_hold


def test_an_answer_that_kill_host_overtook_confirms_nothing() -> None:
    after, orders = take_turn(world(conf=cluster(prefer="db1")), NOW + HEARTBEAT)
    late = next(order for order in orders if order.host == "db1")
    after, _ = take_turn(with_host(after, "db1", checks=checks(ping=NOW, mysql=NOW)), NOW + HEARTBEAT)
    after = apply(after, Killed("db1", "no such program"), NOW)
    after, _ = settle(after, NOW + HEARTBEAT, {"db1": Answer.SILENT})
    assert after.owner[WRITER] == "db2"
    after = answer(with_host(after, "db1", checks=checks(), state=State.ONLINE), late, now=NOW + HEARTBEAT)
    assert after.hosts["db1"].agent.told is None
    assert WRITER in after.hosts["db1"].agent.may_hold
    after, orders = take_turn(after, NOW + HEARTBEAT)
    assert after.owner[WRITER] == "db2"
    assert tells(orders)["db1"].vips == ()


def test_a_host_that_pings_is_killed_only_after_its_agent_did_not_answer() -> None:
    dead = with_host(world(), "db1", checks=checks(mysql=NOW))
    _, orders = settle(dead, answers={"db1": Answer.SILENT})
    assert [type(order) for order in orders if order.host == "db1"][:2] == [Tell, KillHost]
    assert KillHost("db1", pings=True) in orders


def test_an_error_answer_leaves_the_role_where_it_may_be_and_is_tried_again() -> None:
    dead = with_host(world(), "db1", checks=checks(mysql=NOW))
    after, orders = settle(dead, answers={"db1": Answer.ERROR})
    assert not any(isinstance(order, KillHost) for order in orders)
    assert not any(WRITER in status.vips for status in tells(orders).values())
    assert after.hosts["db1"].agent.refusal
    assert "db1" in tells(take_turn(after, NOW + HEARTBEAT)[1])


def test_an_agent_that_does_not_answer_is_unreachable_until_it_does() -> None:
    after, _ = settle(world(), NOW + HEARTBEAT, {"db3": Answer.SILENT})
    assert after.hosts["db3"].agent.unreachable
    after, orders = settle(after, NOW + 2 * HEARTBEAT)
    assert not after.hosts["db3"].agent.unreachable
    assert next(order for order in orders if order.host == "db3" and isinstance(order, Tell)).clear


def test_the_answer_to_an_older_order_counts_for_nothing() -> None:
    before, orders = take_turn(world(), NOW + HEARTBEAT)
    late = Answered("db1", orders[0].number - 1 if isinstance(orders[0], Tell) else 0, Answer.SILENT)
    assert apply(before, late, NOW) is before


def test_nothing_is_sent_in_passive_mode_without_network_or_to_a_host_that_nothing_reaches() -> None:
    assert take_turn(world(mode=Mode.PASSIVE), NOW + 99)[1] == ()
    without_network = replace(world({}), network_up=False)
    assert take_turn(without_network, NOW + 99) == (without_network, ())
    silent = with_host(
        world(states={"db3": State.ADMIN_OFFLINE}, owner={WRITER: "db1"}),
        "db3",
        checks=checks(ping=0.0, mysql=0.0),
    )
    assert "db3" not in tells(take_turn(silent, NOW + 99)[1])


def test_leaving_passive_mode_tells_everybody_and_clears_what_is_bound_unasked() -> None:
    after = command(world(mode=Mode.PASSIVE), "set_active")
    _, orders = take_turn(after)
    assert {order.host for order in orders if isinstance(order, Tell) and order.clear} == {
        "db1",
        "db2",
        "db3",
    }


ANSWERS = st.sampled_from(list(Answer))
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("check"),
            st.sampled_from(["db1", "db2", "db3"]),
            st.sampled_from(["ping", "mysql", "ping mysql", ""]),
        ),
        st.tuples(st.just("answer"), st.integers(0, 5), ANSWERS),
        st.tuples(
            st.just("admin"), st.sampled_from(["db1", "db2"]), st.sampled_from(["move", "online", "offline"])
        ),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 70.0]), st.none()),
    ),
    max_size=60,
)


@given(EVENTS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_vip_is_ever_ordered_to_a_host_while_another_may_hold_it(
    events: list[tuple[str, object, object]],
    gtid: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    conf = cluster(auto_set_online=10.0)
    now, after = NOW, world(conf=conf)
    after = after if gtid else with_file_positions(after)
    bound: dict[str, set[Vip]] = {name: set(host.agent.may_hold) for name, host in after.hosts.items()}
    pending: list[Order] = []
    for kind, first, second in events:
        if kind == "wait":
            now += float(str(first))
        elif kind == "check":
            found = dict.fromkeys(str(second).split(), now)
            after = with_host(after, str(first), checks=checks(**found))
        elif kind == "admin":
            text = {
                "move": f"move_role writer {first}",
                "online": f"set_online {first}",
                "offline": f"set_offline {first}",
            }
            result = commanding.run(after, text[str(second)].split(), now, pinged=True)
            assert result is not None
            after = result.world
        elif pending:
            order = pending.pop(int(str(first)) % len(pending))
            after = _carried_out(after, order, Answer(str(second)), bound, now)
            if isinstance(order, KillHost):  # what was under way to it reaches it no more
                pending = [other for other in pending if other.host != order.host]
        after, orders = take_turn(after, now)
        pending += orders
        for order in orders:
            if isinstance(order, Tell):
                for vip in order.status.vips:
                    others = {name for name, vips in bound.items() if vip in vips and name != order.host}
                    assert not others, (order, bound)


def _carried_out(after: World, order: Order, how: Answer, bound: dict[str, set[Vip]], now: float) -> World:
    """The host does what it is told when it answers OK, perhaps when it does not answer, and dies when killed."""
    if isinstance(order, KillHost):
        bound[order.host].clear()
        return apply(after, Killed(order.host), now)
    assert isinstance(order, Tell)
    if how is Answer.OK:
        bound[order.host] = set(order.status.vips)
    elif how is Answer.SILENT:
        bound[order.host] |= set(order.status.vips)
    return answer(after, order, how, "ERROR: no", now)


def test_the_reader_of_a_dead_host_moves_too() -> None:
    after, _ = settle(with_host(world(), "db1", checks=checks(mysql=NOW)))
    assert after.owner[READER1] in ("db2", "db3")


def refuses_to_follow(bound: frozenset[str]) -> World:
    """The world in which db3 cannot follow, so that its reader went elsewhere; its agent says what is bound there."""
    after = world({WRITER: "db1", READER1: "db3"}, conf=cluster(readers=1))
    why = "db3 refuses to follow db1: it has transactions that db1 lacks"
    after, now = with_agent(after, "db3", refuses_to_follow=why), NOW
    for _ in range(4):
        after, orders = take_turn(after, now)
        for order in (each for each in orders if isinstance(each, Tell)):
            said = Answered(order.host, order.number, Answer.OK, "", 501.0, "b.1")
            if order.host == "db3":
                said = replace(said, answer=Answer.ERROR, refuses_to_follow=why, bound=bound)
            after = apply(after, said, now)
    assert after.hosts["db3"].state is State.REPLICATION_FAIL
    return after


def when_restarted(before: World) -> list[Order]:
    """Return what is ordered once an order meets the closed port of the agent of db3, which is restarted."""
    later = NOW + 4 * HEARTBEAT
    after, orders = take_turn(before, later)
    for order in (each for each in orders if isinstance(each, Tell)):
        closed = Answered(order.host, order.number, Answer.REFUSED, "no connection", closed=True)
        after = apply(after, closed, later) if order.host == "db3" else answer(after, order, now=later)
    return list(take_turn(after, later)[1])


def test_a_host_that_has_said_that_it_holds_nothing_is_not_killed_when_its_agent_is_restarted() -> None:
    """It answered ERROR to each order for as long as it could not follow."""
    assert not any(isinstance(order, KillHost) for order in when_restarted(refuses_to_follow(frozenset())))


def test_one_that_still_has_the_vip_of_another_is() -> None:
    bound = refuses_to_follow(frozenset({READER1.ip}))
    assert KillHost("db3", pings=True) in when_restarted(bound)


def test_a_host_that_did_all_but_take_the_role_that_it_refuses_need_not_be_killed() -> None:
    """Its agent says so in an ERROR without what is bound."""
    owed = with_agent(told_at(world({WRITER: "db1"}), "db3", None), "db3", kill=Kill(KillStep.OWED))
    after, orders = take_turn(owed)
    order = next(each for each in orders if isinstance(each, Tell) and each.host == "db3")
    said = Answered("db3", order.number, Answer.ERROR, "ERROR", 501.0, "b.1", without=True)
    assert apply(after, said, NOW).hosts["db3"].agent.kill.step is KillStep.NONE
    unknown = apply(after, replace(said, without=False), NOW)
    assert unknown.hosts["db3"].agent.kill.step is KillStep.OWED, "it does not say what it has"
