from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mmm.config.model import Role, Vip
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide import roles
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.host import State
from mmm.monitor.world.link import Kind
from mmm.monitor.world.move import Move
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from tests import commanding
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    READER3,
    WRITER,
    checks,
    cluster,
    show,
    take_turn,
    unreachable,
    with_agent,
    with_host,
    world,
)

READERS = (READER1, READER2, READER3)


def counts(after: World) -> Counter[str | None]:
    return Counter(after.owner[vip] for vip in READERS)


def test_an_orphaned_writer_goes_to_the_host_with_fewest_roles_then_in_conf_order() -> None:
    assert roles.assign(world({READER1: "db1", READER2: "db2", READER3: "db3"})).owner[WRITER] == "db1"
    assert roles.assign(world({READER1: "db1", READER2: "db1", READER3: "db3"})).owner[WRITER] == "db2"


def test_the_writer_goes_to_its_preferred_host_and_back_home_in_active_mode_only() -> None:
    conf = cluster(prefer="db2")
    assert roles.assign(world({}, conf=conf)).owner[WRITER] == "db2"
    assert roles.assign(world({WRITER: "db1"}, conf=conf)).owner[WRITER] == "db2"
    assert roles.assign(world({WRITER: "db1"}, conf=conf, mode=Mode.MANUAL)).owner[WRITER] == "db1"


def test_nothing_goes_to_hosts_that_are_not_online_or_unreachable_or_have_not_confirmed() -> None:
    after = roles.assign(world({}, states={"db1": State.AWAITING_RECOVERY}))
    assert after.owner[WRITER] == "db2"
    away = unreachable(world({}), "db1")
    assert roles.assign(away).owner[WRITER] == "db2"
    unconfirmed = with_agent(world({}), "db1", told=None)
    assert roles.assign(unconfirmed).owner[WRITER] == "db2"


def test_a_role_without_an_address_does_not_go_to_an_agent_of_mmm_2_which_would_bind_it() -> None:
    conf = cluster()
    role = replace(conf.roles["writer"], vip_via="health")
    conf = replace(conf, roles={**conf.roles, "writer": role})
    before = with_agent(
        world({READER1: "db2", READER2: "db2", READER3: "db3"}, conf=conf), "db1", kind=Kind.MMM2
    )
    assert roles.assign(before).owner[WRITER] == "db2"
    assert "the agent of db1 is one of MMM 2.x, which would bind the IPs of writer" in show(before)
    assert "# Role writer is reached by health, not by ARP.\n" in show(before)
    moved = commanding.run(
        with_agent(world(conf=conf), "db2", kind=Kind.MMM2), ["move_role", "writer", "db2"], NOW
    )
    assert moved is not None
    assert "knows nothing of vip_via health" in str(moved.answer)


def test_a_planned_move_ends_when_its_role_goes_elsewhere() -> None:
    refused = unreachable(with_agent(world({WRITER: "db2"}), "db2", may_hold=frozenset()), "db2")
    after = roles.assign(replace(refused, move=Move(WRITER, "db1", "db2")))
    assert (after.owner[WRITER], after.move) == ("db1", None)
    under_way = replace(world({WRITER: "db2"}), move=Move(WRITER, "db1", "db2"))
    assert roles.assign(under_way).move == under_way.move


def test_an_unreachable_agent_keeps_what_it_holds() -> None:
    after = roles.assign(unreachable(world(), "db1"))
    assert after.owner[WRITER] == "db1"
    assert after.owner[READER1] == "db1"


def test_a_role_whose_order_was_refused_goes_to_somebody_else() -> None:
    refused = unreachable(with_agent(world({WRITER: "db2"}), "db2", may_hold=frozenset()), "db2")
    assert roles.assign(refused).owner[WRITER] == "db1"


def test_readers_are_levelled_and_the_writers_host_gets_the_smaller_share() -> None:
    after = roles.assign(world({WRITER: "db1", READER1: "db1", READER2: "db1", READER3: "db1"}))
    assert counts(after) == {"db1": 1, "db2": 1, "db3": 1}
    two = world({WRITER: "db1", READER1: "db1", READER2: "db1", READER3: "db2"}, conf=cluster(slaves=0))
    assert counts(roles.assign(two)) == {"db1": 1, "db2": 2}


