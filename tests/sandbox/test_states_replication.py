"""Replication that fails or falls behind, and what takes a minute to be judged.

Here a slave may be 2 s behind. That its peer came ONLINE only lately would excuse a host, so in the clusters of the
fixtures `patient` and `settled_sandbox` that is over after 3 s (`peer_grace`).
"""

from collections.abc import Iterator

import pytest

from mmm.monitor.states.host_view import SHORT_OUTAGE as LONGEST_SHORT_OUTAGE
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network, sql
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import (
    ALL_ONLINE,
    LIMIT,
    PATIENCE,
    SHORT_OUTAGE,
    Log,
    Patient,
    assert_was_away,
    check_line,
    has_readers,
    move_writer,
    replicates,
    wait_failed,
    without_relapses,
)

pytestmark = pytest.mark.sandbox

FAILED = ("ONLINE", "REPLICATION_FAIL", "replication_failed")
DELAYED = ("ONLINE", "REPLICATION_DELAY", "replication_delayed")


def good(state: str) -> tuple[str, str, str]:
    """Return the change by which a host leaves a state of broken replication."""
    return (state, "ONLINE", "replication_good")


def plug_in(sandbox: Sandbox, host: str) -> None:
    """Give a host its cable back, and leave every other fault as it is."""
    network.set_port(sandbox.machine(SWITCH), sandbox.layout.plugs[host].port, up=True)


def thaw_agent(sandbox: Sandbox, host: str) -> None:
    """Let a frozen agent go on, and leave every other fault as it is."""
    sandbox.machine(host).run(["pkill", "-CONT", "-f", "mmm_agentd"])


def test_a_frozen_agent_is_shown_and_its_healthy_server_keeps_its_roles(patient: Patient) -> None:
    sandbox, log = patient.sandbox, patient.log
    log.wait("ERROR db2: its agent cannot be reached: no answer to an order")
    assert "# Warning: agent on host db2 is not reachable" in sandbox.ask("show")
    assert sandbox.states()["db2"] == "ONLINE"
    assert sandbox.show()[
        "db2"
    ].roles  # nobody else gets them, though the kernel has taken them with their lease
    thaw_agent(sandbox, "db2")
    log.wait("INFO db2: its agent answers again")
    sandbox.wait_until(
        lambda: "agent on host db2" not in sandbox.ask("show"), LIMIT, "show warns no more of db2"
    )
    assert log.changes("db2") == []


@pytest.mark.parametrize("host", ["db2", "db3"])
def test_stopped_replication_costs_the_roles_until_it_runs_again(settled_sandbox: Sandbox, host: str) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, "stop-replication", host)
        change = log.wait_change(host, "REPLICATION_FAIL")
        sandbox.wait_until(lambda: not has_readers(sandbox, host), LIMIT, f"{host} has no role")
        probe.wait_writes(LIMIT)
        heal(sandbox)
        log.wait_change(host, "ONLINE")
        sandbox.wait_until(lambda: has_readers(sandbox, host), LIMIT, f"{host} gets its share of readers")
        settle(sandbox)
    assert "rep_threads: ERROR: IO thread is not running, SQL thread is not running" in change.sentence
    assert log.story(host) == [FAILED, good("REPLICATION_FAIL")]
    assert len(log.changes()) == 2
    assert probe.report.writes == ()
    assert (probe.report.missing, probe.report.doubled) == ((), ())


@pytest.fixture
def duplicate(settled_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give a cluster in which db3 has a row that will keep it from applying db1's."""
    sandbox = settled_sandbox
    sandbox.sql("db1", "CREATE TABLE sandbox.unique_row (id INT PRIMARY KEY)")
    sandbox.wait_until(
        lambda: sandbox.sql("db3", "SHOW TABLES IN sandbox LIKE 'unique_row'"), LIMIT, "db3 has the table"
    )
    change_locally(sandbox, "INSERT INTO sandbox.unique_row VALUES (1)")
    yield sandbox
    sandbox.sql("db1", "DROP TABLE sandbox.unique_row")


def change_locally(sandbox: Sandbox, statement: str) -> None:
    """Change db3 behind the cluster's back."""
    sql.execute(sandbox.machine("db3"), ["SET SESSION sql_log_bin=0", statement])


def test_a_row_that_cannot_be_applied_is_named_and_a_restart_does_not_hide_it(duplicate: Sandbox) -> None:
    sandbox, log = duplicate, Log(duplicate)
    sandbox.sql("db1", "INSERT INTO sandbox.unique_row VALUES (1)")
    change = log.wait_change("db3", "REPLICATION_FAIL")
    assert "SQL thread is not running" in change.sentence
    assert "Duplicate entry '1' for key 'PRIMARY'" in change.sentence
    inject(sandbox, "stop-mysqld", "db3")
    log.wait_change("db3", "HARD_OFFLINE")
    sandbox.start_server("db3")
    log.wait_change("db3", "REPLICATION_FAIL", 2)
    _, stopped, *back = log.story("db3")
    assert stopped == ("REPLICATION_FAIL", "HARD_OFFLINE", "failed_without_replication")
    # A check may find the threads running before they have come to the row again.
    failed = [("HARD_OFFLINE", "REPLICATION_FAIL", "back_without_replication")]
    ran = [
        ("HARD_OFFLINE", "AWAITING_RECOVERY", "back"),
        ("AWAITING_RECOVERY", "ONLINE", "short_outage"),
        FAILED,
    ]
    assert back in (failed, ran)
    change_locally(sandbox, "DELETE FROM sandbox.unique_row")
    sandbox.sql("db3", "START SLAVE")
    log.wait_change("db3", "ONLINE", 1 if back == failed else 2)
    settle(sandbox)
    assert log.story("db3")[2:] == [*back, good("REPLICATION_FAIL")]


def test_a_slave_too_far_behind_loses_its_roles_until_it_has_caught_up(settled_sandbox: Sandbox) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    inject(sandbox, "lag", "db3")
    change = log.wait_change("db3", "REPLICATION_DELAY")
    sandbox.wait_until(lambda: not has_readers(sandbox, "db3"), LIMIT, "db3 has no role")
    heal(sandbox)
    log.wait_change("db3", "ONLINE")
    sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
    settle(sandbox)
    assert "s behind, limit 2" in change.sentence
    assert log.story("db3") == [DELAYED, good("REPLICATION_DELAY")]
    assert len(log.changes()) == 2


def test_a_slave_behind_that_is_cut_off_comes_back_behind(settled_sandbox: Sandbox) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    inject(sandbox, "lag", "db3")
    log.wait_change("db3", "REPLICATION_DELAY")
    inject(sandbox, "cut", "db3")
    log.wait_change("db3", "HARD_OFFLINE")
    wait_failed(log, "db3", "ping", "mysql")
    plug_in(sandbox, "db3")
    log.wait_change("db3", "REPLICATION_DELAY", 2)
    heal(sandbox)
    log.wait_change("db3", "ONLINE")
    settle(sandbox)
    assert log.story("db3") == [
        DELAYED,
        ("REPLICATION_DELAY", "HARD_OFFLINE", "failed_without_replication"),
        ("HARD_OFFLINE", "REPLICATION_DELAY", "back_with_delay"),
        good("REPLICATION_DELAY"),
    ]


def test_the_active_master_is_not_blamed_for_its_replication(settled_sandbox: Sandbox) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, "stop-replication", "db1")
        wait_failed(log, "db1", "rep_threads")
        probe.wait_writes(LIMIT)
        assert sandbox.states() == ALL_ONLINE
        heal(sandbox)
        log.wait("INFO db1: rep_threads is good again")
    assert log.changes() == []
    assert probe.report.outages == ()


