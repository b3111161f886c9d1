"""What a command comes to where the mode, a host or who leads has changed while it was asking (rule 5)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mmm.monitor.command import command_result
from mmm.monitor.command.asking import Answered, Ask, Heard, LookAt, MoveEnds, OrderRejoin, Ping
from mmm.monitor.command.command_result import Awaited, Result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.preflight import Looked
from mmm.monitor.world.host import State
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.world import Mode, World
from mmm.wire.rejoin import Came
from tests import commanding
from tests.unit.worlds import (
    NOW,
    READER1,
    READER2,
    WRITER,
    because,
    checks,
    cluster,
    settle,
    take_turn,
    with_host,
    world,
)

BEGUN = Answered(Came(begun=True, lines=("db2: rejoins db1",), codes=()))


def run(before: World, words: str) -> Result:
    result = commanding.run(before, words.split(), NOW)
    assert result is not None
    return result


def meanwhile(before: World, words: str, at: type[Ask], change: Callable[[World], World]) -> Result:
    """Return what a command comes to where the world changes while it asks that; all else is good."""
    command = ordered(words.split())
    assert command is not None
    asking, seen = command(before, NOW), before
    try:
        ask = next(asking)
        while True:
            seen = change(seen) if isinstance(ask, at) else seen
            ask = asking.send(Heard(seen, NOW + 1, pinged=True, looked=Looked(), rejoin=BEGUN))
    except StopIteration as ended:
        result: Result = ended.value
        return result


def passive(before: World) -> World:
    return run(before, "set_passive").world


LATE = with_host(world(), "db2", checks=checks(rep_backlog=1.0))


@pytest.mark.parametrize("at", [Ping, LookAt])
@pytest.mark.parametrize(
    ("before", "words"),
    [
        (world(), "move_role writer db2"),
        (world(), "move_role --dry-run writer db2"),
        (LATE, "move_role --force writer db2"),
        (with_host(LATE, "db2", state=State.REPLICATION_DELAY), "move_role --force writer db2"),
    ],
)
def test_a_move_is_not_begun_in_passive_mode_that_began_while_it_was_looked_at(
    before: World, words: str, at: type[Ask]
) -> None:
    """It would wait for an answer in vain, and set_active would carry it out, hours later."""
    result = meanwhile(before, words, at, passive)
    assert "Not possible in passive mode" in result.text
    assert (result.world.mode, result.world.move, result.world.forced) == (Mode.PASSIVE, None, None)
    assert (result.world.owner[WRITER], result.awaits) == ("db1", None)
    active = run(result.world, "set_active").world
    assert settle(active)[0].owner[WRITER] == "db1"


def test_a_move_goes_by_the_mode_that_it_meets_at_last() -> None:
    before = world(conf=cluster(prefer="db1"), mode=Mode.MANUAL)
    result = meanwhile(before, "move_role writer db2", LookAt, lambda seen: run(seen, "set_active").world)
    assert result.text.startswith("ERROR: Role 'writer' is on its preferred host")


@pytest.mark.parametrize(
    ("words", "state", "by_then", "said"),
    [
        ("set_online db2", State.AWAITING_RECOVERY, State.ONLINE, "OK: This host is already ONLINE"),
        ("set_offline db2", State.ONLINE, State.ADMIN_OFFLINE, "OK: This host is already ADMIN_OFFLINE"),
        ("set_offline db2", State.ONLINE, State.HARD_OFFLINE, "ERROR: Host 'db2' is HARD_OFFLINE"),
    ],
)
def test_what_has_come_meanwhile_is_no_error(words: str, state: State, by_then: State, said: str) -> None:
    entered = {"state": by_then, "why": because("meanwhile")}
    before = world(states={"db2": state})
    result = meanwhile(before, words, Ping, lambda seen: with_host(seen, "db2", **entered))
    assert result.text.startswith(said)
    assert result.awaits is None


@pytest.mark.parametrize("words", ["set_offline db2", "set_online db2", "move_role writer db2"])
def test_a_command_that_waits_is_answered_when_passive_mode_begins(words: str) -> None:
    """Nothing is sent in it: the command waited for 40 s."""
    state = State.ADMIN_OFFLINE if words.startswith("set_online") else State.ONLINE
    result = run(world(states={"db2": state}), words)
    assert result.awaits is not None
    assert command_result.outcome(result.world, result.awaits) is None
    answer = command_result.outcome(passive(result.world), result.awaits)
    assert str(answer) == (
        "ERROR: ordered, and will be done once the mode changes: nothing is sent in passive mode"
    )


def test_what_an_agent_is_doing_when_passive_mode_begins_is_waited_for() -> None:
    result = run(world(), "set_offline db2")
    assert isinstance(result.awaits, Awaited)
    under_way = passive(take_turn(result.world)[0])
    assert under_way.hosts["db2"].agent.in_flight is not None
    assert command_result.outcome(under_way, result.awaits) is None


def test_passive_mode_waits_for_the_end_of_a_forced_move_too() -> None:
    forced = run(LATE, "move_role --force writer db2").world
    asks, result = commanding.asked(forced, ["set_passive"], NOW)
    assert asks == [MoveEnds()]
    assert result is not None
    assert "though db2 has not taken writer yet: nobody may have it" in result.text
    done = settle(forced)[0]
    assert not done.moves_by_order
    assert commanding.asked(done, ["set_passive"], NOW)[0] == []


def served_in_manual_mode(writer: str = "db1") -> World:
    """The world in which db2 has failed, and keeps its VIPs: the mode is manual."""
    held = {WRITER: writer, READER1: "db2", READER2: "db1"}
    states = {"db2": State.AWAITING_RECOVERY}
    return world(held, states, cluster(readers=2), mode=Mode.MANUAL)


def test_a_host_that_is_rebuilt_and_stays_offline_has_no_vips() -> None:
    result = run_rejoin(served_in_manual_mode())
    assert result.text.startswith("OK: db2: rejoins db1. 'db2' stays ADMIN_OFFLINE afterwards")
    assert result.world.hosts["db2"].state is State.ADMIN_OFFLINE
    assert not result.world.vips_of("db2")
    assert result.world.vips_of("db1") == {WRITER, READER2}
    after, orders = settle(result.world)
    assert any(order.host == "db2" for order in orders)
    assert not after.hosts["db2"].agent.may_hold


def run_rejoin(before: World, change: Callable[[World], World] = lambda seen: seen) -> Result:
    return meanwhile(before, "rejoin --stay-offline db2", OrderRejoin, change)


def test_who_has_become_active_master_while_its_rebuild_was_ordered_keeps_the_role() -> None:
    result = run_rejoin(served_in_manual_mode(), lambda seen: seen.with_owner({WRITER: "db2"}))
    assert result.world.vips_of("db2") == {WRITER}


def test_a_monitor_that_leads_no_more_says_that_the_host_does_not_stay_offline() -> None:
    stands_by = Leadership(Place.STANDS_BY, leader="10.0.0.6")
    result = run_rejoin(served_in_manual_mode(), lambda seen: replace(seen, leadership=stands_by))
    assert result.text == (
        "OK: db2: rejoins db1. It does not stay ADMIN_OFFLINE: 10.0.0.6 leads since;"
        " order 'mmm_control set_offline db2' there once it is ONLINE."
    )
    assert result.world.hosts["db2"].state is State.AWAITING_RECOVERY