def test_several_balanced_roles_are_at_rest_after_one_turn() -> None:
    """The choice that a role has depends on what those behind it move: else its VIP moved again in the next turn."""
    everywhere = Role("everywhere", "balanced", ("db1", "db2", "db3"), ("10.0.0.100",))
    masters = Role("masters", "balanced", ("db1", "db2"), ("10.0.0.110", "10.0.0.111"))
    conf = cluster()
    conf = replace(conf, roles={role.name: role for role in (conf.roles["writer"], everywhere, masters)})
    once = roles.assign(world(dict.fromkeys(conf.vips, "db1"), conf=conf))
    assert roles.assign(once).owner == once.owner
    assert [once.owner[vip] for vip in conf.vips] == ["db1", "db3", "db2", "db1"]


def test_nothing_is_assigned_in_passive_mode() -> None:
    before = world({}, mode=Mode.PASSIVE)
    assert roles.assign(before) is before


@given(
    st.lists(st.sampled_from([None, "db1", "db2", "db3", "db4"]), min_size=4, max_size=4),
    st.sets(st.sampled_from(["db1", "db2", "db3", "db4"])),
)
def test_whatever_the_start_all_roles_end_placed_level_and_at_rest(
    owners: list[str | None], offline: set[str]
) -> None:
    vips: tuple[Vip, ...] = (WRITER, *READERS)
    start = {vip: None if host in offline else host for vip, host in zip(vips, owners, strict=True)}
    if start[WRITER] in ("db3", "db4"):
        start[WRITER] = None
    before = world(start, dict.fromkeys(offline, State.HARD_OFFLINE), cluster(slaves=2))
    after = roles.assign(before)
    online = [name for name in before.hosts if name not in offline]
    if online:
        spread = [counts(after)[name] for name in online]
        assert sum(spread) == len(READERS)
        assert max(spread) - min(spread) <= 1
    assert (after.owner[WRITER] is not None) == bool({"db1", "db2"} & set(online))
    assert roles.assign(after).owner == after.owner


def test_what_a_host_has_let_go_goes_elsewhere_though_the_rest_of_its_order_failed() -> None:
    """A slave that cannot follow answers ERROR for as long as it cannot."""
    out = world(states={"db3": State.REPLICATION_FAIL}, owner={WRITER: "db1", READER3: "db3"})
    out = with_host(roles.assign(out.without_roles("db3")), "db3", checks=checks(rep_threads=NOW - 20))
    for bound, gets in ((frozenset({READER3.ip}), False), (frozenset[str](), True)):
        seen, orders = take_turn(out)
        for order in (order for order in orders if isinstance(order, Tell)):
            failed = Answered(order.host, order.number, Answer.ERROR, "no", 501.0, "b.1", bound=bound)
            done = Answered(order.host, order.number, Answer.OK, "", 501.0, "b.1")
            seen = apply(seen, failed if order.host == "db3" else done, NOW)
        told = [order for order in take_turn(seen)[1] if isinstance(order, Tell)]
        given = any(READER3 in order.status.vips for order in told)
        assert given is gets
        assert (READER3 in seen.hosts["db3"].agent.may_hold) is not gets
        assert ("db3(10.0.0.3) slave/REPLICATION_FAIL. Roles: reader" in show(seen)) is not gets


def test_the_active_masters_vip_is_not_thought_gone_because_it_is_not_bound() -> None:
    """Its server may be writable: who has let go says OK."""
    out = world()
    out = with_agent(out.with_owner({WRITER: "db2"}), "db1", told=None)
    seen, orders = take_turn(out)
    (order,) = (order for order in orders if isinstance(order, Tell) and order.host == "db1")
    seen = apply(
        seen, Answered("db1", order.number, Answer.ERROR, "no", 501.0, "b.1", bound=frozenset()), NOW
    )
    assert WRITER in seen.hosts["db1"].agent.may_hold
