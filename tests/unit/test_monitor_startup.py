from dataclasses import replace
from typing import Any

import pytest

from mmm.config.model import Host, Vip
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.transactions import Transactions
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.first_look import first_checks
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.startup import Started, in_use, start
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.check_results import CheckResult, PingChecked, ReplicaChecked, ServerChecked
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode
from mmm.wire.status import Status, SystemStatus
from tests.unit.worlds import (
    NOW,
    READER1,
    WRITER,
    checks,
    cluster,
    finds,
    settle,
    show,
    take_turn,
    with_host,
)

NOTHING = Found()
MORE = {"db1": 101, "db2": 100}


def found(
    stored: str | None = None, agent: str | None = None, *vips: Vip, writable: bool = False, source: str = ""
) -> Found:
    """A host of which everybody says the same roles."""
    return Found(
        Stored(stored, vips) if stored else None,
        Status(agent, vips) if agent else None,
        SystemStatus(writable, vips, source) if agent else None,
        uptime=800.0 if agent else None,
    )


def started(db1: Found = NOTHING, db2: Found = NOTHING, db3: Found = NOTHING, **monitor: Any) -> Started:
    hosts = {"db1": db1, "db2": db2, "db3": db3}
    return start(cluster(**monitor), dict.fromkeys(hosts, checks()), hosts, NOW)


def test_without_any_memory_everybody_awaits_recovery_and_nobody_holds_anything() -> None:
    world = started().world
    assert {host.state for host in world.hosts.values()} == {State.AWAITING_RECOVERY}
    assert set(world.owner.values()) == {None}


@pytest.mark.parametrize(
    ("stored", "agent", "state"),
    [
        ("ONLINE", "ADMIN_OFFLINE", State.ADMIN_OFFLINE),
        ("HARD_OFFLINE", "ONLINE", State.HARD_OFFLINE),
        ("REPLICATION_FAIL", "REPLICATION_DELAY", State.REPLICATION_FAIL),
        ("AWAITING_RECOVERY", "ONLINE", State.ONLINE),
        ("ONLINE", "UNKNOWN", State.ONLINE),
        ("AWAITING_RECOVERY", "UNKNOWN", State.AWAITING_RECOVERY),
    ],
)
def test_a_host_starts_in_the_worst_state_that_is_known(stored: str, agent: str, state: State) -> None:
    assert started(db3=found(stored, agent)).world.hosts["db3"].state is state


def test_a_vip_that_is_of_another_role_now_waits_for_the_host_that_has_it_by_the_old_conf() -> None:
    """It was given to another host at once, and two had the address."""
    conf = cluster(readers=1)
    app = Vip("app", READER1.ip)
    role = replace(conf.roles["reader"], name="app", hosts=("db1", "db2"))
    conf = replace(conf, roles={"writer": conf.roles["writer"], "app": role})
    hosts = {"db1": found("ONLINE", "ONLINE", WRITER, writable=True), "db2": found("ONLINE", "ONLINE")}
    hosts["db3"] = found("ONLINE", "ONLINE", READER1)
    world = start(conf, dict.fromkeys(hosts, checks()), hosts, NOW).world
    assert world.holders(app) == {"db3"}
    given = [order for order in settle(world)[1] if isinstance(order, Tell)]
    let_go = next(place for place, order in enumerate(given) if order.host == "db3")
    taken = next(place for place, order in enumerate(given) if app in order.status.vips)
    assert let_go < taken


def test_a_master_is_compared_though_the_monitor_has_just_started() -> None:
    """It may have been lost in the monitor's last life: what the first checks have read of both tells."""
    both = {name: Transactions(NOW, name, History((), (Gtid(0, 1, last),))) for name, last in MORE.items()}
    for stored in ("REPLICATION_FAIL", "AWAITING_RECOVERY"):
        hosts = {"db1": found(stored, stored), "db2": found("ONLINE", "ONLINE", WRITER, writable=True)}
        hosts["db3"] = NOTHING
        began = start(cluster(), dict.fromkeys(hosts, checks()), hosts, NOW, both).world
        db1 = settle(with_host(began, "db1", last_uptime=790.0))[0].hosts["db1"]
        assert (db1.state, db1.rule) == (State(stored), "start")
        known = turn(with_host(began, "db1", transactions=None, last_uptime=790.0), NOW + 1).world
        assert known.hosts["db1"].state is State(stored), "what it has was not read yet"
        none = start(cluster(), dict.fromkeys(hosts, checks()), hosts, NOW).world
        none = turn(with_host(none, "db1", last_uptime=790.0), NOW).world
        assert none.hosts["db1"].state is State.ONLINE, "nobody tells what it has"


