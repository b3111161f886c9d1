"""A host whose lease has no end and of which nothing is heard, with `dead_when_silent`: ARP tells (rule 11.1).

While the monitor is stopped its lease has no end. Then a host is off for all that can be seen when nothing answers ARP
for it and its VIP; one whose kernel answers is there, whatever its daemons do.
"""

import time
from collections.abc import Iterator

import pytest

from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests.clusters import Kept, kept, monitor_away
from tests.scenarios import LIMIT, Log, Patient, writable

pytestmark = pytest.mark.sandbox

LEASE = 3
NO_PING = "net.ipv4.icmp_echo_ignore_all"


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and a slave, with leases of 3 s."""
    conf = Conf(
        slaves=1,
        top={"vip_lease": LEASE},
        monitor={"flap_count": 0, "failover_block": 0, "split_brain_guard": 1, "dead_when_silent": 1},
    )
    with kept("silent", conf) as cluster:
        yield cluster


def test_a_host_whose_cable_is_pulled_is_off_once_nothing_answers_arp_for_it(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    with monitor_away(sandbox):
        inject(sandbox, "cut", "db1")
    log.wait("db1: nothing answers ARP for db1 and .*: it has not got it")
    sandbox.wait_until(lambda: "db2" in sandbox.holders(vip), LIMIT, "db2 takes over")
    heal(sandbox)
    sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db1 lets go")
    assert not writable(sandbox, "db1")


def test_a_host_that_is_frozen_and_does_not_even_ping_is_there_while_its_kernel_answers_arp(
    own_cluster: Kept,
) -> None:
    sandbox = own_cluster.healthy()
    vip, log, machine = sandbox.layout.writer_ip, Log(sandbox), sandbox.machine("db1")
    with monitor_away(sandbox):
        inject(sandbox, "freeze-agent", "db1")
        inject(sandbox, "freeze-mysqld", "db1")
        machine.run(["sysctl", "-q", "-w", f"{NO_PING}=1"])
    try:
        log.wait("FATAL db1: ONLINE -> HARD_OFFLINE")
        waits = f"writer({vip}) waits for db1, which may still have it: its lease has no end"
        sandbox.wait_until(lambda: waits in sandbox.ask("show"), LIMIT, "the role waits for db1")
        Patient(sandbox, log, time.monotonic()).wait(2 * (LEASE + 1))
        assert sandbox.holders(vip) == ("db1",)
        assert not log.lines("nothing answers ARP")
    finally:
        machine.run(["sysctl", "-q", "-w", f"{NO_PING}=0"])
        heal(sandbox)
    sandbox.wait_until(lambda: sandbox.holders(vip) == ("db2",), LIMIT, "db1 lets go once it is asked")


def test_a_host_whose_agent_alone_is_dead_keeps_the_role(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    vip, log = sandbox.layout.writer_ip, Log(sandbox)
    with monitor_away(sandbox):
        inject(sandbox, "kill-agent", "db1", angel=True)
    unreachable = "agent on host db1 is not reachable"
    sandbox.wait_until(
        lambda: unreachable in sandbox.ask("show"), LIMIT, "the monitor misses the agent of db1"
    )
    Patient(sandbox, log, time.monotonic()).wait(2 * (LEASE + 1))
    assert sandbox.holders(vip) == ("db1",)
    assert writable(sandbox, "db1")
    assert not log.lines("nothing answers ARP")
    heal(sandbox)
    settle(sandbox)
