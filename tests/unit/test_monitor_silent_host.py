"""A host without an end of its lease that answers no ARP: with dead_when_silent it counts as off (rule 11.1)."""

from dataclasses import replace

import pytest

from mmm.lease.rules import FOREVER, NOTHING, Outstanding, margin
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.command_result import Awaited
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.events import Killed, VipLooked
from mmm.monitor.world.link import (
    Kind,
)
from mmm.monitor.world.orders import KillHost, LookForVip
from mmm.monitor.world.world import World
from tests.unit.test_monitor_confirm_dead import BEGUN, endless
from tests.unit.test_monitor_leases import CONF, LENGTH, cut_off
from tests.unit.worlds import (
    WRITER,
    checks,
    show,
    take_turn,
    unreachable,
    with_agent,
    with_host,
)

LOOK = LookForVip("db1", WRITER, ("db2",))
LONG = LENGTH + margin(LENGTH)


def allowed(before: World, *, on: bool = True) -> World:
    assert CONF.monitor is not None
    return replace(before, conf=replace(CONF, monitor=replace(CONF.monitor, dead_when_silent=on)))


def silent() -> World:
    return allowed(endless())


def looks(before: World, now: float) -> list[LookForVip]:
    return [order for order in take_turn(before, now)[1] if isinstance(order, LookForVip)]


def looked(before: World, moments: range, *, answers_at: tuple[int, ...] = ()) -> World:
    for second in moments:
        before, orders = take_turn(before, BEGUN + second)
        assert [order for order in orders if isinstance(order, LookForVip)] == [LOOK], second
        if any(isinstance(order, KillHost) for order in orders):
            before = apply(before, Killed("db1", "no such program"), BEGUN + second)
        absent = second not in answers_at
        before = apply(before, VipLooked("db1", WRITER, absent=absent), BEGUN + second + 1.5)
    return before


def test_a_host_that_answers_nobody_for_as_long_as_a_lease_lasts_counts_as_off() -> None:
    before = looked(silent(), range(0, 12, 3))
    assert before.hosts["db1"].agent.may_hold == {WRITER}
    after = looked(before, range(12, 15, 3))
    link = after.hosts["db1"].agent
    assert (link.may_hold, link.given) == (frozenset(), NOTHING)
    assert after.unsure == {WRITER}, "who is to have it asks on the wire first"


@pytest.mark.parametrize("answers_at", [0, 6, 12])
def test_one_answer_begins_it_anew(answers_at: int) -> None:
    before = looked(silent(), range(0, 15, 3), answers_at=(answers_at,))
    assert before.hosts["db1"].agent.may_hold == {WRITER}


def test_looks_with_a_gap_between_begin_anew() -> None:
    before = looked(silent(), range(0, 9, 3))
    before = looked(before, range(60, 70, 3))
    assert before.hosts["db1"].agent.may_hold == {WRITER}


@pytest.mark.parametrize(
    "before",
    [
        allowed(endless(), on=False),
        with_agent(silent(), "db1", kind=Kind.UNLEASED),
        with_agent(silent(), "db1", given=Outstanding(BEGUN + LENGTH, BEGUN + LENGTH)),
        with_agent(silent(), "db2", kind=Kind.UNLEASED),
        unreachable(silent(), "db2"),
        cut_off(silent(), "db2", BEGUN),
        with_host(silent(), "db1", checks={**checks(mysql=BEGUN)}),
    ],
    ids=["off", "Perl agent", "its lease ends", "Perl witness", "no witness", "witness silent", "it pings"],
)
def test_it_is_not_looked_for_where_that_would_prove_nothing(before: World) -> None:
    assert looks(before, BEGUN + 1) == []


def test_show_says_since_when_and_a_move_waits_for_it() -> None:
    before = looked(silent(), range(0, 6, 3))
    text = show(before, BEGUN + 6.5)
    assert (
        "its lease has no end; nothing has answered for it for 5 s, and after 11 s it counts as off. The wait ends"
        in text
    )
    assert before.hosts["db1"].agent.given.until == FOREVER
    assert command_result.outcome(before, Awaited("db2", Verdict("moved"), WRITER, "db1")) is None
