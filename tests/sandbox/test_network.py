"""The monitor without its network: it says so once, decides nothing, and goes on afterwards."""

import time
from collections.abc import Callable, Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import ALL_ONLINE, LIMIT, PATIENCE, Log

pytestmark = pytest.mark.sandbox

Gateway = Callable[[bool], None]


@pytest.fixture
def gateway(sandbox: Sandbox) -> Iterator[Gateway]:
    """Give a switch for the only ping_ip."""
    ip = sandbox.layout.gateways[0]

    def switch(up: bool) -> None:  # noqa: FBT001
        machine = sandbox.machine(SWITCH)
        machine.run(["ip", "address", "replace" if up else "del", f"{ip}/24", "dev", network.BRIDGE])

    yield switch
    switch(True)


def test_nothing_is_decided_while_nobody_answers(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    before = sandbox.show()
    port = sandbox.layout.plugs[sandbox.layout.monitor].port
    network.set_port(sandbox.machine(SWITCH), port, up=False)
    assert " FATAL network: " in log.wait("network: none of the ping_ips answers")
    inject(sandbox, "kill-mysqld", "db1")
    over = time.monotonic() + 6.0  # with the network up, the failover would long be over
    sandbox.wait_until(lambda: time.monotonic() > over, LIMIT, "there was time for a failover")
    assert sandbox.show() == before
    assert log.changes() == []
    network.set_port(sandbox.machine(SWITCH), port, up=True)
    assert " INFO network: " in log.wait("network: a ping_ip answers again")
    log.wait_change("db1", "HARD_OFFLINE")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    said = ["none of" in line for line in log.lines("network: (none of|a ping_ip answers)")]
    assert said == [True, False] * (len(said) // 2), "each time once"
    heal(sandbox)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    settle(sandbox)


def test_a_gateway_that_does_not_answer_stops_nothing_while_hosts_do(
    sandbox: Sandbox, gateway: Gateway
) -> None:
    log = Log(sandbox)
    gateway(False)
    inject(sandbox, "kill-mysqld", "db1")
    log.wait_change("db1", "HARD_OFFLINE")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    gateway(True)
    heal(sandbox)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    settle(sandbox)


def test_a_monitor_cut_off_moves_nothing_and_goes_on_when_it_is_back(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    before = sandbox.show()
    with Probe(sandbox, limit=PATIENCE) as probe:
        port = sandbox.layout.plugs[sandbox.layout.monitor].port
        network.set_port(sandbox.machine(SWITCH), port, up=False)
        log.wait("FATAL network: none of the ping_ips answers")
        probe.wait_writes(LIMIT, 500)
        network.set_port(sandbox.machine(SWITCH), port, up=True)
        log.wait("network: a ping_ip answers again")
        sandbox.wait_until(lambda: sandbox.show() == before, LIMIT, "everything is as before")
        probe.wait_writes(LIMIT)
    assert log.changes() == []
    assert log.lines("kill_host|has failed") == []
    assert probe.report.outages == ()
    settle(sandbox)


def test_a_monitor_started_without_network_waits_for_it(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    port = sandbox.layout.plugs[sandbox.layout.monitor].port
    network.set_port(sandbox.machine(SWITCH), port, up=False)
    log.wait("network: none of the ping_ips answers")
    assert log.lines("HARD_OFFLINE|kill_host") == []
    inject(sandbox, "kill-monitor")
    log.wait(r"FATAL network: none of the ping_ips answers \(.*\): waiting")
    assert log.lines("starts as") == []
    network.set_port(sandbox.machine(SWITCH), port, up=True)
    log.wait("db3: starts as ONLINE")
    settle(sandbox)
