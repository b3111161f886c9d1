from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mmm.config.model import Vip
from mmm.monitor.decide import roles
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Move
from mmm.monitor.world.world import Mode, World
from tests.unit.worlds import (
    READER1,
    READER2,
    READER3,
    WRITER,
    cluster,
    unreachable,
    with_agent,
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
