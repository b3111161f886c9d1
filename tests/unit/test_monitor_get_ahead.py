"""When the next writer's agent is asked to get a dead writer's log in advance, and when to forget it."""

from dataclasses import replace

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.command import dry_run
from mmm.monitor.world import checks
from mmm.monitor.world.check_results import ServerChecked
from mmm.monitor.world.checks import Cause, Outcome
from mmm.monitor.world.events import GotAhead, Killed, ServerExited
from mmm.monitor.world.host import State
from mmm.monitor.world.link import Kind
from mmm.monitor.world.orders import GetAhead, Tell
from mmm.monitor.world.world import Mode, World
from tests.unit.worlds import NOW, cluster, finds, settle, take_turn, with_agent, with_host, world

EXITED = ServerExited("db1", 4711, NOW)
REFUSED = ServerChecked("db1", finds(Outcome.ERROR, "connection refused"), cause=Cause(checks.REFUSED))
SILENT = ServerChecked("db1", finds(Outcome.ERROR, "no answer"))
GOOD = ServerChecked("db1", finds(Outcome.OK), writable=True)
GET, FORGET = GetAhead("db2", "db1"), GetAhead("db2", "")


def quiet(server_exit: str = "trap") -> World:
    """A cluster in which db1 is the writer, with agents of ours."""
    return replace(world(conf=cluster(server_exit=server_exit)), last_writer="db1")


def asked(before: World, now: float = NOW) -> tuple[World, list[GetAhead]]:
    """Take a turn; returns the world and what was ordered of this kind."""
    after, orders = take_turn(before, now)
    return after, [order for order in orders if isinstance(order, GetAhead)]


@pytest.mark.parametrize("event", [EXITED, REFUSED], ids=str)
def test_the_log_is_got_as_soon_as_the_server_is_dead_and_long_before_the_role_moves(
    event: ServerChecked | ServerExited,
) -> None:
    failing, orders = asked(apply(quiet(), event, NOW))
    assert orders == [GET]
    assert failing.active_master == "db1"


@pytest.mark.parametrize("event", [SILENT, GOOD], ids=str)
def test_no_log_is_got_of_a_server_that_lives_or_is_only_silent(event: ServerChecked) -> None:
    """The agent of one that is frozen sends nothing before it has let go."""
    assert asked(apply(quiet(), event, NOW))[1] == []


def test_it_is_asked_for_again_while_that_lasts_but_not_at_once() -> None:
    failing, _ = asked(apply(quiet(), REFUSED, NOW))
    assert asked(failing, NOW + 30)[1] == [], "there is no answer yet"
    answered = apply(failing, GotAhead("db2"), NOW + 0.1)
    assert asked(answered, NOW + 4.9)[1] == []
    assert asked(answered, NOW + 5)[1] == [GET]


def test_it_is_forgotten_when_the_server_answers_again() -> None:
    failing, _ = asked(apply(quiet(), REFUSED, NOW))
    answered = apply(failing, GotAhead("db2"), NOW + 0.1)
    back, orders = asked(apply(answered, GOOD, NOW + 3), NOW + 3)
    assert orders == [FORGET]
    assert asked(apply(back, GotAhead("db2"), NOW + 3.1), NOW + 3.1)[1] == []


def test_it_is_forgotten_too_where_that_host_would_not_be_the_next_any_more() -> None:
    failing, _ = asked(apply(quiet(), REFUSED, NOW))
    answered = with_host(apply(failing, GotAhead("db2"), NOW + 0.1), "db2", state=State.REPLICATION_FAIL)
    dead, orders = asked(answered, NOW + 1)
    assert orders == [], "it may be the next again"
    assert asked(apply(dead, GOOD, NOW + 3), NOW + 3)[1] == [FORGET]


def test_the_host_that_takes_over_keeps_it() -> None:
    failing, _ = asked(apply(quiet(), REFUSED, NOW))
    failing = apply(failing, GotAhead("db2"), NOW + 0.1)
    failed = apply(failing, REFUSED, NOW + 10)
    after, orders = settle(failed, NOW + 10)
    assert after.active_master == "db2"
    assert not [order for order in orders if isinstance(order, GetAhead)]
    assert any(isinstance(order, Tell) and order.status.salvage == "db1" for order in orders)


def test_nothing_else_follows_from_it() -> None:
    """Who is told what is the same with it and without."""
    with_it, without = quiet(), quiet()
    without = replace(without, conf=replace(without.conf, salvage=False))
    told: list[list[tuple[str, object]]] = []
    for before in (with_it, without):
        after, orders = settle(apply(before, REFUSED, NOW), NOW)
        more, later = settle(apply(after, REFUSED, NOW + 10), NOW + 10)
        assert more.active_master == "db2"
        statuses = (order for order in (*orders, *later) if isinstance(order, Tell))
        told.append([(order.host, replace(order.status, salvage="")) for order in statuses])
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["db1", "db2"])
def test_no_agent_of_mmm_2_is_asked_or_spoken_of(name: str) -> None:
    before = quiet()
    about = replace(before.hosts[name].agent.about, kind=Kind.MMM2)
    assert asked(apply(with_agent(before, name, about=about), REFUSED, NOW))[1] == []


def test_it_is_left_alone_where_it_is_not_wanted_or_nobody_can_take_over() -> None:
    failing = apply(quiet(), REFUSED, NOW)
    assert asked(replace(failing, conf=replace(failing.conf, salvage=False)))[1] == []
    assert asked(replace(failing, mode=Mode.PASSIVE))[1] == []
    assert asked(with_host(failing, "db2", state=State.ADMIN_OFFLINE))[1] == []


def test_where_the_role_moves_at_once_it_is_got_with_the_order() -> None:
    assert asked(apply(quiet("failover"), EXITED, NOW))[1] == []


def test_it_is_got_while_a_failover_waits() -> None:
    """Nobody has the role, and the last writer's server is dead."""
    before = quiet()
    monitor = replace(before.monitor, failover_block=60.0)
    before = replace(before, conf=replace(before.conf, monitor=monitor), failed_over=NOW)
    lost = apply(replace(before, last_writer="db1", last_master="db1"), REFUSED, NOW)
    lost = with_host(lost, "db1", state=State.HARD_OFFLINE).without_roles("db1")
    after, orders = asked(lost)
    assert (after.active_master, orders) == (None, [GET])


def test_an_answer_that_comes_late_is_no_matter() -> None:
    assert apply(quiet(), GotAhead("db2"), NOW).ahead is None
    failing, _ = asked(apply(quiet(), REFUSED, NOW))
    assert apply(failing, Killed("db1"), NOW).ahead == failing.ahead


def test_a_dry_run_says_nothing_of_it() -> None:
    order = GET
    before = quiet()
    assert dry_run._said(before, before, order) == ""
    assert dry_run._obeyed(before, order, NOW) is before