def test_the_writer_stays_where_the_system_says_it_is_not_where_it_was_stored() -> None:
    old = Found(Stored("ONLINE", (WRITER,)), Status("ONLINE"), SystemStatus(writable=False))
    new = Found(Stored("ONLINE"), Status("ONLINE", (WRITER,)), SystemStatus(writable=True, vips=(WRITER,)))
    assert started(old, new).world.owner[WRITER] == "db2"


def test_the_winner_becomes_online_and_its_silent_rival_gets_nothing() -> None:
    world = started(found("AWAITING_RECOVERY", "UNKNOWN", WRITER, writable=True)).world
    assert world.owner[WRITER] == "db1"
    assert world.hosts["db1"].state is State.ONLINE


def test_a_host_set_offline_does_not_win_whatever_it_holds() -> None:
    assert started(found("ADMIN_OFFLINE", "ONLINE", WRITER, writable=True)).world.owner[WRITER] is None


def test_a_writable_server_alone_is_no_claim() -> None:
    assert started(found("ONLINE", "ONLINE", writable=True)).world.owner[WRITER] is None


def test_slaves_that_replicate_from_a_host_speak_for_it_and_equal_votes_go_to_the_stored_owner() -> None:
    stored = Found(Stored("ONLINE", (WRITER,)), Status("ONLINE"), SystemStatus(writable=False))
    told = Found(Stored("ONLINE"), Status("ONLINE", (WRITER,)), SystemStatus(writable=False))
    assert started(told, stored).world.owner[WRITER] == "db2"
    assert started(told, stored, found("ONLINE", "ONLINE", source="10.0.0.1")).world.owner[WRITER] == "db1"


def test_a_writer_bound_twice_makes_a_careful_monitor_passive_and_says_why() -> None:
    both = found("ONLINE", "ONLINE", WRITER, writable=True)
    careful = started(both, both)
    assert careful.world.mode is Mode.PASSIVE
    assert careful.world.passive_cause == careful.conflict
    assert careful.conflict == PassiveCause("two_writers", {"vip": WRITER, "hosts": ("db1", "db2")})
    assert "is bound on db1 and db2. Unbind it" in show(careful.world)
    assert started(both, both, careful_startup=False).world.mode is Mode.ACTIVE


def test_what_is_not_configured_or_not_allowed_is_left_out_and_named() -> None:
    result = started(db3=found("ONLINE", "ONLINE", Vip("gone", "10.0.0.99"), WRITER))
    assert result.world.owner[WRITER] is None
    assert any("gone(10.0.0.99), which is not configured" in text for text in result.warnings)
    assert any("which it may not hold" in text for text in result.warnings)


def test_a_host_that_is_not_configured_any_more_is_named_with_the_vips_it_may_have() -> None:
    hosts = dict.fromkeys(("db1", "db2", "db3"), NOTHING)
    stored = {"db8": Stored("ONLINE", (READER1,)), "db9": Stored("ADMIN_OFFLINE")}
    bound = " with reader(10.0.0.91), which may still be bound there"
    result = start(cluster(), dict.fromkeys(hosts, checks()), hosts, NOW, stored=stored)
    assert result.warnings == (
        f"db8: the status file names this host{bound}. It is not configured: left out",
        "db9: the status file names this host. It is not configured: left out",
    )


def test_everybody_is_told_and_cleared_of_what_is_bound_unasked() -> None:
    stray = Found(Stored("ONLINE"), Status("UNKNOWN"), SystemStatus(writable=False, vips=(READER1,)))
    world = started(found("ONLINE", "ONLINE", WRITER, writable=True), stray, mode="manual").world
    orders = settle(world.with_owner({READER1: "db1"}))[1]
    to_db1 = [order for order in orders if isinstance(order, Tell) and order.host == "db1"]
    assert READER1 not in to_db1[0].status.vips, "db2 still has it bound"
    assert all(order.clear for order in orders[:3] if isinstance(order, Tell))
    assert READER1 in to_db1[-1].status.vips


