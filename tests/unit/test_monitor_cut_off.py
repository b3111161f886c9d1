"""Whether the monitor is cut off: hosts prove the network, ping_ips decide while nobody answers."""

from dataclasses import replace

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.assess.cut_off import Known, fell_silent_together, judged, unjudged
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.check_results import ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import NO_CAUSE, REFUSED, Cause, Outcome
from mmm.monitor.world.events import Network
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from tests.unit.worlds import (
    NOW,
    checks,
    finds,
    told_at,
    with_host,
    world,
)

LONG_AGO = NOW - 1000


def silent(*names: str, at: float = NOW, before: World | None = None) -> World:
    after = world() if before is None else before
    for name in names:
        after = told_at(with_host(after, name, checks=checks(ping=at, mysql=at)), name, at - 1)
    return after


ALL = ("db1", "db2", "db3")
TURNED_AWAY = replace(checks(mysql=NOW)["mysql"], refused=True)


@pytest.mark.parametrize(
    ("after", "together"),
    [
        (silent(*ALL), True),
        (silent("db1", "db2"), False),
        (silent("db3", at=NOW + 6, before=silent("db1", "db2")), True),
        (silent("db3", at=NOW + 30, before=silent("db1", "db2")), False),
        (with_host(silent(*ALL), "db3", checks={**checks(ping=NOW), "mysql": TURNED_AWAY}), False),
        (told_at(silent(*ALL), "db2", NOW + 5), False),
        (
            told_at(
                with_host(silent(*ALL), "db3", state=State.HARD_OFFLINE, checks=checks(ping=1.0, mysql=1.0)),
                "db3",
                0.5,
            ),
            True,
        ),
        (
            with_host(
                with_host(silent(*ALL), "db3", state=State.HARD_OFFLINE), "db2", state=State.HARD_OFFLINE
            ),
            False,
        ),
    ],
)
def test_hosts_that_all_fell_silent_at_once_are_no_dead_hosts(after: World, *, together: bool) -> None:
    assert fell_silent_together(after) == together


def test_whatever_the_ping_ips_say_the_monitor_is_cut_off_when_all_fell_silent_until_a_host_answers() -> None:
    down = judged(Known(), silent(*ALL), NOW - 3, NOW, answers=True)
    assert down == Known(up=False, by_hosts=True, since=NOW)
    quiet = apply(silent(*ALL), Network(up=False, by_hosts=True), NOW)
    assert judged(down, quiet, NOW - 3, NOW + 60, answers=True) == down
    assert judged(down, quiet, NOW + 61, NOW + 62, answers=False).up
    assert not turn(quiet, NOW + 60).orders


def test_a_host_that_answers_proves_the_network_though_no_ping_ip_does() -> None:
    assert judged(Known(), world(), NOW + 0.3, NOW, answers=False).up
    late = Known(up=True, since=LONG_AGO)
    assert judged(late, world(), NOW - 2, NOW, answers=False).up, (
        "hosts answer, though not in this very moment"
    )


def test_without_any_answer_the_network_is_down_at_once_and_back_with_the_first() -> None:
    down = judged(Known(), world(), NOW - 0.1, NOW, answers=False)
    assert down == Known(up=False, since=NOW)
    assert not judged(down, world(), NOW - 0.1, NOW + 1, answers=False).up
    assert judged(down, world(), NOW - 0.1, NOW + 1, answers=True) == Known()
    assert judged(down, world(), NOW + 1.5, NOW + 1, answers=False).up


def test_a_monitor_that_starts_cut_off_holds_nothing_against_its_hosts() -> None:
    after = unjudged(silent(*ALL))
    assert not turn(after, NOW).orders
    back = turn(apply(after, Network(up=True), NOW + 60), NOW + 60).world
    assert {host.state for host in back.hosts.values()} == {State.ONLINE}


@pytest.mark.parametrize(
    ("outcome", "refused", "answered"),
    [
        (Outcome.OK, False, True),
        (Outcome.ERROR, True, True),
        (Outcome.UNKNOWN, False, True),
        (Outcome.ERROR, False, False),
    ],
)
def test_a_server_that_turns_the_monitor_away_answers(
    outcome: Outcome, *, refused: bool, answered: bool
) -> None:
    assert (
        ServerChecked("db1", finds(outcome), cause=Cause(REFUSED) if refused else NO_CAUSE).answered
        == answered
    )
    assert not ReplicaChecked("db1", "rep_threads", finds(Outcome.UNKNOWN)).answered
