from dataclasses import replace

import pytest

from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.report.explain import explain
from mmm.monitor.states.table import judge
from mmm.monitor.world.check_results import ServerChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.host import (
    State,
    Writable,
)
from mmm.monitor.world.link import (
    Ordered,
)
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status
from mmm.wire.why import NOT_FOLLOWED, REFUSES_TO_FOLLOW
from tests.unit.worlds import (
    CLOCK,
    FLAPPING,
    NOW,
    READER1,
    WRITER,
    answer,
    checks,
    cluster,
    finds,
    settle,
    take_turn,
    with_agent,
    with_host,
    world,
)

LONG_AGO = 0.0


def failing(before: World, name: str, *failed: str) -> World:
    return with_host(before, name, checks=checks(**dict.fromkeys(failed, LONG_AGO)))


def state_of(after: World, name: str) -> State:
    return after.hosts[name].state


def test_a_dead_host_is_hard_offline_and_loses_its_roles() -> None:
    after, changes = judge(failing(world(), "db1", "mysql"), NOW)
    assert state_of(after, "db1") is State.HARD_OFFLINE
    assert not after.vips_of("db1")
    assert str(changes[0]) == "db1: ONLINE -> HARD_OFFLINE (host_failed): mysql: ERROR: mysql"


def test_in_manual_mode_a_dead_host_keeps_its_roles() -> None:
    after, _ = judge(failing(world(mode=Mode.MANUAL), "db1", "mysql"), NOW)
    assert state_of(after, "db1") is State.HARD_OFFLINE
    assert after.owner[WRITER] == "db1"


def test_in_passive_mode_states_are_watched_but_roles_and_hosts_left_alone() -> None:
    after, orders = settle(failing(world(mode=Mode.PASSIVE), "db1", "ping", "mysql"))
    assert state_of(after, "db1") is State.HARD_OFFLINE
    assert after.owner[WRITER] == "db1"
    assert orders == []


@pytest.mark.parametrize(
    ("check", "state"), [("rep_threads", State.REPLICATION_FAIL), ("rep_backlog", State.REPLICATION_DELAY)]
)
def test_broken_replication_takes_a_host_out_while_its_peer_is_well(check: str, state: State) -> None:
    after, _ = judge(failing(world(), "db3", check), NOW)
    assert state_of(after, "db3") is state
    assert not after.vips_of("db3")


def test_the_active_master_is_not_judged_by_its_replication() -> None:
    after, changes = judge(failing(world(), "db1", "rep_threads", "rep_backlog"), NOW)
    assert state_of(after, "db1") is State.ONLINE
    assert changes == ()


@pytest.mark.parametrize(("online_for", "state"), [(60.0, State.ONLINE), (60.1, State.REPLICATION_FAIL)])
def test_replication_has_a_minute_to_settle_after_the_peer_came_online(
    online_for: float, state: State
) -> None:
    before = with_host(failing(world(), "db3", "rep_threads"), "db1", online_since=NOW - online_for)
    assert state_of(judge(before, NOW)[0], "db3") is state


def test_without_a_living_peer_replication_problems_are_nobodys_fault() -> None:
    before = failing(failing(world({WRITER: None}), "db2", "rep_threads"), "db1", "mysql")
    assert state_of(judge(before, NOW)[0], "db2") is State.ONLINE


def test_a_short_outage_without_reboot_comes_back_by_itself() -> None:
    back = with_host(world(states={"db3": State.AWAITING_RECOVERY}), "db3", uptime=559.0, last_uptime=500.0)
    assert state_of(judge(back, NOW)[0], "db3") is State.ONLINE


@pytest.mark.parametrize("uptime", [560.0, 30.0], ids=["a minute or more", "rebooted"])
def test_a_longer_outage_or_a_reboot_waits_for_the_admin(uptime: float) -> None:
    back = with_host(world(states={"db3": State.AWAITING_RECOVERY}), "db3", uptime=uptime, last_uptime=500.0)
    assert state_of(judge(back, NOW)[0], "db3") is State.AWAITING_RECOVERY


