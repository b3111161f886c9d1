"""Each fault is done to the real part, and heal undoes it."""

import contextlib
import socket
from datetime import datetime

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.status import status
from mmm.sandbox.trouble.faults import (
    daemon_processes,
    heal,
    inject,
    server_process,
    undo,
)
from mmm.sandbox.witness.health import Replica, host_facts, problems, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox

IN_VAIN = 0.5
"""Seconds for a packet that is not to arrive."""


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
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db2").runs, LIMIT, "db2 replicates")
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db1").runs, LIMIT, "db1 replicates from db2")


def test_a_frozen_server_keeps_its_port_open(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "freeze-mysqld", "db2")
    bare_sandbox.client.connect(("10.77.0.5", 3306), LIMIT).close()
    assert "server:" in host_facts(bare_sandbox, "db2", 0.3).error
    heal(bare_sandbox)
    assert host_facts(bare_sandbox, "db2").error == ""


def test_a_cut_host_is_not_reached_and_keeps_its_server(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "cut", "db2")
    with pytest.raises(OSError, match=r"timed out|No route"):
        bare_sandbox.client.connect(("10.77.0.5", 3306), 0.3)
    assert host_facts(bare_sandbox, "db2").error == ""
    heal(bare_sandbox)
    bare_sandbox.client.connect(("10.77.0.5", 3306), LIMIT).close()


def arrives(sandbox: Sandbox, here: str, there: str, seconds: float = LIMIT) -> bool:
    """Tell whether a packet that needs no answer gets from one machine to another within so many seconds."""
    ip = sandbox.layout.plugs[there].ip
    with (
        sandbox.machine(there).socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
        sandbox.machine(here).socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
    ):
        ear.settimeout(seconds)
        ear.bind((ip, 7777))
        mouth.sendto(b"x", (ip, 7777))
        with contextlib.suppress(TimeoutError):
            return ear.recv(1) == b"x"
    return False


@pytest.mark.parametrize(("fault", "heard", "says"), [("cut-in", False, True), ("cut-out", True, False)])
def test_a_link_can_be_cut_one_way(bare_sandbox: Sandbox, fault: str, *, heard: bool, says: bool) -> None:
    assert arrives(bare_sandbox, "db2", "client")
    assert arrives(bare_sandbox, "client", "db2")  # both know the other's MAC now
    inject(bare_sandbox, fault, "db2")
    assert arrives(bare_sandbox, "client", "db2", LIMIT if heard else IN_VAIN) is heard
    assert arrives(bare_sandbox, "db2", "client", LIMIT if says else IN_VAIN) is says
    assert arrives(bare_sandbox, "db1", "client")
    undo(bare_sandbox, fault, "db2")
    assert arrives(bare_sandbox, "db2", "client")
    assert arrives(bare_sandbox, "client", "db2")


@pytest.mark.parametrize(("fault", "other"), [("cut-from-peer", "db1"), ("cut-from-monitor", "monitor")])
def test_two_machines_are_parted_and_reach_all_others(bare_sandbox: Sandbox, fault: str, other: str) -> None:
    inject(bare_sandbox, fault, "db2")
    assert not arrives(bare_sandbox, "db2", other, IN_VAIN)
    assert not arrives(bare_sandbox, other, "db2", IN_VAIN)
    assert arrives(bare_sandbox, "db2", "db3")
    assert arrives(bare_sandbox, other, "db3")
    said: list[str] = []
    heal(bare_sandbox, said.append)
    assert len(said) == 2
    assert arrives(bare_sandbox, "db2", other)


def test_a_port_that_blinked_is_at_the_switch_again(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "blink", "db2")
    assert arrives(bare_sandbox, "client", "db2")
    heal(bare_sandbox, pytest.fail)  # there is nothing left to heal


def test_replication_stops_and_starts(bare_sandbox: Sandbox) -> None:
    inject(bare_sandbox, "stop-replication", "db3")
    assert not replica(bare_sandbox, "db3").sql
    heal(bare_sandbox)
    bare_sandbox.wait_until(lambda: replica(bare_sandbox, "db3").runs, LIMIT, "db3 replicates")


def test_a_lagging_host_stays_behind_until_healed(sandbox: Sandbox) -> None:
    inject(sandbox, "lag", "db3")
    sandbox.wait_until(lambda: (replica(sandbox, "db3").behind or 0) >= 2, LIMIT, "db3 is 2 s behind")
    assert replica(sandbox, "db3").runs
    assert sandbox.sql("db3", "SELECT COUNT(*) AS n FROM sandbox.probe")
    heal(sandbox)
    sandbox.wait_until(lambda: replica(sandbox, "db3").behind == 0, LIMIT, "db3 has caught up")


