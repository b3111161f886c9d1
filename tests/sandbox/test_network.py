"""The monitor without its network: it says so once, decides nothing, sends nothing, and goes on afterwards."""

from collections.abc import Callable, Iterator

import pytest

from mmm.sandbox import network
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.faults import heal, inject
from mmm.sandbox.inspect import settle
from mmm.sandbox.layout import SWITCH
from mmm.sandbox.watch import Probe
from tests.scenarios import ALL_ONLINE, LIMIT, SHORT_OUTAGE, Log, check_line
from tests.taps import Traffic

pytestmark = pytest.mark.sandbox

Gateway = Callable[[bool], None]


@pytest.fixture
def gateway(sandbox: Sandbox) -> Iterator[Gateway]:
    """Give a switch for the only ping_ip: without it the network counts as down though every host is reached."""
    ip = sandbox.layout.gateways[0]

    def switch(up: bool) -> None:  # noqa: FBT001
        machine = sandbox.machine(SWITCH)
        machine.run(["ip", "address", "replace" if up else "del", f"{ip}/24", "dev", network.BRIDGE])

    yield switch
    switch(True)


def test_nothing_is_decided_and_nothing_sent_while_no_ping_ip_answers(
    sandbox: Sandbox, gateway: Gateway
) -> None:
    log = Log(sandbox)
    before = sandbox.show()
    with Traffic(sandbox, sandbox.layout.monitor) as traffic:
        gateway(False)
        line = log.wait("network: none of the ping_ips answers")
        assert " FATAL network: " in line
        inject(sandbox, "kill-mysqld", "db1")
        pings, calls = len(traffic.pings), len(traffic.calls)
        # Six attempts, a second each: with the network up, the failover would long be over.
        sandbox.wait_until(lambda: len(traffic.pings) >= pings + 6, LIMIT, "the monitor tries its ping_ip")
        assert set(traffic.pings[pings:]) == set(sandbox.layout.gateways)
        assert traffic.calls[calls:] == []  # neither agents nor servers
        assert sandbox.show() == before
        assert check_line(sandbox, "db1", "mysql").endswith("OK")
        assert log.changes() == []
        gateway(True)
        assert " INFO network: " in log.wait("network: a ping_ip answers again")
        log.wait_change("db1", "HARD_OFFLINE")
        sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    assert len(log.lines("network: none")) == 1
    heal(sandbox)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    settle(sandbox)
    assert log.story("db1") == SHORT_OUTAGE


def test_a_monitor_cut_off_moves_nothing_and_goes_on_when_it_is_back(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    before = sandbox.show()
    with Probe(sandbox) as probe:
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


def test_a_monitor_started_without_network_waits_for_it(sandbox: Sandbox, gateway: Gateway) -> None:
    log = Log(sandbox)
    gateway(False)
    log.wait("network: none of the ping_ips answers")
    inject(sandbox, "kill-monitor")
    log.wait(r"FATAL network: none of the ping_ips answers \(.*\): waiting")
    assert log.lines("starts as") == []
    gateway(True)
    log.wait("db3: starts as ONLINE")
    settle(sandbox)
