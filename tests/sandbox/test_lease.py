"""The writer lease on real interfaces: a host that is cut off is no writer any more before another is (rule 11.1)."""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject
from mmm.sandbox.trouble.paused import pause, wake
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, health, kept, lives_for_good
from tests.scenarios import LIMIT, PATIENCE, Log, Patient, move_writer, refuses_writes, wait_back, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

OK = 200
LEASE = 4


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters with leases of `LEASE` seconds."""
    conf = Conf(
        slaves=0,
        top={"vip_lease": LEASE},
        hosts={"default": {"health_port": 9991}},
        monitor={"flap_count": 0, "failover_block": 0, "split_brain_guard": 1, "agent_failover": 4},
    )
    with kept("lease", conf) as cluster:
        yield cluster


@pytest.fixture
def leased(own_cluster: Kept) -> Sandbox:
    """Give that cluster healthy, db1 being the writer by a lease that ends: none does while db2's agent is silent."""
    sandbox = own_cluster.healthy()
    sandbox.wait_until(lambda: not lives_for_good(sandbox, "db1"), LIMIT, "the lease of db1 ends")
    return sandbox


def test_a_writer_that_is_cut_off_is_none_any_more_before_another_is(leased: Sandbox) -> None:
    vip, log, agent_log = leased.layout.writer_ip, Log(leased), Log(leased, "db1", "mmm_agentd")
    with Addresses(leased) as addresses, Probe(leased, readers=False) as probe:
        inject(leased, "cut", "db1")
        agent_log.wait("FATAL db1: the lease of writer")
        agent_log.wait("fence: db1: read_only=1")
        outage = probe.wait_move(LIMIT)
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
    with Addresses(leased) as addresses, Probe(leased, readers=False, limit=PATIENCE) as probe:
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
    _, worker, answering = daemon_processes(leased, "db1", "mmm_agentd")
    with Probe(leased, readers=False) as probe:
        probe.wait_writes(LIMIT)
        answering.end(signal.SIGKILL, LIMIT)  # it is started again
        leased.wait_until(lambda: health(leased, "db1", "/writer")[0] == OK, LIMIT, "db1 says that it writes")
        assert health(leased, "db2", "/writer")[1]["why"] == "not_assigned"
        os.kill(worker.pid, signal.SIGSTOP)
        leased.wait_until(
            lambda: health(leased, "db1", "/writer")[0] != OK, LIMIT, "db1 says that it is over"
        )
        assert health(leased, "db1", "/writer")[1]["why"] == "lease_over"
        log.wait("dead or stuck: the angel acts in its place")
        log.wait("fence: db1: read_only=1")
        assert not writable(leased, "db1")
        leased.wait_until(lambda: leased.holders(leased.layout.writer_ip) == (), LIMIT, "the VIP is unbound")
        heal(leased)  # nobody else took it: the host is not dead
        outage = probe.wait_outage(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db1")
    leased.wait_until(lambda: health(leased, "db1", "/writer")[0] == OK, LIMIT, "db1 writes again")
    settle(leased)
    assert probe.report.doubled == ()


def test_a_writer_that_only_the_monitor_does_not_reach_stays_the_writer(leased: Sandbox) -> None:
    log, agent_log = Log(leased), Log(leased, "db1", "mmm_agentd")
    monitor = leased.layout.plugs[leased.monitor.name].ip
    with Addresses(leased) as addresses, Probe(leased, readers=False, limit=PATIENCE) as probe:
        leased.machine("db1").run(["ip", "route", "add", "blackhole", f"{monitor}/32"])
        try:
            log.wait("db1: diagnosis: cut_off_from_monitor: .*its server answers db2")
            agent_log.wait("the lease is renewed by promises of db2")
            Patient(leased, log, time.monotonic()).wait(LEASE)
            probe.wait_writes(LIMIT)
            assert "# Warning: cut_off_from_monitor: only the monitor cannot reach db1" in leased.ask("show")
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


def test_an_agent_that_is_stopped_in_order_leaves_the_vip_once_the_monitor_knows(leased: Sandbox) -> None:
    agent_log = Log(leased, "db1", "mmm_agentd")
    with Probe(leased, readers=False, limit=PATIENCE) as probe:
        assert leased.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        assert lives_for_good(leased, "db1")
        leased.start_daemon("db1", "mmm_agentd")
        leased.wait_until(lambda: not lives_for_good(leased, "db1"), LIMIT, "its lease ends again")
        probe.wait_writes(LIMIT)
    assert probe.report.outages == ()
    assert agent_log.lines("is left with the rest of its lease") == []
    settle(leased)


def test_an_agent_that_is_stopped_while_no_monitor_lives_leaves_its_vip_for_good_and_is_waited_for(
    leased: Sandbox,
) -> None:
    monitor, keeper = leased.layout.monitor, Log(leased, "db2", "mmm_agentd")
    with Addresses(leased) as addresses, Probe(leased, readers=False, limit=PATIENCE) as probe:
        inject(leased, "kill-monitor", angel=True)
        assert leased.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        assert lives_for_good(leased, "db1")
        keeper.wait("db1 is stopped and leaves its VIP for good")
        assert leased.init("db2", "mysql-mmm-agent", "restart").returncode == 0, "it is on the disk"
        leased.start_daemon(monitor, "mmm_mond")
        leased.wait_until(lambda: lease_without_end(leased, "db1"), LIMIT, "the monitor knows of it")
        since = time.monotonic()
        leased.wait_until(
            lambda: time.monotonic() - since > LEASE + 1 + 4 + 1, LIMIT, "leases and agent_failover are over"
        )
        assert leased.control("move_role", "writer", "db2", limit=LIMIT).returncode == 1
        assert lives_for_good(leased, "db1")
        leased.start_daemon("db1", "mmm_agentd")
        leased.wait_until(lambda: not lives_for_good(leased, "db1"), LIMIT, "its lease ends again")
        keeper.wait("it is void that the VIP stays with db1")
        probe.wait_writes(LIMIT)
        settle(leased)
    assert addresses.of(leased.layout.writer_ip) == []
    assert probe.report.outages == ()
    move_writer(leased, "db2")  # which is free again


def lease_without_end(sandbox: Sandbox, host: str) -> bool:
    """Tell whether the monitor takes the host to hold the writer role for good."""
    told = {each["name"]: each for each in json.loads(sandbox.ask("json status"))["hosts"]}[host]
    return bool(told["lease"] == {"left": None})


def test_a_writer_whose_agent_and_angel_are_dead_goes_to_another_host(leased: Sandbox) -> None:
    vip, log = leased.layout.writer_ip, Log(leased)
    with Addresses(leased) as addresses:
        inject(leased, "kill-agent", "db1", angel=True)
        leased.wait_until(lambda: leased.holders(vip) == ("db2",), LIMIT, "db2 takes over")
        heal(leased)
        leased.wait_until(lambda: refuses_writes(leased, "db1"), LIMIT, "db1 is read_only")
        settle(leased)
    gone, *_ = addresses.of(vip)
    assert (gone.host, gone.bound) == ("db1", False), "the kernel has removed it"
    assert addresses.together(vip) == []
    log.wait(r"writer\(.*: nobody -> db2|writer\(.*: db1 -> db2")


def test_a_host_that_lost_its_power_while_the_monitor_was_stopped_is_off_by_the_admins_word(
    leased: Sandbox,
) -> None:
    vip, machine = leased.layout.writer_ip, leased.machine("db1")
    assert leased.init(leased.layout.monitor, "mysql-mmm-monitor", "stop").returncode == 0
    inject(leased, "kill-agent", "db1", angel=True)  # as a host without power
    inject(leased, "kill-mysqld", "db1")
    machine.run(["ip", "address", "del", f"{vip}/32", "dev", leased.layout.plugs["db1"].interface])
    inject(leased, "cut", "db1")
    leased.start_daemon(leased.layout.monitor, "mmm_mond")
    leased.wait_until(
        lambda: "its lease has no end" in leased.control("show").stdout, LIMIT, "db1 is waited for"
    )
    moved = leased.control("move_role", "--force", "writer", "db2", limit=LIMIT)
    assert moved.returncode == 1
    assert "'mmm_control confirm_dead db1'" in moved.stdout
    assert leased.control("confirm_dead", "db2", "--yes", limit=LIMIT).stdout.startswith(
        "ERROR: 'db2' does not count as off: its agent answers."
    )
    assert leased.control("confirm_dead", "db1", limit=LIMIT).returncode == 2, "nobody can be asked back"
    done = leased.control("confirm_dead", "db1", "--yes", limit=LIMIT)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    leased.wait_until(lambda: leased.holders(vip) == ("db2",), LIMIT, "db2 takes over")
    assert "db1: confirmed dead by root" in leased.ask("history")
    heal(leased)


def test_a_host_that_wakes_with_its_clocks_where_they_stood_hears_of_the_other_writer_and_gives_up(
    leased: Sandbox,
) -> None:
    vip = leased.layout.writer_ip
    woken, other = Log(leased, "db1", "mmm_agentd"), Log(leased, "db2", "mmm_agentd")
    paused = pause(leased, "db1")
    leased.wait_until(
        lambda: leased.holders(vip) == ("db2",) and writable(leased, "db2"), LIMIT, "db2 writes"
    )
    inject(leased, "cut-from-monitor", "db1")  # else that one tells it
    wake(leased, paused, wall=True)
    woken.wait(f"conflict: {vip} is held here, .*other hosts are asked whether they have the role")
    woken.wait("db1: gives up writer.* though its lease is not over, .*db2, which answers")
    woken.wait("fence: db1: read_only=1")
    leased.wait_until(lambda: leased.holders(vip) == ("db2",), LIMIT, "db1 has let the VIP go")
    assert not writable(leased, "db1")
    heal(leased)
    settle(leased)
    assert leased.writer() == "db2"
    assert other.lines("gives up|the lease of writer") == []
