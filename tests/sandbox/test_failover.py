"""Servers and links that fail: clients write and read on, and nobody writes twice.

Every scenario ends with a healthy cluster: one writable host that has the writer's VIP, every other VIP on one
host, all replicas running (`settle`), and with the rows that the client was told of, each once.
"""

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import (
    ALL_ONLINE,
    LIMIT,
    MORE_THAN_THE_NEXT,
    PATIENCE,
    SHORT_OUTAGE,
    Log,
    assert_was_away,
    has_readers,
    move_writer,
    reader_holders,
    wait_back,
    wait_failed,
    without_relapses,
    writable,
)
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("fault", ["kill-mysqld", "stop-mysqld", "freeze-mysqld"])
def test_the_peer_takes_over_when_the_writers_server_fails(sandbox: Sandbox, fault: str) -> None:
    log, vip = Log(sandbox), sandbox.layout.writer_ip
    with Addresses(sandbox) as addresses, Probe(sandbox) as probe:
        inject(sandbox, fault, "db1")
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
        sandbox.wait_states(LIMIT, db1="HARD_OFFLINE", db2="ONLINE")
        assert sandbox.holders(vip) == ("db2",)
        assert not has_readers(sandbox, "db1")
        heal(sandbox)
        wait_back(sandbox, log, "db1")
        settle(sandbox)
        assert sandbox.writer() == "db2"
    assert (outage.before, outage.after) == ("db1", "db2")
    assert addresses.together(vip) == []
    assert_was_away(log, "db1")
    assert log.story("db2") == []
    assert {change.rule for change in log.changes("db3")} <= MORE_THAN_THE_NEXT
    failed = log.changes("db1")[0]
    assert failed.level == "FATAL"
    assert "mysql: ERROR: MySQL at 10.77.0.4:3306" in failed.sentence
    assert probe.report.doubled == ()
    assert probe.report.writer == "db2"


def test_a_thawed_server_is_read_only_before_it_is_trusted(sandbox: Sandbox) -> None:
    """It comes back with read_only=0 and sessions that were about to write (rule 10.36)."""
    inject(sandbox, "freeze-mysqld", "db1")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 is the writer")
    before, log = Log(sandbox, "db1", "mmm_agentd"), Log(sandbox)
    heal(sandbox)
    wait_back(sandbox, log, "db1")
    sandbox.wait_until(lambda: has_readers(sandbox, "db1"), LIMIT, "db1 gets a role again")
    assert not writable(sandbox, "db1")
    steps = [line.split(": ")[0].split(" ", 3)[3] for line in before.lines(r" deny writes: | bind ")]
    assert steps[0] == "deny writes"
    assert any(step.startswith("bind reader") for step in steps)
    settle(sandbox)


def test_the_peer_takes_over_when_the_writer_is_cut_off(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    with Probe(sandbox) as probe:
        inject(sandbox, "cut", "db1")
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
        wait_failed(log, "db1", "ping", "mysql")
        states = sandbox.states()
        assert (states["db1"], states["db2"]) == ("HARD_OFFLINE", "ONLINE")
        assert not writable(sandbox, "db1")  # nobody could tell it: its lease was over
        heal(sandbox)
        wait_back(sandbox, log, "db1")
        settle(sandbox)
        assert sandbox.writer() == "db2"
    assert (outage.before, outage.after) == ("db1", "db2")
    assert_was_away(log, "db1")
    assert log.story("db2") == []
    # What was on its way at that moment may have reached db3 and not db2; then it cannot follow until db1 is back.
    ahead = [rule for _, _, rule in log.story("db3")]
    assert ahead in ([], ["refuses_to_follow", "replication_good"])
    assert probe.report.doubled == ()
    (killing,) = log.lines("could not be killed")
    assert " FATAL db1: could not be killed: " in killing
    assert "kill_host db1 0' cannot be run: No such file or directory" in killing
    assert "What it may hold stays until its lease has run out" in killing


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("db3", "kill-mysqld"),
        ("db3", "freeze-mysqld"),
        ("db3", "cut"),
        ("db2", "stop-mysqld"),
        ("db2", "cut"),
    ],
)
def test_readers_move_and_writes_are_not_disturbed_when_another_host_fails(
    sandbox: Sandbox, host: str, fault: str
) -> None:
    log = Log(sandbox)
    others = set(sandbox.hosts) - {host}

    def moved() -> bool:
        holders = reader_holders(sandbox).values()
        return all(len(others & set(each)) == 1 for each in holders)

    with Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, fault, host)
        sandbox.wait_states(LIMIT, **{host: "HARD_OFFLINE"})
        sandbox.wait_until(moved, LIMIT, f"every reader VIP is on another host than {host}")
        probe.wait_writes(LIMIT)
        wait_failed(log, host, *(["ping", "mysql"] if fault == "cut" else ["mysql"]))
        heal(sandbox)
        sandbox.wait_states(LIMIT, **ALL_ONLINE)
        sandbox.wait_until(lambda: has_readers(sandbox, host), LIMIT, f"{host} gets its share of readers")
        settle(sandbox)
    assert without_relapses(log.story(host)) == SHORT_OUTAGE
    assert all(log.story(other) == [] for other in others)
    assert probe.report.writes == ()
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_ten_planned_moves_under_load_lose_nothing(sandbox: Sandbox) -> None:
    targets = ["db2", "db1"] * 5
    vip = sandbox.layout.writer_ip
    log = Log(sandbox)
    with Addresses(sandbox) as addresses, Probe(sandbox, limit=PATIENCE) as probe:
        for number, target in enumerate(targets, 1):
            moved = f"OK: Role 'writer' has been moved from '{sandbox.layout.hosts[target].peer}'"
            assert move_writer(sandbox, target).startswith(moved)
            probe.wait_move(LIMIT, number)
            probe.wait_writes(LIMIT)
        settle(sandbox)
    report = probe.report
    assert [(outage.before, outage.after) for outage in report.writes] == [
        (sandbox.layout.hosts[target].peer, target) for target in targets
    ]
    assert {name: rows.missing for name, rows in report.hosts.items()} == dict.fromkeys(sandbox.hosts, ())
    assert report.doubled == ()
    assert addresses.together(vip) == []
    assert [moved.host for moved in addresses.of(vip) if moved.bound] == targets
    assert log.changes() == []
