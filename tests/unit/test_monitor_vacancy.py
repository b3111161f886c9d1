"""Why nobody has the writer role is a value, and `show` has it in every case."""

from dataclasses import replace

import pytest

from mmm.monitor.decide.turn import turn
from mmm.monitor.decide.vacancy import Reason, vacancy
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Hold
from mmm.monitor.world.world import Mode, World
from tests.unit.worlds import (
    NOW,
    READER1,
    cluster,
    show,
    unreachable,
    with_agent,
    with_host,
    world,
)

GUARDED = cluster(split_brain_guard=True)
HARD, ADMIN, AWAITING = State.HARD_OFFLINE, State.ADMIN_OFFLINE, State.AWAITING_RECOVERY


def empty(db1: State = HARD, db2: State = HARD) -> World:
    return replace(world({READER1: "db3"}, {"db1": db1, "db2": db2}, GUARDED), last_writer="db2")


NEVER_USED = with_host(with_host(empty(AWAITING, AWAITING), "db1", used=False), "db2", used=False)
CASES = [
    (replace(empty(), network_up=False), Reason.NETWORK_DOWN, "the monitor is cut off"),
    (replace(empty(HARD, ADMIN), hold=Hold("db1", 40)), Reason.BLOCKED, "failover of writer is blocked"),
    (
        NEVER_USED,
        Reason.FIRST_START,
        "this is a first start, db1 is AWAITING_RECOVERY, db2 is AWAITING_RECOVERY",
    ),
    (empty(), Reason.NO_HOST, "db1 is HARD_OFFLINE, db2 is HARD_OFFLINE"),
    (empty(HARD, ADMIN), Reason.NO_HOST, "db2 is ADMIN_OFFLINE: 'mmm_control set_online db2'"),
    (
        empty(AWAITING, AWAITING),
        Reason.NO_HOST,
        "'mmm_control set_online db2', or see 'mmm_control explain db2'",
    ),
    (
        with_agent(empty(State.ONLINE), "db1", told=None),
        Reason.SOON,
        "db1 is ONLINE but has not confirmed it",
    ),
    (
        unreachable(empty(State.ONLINE), "db1"),
        Reason.NO_HOST,
        "db1 is ONLINE but its agent cannot be reached",
    ),
]


@pytest.mark.parametrize(("nobody", "code", "text"), CASES)
def test_show_says_in_every_case_why_nobody_is_writer(nobody: World, code: Reason, text: str) -> None:
    found = vacancy(nobody)
    assert found is not None
    assert found.code is code
    assert text in str(found)
    if code is not Reason.NETWORK_DOWN:  # which is said itself
        assert f"# Warning: no host holds writer: {found}" in show(nobody)


def test_nothing_is_said_while_the_role_is_held_and_in_passive_mode() -> None:
    assert vacancy(world(conf=GUARDED)) is None
    assert vacancy(world({}, mode=Mode.PASSIVE, conf=GUARDED)) is None


def test_the_log_has_it_once_and_not_while_a_host_is_about_to_get_the_role() -> None:
    first = turn(empty(), NOW)
    assert "no host holds writer: db1 is AWAITING_RECOVERY" in "".join(map(str, first.changes))
    assert "no host holds" not in "".join(map(str, turn(first.world, NOW + 1).changes))
    soon = turn(with_agent(empty(State.ONLINE), "db1", told=None), NOW)
    assert "no host holds" not in "".join(map(str, soon.changes))
