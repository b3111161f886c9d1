"""Each fault is done to the real part, and heal undoes it."""

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.faults import daemon_processes, heal, inject, server_process
from mmm.sandbox.inspect import Replica, host_facts, problems, settle
from mmm.sandbox.machine import SandboxError
from mmm.sandbox.status import status
from mmm.sandbox.watch import Probe

pytestmark = pytest.mark.sandbox


def replica(sandbox: Sandbox, host: str) -> Replica:
    found = host_facts(sandbox, host).replica
    assert found is not None
    return found


@pytest.mark.parametrize("fault", ["kill-mysqld", "stop-mysqld"])
def test_an_ended_server_runs_again(bare_sandbox: Sandbox, fault: str) -> None:
    inject(bare_sandbox, fault, "db2")
    assert server_process(bare_sandbox, "db2") is None
    with pytest.raises(SandboxError, match="db2 does not run"):
        inject(bare_sandbox, fault, "db2")
    heal(bare_sandbox)
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db2").runs, 10, "db2 replicates")
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db1").runs, 10, "db1 replicates from db2")


def test_a_frozen_server_keeps_its_port_open(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "freeze-mysqld", "db2")
    bare_sandbox.client.connect(("10.77.0.5", 3306), 2).close()
    assert "server:" in host_facts(bare_sandbox, "db2", 0.3).error
    heal(bare_sandbox)
    assert host_facts(bare_sandbox, "db2").error == ""


def test_a_cut_host_is_not_reached_and_keeps_its_server(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "cut", "db2")
    with pytest.raises(OSError, match=r"timed out|No route"):
        bare_sandbox.client.connect(("10.77.0.5", 3306), 0.3)
    assert host_facts(bare_sandbox, "db2").error == ""
    heal(bare_sandbox)
    bare_sandbox.client.connect(("10.77.0.5", 3306), 5).close()


def test_replication_stops_and_starts(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "stop-replication", "db3")
    assert not replica(bare_sandbox, "db3").sql
    heal(bare_sandbox)
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db3").runs, 10, "db3 replicates")


def test_a_lagging_host_stays_behind_until_healed(sandbox: Sandbox) -> None:
    inject(sandbox, "lag", "db3")
    sandbox.wait_until(lambda: (replica(sandbox, "db3").behind or 0) >= 2, 20, "db3 is 2 s behind")
    assert replica(sandbox, "db3").runs
    assert sandbox.sql("db3", "SELECT COUNT(*) AS n FROM sandbox.probe")
    heal(sandbox)
    sandbox.wait_until(lambda: replica(sandbox, "db3").behind == 0, 20, "db3 has caught up")


def test_the_writer_cannot_lag(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="choose another"):
        inject(sandbox, "lag", "db1")


def test_a_killed_worker_comes_back_and_a_killed_angel_needs_heal(sandbox: Sandbox) -> None:
    angel, worker = daemon_processes(sandbox, "db2", "mmm_agentd")
    inject(sandbox, "kill-agent", "db2")

    def again() -> bool:
        found = daemon_processes(sandbox, "db2", "mmm_agentd")
        return len(found) == 2 and found[0].pid == angel.pid and found[1].pid != worker.pid

    sandbox.wait_until(again, 15, "the angel has a new worker")
    inject(sandbox, "kill-agent", "db2", angel=True)
    assert daemon_processes(sandbox, "db2", "mmm_agentd") == []
    heal(sandbox)
    assert len(daemon_processes(sandbox, "db2", "mmm_agentd")) == 2


def test_a_frozen_agent_is_told_by_status_and_goes_on(sandbox: Sandbox) -> None:
    inject(sandbox, "freeze-agent", "db3")
    line = next(line for line in status(sandbox).splitlines() if line.startswith("db3"))
    assert "frozen" in line
    heal(sandbox)
    settle(sandbox)


def test_a_killed_monitor_is_started_again_and_knows_the_roles(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-monitor", angel=True)
    assert sandbox.show() == {}
    assert "! the monitor is not running" in status(sandbox)
    heal(sandbox)
    sandbox.wait_states(30, db1="ONLINE", db2="ONLINE", db3="ONLINE")
    assert sandbox.writer() == "db1"


def test_a_rebooted_host_begins_with_a_new_uptime_and_comes_back(sandbox: Sandbox) -> None:
    before = float(sandbox.machine("db3").run(["cat", "/proc/uptime"]).stdout.split()[0])
    sandbox.power_off("db3")
    assert "db3: machine db3 is not running" in "\n".join(problems(sandbox))
    sandbox.power_on("db3")
    after = float(sandbox.machine("db3").run(["cat", "/proc/uptime"]).stdout.split()[0])
    assert after < before
    sandbox.bring_online()
    settle(sandbox)


def test_a_failover_is_seen_by_the_probe_and_no_row_is_doubled(sandbox: Sandbox) -> None:
    with Probe(sandbox) as probe:
        inject(sandbox, "kill-mysqld", "db1")
        outage = probe.wait_outage(30)
        probe.wait_writes(10)
        heal(sandbox)
        settle(sandbox)
    assert (outage.before, outage.after) == ("db1", "db2")
    assert probe.report.writer == "db2"
    assert probe.report.doubled == ()


@pytest.mark.parametrize(
    ("fault", "host", "told"),
    [
        ("explode", "db1", "no fault explode"),
        ("cut", None, "takes a host: db1"),
        ("cut", "db9", "takes a host: db1"),
    ],
)
def test_what_cannot_be_broken_is_said(
    bare_sandbox: Sandbox, fault: str, host: str | None, told: str
) -> None:
    with pytest.raises(SandboxError, match=told):
        inject(bare_sandbox, fault, host)
