"""A host that does not answer ping while its server lives (rule 10.9)."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import (
    ALL_ONLINE,
    LIMIT,
    Log,
    assert_was_away,
    check_line,
    move_writer,
    wait_back,
    wait_failed,
)

pytestmark = pytest.mark.sandbox

WARNING = "host db1 does not answer ping, but its server does"


def answer_ping(sandbox: Sandbox, host: str, *, answers: bool) -> None:
    """Let a host answer ICMP echo requests or not."""
    sandbox.machine(host).run(["sysctl", "-qw", f"net.ipv4.icmp_echo_ignore_all={int(not answers)}"])


@pytest.fixture
def filtered(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give the cluster with a writer that does not answer ping, and the monitor aware of that."""
    log = Log(sandbox)
    answer_ping(sandbox, "db1", answers=False)
    try:
        wait_failed(log, "db1", "ping")
        yield sandbox
    finally:
        answer_ping(sandbox, "db1", answers=True)
    log.wait("INFO db1: ping is good again")


def test_lost_ping_alone_is_said_and_shown_and_the_admin_can_go_on_working(filtered: Sandbox) -> None:
    log = Log(filtered)
    with Probe(filtered) as probe:
        assert f"# Warning: {WARNING}" in filtered.ask("show")
        assert "ERROR: " in check_line(filtered, "db1", "ping")
        assert filtered.states() == ALL_ONLINE
        move_writer(filtered, "db2")
        move_writer(filtered, "db1")
        probe.wait_writes(LIMIT)
        settle(filtered)
    assert log.changes() == []
    assert not log.lines("kill_host|cannot be reached")
    assert (probe.report.missing, probe.report.doubled) == ((), ())


def test_a_server_that_dies_on_a_host_that_does_not_answer_ping_is_taken_over_from_by_its_agent(
    filtered: Sandbox,
) -> None:
    log = Log(filtered)
    with Probe(filtered) as probe:
        inject(filtered, "kill-mysqld", "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        log.wait("INFO db1: told HARD_OFFLINE, no roles: OK")
        heal(filtered)
        wait_back(filtered, log, "db1")
        settle(filtered)
    assert_was_away(log, "db1")
    assert not log.lines("kill_host")
    assert probe.report.doubled == ()


def test_a_host_that_dies_after_its_ping_was_lost_is_killed_once_its_agent_does_not_answer(
    filtered: Sandbox,
) -> None:
    log = Log(filtered)
    with Probe(filtered) as probe:
        inject(filtered, "cut", "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        log.wait("FATAL db1: could not be killed")
        heal(filtered)
        wait_back(filtered, log, "db1")
        settle(filtered)
    assert probe.report.doubled == ()
