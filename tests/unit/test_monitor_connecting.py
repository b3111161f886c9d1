"""A replica that tries to connect to its source (rule 10.6), or is told to follow another one."""

import pytest

from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import start
from mmm.monitor.world.check_results import Link, Look, Replica, ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import CheckStatus, Finding, Outcome
from mmm.monitor.world.events import Network
from mmm.monitor.world.host import State
from mmm.monitor.world.link import ErrorReply, Ordered
from mmm.monitor.world.world import World
from mmm.wire.status import Status
from tests.unit.worlds import (
    NOW,
    checks,
    cluster,
    finds,
    with_agent,
    with_host,
    world,
)

SOURCE = "10.0.0.1"
LOOK = Look(Replica(SOURCE, uses_gtid=True, link=Link.CONNECTING))
CONNECTING = ReplicaChecked(
    "db3", "rep_threads", Finding("connecting", {"source": SOURCE, "error": "denied"}), LOOK
)
STOPPED = ReplicaChecked(
    "db3",
    "rep_threads",
    Finding("threads_stopped", {"stopped": (("IO", ""), ("SQL", ""))}, Outcome.ERROR),
    Look(Replica(SOURCE, uses_gtid=True)),
)
CONNECTED = ReplicaChecked("db3", "rep_threads", finds(Outcome.OK), Look(Replica(SOURCE, uses_gtid=True)))
NULL = ReplicaChecked("db3", "rep_backlog", finds(Outcome.UNKNOWN, "Backlog is null"), LOOK)


def threads(after: World) -> CheckStatus:
    return after.hosts["db3"].checks["rep_threads"]


def seen(before: World, *moments: float, result: ReplicaChecked = CONNECTING) -> World:
    for moment in moments:
        before = apply(before, result, NOW + moment)
    return before


def source_fails(before: World, **failed: float) -> World:
    return with_host(before, "db1", checks=checks(**failed))


def test_connecting_is_good_for_connect_grace_only_and_then_begins_the_trap() -> None:
    after = seen(world(), 0.0, 30.0, 59.9)
    assert threads(after).error_since is None
    after = seen(after, 60.0)
    assert threads(after).error_since == NOW + 60.0
    assert str(threads(after).finding) == (
        f"ERROR: IO thread is connecting to {SOURCE} (denied), for 60 s, limit 60 s"
    )
    assert not threads(after).failed
    assert threads(seen(after, 70.0)).failed


def test_connecting_is_good_while_the_source_does_not_work_and_for_connect_grace_afterwards() -> None:
    after = source_fails(seen(world(), 0.0), mysql=NOW)
    after = seen(after, 10.0, 60.0, 500.0)
    assert threads(after).error_since is None
    after = source_fails(after)
    assert threads(seen(after, 501.0, 560.0)).error_since is None
    assert threads(seen(after, 501.0, 561.0)).error_since == NOW + 561.0


def test_a_source_that_only_begins_to_fail_is_an_excuse_too_and_one_that_is_saturated_is_none() -> None:
    beginning = apply(world(), ServerChecked("db1", finds(Outcome.ERROR, "no answer")), NOW)
    assert threads(seen(beginning, 0.0, 100.0)).error_since is None
    saturated = apply(world(), ServerChecked("db1", finds(Outcome.UNKNOWN, "too many")), NOW)
    assert threads(seen(saturated, 0.0, 100.0)).error_since == NOW + 100.0


def test_one_connection_and_a_lost_network_begin_the_grace_anew() -> None:
    connected = seen(seen(world(), 0.0, 50.0), 55.0, result=CONNECTED)
    assert threads(seen(connected, 60.0, 119.9)).error_since is None
    away = apply(apply(seen(world(), 0.0), Network(up=False), NOW + 1), Network(up=True), NOW + 100)
    assert threads(seen(away, 101.0)).error_since is None


def test_a_look_that_says_nothing_lets_the_grace_go_on() -> None:
    blind = ReplicaChecked("db3", "rep_threads", finds(Outcome.UNKNOWN, "denied"))
    assert threads(seen(seen(seen(world(), 0.0), 30.0, result=blind), 60.0)).error_since == NOW + 60.0


def test_what_has_failed_is_good_again_once_it_is_connected_or_its_source_has_failed_too() -> None:
    failed = with_host(world(), "db3", checks=checks(rep_threads=NOW - 50.0))
    assert threads(seen(failed, 0.0)).failed
    assert not threads(seen(failed, 0.0, result=CONNECTED)).failed
    assert not threads(seen(source_fails(failed, mysql=NOW), 0.0)).failed


def test_an_unknown_lag_leaves_the_trap_as_it_is_unless_its_source_has_failed() -> None:
    behind = with_host(world(), "db3", checks=checks(rep_backlog=NOW - 50.0))
    status = seen(behind, 0.0, result=NULL).hosts["db3"].checks["rep_backlog"]
    assert status.failed
    assert status.finding == NULL.finding
    gone = seen(source_fails(behind, mysql=NOW), 1.0, result=NULL).hosts["db3"].checks["rep_backlog"]
    assert not gone.failed
    assert gone.changed == NOW + 1.0


def told_to_follow(before: World, master: str) -> World:
    return with_agent(before, "db3", in_flight=Ordered(Status("ONLINE", (), master), NOW))


def test_threads_that_its_agent_has_stopped_to_follow_another_master_are_no_failure() -> None:
    moved = seen(told_to_follow(world(), "db2"), 0.0, 10.0, 20.0, result=STOPPED)
    assert threads(moved).error_since is None
    obeyed = with_agent(moved, "db3", in_flight=None, told=Status("ONLINE", (), "db2"))
    assert threads(seen(obeyed, 21.0, result=STOPPED)).error_since == NOW + 21.0
    assert threads(seen(obeyed, 21.0, 31.0, result=STOPPED)).failed


def test_two_moves_with_a_look_in_each_are_no_failure_though_none_saw_the_threads_run_in_between() -> None:
    after = seen(told_to_follow(world(), "db2"), 0.0, result=STOPPED)
    after = with_agent(after, "db3", told=Status("ONLINE", (), "db2"))
    assert not threads(seen(told_to_follow(after, "db1"), 10.0, result=STOPPED)).failed


def test_neither_a_heartbeat_nor_an_order_that_could_not_be_obeyed_excuses_stopped_threads() -> None:
    heartbeat = seen(told_to_follow(world(), "db1"), 0.0, 10.0, result=STOPPED)
    assert threads(heartbeat).failed
    refused = with_agent(told_to_follow(world(), "db2"), "db3", failure=ErrorReply("ERROR: no", None))
    assert threads(seen(refused, 0.0, 10.0, result=STOPPED)).failed


@pytest.mark.parametrize(
    ("state", "check"), [(State.REPLICATION_FAIL, "rep_threads"), (State.REPLICATION_DELAY, "rep_backlog")]
)
def test_after_a_start_a_check_that_does_not_say_is_as_the_stored_state_tells(
    state: State, check: str
) -> None:
    silent = {**checks(), check: CheckStatus(finding=finds(Outcome.UNKNOWN), unknown=True, changed=NOW)}
    found = {
        name: Found(Stored(str(state if name == "db3" else State.ONLINE))) for name in ("db1", "db2", "db3")
    }
    first = {"db1": checks(), "db2": checks(), "db3": silent}
    assert start(cluster(), first, found, NOW).world.hosts["db3"].checks[check].failed