def test_a_reboot_is_not_forgotten_when_the_system_has_been_up_for_longer_than_before_it() -> None:
    known = {"uptime": 100.0, "last_uptime": 100.0}
    back = with_host(world(states={"db3": State.AWAITING_RECOVERY}), "db3", **known)
    for uptime in (5.0, 110.0):
        back = with_agent(
            back, "db3", in_flight=Ordered(Status("AWAITING_RECOVERY", (), "db1"), NOW), number=7
        )
        back = apply(back, Answered("db3", 7, Answer.OK, "", uptime), NOW)
    assert state_of(judge(back, NOW)[0], "db3") is State.AWAITING_RECOVERY


def test_auto_set_online_brings_a_host_back_after_its_time() -> None:
    before = world(states={"db3": State.AWAITING_RECOVERY}, conf=cluster(auto_set_online=30.0))
    before = with_host(before, "db3", uptime=900.0)
    assert (
        state_of(judge(with_host(before, "db3", since=NOW - 29.9), NOW)[0], "db3") is State.AWAITING_RECOVERY
    )
    assert state_of(judge(with_host(before, "db3", since=NOW - 30.0), NOW)[0], "db3") is State.ONLINE


def test_flapping_waits_until_nothing_has_changed_for_flap_duration_and_then_counts_anew() -> None:
    conf = cluster(auto_set_online=1.0, flap_duration=600.0)
    flapping = with_host(
        world(states={"db3": State.AWAITING_RECOVERY}, conf=conf), "db3", flaps=FLAPPING, uptime=900.0
    )
    calm = {name: replace(check, changed=NOW - 600.0) for name, check in checks().items()}
    restless = {**calm, "mysql": replace(calm["mysql"], changed=NOW - 599.0)}
    assert (
        state_of(judge(with_host(flapping, "db3", checks=restless), NOW)[0], "db3") is State.AWAITING_RECOVERY
    )
    after, _ = judge(with_host(flapping, "db3", checks=calm), NOW)
    assert state_of(after, "db3") is State.ONLINE
    assert not after.hosts["db3"].flapping
    assert after.hosts["db3"].flaps is None


def test_more_than_flap_count_failures_within_flap_duration_are_flapping() -> None:
    now, after = NOW, world(conf=cluster(flap_count=2, flap_duration=600.0))
    for failure in range(3):
        assert not after.hosts["db3"].flapping, failure
        after, _ = judge(failing(after, "db3", "mysql"), now)
        after = with_host(after, "db3", state=State.ONLINE, checks=checks())
        now += 100.0
    assert after.hosts["db3"].flapping


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (None, State.AWAITING_RECOVERY),
        ("rep_threads", State.REPLICATION_FAIL),
        ("rep_backlog", State.REPLICATION_DELAY),
    ],
)
def test_a_host_that_answers_again_goes_where_its_replication_says(check: str | None, state: State) -> None:
    before = with_host(world({WRITER: "db1"}, states={"db3": State.HARD_OFFLINE}), "db3", uptime=900.0)
    before = failing(before, "db3", *([check] if check else []))
    assert state_of(judge(before, NOW)[0], "db3") is state


def test_without_an_active_master_a_possible_one_is_not_asked_for_its_replication() -> None:
    before = world({WRITER: None}, states={"db1": State.HARD_OFFLINE, "db2": State.HARD_OFFLINE})
    before = with_host(failing(failing(before, "db1", "mysql"), "db2", "rep_threads"), "db2", uptime=900.0)
    assert state_of(judge(before, NOW)[0], "db2") is State.AWAITING_RECOVERY


def test_delay_and_failure_of_replication_turn_into_each_other() -> None:
    delayed = failing(world(states={"db3": State.REPLICATION_FAIL}), "db3", "rep_backlog")
    assert state_of(judge(delayed, NOW)[0], "db3") is State.REPLICATION_DELAY
    broken = failing(world(states={"db3": State.REPLICATION_DELAY}), "db3", "rep_threads")
    assert state_of(judge(broken, NOW)[0], "db3") is State.REPLICATION_FAIL


