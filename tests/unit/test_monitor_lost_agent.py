"""A writer whose agent is dead while its server works: nobody can write once its lease is over (rule 11.1)."""

from dataclasses import replace
from typing import Any

import pytest

from mmm.lease.rules import margin
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import lost_agent
from mmm.monitor.world.events import Answer, Opinions
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import AskOthers, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import PROBE_STOP
from tests.unit.test_monitor_leases import CONF, LENGTH, answered, quiet, rest, without_agent
from tests.unit.worlds import (
    NOW,
    WRITER,
    checks,
    show,
    take_turn,
    told_at,
    with_host,
)

OVER = NOW + 3.0 + LENGTH + margin(LENGTH)
"""When the lease of db1 is over."""
MOVES = OVER + 10.0


def lost(**monitor: Any) -> World:
    before = without_agent(quiet(), NOW + 6.0)
    assert CONF.monitor is not None
    return replace(before, conf=replace(CONF, monitor=replace(CONF.monitor, **monitor)))


def run(before: World, now: float, *, met: tuple[str, ...] = (), turns: int = 6) -> tuple[World, list[Tell]]:
    """Take turns; the agent of db1 is away, db2 says of it that it is not answered unless it is among `met`."""
    told: list[Tell] = []
    for _ in range(turns):
        before, orders = take_turn(before, now)
        for order in orders:
            if isinstance(order, AskOthers):
                before = apply(before, Opinions(order.host, order.others, order.others, met), now)
            elif isinstance(order, Tell):
                told.append(order)
                before = answered(before, order, Answer.REFUSED if order.host == "db1" else Answer.OK, now)
    return before, told


def writers(told: list[Tell]) -> set[str]:
    return {order.host for order in told if WRITER in order.status.vips and not order.greet}


def test_the_role_goes_to_another_host_some_time_after_the_lease_is_over() -> None:
    before, told = run(lost(), MOVES - 1.0)
    assert before.owner[WRITER] == "db1"
    after, told = run(before, MOVES + 2.0)
    assert after.owner[WRITER] == "db2"
    assert after.hosts["db2"].agent.may_hold == {WRITER}
    (taken,) = (
        order for order in told if order.host == "db2" and WRITER in order.status.vips and not order.greet
    )
    assert taken.status.probe == PROBE_STOP, "it asks on the wire first"
    assert after.loss is None, "its server can be asked for all it has"


@pytest.mark.parametrize(
    ("before", "met"),
    [
        (lost(), ("db2",)),
        (lost(agent_failover=0.0), ()),
        (replace(lost(), mode=Mode.MANUAL), ()),
        (replace(lost(failover_block=60.0), failed_over=MOVES), ()),
        (with_host(lost(), "db2", state=State.AWAITING_RECOVERY), ()),
        (lost(split_brain_guard=False), ()),
    ],
    ids=["another reaches it", "switched off", "manual", "blocked", "nobody can take it", "no guard"],
)
def test_the_role_stays_where_its_agent_may_live_or_it_may_not_move(
    before: World, met: tuple[str, ...]
) -> None:
    before, _ = run(before, MOVES - 1.0, met=met)
    after, told = run(before, MOVES + 2.0, met=met)
    assert after.owner[WRITER] == "db1"
    assert writers(told) <= {"db1"}


def test_others_are_asked_about_the_agent_only_once_the_lease_is_over() -> None:
    _, orders = take_turn(lost(), OVER - 0.5)
    assert not any(isinstance(order, AskOthers) for order in orders)
    _, orders = take_turn(lost(), OVER + 0.1)
    assert [order for order in orders if isinstance(order, AskOthers)] == [AskOthers("db1", ("db2",))]


def test_an_agent_that_returns_before_is_given_the_role_again() -> None:
    before, _ = run(lost(), OVER + 1.0)
    after, told = rest(told_at(before, "db1", None), OVER + 4.0)
    assert writers(told) == {"db1"}
    assert after.hosts["db1"].agent.given.until == OVER + 4.0 + LENGTH


def test_an_agent_that_returns_when_no_other_host_could_take_the_role_is_given_it_again() -> None:
    alone = with_host(lost(), "db2", state=State.AWAITING_RECOVERY, checks=checks(rep_threads=NOW))
    before, _ = run(alone, MOVES + 100.0)
    _, told = rest(told_at(before, "db1", None), MOVES + 103.0)
    assert "db1" in writers(told)


@pytest.mark.parametrize(
    ("before", "end"),
    [
        (lost(), "Start it; otherwise it goes to another host in 6 s"),
        (lost(agent_failover=0.0), "Start it; otherwise it stays there (agent_failover is 0)"),
        (
            with_host(lost(), "db2", state=State.AWAITING_RECOVERY),
            "Start it; otherwise no other host can take it",
        ),
    ],
)
def test_show_says_that_nobody_has_the_vip_and_when_it_moves(before: World, end: str) -> None:
    before, _ = run(before, OVER + 1.0)
    said = f"nobody holds {WRITER}: the lease of db1 has run out and its agent does not answer. {end}"
    assert f"# Warning: {said}\n" in show(before, OVER + 4.0)
    assert lost_agent.without_agent(before, OVER - 1.0) is None
