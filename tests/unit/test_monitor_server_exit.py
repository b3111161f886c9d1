"""What follows from the news that the process of a server has ended."""

from dataclasses import replace
from typing import Literal

import pytest

from mmm.config.model import Check
from mmm.monitor.apply.apply import apply
from mmm.monitor.report.log_lines import between
from mmm.monitor.world import checks
from mmm.monitor.world.check_results import ServerChecked
from mmm.monitor.world.checks import Cause, Outcome
from mmm.monitor.world.events import Network, ServerExited
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from tests.unit.worlds import NOW, WRITER, answer, cluster, finds, take_turn, world

TRAP = Check("mysql").trap_period
EXITED = ServerExited("db1", 4711, NOW)
REFUSED = ServerChecked("db1", finds(Outcome.ERROR, "connection refused"), cause=Cause(checks.REFUSED))
SILENT = ServerChecked("db1", finds(Outcome.ERROR, "no answer"))
GOOD = ServerChecked("db1", finds(Outcome.OK), writable=True)
UNKNOWN = ServerChecked("db1", finds(Outcome.UNKNOWN, "too many connections"))


def quiet(server_exit: Literal["trap", "failover"]) -> World:
    """A cluster in which db1 is the writer."""
    return world(conf=cluster(server_exit=server_exit))


def after(before: World, *events: ServerChecked | ServerExited | Network, now: float = NOW) -> World:
    for event in events:
        before = apply(before, event, now)
    return before


@pytest.mark.parametrize("events", [(EXITED, REFUSED), (REFUSED, EXITED), (EXITED, UNKNOWN, SILENT)], ids=str)
def test_with_failover_a_server_has_failed_as_soon_as_nothing_answers_in_its_place(
    events: tuple[ServerChecked | ServerExited, ...],
) -> None:
    assert after(quiet("failover"), *events).is_dead("db1")


@pytest.mark.parametrize("events", [(EXITED, REFUSED), (REFUSED, EXITED)], ids=str)
def test_with_trap_it_has_failed_once_the_trap_is_over(
    events: tuple[ServerChecked | ServerExited, ...],
) -> None:
    failing = after(quiet("trap"), *events)
    assert not after(failing, REFUSED, now=NOW + TRAP - 0.1).is_dead("db1")
    assert after(failing, REFUSED, now=NOW + TRAP).is_dead("db1")


@pytest.mark.parametrize(
    "events", [(EXITED,), (EXITED, UNKNOWN), (EXITED, GOOD, REFUSED), (SILENT, EXITED)], ids=str
)
def test_nothing_fails_by_news_that_are_late_or_of_a_server_that_was_started_again(
    events: tuple[ServerChecked | ServerExited, ...],
) -> None:
    failing = after(quiet("failover"), *events)
    assert not failing.is_dead("db1")
    assert take_turn(failing)[0].active_master == "db1"


def test_no_news_count_while_the_monitor_is_cut_off() -> None:
    cut_off = after(quiet("failover"), Network(up=False), EXITED, Network(up=True), REFUSED)
    assert not cut_off.is_dead("db1")


def test_no_news_are_left_of_the_time_before_the_monitor_was_cut_off() -> None:
    cut_off = after(quiet("failover"), EXITED, Network(up=False), Network(up=True), REFUSED)
    assert not cut_off.is_dead("db1")


def test_the_writer_goes_to_another_host_when_the_agent_has_let_it_go() -> None:
    before = after(quiet("failover"), EXITED, REFUSED)
    failed, orders = take_turn(before)
    assert failed.hosts["db1"].state is State.HARD_OFFLINE
    assert str(failed.hosts["db1"].why).endswith("connection refused; its process 4711 has ended")
    assert failed.active_master == "db2"
    (let_go,) = (order for order in orders if order.host == "db1")
    assert isinstance(let_go, Tell)
    assert let_go.status.vips == ()
    assert not any(isinstance(each, Tell) and WRITER in each.status.vips for each in orders)
    _, orders = take_turn(answer(failed, let_go))
    (taken,) = (each for each in orders if each.host == "db2")
    assert isinstance(taken, Tell)
    assert WRITER in taken.status.vips


def test_its_end_is_taken_to_be_the_end_of_what_it_wrote() -> None:
    known = after(quiet("failover"), EXITED, REFUSED, now=NOW + 0.01)
    assert known.hosts["db1"].checks["mysql"].refused_since == NOW + 0.01


def test_the_news_are_one_line_of_the_log() -> None:
    before = quiet("trap")
    told = after(before, EXITED)
    lines = [line for _, line in between(before, told)]
    assert lines == ["db1: its server's process 4711 has ended"]
    assert list(between(told, after(told, replace(EXITED)))) == []