def test_a_promotion_of_a_lagging_host_has_to_wait_for_what_it_has_not_applied(sandbox: Sandbox) -> None:
    agent = Log(sandbox, "db2", "mmm_agentd")
    inject(sandbox, "lag", "db2")
    sandbox.wait_until(lambda: (replica(sandbox, "db2").behind or 0) >= 3, LIMIT, "db2 is 3 s behind")
    had, wanted = (ticks(sandbox, host) for host in ("db2", "db1"))
    assert had < wanted
    inject(sandbox, "kill-mysqld", "db1")
    limit = LIMIT + (wanted - had) * 0.5  # it takes half a second for each
    sandbox.wait_until(lambda: sandbox.writer() == "db2", limit, "db2 is the writer")
    assert ticks(sandbox, "db2") >= wanted
    agent.wait("INFO sync: db2")
    assert not agent.lines("it is ended")


def ticks(sandbox: Sandbox, host: str) -> int:
    """Return how many of the rows a host has that take it long to apply."""
    return int(sandbox.sql(host, f"SELECT COUNT(*) AS n FROM {TICK_TABLE}")[0]["n"])  # noqa: S608


def test_the_writer_cannot_lag(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="choose another"):
        inject(sandbox, "lag", "db1")


def test_a_killed_worker_comes_back_and_a_killed_angel_needs_heal(sandbox: Sandbox) -> None:
    angel, worker = daemon_processes(sandbox, "db2", "mmm_agentd")
    inject(sandbox, "kill-agent", "db2")

    def again() -> bool:
        found = daemon_processes(sandbox, "db2", "mmm_agentd")
        return len(found) == 2 and found[0].pid == angel.pid and found[1].pid != worker.pid

    sandbox.wait_until(again, LIMIT, "the angel has a new worker")
    inject(sandbox, "kill-agent", "db2", angel=True)
    assert daemon_processes(sandbox, "db2", "mmm_agentd") == []
    heal(sandbox)
    assert len(daemon_processes(sandbox, "db2", "mmm_agentd")) == 2


def test_an_agent_without_its_angel_ends(sandbox: Sandbox) -> None:
    inject(sandbox, "kill-angel", "db2")
    sandbox.wait_until(
        lambda: not daemon_processes(sandbox, "db2", "mmm_agentd"), LIMIT, "the worker has ended"
    )
    undo(sandbox, "kill-angel", "db2")
    assert len(daemon_processes(sandbox, "db2", "mmm_agentd")) == 2


@pytest.mark.parametrize(
    ("fault", "states"), [("freeze-agent", "TT"), ("freeze-worker", "ST"), ("freeze-angel", "TS")]
)
def test_an_agent_is_frozen_with_or_without_its_angel(sandbox: Sandbox, fault: str, states: str) -> None:
    inject(sandbox, fault, "db3")
    found = "".join(process.state for process in daemon_processes(sandbox, "db3", "mmm_agentd"))
    assert [one == "T" for one in found] == [one == "T" for one in states]
    undo(sandbox, fault, "db3")
    assert "T" not in {process.state for process in daemon_processes(sandbox, "db3", "mmm_agentd")}


@pytest.mark.parametrize("fault", ["clock-ahead", "clock-back", "monitor-clock"])
def test_a_daemon_tells_another_time_when_its_clock_is_shifted(sandbox: Sandbox, fault: str) -> None:
    machine, daemon, host = ("db3", "mmm_agentd", "db3")
    if fault == "monitor-clock":
        machine, daemon, host = (sandbox.layout.monitor, "mmm_mond", sandbox.layout.monitor)
    inject(sandbox, fault, host)
    log = Log(sandbox, machine, daemon)
    assert sandbox.ask("move_role reader db3").startswith("OK")
    line = log.wait("reader")
    said = datetime.strptime(" ".join(line.split()[:2]), "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007
    off = (said - datetime.now()).total_seconds()  # noqa: DTZ005
    assert round(off / 3600) == (1 if fault == "clock-ahead" else -1)
    said_again: list[str] = []
    heal(sandbox, said_again.append)
    assert said_again == [f"{machine}: its clock is right again"]
    settle(sandbox)


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
    sandbox.wait_states(LIMIT, db1="ONLINE", db2="ONLINE", db3="ONLINE")
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
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT)
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
