"""Agents that die, freeze or come late: VIPs stay where they belong, and other hosts are not kept waiting."""

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject, server_process
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept
from tests.scenarios import LIMIT, MORE_THAN_THE_NEXT, PATIENCE, Log, assert_was_away, wait_back
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox


def agent_says(sandbox: Sandbox, host: str, command: str) -> str:
    """Return an agent's answer to a question, asked from the monitor's machine; empty when it does not answer."""
    machine = sandbox.layout.hosts[host]
    try:
        with sandbox.monitor.connect((machine.ip, machine.agent_port), 2.0) as connection:
            connection.sendall(f"{command}|1|{host}\n".encode())
            with connection.makefile() as stream:
                return stream.readline().strip()
    except OSError:
        return ""


def test_a_killed_agent_comes_back_and_the_roles_stay(calm: Kept) -> None:
    sandbox = calm.healthy()
    _, worker = daemon_processes(sandbox, "db1", "mmm_agentd")
    log, agent_log = Log(sandbox), Log(sandbox, "db1", "mmm_agentd")
    reader = next(ip for role, ip in sandbox.show()["db1"].roles if role == "reader")
    with Addresses(sandbox) as addresses, Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, "kill-agent", "db1")
        agent_log.wait("start: db1 has")
        agent_log.wait("status: db1: UNKNOWN")
        probe.wait_writes(LIMIT)
        roles = f"|ONLINE|reader({reader}),writer({sandbox.layout.writer_ip})|db1|"
        sandbox.wait_until(
            lambda: roles in agent_says(sandbox, "db1", "GET_AGENT_STATUS"),
            LIMIT,
            f"db1's agent says {roles}",
        )
    assert daemon_processes(sandbox, "db1", "mmm_agentd")[1].pid != worker.pid
    assert addresses.moved == []  # no VIP was touched
    assert log.changes() == []
    assert probe.report.outages == ()
    # What it found at its start, and what the first heartbeat told it: nothing else had to be done.
    assert "writable" in agent_log.wait("start: db1 has .*writer")
    assert agent_log.lines(" bind | unbind | deny writes| allow writes") == []
    settle(sandbox)


def test_a_dead_agent_is_shown_and_its_healthy_server_keeps_its_roles(calm: Kept) -> None:
    sandbox = calm.healthy()
    log = Log(sandbox)
    with Addresses(sandbox) as addresses, Probe(sandbox) as probe:
        inject(sandbox, "kill-agent", "db1", angel=True)
        sandbox.wait_until(
            lambda: "# Warning: agent on host db1" in sandbox.ask("show"), LIMIT, "show warns of db1"
        )
        probe.wait_writes(LIMIT)
        log.wait("db1: its agent cannot be reached")
        heal(sandbox)
        log.wait("db1: its agent answers again")
        sandbox.wait_until(lambda: not sandbox.ask("show").startswith("#"), LIMIT, "show warns of nobody")
    assert log.changes() == []
    # VIPs may go with their lease, to nobody else.
    assert {moved.host for moved in addresses.moved} <= {"db1"}
    assert (probe.report.missing, probe.report.doubled) == ((), ())
    settle(sandbox)


def test_an_agent_that_hangs_over_an_order_is_found_by_a_ping(sandbox: Sandbox) -> None:
    """Its kernel takes the order, and nothing would come for 30 s."""
    log = Log(sandbox)
    inject(sandbox, "freeze-agent", "db3")
    log.wait("db3: its agent cannot be reached: no answer to an order, nor to a PING 3 s later")
    heal(sandbox)
    log.wait("db3: its agent answers again")
    settle(sandbox)
    assert log.changes() == []


def test_a_frozen_agent_does_not_hold_up_the_failover_of_another_host(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    with Probe(sandbox, readers=False) as probe:
        inject(sandbox, "freeze-agent", "db3")
        inject(sandbox, "kill-mysqld", "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        heal(sandbox)
        wait_back(sandbox, log, "db1")
        settle(sandbox)  # also: db3 follows db2 now
    assert_was_away(log, "db1")
    assert {change.rule for change in log.changes("db3")} <= MORE_THAN_THE_NEXT
    assert probe.report.doubled == ()


def test_an_agent_that_starts_late_gives_up_what_has_moved_meanwhile(sandbox: Sandbox) -> None:
    """Its server and itself are dead; the kernel takes the VIP, and somebody binds it by hand (rule 10.4)."""
    vip = sandbox.layout.writer_ip
    log = Log(sandbox)
    inject(sandbox, "kill-agent", "db1", angel=True)
    inject(sandbox, "kill-mysqld", "db1")
    sandbox.wait_until(lambda: "db2" in sandbox.holders(vip), LIMIT, "db2 takes over")
    log.wait("FATAL db1: could not be killed: '.*kill_host db1 1' cannot be run")
    assert sandbox.holders(vip) == ("db2",)
    sandbox.machine("db1").run(["ip", "address", "add", f"{vip}/24", "dev", "eth0"])
    assert sandbox.holders(vip) == ("db1", "db2")
    agent_log = Log(sandbox, "db1", "mmm_agentd")
    sandbox.start_daemon("db1", "mmm_agentd")
    sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db1 gives the VIP up")
    assert server_process(sandbox, "db1") is None
    agent_log.wait("start: db1 has .*writer")  # it looked at the interface before anybody told it anything
    agent_log.wait("unbind writer")
    heal(sandbox)
    sandbox.wait_states(LIMIT, db1="ONLINE")
    settle(sandbox)
