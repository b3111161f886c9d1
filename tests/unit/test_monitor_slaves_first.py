"""Slaves leave the old active master before the new one takes writes, above all those with an agent of MMM 2.x."""

from dataclasses import replace

import pytest

from mmm.gtid.transactions import Transactions
from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess.slaves_first import SLAVES_FIRST
from mmm.monitor.decide.move.phases import TELL_LIMIT
from mmm.monitor.world.check_results import Look, Replica, ReplicaChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.events import Answer
from mmm.monitor.world.host import State, Switched
from mmm.monitor.world.link import (
    Kind,
)
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from tests import commanding
from tests.unit.worlds import (
    NOW,
    WRITER,
    answer,
    checks,
    finds,
    settle,
    show,
    take_turn,
    with_agent,
    with_host,
    world,
)

LATER = NOW + 25.0


def classic(*, gtid: bool = True) -> World:
    """A quiet cluster whose agents are all of MMM 2.x."""
    quiet = world()
    for name in quiet.hosts:
        quiet = with_agent(
            with_host(quiet, name, uses_gtid=gtid, switched=Switched("db1", 0.0)),
            name,
            kind=Kind.MMM2,
        )
    return quiet


def let_go(moving: World) -> tuple[World, dict[str, Tell]]:
    """Return the world after db1 has let the writer go, and who is told what next."""
    moving, orders = take_turn(moving)
    for order in orders:
        moving = answer(moving, order)
    moving, orders = take_turn(moving)
    return moving, {order.host: order for order in orders if isinstance(order, Tell)}


def ordered_to_move(before: World) -> World:
    result = commanding.run(before, ["move_role", "writer", "db2"], NOW, pinged=True)
    assert result is not None
    assert result.text.startswith("OK"), result.text
    return result.world


def writes(moving: World, name: str) -> bool:
    return WRITER in moving.hosts[name].agent.may_hold


@pytest.mark.parametrize("gtid", [True, False])
@pytest.mark.parametrize("planned", [True, False])
def test_the_new_writer_waits_until_a_slave_of_mmm_2_has_left_the_old_one(
    *, gtid: bool, planned: bool
) -> None:
    before = classic(gtid=gtid)
    before = ordered_to_move(before) if planned else with_host(before, "db1", checks=checks(mysql=NOW))
    moving, told = let_go(before)
    assert told["db3"].status.master == "db2"
    assert not writes(moving, "db2")
    for moment in (NOW + SLAVES_FIRST, NOW + TELL_LIMIT + 1, LATER):
        moving, orders = take_turn(moving, moment)
        assert not writes(moving, "db2")
        assert moving.owner[WRITER] == "db2"
        for order in orders:
            moving = answer(moving, order, now=moment)
    moving, _ = settle(answer(moving, told["db3"], now=LATER), LATER)
    assert writes(moving, "db2")
    assert not moving.hosts["db3"].replication.skipped_at


def test_a_slave_of_mmm_2_that_does_not_answer_is_given_up_and_said_to_lack_rows_once_it_does() -> None:
    moving, told = let_go(ordered_to_move(classic()))
    moving, orders = take_turn(moving, LATER)
    for order in orders:
        moving = answer(moving, order, now=LATER)
    moving = answer(moving, told["db3"], Answer.SILENT, "nothing came within 30 s", LATER)
    moving, _ = settle(moving, LATER)
    assert writes(moving, "db2")
    moving, _ = settle(moving, LATER + HEARTBEAT)
    assert moving.hosts["db3"].replication.skipped_at == "db2"
    assert "host db3 may lack rows" in show(moving)


def test_a_slave_of_mmm_2_that_comes_back_after_a_move_is_said_to_lack_rows_until_the_admin_takes_it() -> (
    None
):
    had = Transactions(NOW, source_ip="10.0.0.1")
    away = with_host(classic(), "db3", state=State.ADMIN_OFFLINE, transactions=had)
    moved, _ = settle(ordered_to_move(away))
    assert writes(moved, "db2")
    assert "lack rows" not in show(moved)
    online = commanding.run(moved, ["set_online", "db3"], LATER, pinged=True)
    assert online is not None
    back, _ = settle(online.world, LATER)
    assert "host db3 may lack rows" in show(back)
    back = with_host(back, "db3", transactions=replace(had, seen=LATER + 1, source_ip="10.0.0.2"))
    offline = commanding.run(back, ["set_offline", "db3"], LATER, pinged=True)
    assert offline is not None
    back, _ = settle(offline.world, LATER)
    online = commanding.run(back, ["set_online", "db3"], LATER, pinged=True)
    assert online is not None
    back, _ = settle(online.world, LATER)
    assert "lack rows" not in show(back)


def test_a_slave_of_mmm_2_that_is_behind_keeps_a_planned_move_from_beginning() -> None:
    late = ReplicaChecked(
        "db3",
        "rep_backlog",
        finds(Outcome.OK, "6 s behind"),
        Look(Replica("10.0.0.1", uses_gtid=True, behind=6)),
    )
    before = apply(classic(), late, NOW)
    result = commanding.run(before, ["move_role", "writer", "db2"], NOW, pinged=True)
    assert result is not None
    assert result.text.startswith("ERROR: writer is not moved to db2: db3 is 6 s behind")
    ours = apply(world(), late, NOW)
    assert ordered_to_move(ours).owner[WRITER] == "db2"


def test_a_slave_of_ours_is_waited_for_as_long_as_before() -> None:
    before = with_host(world(), "db3", uses_gtid=False)
    moving, _ = let_go(ordered_to_move(before))
    assert not writes(moving, "db2")
    moving, _ = take_turn(moving, NOW + SLAVES_FIRST)
    assert writes(moving, "db2")
    moving, _ = let_go(ordered_to_move(world()))
    assert writes(moving, "db2")
