"""The writer lease on real interfaces: a host that is cut off is no writer any more before another is (SPEC 11.1)."""

import os
import signal
from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.conf import Conf
from mmm.sandbox.faults import daemon_processes, heal, inject
from mmm.sandbox.inspect import settle
from mmm.sandbox.watch import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log, wait_back, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters whose leases are 3 s long."""
    conf = Conf(
        slaves=0,
        top={"vip_lease": 3},
        monitor={"flap_count": 0, "failover_block": 0, "split_brain_guard": 1},
    )
    with kept("lease", conf) as cluster:
        yield cluster


@pytest.fixture
def leased(own_cluster: Kept) -> Sandbox:
    """Give that cluster healthy, db1 being the writer."""
    return own_cluster.healthy()


def test_a_writer_that_is_cut_off_is_none_any_more_before_another_is(leased: Sandbox) -> None:
    vip, log, agent_log = leased.layout.writer_ip, Log(leased), Log(leased, "db1", "mmm_agentd")
    with Addresses(leased) as addresses, Probe(leased, readers=False) as probe:
        inject(leased, "cut", "db1")
        agent_log.wait("FATAL db1: the lease of writer")
        agent_log.wait("fence: db1: read_only=1")
        outage = probe.wait_outage(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        assert not writable(leased, "db1")
        assert leased.holders(vip) == ("db2",)
        heal(leased)
        wait_back(leased, log, "db1")
        settle(leased)
        assert leased.writer() == "db2"  # it came back and drew no clients
    assert addresses.together(vip) == []
    assert probe.report.doubled == ()


def test_without_the_monitor_the_writer_keeps_its_vip_by_promises(leased: Sandbox) -> None:
    log = Log(leased, "db1", "mmm_agentd")
    with Addresses(leased) as addresses, Probe(leased, readers=False) as probe:
        inject(leased, "kill-monitor", angel=True)
        log.wait("the lease is renewed by promises of db2")
        probe.wait_writes(LIMIT)
        heal(leased)
        settle(leased)
    assert addresses.moved == []
    assert probe.report.outages == ()


def test_the_kernel_takes_the_vip_from_a_frozen_agent(leased: Sandbox) -> None:
    vip = leased.layout.writer_ip
    with Addresses(leased) as addresses:
        inject(leased, "freeze-agent", "db1")
        inject(leased, "kill-mysqld", "db1")
        leased.wait_until(lambda: "db2" in leased.holders(vip), LIMIT, "db2 takes over")
        assert leased.holders(vip) == ("db2",)
        heal(leased)
        settle(leased)
    assert addresses.together(vip) == []


def test_the_angel_takes_the_role_from_a_host_whose_worker_is_stuck(leased: Sandbox) -> None:
    log = Log(leased, "db1", "mmm_agentd")
    _, worker = daemon_processes(leased, "db1", "mmm_agentd")
    with Probe(leased, readers=False) as probe:
        probe.wait_writes(LIMIT)
        os.kill(worker.pid, signal.SIGSTOP)
        log.wait("dead or stuck: the angel acts in its place")
        log.wait("fence: db1: read_only=1")
        assert not writable(leased, "db1")
        assert leased.holders(leased.layout.writer_ip) == ()
        heal(leased)  # nobody else took it: the host is not dead
        outage = probe.wait_outage(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db1")
    settle(leased)
    assert probe.report.doubled == ()


def test_a_writer_that_only_the_monitor_does_not_reach_stays_the_writer(leased: Sandbox) -> None:
    log, agent_log = Log(leased), Log(leased, "db1", "mmm_agentd")
    monitor = leased.layout.plugs[leased.monitor.name].ip
    with Addresses(leased) as addresses, Probe(leased, readers=False) as probe:
        leased.machine("db1").run(["ip", "route", "add", "blackhole", f"{monitor}/32"])
        try:
            log.wait("db1: diagnosis: cut_off_from_monitor: .*its server answers db2")
            agent_log.wait("the lease is renewed by promises of db2")
            probe.wait_writes(LIMIT, 2000)
            assert "# Warning: cut_off_from_monitor: only the monitor does not reach db1" in leased.ask(
                "show"
            )
        finally:
            leased.machine("db1").run(["ip", "route", "del", "blackhole", f"{monitor}/32"])
        log.wait("db1: mysql is good again")
        probe.wait_writes(LIMIT)
    settle(leased)
    assert log.changes() == []
    assert probe.report.outages == ()
    assert addresses.of(leased.layout.writer_ip) == []


def test_clients_of_a_frozen_server_are_reset_when_its_lease_is_over(leased: Sandbox) -> None:
    """Neither the server nor anybody else would tell them: the host is cut off from the monitor and its peer alone."""
    with leased.client.connect((leased.layout.writer_ip, 3306), LIMIT) as known:
        assert known.recv(65536)  # the server's greeting
        for fault in ("cut-from-peer", "cut-from-monitor", "freeze-mysqld"):
            inject(leased, fault, "db1")
        with pytest.raises(ConnectionResetError):
            known.recv(1)
    heal(leased)
    settle(leased)
