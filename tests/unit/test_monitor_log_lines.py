"""What the monitor says of events between two worlds, apart from changes of state."""

import logging

from mmm.monitor.apply.apply import apply
from mmm.monitor.report.log_lines import between
from mmm.monitor.world.check_results import PingChecked, ServerChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.events import Answer, Answered, Network
from mmm.monitor.world.world import World
from mmm.wire.agent import NO_LEASE
from tests.unit.worlds import NOW, cluster, finds, take_turn, world


def failing() -> World:
    return apply(world(), PingChecked("db1", finds(Outcome.ERROR, "no answer")), NOW)


def test_a_check_that_begins_to_fail_and_is_good_again_is_said_once_each() -> None:
    begun = failing()
    assert [line for _, line in between(world(), begun)] == ["db1: ping begins to fail: ERROR: no answer"]
    again = apply(begun, PingChecked("db1", finds(Outcome.ERROR, "no answer")), NOW + 1)
    assert list(between(begun, again)) == []
    good = apply(again, PingChecked("db1", finds(Outcome.OK)), NOW + 2)
    assert [line for _, line in between(again, good)] == ["db1: ping is good again: OK"]


def test_a_lost_network_is_all_that_is_said_of_checks_that_begin_to_fail() -> None:
    begun = failing()
    (line,) = (line for _, line in between(begun, apply(begun, Network(up=False), NOW + 1)))
    assert line.startswith("network: none of the ping_ips answers")


def test_a_server_that_turns_the_monitor_away_is_said_loudly_once_and_its_end_too() -> None:
    denied = ServerChecked("db1", finds(Outcome.UNKNOWN, "denied; check the password"))
    blind = apply(world(), denied, NOW)
    assert list(between(world(), blind)) == [
        (logging.ERROR, "db1: mysql unknown: denied; check the password")
    ]
    assert list(between(blind, apply(blind, denied, NOW + 1))) == []
    good = apply(blind, ServerChecked("db1", finds(Outcome.OK)), NOW + 2)
    assert list(between(blind, good)) == [(logging.INFO, "db1: mysql is known again: OK")]


def test_an_agent_of_mmm_2_is_named_once_with_what_it_means_and_ours_is_not() -> None:
    guarded = world(conf=cluster(split_brain_guard=True))
    told, _ = take_turn(guarded, NOW + 99)

    def heard(before: World, token: str) -> World:
        number = before.hosts["db3"].agent.orders.number
        return apply(before, Answered("db3", number, Answer.OK, "OK", 5000.0, token), NOW + 99)

    for ours in ("b.1", NO_LEASE):
        assert not [line for _, line in between(told, heard(told, ours)) if "MMM 2.x" in line]
    level, line = next(said for said in between(told, heard(told, "")) if "MMM 2.x" in said[1])
    assert level == logging.WARNING
    assert line.startswith("db3: its agent is one of MMM 2.x")
    assert "confirm_dead db3" in line
    again, _ = take_turn(heard(told, ""), NOW + 199)
    assert not [line for _, line in between(again, heard(again, "")) if "MMM 2.x" in line]
