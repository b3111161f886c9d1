"""What keeps a turn short with many hosts: what is asked once, and turns that nothing calls for."""

import pytest

from mmm.monitor.events import Answer, Answered, CheckResult, apply, only_heartbeat
from mmm.monitor.tell import HEARTBEAT
from mmm.monitor.world import Outcome, World
from mmm.wire.agent import Status
from tests.unit.worlds import NOW, settle, take_turn, world


def told_again() -> World:
    """Return the world in which every host is told again what it knows."""
    return take_turn(settle(world())[0], NOW + HEARTBEAT)[0]


def test_a_heartbeat_that_is_confirmed_calls_for_no_turn() -> None:
    before = told_again()
    event = Answered("db2", before.hosts["db2"].agent.order, Answer.OK, "OK", 600.0, "boot.1")
    after = apply(before, event, NOW + HEARTBEAT)
    assert after.hosts["db2"].agent.sent is None
    assert only_heartbeat(before, after, event)


@pytest.mark.parametrize("answer", [Answer.ERROR, Answer.REFUSED, Answer.SILENT])
def test_one_that_is_not_confirmed_does(answer: Answer) -> None:
    before = told_again()
    event = Answered("db2", before.hosts["db2"].agent.order, answer, "ERROR: no", None)
    assert not only_heartbeat(before, apply(before, event, NOW + HEARTBEAT), event)


def test_so_do_news_a_host_that_answers_again_and_everything_else() -> None:
    before = told_again()
    number = before.hosts["db2"].agent.order
    event = Answered("db2", number, Answer.OK, "OK", 600.0)
    unreachable = before.with_agent("db2", unreachable=True)
    assert not only_heartbeat(unreachable, apply(unreachable, event, NOW), event)
    other = before.with_agent("db2", told=Status("X"))
    assert not only_heartbeat(other, apply(other, event, NOW), event)
    check = CheckResult("db2", "mysql", Outcome.ERROR, "ERROR: no")
    assert not only_heartbeat(before, apply(before, check, NOW), check)


def test_the_vips_of_all_hosts_are_those_of_each() -> None:
    here = world()
    assert here.assigned() == {name: here.vips_of(name) for name in here.hosts}
