"""Confs that differ in what leases rest on: nobody prolongs a lease by another, no second host writes (rule 11.1)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept, monitor_away, restart
from tests.scenarios import LIMIT, PATIENCE, Log, refuses_writes, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

LEASE = 20
"""Seconds: longer than an agent takes to start anew where the machine is busy; three scenarios wait for its end."""
LONG, SHORT = f"{'vip_lease':<24}{LEASE}\n", f"{'vip_lease':<24}3\n"
BOTH, ALONE = f"    {'hosts':<24}db1, db2\n", f"    {'hosts':<24}db1\n"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters whose leases are so long that an agent is started anew within one."""
    monitor = {"flap_count": 0, "failover_block": 0}
    with kept("confs", Conf(slaves=0, top={"vip_lease": LEASE}, monitor=monitor)) as cluster:
        yield cluster


@contextmanager
def written(sandbox: Sandbox, names: tuple[str, ...], old: str, new: str) -> Iterator[None]:
    """Have mmm_common.conf of these machines say something else; at the end all daemons run as before."""
    paths = [sandbox.machine(name).etc / "mmm_common.conf" for name in names]
    before = [path.read_text() for path in paths]
    for path, text in zip(paths, before, strict=True):
        assert old in text
        path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        heal(sandbox)
        for path, text in zip(paths, before, strict=True):
            path.write_text(text)
        with monitor_away(sandbox):
            for name in sandbox.hosts:
                restart(sandbox, name, "mmm_agentd")


def test_a_writer_whose_conf_names_no_other_host_renews_nothing_by_itself(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    with written(sandbox, ("db1",), BOTH, ALONE), Addresses(sandbox) as addresses, Probe(sandbox) as probe:
        inject(sandbox, "kill-agent", "db1", angel=True)
        sandbox.start_daemon("db1", "mmm_agentd")
        log.wait("db1: its agent answered .*differ in hosts: make them the same")
        assert (
            "# Warning: the conf of db1 differs from the monitor's in hosts: db1 cannot be the writer;"
            in sandbox.ask("show")
        )
        inject(sandbox, "cut", "db1")
        sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db2 takes over")
        assert not writable(sandbox, "db1")
        assert "CRITICAL: the conf of db1 differs from the monitor's in hosts" in sandbox.ask("history")
    assert addresses.together(vip) == []
    assert probe.report.doubled == ()


def test_a_writer_whose_agent_comes_back_with_another_conf_after_its_lease_takes_no_writes(
    own_cluster: Kept,
) -> None:
    sandbox = own_cluster.healthy()
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    with written(sandbox, ("db1",), BOTH, ALONE):
        inject(sandbox, "kill-agent", "db1", angel=True)
        sandbox.wait_until(lambda: sandbox.holders(vip) == (), 2 * LIMIT, "the kernel removes the VIP")
        assert writable(sandbox, "db1")
        sandbox.start_daemon("db1", "mmm_agentd")
        log.wait("db1: its agent answered .*differ in hosts: make them the same")
        sandbox.wait_until(lambda: refuses_writes(sandbox, "db1"), LIMIT, "db1 is read_only")
        sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db2 takes over")
        assert sandbox.writer() == "db2"


def left(sandbox: Sandbox, host: str) -> dict[str, int]:
    """Return for how many seconds the kernel of a host keeps each VIP that has an end."""
    shown = sandbox.machine(host).run(["ip", "-o", "address", "show"]).stdout
    return {ip: int(seconds) for ip, seconds in re.findall(r"inet ([0-9.]+)/32 .*valid_lft (\d+)sec", shown)}


def test_a_writer_whose_agent_is_started_again_with_the_same_conf_keeps_its_vips_without_a_monitor(
    own_cluster: Kept,
) -> None:
    """So does a host that has readers only: what the kernel keeps is renewed, though no order has said what it is."""
    sandbox = own_cluster.healthy()
    writer, half = sandbox.layout.writer_ip, LEASE / 2
    readers = {name: set(left(sandbox, name)) - {writer} for name in sandbox.hosts}
    assert all(readers.values())
    agent = Log(sandbox, "db1", "mmm_agentd")
    with Addresses(sandbox) as addresses, Probe(sandbox, limit=PATIENCE) as probe:
        inject(sandbox, "kill-monitor", angel=True)
        for name in sandbox.hosts:
            inject(sandbox, "kill-agent", name)
        for _ in range(2):
            sandbox.wait_until(lambda: 0 < left(sandbox, "db1").get(writer, 0) < half, LIMIT, "half is over")
            agent.wait(
                "the monitor was not heard since the agent started: the lease is renewed by promises of db2"
            )
            sandbox.wait_until(
                lambda: left(sandbox, "db1").get(writer, 0) > half, LIMIT, "the VIP is renewed"
            )
            for name, ips in readers.items():
                assert {ip for ip, seconds in left(sandbox, name).items() if seconds > half} - {writer} == ips
        probe.wait_writes(LIMIT)
        heal(sandbox)
        settle(sandbox)
    assert addresses.moved == []
    assert probe.report.outages == ()
    assert probe.report.doubled == ()


def test_a_monitor_with_shorter_leases_waits_for_what_a_host_was_granted_by_longer_ones(
    own_cluster: Kept,
) -> None:
    sandbox = own_cluster.healthy()
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    machines = (*sandbox.hosts, sandbox.layout.monitor)
    with written(sandbox, machines, LONG, SHORT), Addresses(sandbox) as addresses, Probe(sandbox) as probe:
        inject(sandbox, "kill-monitor", angel=True)
        sandbox.start_daemon(sandbox.layout.monitor, "mmm_mond")
        log.wait("db1: its agent answered .*differ in vip_lease: make them the same")
        assert "# Warning: the conf of db1 differs from the monitor's in vip_lease:" in sandbox.ask("show")
        inject(sandbox, "cut", "db1")
        sandbox.wait_until(
            lambda: f"writer({vip}) waits for db1, which may still have it" in sandbox.ask("show"),
            LIMIT,
            "the role waits for db1",
        )
        restart(sandbox, "db2", "mmm_agentd")
        sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db2 takes over")
        assert not writable(sandbox, "db1")
    assert addresses.together(vip) == []
    assert probe.report.doubled == ()