def test_of_two_that_have_the_writers_vip_bound_the_true_one_keeps_it_without_a_flicker() -> None:
    both = found("ONLINE", "ONLINE", WRITER, writable=True)
    wrong = Found(Stored("ONLINE"), both.agent, both.system, 800.0)
    _, orders = settle(started(both, wrong, careful_startup=False).world)
    to = {
        name: [order.status.vips for order in orders if isinstance(order, Tell) and order.host == name]
        for name in ("db1", "db2")
    }
    assert all(WRITER in vips for vips in to["db1"])
    assert not any(WRITER in vips for vips in to["db2"])


@pytest.mark.parametrize("holder", ["ONLINE", "HARD_OFFLINE"])
@pytest.mark.parametrize("lease", ["finite", "forever"])
def test_a_writers_vip_bound_by_hand_is_not_left_there_while_a_silent_host_may_have_it(
    holder: str, lease: str
) -> None:
    silent = Found(Stored(holder, (WRITER,), lease, 5.0))
    stray = Found(Stored("ONLINE"), Status("ONLINE"), SystemStatus(writable=True, vips=(WRITER,)), 800.0)
    conf = replace(cluster(), vip_lease=5.0)
    hosts = {"db1": stray, "db2": silent, "db3": NOTHING}
    world = start(conf, dict.fromkeys(hosts, checks()), hosts, NOW).world
    if holder == "ONLINE":
        assert world.owner[WRITER] == "db2"
    _, orders = take_turn(world)
    to_db1 = [order for order in orders if isinstance(order, Tell) and order.host == "db1"]
    assert to_db1
    assert not any(WRITER in order.status.vips for order in to_db1)


def test_a_writer_that_its_agent_knows_of_stays_though_the_status_file_names_a_silent_host() -> None:
    silent = Found(Stored("ONLINE", (WRITER,), "finite", 5.0))
    hosts = {"db1": found("ONLINE", "ONLINE", WRITER, writable=True), "db2": silent, "db3": NOTHING}
    conf = replace(cluster(), vip_lease=5.0)
    world = start(conf, dict.fromkeys(hosts, checks()), hosts, NOW).world
    assert world.owner[WRITER] == "db1"
    told = [order for order in take_turn(world)[1] if isinstance(order, Tell) and order.host == "db1"]
    assert all(WRITER in order.status.vips for order in told)


def test_a_failover_that_a_crash_of_the_monitor_interrupted_is_finished() -> None:
    dead = Found(Stored("HARD_OFFLINE", (WRITER,)))
    hosts = {"db1": dead, "db2": found("ONLINE", "ONLINE"), "db3": found("ONLINE", "ONLINE")}
    first = {"db1": checks(ping=NOW, mysql=NOW), "db2": checks(), "db3": checks()}
    world = start(cluster(), first, hosts, NOW).world
    after, orders = take_turn(world)
    assert KillHost("db1", pings=False) in orders
    assert not any(WRITER in order.status.vips for order in orders if isinstance(order, Tell))
    after, _ = settle(world)
    assert after.hosts["db2"].agent.told is not None
    assert WRITER in after.hosts["db2"].agent.told.vips


class Unreached(Checks):
    """Checks for which db2 and db3 do not answer yet; the others do."""

    def __init__(self) -> None:
        pass

    async def run(self, host: Host, name: str) -> CheckResult:
        seen = finds(Outcome.OK if host.name == "db1" else Outcome.ERROR)
        match name:
            case "ping":
                return PingChecked(host.name, seen)
            case "mysql":
                return ServerChecked(host.name, seen)
            case _:
                return ReplicaChecked(host.name, name, seen)


async def test_a_network_that_has_just_come_back_takes_no_host_in_use_for_dead() -> None:
    """Not all hosts are reached in the same moment: each has the time of its trap, as at any other moment."""
    stored = {"db1": Stored("ONLINE", (WRITER,)), "db2": Stored("ONLINE"), "db3": Stored("HARD_OFFLINE")}
    hosts = {name: Found(line) for name, line in stored.items()}
    conf = cluster()
    checked, *_ = await first_checks(conf, Unreached(), NOW, in_use(stored))
    world = start(conf, checked, hosts, NOW).world
    after = turn(world, NOW + 9).world
    assert after.hosts["db2"].state is State.ONLINE
    assert after.hosts["db3"].state is State.HARD_OFFLINE
    at_once, *_ = await first_checks(conf, Unreached(), NOW)
    assert turn(start(conf, at_once, hosts, NOW).world, NOW).world.hosts["db2"].state is State.HARD_OFFLINE