def test_good_replication_brings_a_host_back_unless_it_is_flapping() -> None:
    before = world(states={"db3": State.REPLICATION_FAIL})
    assert state_of(judge(before, NOW)[0], "db3") is State.ONLINE
    assert state_of(judge(with_host(before, "db3", flaps=FLAPPING), NOW)[0], "db3") is State.AWAITING_RECOVERY


def seen_writable(name: str, *moments: float) -> World:
    after = world()
    for moment in moments:
        after = apply(after, ServerChecked(name, finds(Outcome.OK), writable=True), moment)
    return after


def test_a_server_that_stays_writable_without_the_writer_role_is_not_online() -> None:
    assert state_of(judge(seen_writable("db2", NOW - 6.0, NOW), NOW)[0], "db2") is State.AWAITING_RECOVERY
    assert state_of(judge(seen_writable("db2", NOW - 5.9, NOW), NOW)[0], "db2") is State.ONLINE
    assert state_of(judge(seen_writable("db1", NOW - 6.0, NOW), NOW)[0], "db1") is State.ONLINE


def test_the_active_master_may_be_seen_writable_until_the_moment_it_is_moved_away() -> None:
    after = seen_writable("db1", 0.0, 100.0, NOW).with_owner({WRITER: "db2"})
    after = apply(after, ServerChecked("db1", finds(Outcome.OK), writable=True), NOW)
    assert state_of(judge(after, NOW + 60.0)[0], "db1") is State.ONLINE


def test_it_comes_back_only_once_it_is_read_only() -> None:
    before = with_host(world(states={"db2": State.AWAITING_RECOVERY}), "db2", uptime=520.0)
    writable = with_host(before, "db2", writable=Writable(LONG_AGO, NOW))
    assert state_of(judge(writable, NOW)[0], "db2") is State.AWAITING_RECOVERY
    assert state_of(judge(before, NOW)[0], "db2") is State.ONLINE


def test_without_network_and_for_admin_offline_hosts_nothing_changes() -> None:
    lost = replace(failing(world(), "db1", "ping", "mysql"), network_up=False)
    assert judge(lost, NOW) == (lost, ())
    offline = failing(world(states={"db3": State.ADMIN_OFFLINE}), "db3", "ping", "mysql")
    assert judge(offline, NOW) == (offline, ())


def refusing(before: World, code: str = REFUSES_TO_FOLLOW, now: float = NOW + HEARTBEAT) -> World:
    """Take a turn, and let db3 answer its order so."""
    before, orders = take_turn(before, now)
    order = next(order for order in orders if order.host == "db3")
    assert isinstance(order, Tell)
    said = "it has more" if code == REFUSES_TO_FOLLOW else ""
    answer = Answered("db3", order.number, Answer.ERROR, "ERROR: no", 501.0, why=code, refuses_to_follow=said)
    return apply(before, answer, now)


def test_a_slave_that_refuses_to_follow_loses_its_roles_until_it_can() -> None:
    moved = with_host(world({WRITER: "db2", READER1: "db3"}), "db2", online_since=NOW)
    after, changes = judge(refusing(moved), NOW)
    assert state_of(after, "db3") is State.REPLICATION_FAIL
    assert not after.vips_of("db3")
    assert changes[0].rule == "refuses_to_follow"
    assert str(changes[0].why) == "it has more"
    later = NOW + 60.0
    untried = refusing(after, NOT_FOLLOWED, later)
    assert judge(untried, later)[1] == (), "that it could not be tried makes nothing better"
    assert "it has more" in explain(untried, "db3", later, CLOCK)
    after, orders = take_turn(after, later)
    order = next(order for order in orders if order.host == "db3")
    silent = answer(after, order, Answer.SILENT, now=later)
    assert judge(silent, later)[1] == (), "nor that it does not answer now"
    after, _ = judge(answer(after, order, now=later), later)
    assert state_of(after, "db3") is State.ONLINE