def test_a_master_with_broken_replication_takes_over_from_a_dead_peer_only_when_forced(
    settled_sandbox: Sandbox,
) -> None:
    """This test and the next bring db1 ONLINE anew, which costs others a minute of waiting: they are the last."""
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    inject(sandbox, "stop-replication", "db2")
    log.wait_change("db2", "REPLICATION_FAIL")
    inject(sandbox, "kill-mysqld", "db1")
    why = "db2 is not promoted: its replication is broken"
    log.wait(f"WARN no host holds writer: {why}")
    assert f"# Warning: no host holds writer: {why}" in sandbox.ask("show")
    assert f"nobody: {why}" in sandbox.ask("explain")
    assert sandbox.ask("move_role writer db2").startswith("ERROR: ")
    sandbox.wait_until(lambda: sandbox.writer() is None, LIMIT, "db1 lets the VIP go")
    assert sandbox.ask("move_role --force writer db2", limit=LIMIT).startswith("OK: ")
    assert sandbox.writer() == "db2"
    with Probe(sandbox, limit=PATIENCE) as probe:
        heal(sandbox)
        log.wait_change("db1", "ONLINE")
        settle(sandbox)
    assert log.story("db2") == [FAILED, ("REPLICATION_FAIL", "ONLINE", "peer_gone")]
    assert log.story("db1")[: len(SHORT_OUTAGE)] == SHORT_OUTAGE
    assert (probe.report.missing, probe.report.doubled, probe.report.writes) == ((), (), ())


def test_nobody_is_blamed_in_the_minute_after_its_peer_came_online(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    assert sandbox.ask("set_offline db1").startswith("OK")
    assert sandbox.ask("set_online db1").startswith("OK")
    sandbox.wait_until(lambda: replicates(sandbox, "db1"), LIMIT, "db1 replicates again")
    connecting = "IO thread is connecting"
    sandbox.wait_until(
        lambda: connecting not in check_line(sandbox, "db1", "rep_threads"), LIMIT, "the monitor knows that"
    )
    move_writer(sandbox, "db1")
    settle(sandbox)  # db3 follows at its own time, and would start again what is stopped too early
    inject(sandbox, "stop-replication", "db3")
    wait_failed(log, "db3", "rep_threads")
    inject(sandbox, "stop-mysqld", "db2")  # meanwhile other hosts are judged
    log.wait_change("db2", "HARD_OFFLINE")
    assert sandbox.states()["db3"] == "ONLINE"
    assert has_readers(sandbox, "db3")
    heal(sandbox)
    sandbox.wait_until(lambda: replicates(sandbox, "db3"), LIMIT, "db3 replicates")
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    assert log.changes("db3") == []


def test_a_host_that_was_gone_for_more_than_a_minute_waits_for_the_admin(patient: Patient) -> None:
    sandbox, log = patient.sandbox, patient.log
    patient.wait(LONGEST_SHORT_OUTAGE)
    thaw_agent(sandbox, "db2")
    plug_in(sandbox, "db3")
    log.wait_change("db3", "AWAITING_RECOVERY")
    log.wait("INFO db3: mysql is good again")
    log.wait("db3: told AWAITING_RECOVERY, no roles: OK")
    # What brings another host back in the meantime leaves this one where it is.
    inject(sandbox, "stop-mysqld", "db2")
    log.wait_change("db2", "HARD_OFFLINE")
    sandbox.start_server("db2")
    log.wait_change("db2", "ONLINE")
    assert_was_away(log, "db2")
    assert without_relapses(log.story("db3")) == SHORT_OUTAGE[:2]
    assert sandbox.ask("set_online db3").startswith("OK")
    sandbox.wait_until(lambda: has_readers(sandbox, "db3"), LIMIT, "db3 gets its share of readers")
    settle(sandbox)
