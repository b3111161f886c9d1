"""Two monitors, one of which leads, two hosts and a witness: what each failure does, and what clients notice of it."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import build
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.conf import NET, Conf, fast
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept, log
from tests.scenarios import LIMIT, PATIENCE, move_writer
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

MONITORS = ("monitor", "monitor2")
EXAMPLE = Path(__file__).parents[2] / "etc/keepalived.conf.example"
ADDRESS = NET + "240"
IN_TIME = 1.0
"""Seconds after which an agent that is stopped may have waited for the leader for long enough; its lease is of 2 s."""
CONF = Conf(slaves=0, monitors=2, witnesses=1, monitor={"failover_block": 0})


@pytest.fixture(scope="module")
def shared() -> Iterator[Kept]:
    with kept("monitors", CONF) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: Kept) -> Sandbox:
    """Give it healthy: all agents vote for the monitor that leads, and the writer's lease is one that ends."""
    sandbox = shared.healthy()
    leader, _ = places(sandbox)

    def as_ever() -> bool:
        hosts = asked(sandbox, leader, "status")["hosts"]
        leases = [each["lease"]["left"] for each in hosts if each["lease"]]
        return (
            asked(sandbox, leader, "monitors")["missing"] == [] and len(leases) == 1 and leases[0] is not None
        )

    sandbox.wait_until(as_ever, LIMIT, "all vote, and the writer has a lease that ends")
    return sandbox


def places(cluster: Sandbox) -> tuple[str, str]:
    """Return the machine of the monitor that leads, and that of the other, when both know of each other."""
    found: list[str] = []

    def know_each_other() -> bool:
        found[:] = sorted(MONITORS, key=lambda name: name != cluster.leader())
        try:
            told = [asked(cluster, name, "monitors") for name in found]
        except OSError:  # it has just been started
            return False
        leader = cluster.layout.monitors[found[0]]
        known = all(each["answers"] for each in told[0]["monitors"])
        return known and [each["leader"] for each in told] == [leader, leader]

    cluster.wait_until(know_each_other, LIMIT, "a monitor leads, and both know of each other")
    return found[0], found[1]


def asked(cluster: Sandbox, machine: str, command: str) -> dict[str, Any]:
    return dict(json.loads(cluster.ask_monitor(machine, f"json {command}")))


def leads(cluster: Sandbox, machine: str) -> None:
    cluster.wait_until(lambda: cluster.leader() == machine, LIMIT, f"{machine} leads")


def test_a_monitor_that_is_killed_is_followed_by_one_that_knows_what_was_ordered(cluster: Sandbox) -> None:
    leader, other = places(cluster)
    assert cluster.ask("set_offline db2", LIMIT).startswith("OK")
    assert cluster.ask("set_manual").startswith("OK")
    refused = asked(cluster, other, "set_active")
    assert (refused["ok"], refused["code"]) == (False, "stands_by")
    assert cluster.control("mode", on=other).stdout == "MANUAL\n"
    cluster.wait_until(
        lambda: asked(cluster, leader, "monitors")["kept_by"] == ["db1", "db2", "witness"],
        LIMIT,
        "all keep it",
    )
    with Addresses(cluster) as addresses, Probe(cluster, limit=PATIENCE) as probe:
        inject(cluster, "kill-monitor", leader, angel=True)
        leads(cluster, other)
        assert cluster.control("mode", on=leader).stdout == "MANUAL\n"  # it finds the one that leads
        cluster.wait_states(LIMIT, db1="ONLINE", db2="ADMIN_OFFLINE")
        heal(cluster)
        assert places(cluster) == (other, leader)
    assert addresses.together(cluster.layout.writer_ip) == []
    assert probe.report.writer == "db1"
    assert probe.report.outages == ()


def test_a_monitor_that_freezes_gives_no_orders_when_it_wakes(cluster: Sandbox) -> None:
    leader, other = places(cluster)
    with Addresses(cluster) as addresses, Probe(cluster, readers=False) as probe:
        inject(cluster, "freeze-monitor", leader)
        inject(cluster, "kill-mysqld", "db1")
        leads(cluster, other)
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        woken = log(cluster, leader, "mmm_mond")
        heal(cluster)
        woken.wait("stands by, no orders are given from here")
        assert places(cluster) == (other, leader)
        assert cluster.writer() == "db2"
    assert woken.count("told .*: OK") == 0
    assert addresses.together(cluster.layout.writer_ip) == []


def test_monitors_that_do_not_reach_each_other_change_nothing(cluster: Sandbox) -> None:
    leader, other = places(cluster)
    inject(cluster, "cut-monitors-apart", leader)
    ip = cluster.layout.monitors[other]
    cluster.wait_until(
        lambda: "monitor_silent" in cluster.ask_monitor(leader, "json show"), LIMIT, f"{leader} misses {ip}"
    )
    assert asked(cluster, leader, "monitors")["leads"]
    assert asked(cluster, other, "monitors")["leader"] == cluster.layout.monitors[leader]
    away, here = cluster.layout.monitors[leader], ip
    health = cluster.control("health", on=other)
    assert health.returncode == 1, "what a standby says of the cluster is no OK"
    assert health.stdout.startswith("MMM WARNING: this monitor stands by")
    assert (
        f"the monitor at {away} leads and does not answer; {here}, which stands by, answers" in health.stderr
    )
    assert "stands_by" not in cluster.ask_monitor(leader, "json health")
    heal(cluster)
    assert places(cluster) == (leader, other)


def test_agents_that_are_stopped_do_not_cost_the_lead_while_the_monitors_see_each_other(
    cluster: Sandbox,
) -> None:
    leader, other = places(cluster)
    standby = log(cluster, other, "mmm_mond")

    def by_monitors() -> bool:
        told = asked(cluster, leader, "monitors")
        return bool(told["by_monitors"]) and told["missing"] == ["db2", "witness"]

    with Probe(cluster, readers=False, limit=PATIENCE) as probe:
        for name in ("db2", "witness"):
            assert cluster.init(name, "mysql-mmm-agent", "stop").returncode == 0
        cluster.wait_until(by_monitors, LIMIT, f"{leader} leads on by the word of {other}")
        # waits in vain for voters that keep it on record, for longer than a lead and the lease of the writer last
        assert cluster.ask("set_manual", LIMIT).startswith("OK")
        cluster.wait_until(by_monitors, LIMIT, f"{leader} leads on by the word of {other}")
        heal(cluster)
        assert places(cluster) == (leader, other)
    assert standby.count("takes the lead") == 0
    assert probe.report.outages == ()


def test_an_agent_that_is_stopped_is_granted_the_role_for_good_by_the_leader_once_voters_have_it_on_record(
    cluster: Sandbox,
) -> None:
    """In time: else it would ask the other hosts of the role to let its VIP stay."""
    leader, other = places(cluster)
    keeper = log(cluster, "db2", "mmm_agentd")
    with Addresses(cluster) as addresses, Probe(cluster, readers=False, limit=PATIENCE) as probe:
        since = time.monotonic()
        assert cluster.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        took = time.monotonic() - since
        told = asked(cluster, leader, "status")["hosts"]
        heal(cluster)
        assert places(cluster) == (leader, other)
    others = keeper.count("db1 is stopped and leaves its VIP for good")
    if others and took > IN_TIME:
        raise NotInTimeError(f"the agent of db1 has ended after {took:.1f} s, the leader was too late for it")
    assert ([each["lease"] for each in told if each["name"] == "db1"], others) == ([{"left": None}], 0)
    assert [moved for moved in addresses.moved if moved.ip == cluster.layout.writer_ip] == []
    assert probe.report.outages == ()


def test_the_next_leader_leaves_a_readers_vip_with_a_host_whose_agent_is_silent_and_knows_what_happened(
    cluster: Sandbox,
) -> None:
    """The voters keep nothing of it: it is learned from the one that led."""
    leader, other = places(cluster)
    readers = set(cluster.layout.reader_ips)
    assert cluster.init("db2", "mysql-mmm-agent", "stop").returncode == 0
    cluster.wait_until(
        lambda: "db2 is not reachable" in cluster.ask_monitor(leader, "show"),
        LIMIT,
        f"{leader} misses the agent",
    )
    left = readers & set(bound_addresses(cluster.machine("db2")))
    assert left
    file = "/var/lib/misc/mmm_mond.status"
    copied = [cluster.machine(name).path(file) for name in (leader, other)]
    cluster.wait_until(lambda: len({path.read_text() for path in copied}) == 1, LIMIT, f"{other} has a copy")
    happened = cluster.ask_monitor(leader, "history")
    with Addresses(cluster) as addresses:
        inject(cluster, "kill-monitor", leader, angel=True)
        leads(cluster, other)
        reader = next(role for role in asked(cluster, other, "status")["roles"] if role["name"] == "reader")
        assert {each["ip"] for each in reader["ips"] if each["holder"] == "db2"} == left
        assert set(happened.splitlines()[:-1]) <= set(cluster.ask_monitor(other, "history 1000").splitlines())
        heal(cluster)
        assert places(cluster) == (other, leader)
    assert [ip for ip in readers if addresses.together(ip)] == []


def test_an_agent_that_is_stopped_while_nobody_leads_leaves_its_vip_for_good_and_the_next_leader_waits(
    cluster: Sandbox,
) -> None:
    leader, other = places(cluster)
    keeper = log(cluster, "db2", "mmm_agentd")

    def held() -> bool:
        told = json.loads(cluster.ask_monitor(other, "json status"))["hosts"]
        return [each["lease"] for each in told if each["name"] == "db1"] == [{"left": None}]

    with Addresses(cluster) as addresses, Probe(cluster, readers=False, limit=PATIENCE) as probe:
        for name in (leader, other):
            inject(cluster, "kill-monitor", name, angel=True)
        assert cluster.init("db1", "mysql-mmm-agent", "stop").returncode == 0
        keeper.wait("db1 is stopped and leaves its VIP for good")
        cluster.start_daemon(other, "mmm_mond")
        leads(cluster, other)
        cluster.wait_until(held, LIMIT, f"{other} takes db1 to hold the role for good")
        assert cluster.control("move_role", "writer", "db2", limit=LIMIT, on=other).returncode == 1
        cluster.start_daemon("db1", "mmm_agentd")
        keeper.wait("it is void that the VIP stays with db1")
        heal(cluster)
        assert places(cluster) == (other, leader)
    assert [moved for moved in addresses.moved if moved.ip == cluster.layout.writer_ip] == []
    assert probe.report.outages == ()
    move_writer(cluster, "db2")  # which is free again


def test_a_monitor_that_is_cut_off_loses_the_lead_and_comes_back_to_stand_by(cluster: Sandbox) -> None:
    leader, other = places(cluster)
    lost = log(cluster, leader, "mmm_mond")
    inject(cluster, "cut-monitor", leader)
    leads(cluster, other)
    lost.wait("stands by, no orders are given from here: 0 of 3 voters agreed, 2 must, and not all other")
    assert asked(cluster, leader, "monitors")["leader"] is None
    heal(cluster)
    assert places(cluster) == (other, leader)


def test_a_monitor_that_stands_by_takes_another_conf_at_once_and_goes_by_it_when_it_leads(
    cluster: Sandbox,
) -> None:
    """It refused every change: for it nobody could take the roles, which others have by the leader's orders."""
    leader, other = places(cluster)
    kept_ip, gone = cluster.layout.reader_ips
    try:
        write(cluster, replace(CONF, roles={"reader": {"ips": kept_ip}}))
        assert "First" not in cluster.ask_monitor(other, "reload --dry-run")
        assert cluster.ask_monitor(other, "reload").startswith("OK: The conf is taken.\n<role reader> ips: ")
        assert len(cluster.holders(gone)) == 1, "the leader has given it to a host"
        assert f"First reader({gone}) would be unbound." in cluster.ask_monitor(leader, "reload --dry-run")
        assert cluster.ask_monitor(leader, "reload").startswith("OK: The conf is taken.")
        assert cluster.holders(gone) == ()
        assert cluster.ask("hand_over").startswith("OK")
        leads(cluster, other)
        assert places(cluster) == (other, leader)
        cluster.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")
        assert gone not in cluster.ask_monitor(other, "show")
        assert cluster.holders(gone) == ()
    finally:
        write(cluster, CONF)
        for name in MONITORS:
            cluster.ask_monitor(name, "reload")
    cluster.wait_until(lambda: len(cluster.holders(gone)) == 1, LIMIT, "the leader gives it to a host again")


def write(cluster: Sandbox, conf: Conf) -> None:
    """Have the monitors find another conf; the agents keep theirs, which has all VIPs."""
    for name in MONITORS:
        (cluster.machine(name).etc / "mmm_common.conf").write_text(fast(conf).files()["mmm_common.conf"])


def test_an_address_of_keepalived_follows_the_one_that_leads(cluster: Sandbox) -> None:
    leader, other = places(cluster)
    with keepalived(cluster):
        cluster.wait_until(lambda: has_address(cluster) == [leader], LIMIT, f"{leader} has {ADDRESS}")
        assert cluster.control("hand_over", cluster.layout.monitors[other]).stdout.startswith("OK")
        leads(cluster, other)
        cluster.wait_until(lambda: has_address(cluster) == [other], LIMIT, f"{other} has {ADDRESS}")
        for fault in ("kill-monitor", "freeze-monitor"):
            leader, other = places(cluster)
            inject(cluster, fault, leader, angel=fault == "kill-monitor")
            leads(cluster, other)
            cluster.wait_until(lambda: has_address(cluster) == [other], LIMIT, f"{other} has {ADDRESS}")  # noqa: B023
            heal(cluster)
            assert cluster.control("leads", on=other).returncode == 0
            assert cluster.control("leads", on=leader).returncode == 1


def test_by_the_vote_of_a_witness_writes_go_on_when_the_leader_and_the_writers_host_die_together(
    cluster: Sandbox,
) -> None:
    leader, other = places(cluster)
    assert cluster.control("monitors").stdout.splitlines()[-1] == "witness (witness): votes"
    with Probe(cluster, readers=False) as probe:
        inject(cluster, "kill-monitor", leader, angel=True)
        cluster.power_off("db1")
        outage = probe.wait_move(LIMIT)
    assert (outage.before, outage.after) == ("db1", "db2")

    def kept_by_the_rest() -> bool:
        told = asked(cluster, other, "monitors")
        return bool(told["leads"]) and (told["kept_by"], told["missing"]) == (["db2", "witness"], ["db1"])

    cluster.wait_until(kept_by_the_rest, LIMIT, f"{other} leads by the votes of db2 and the witness")


def test_a_witness_that_is_switched_off_has_no_vote_until_the_cluster_is_healed(cluster: Sandbox) -> None:
    leader, _ = places(cluster)

    def missing(*names: str) -> Callable[[], bool]:
        return lambda: asked(cluster, leader, "monitors")["missing"] == list(names)

    inject(cluster, "power-off", "witness")
    cluster.wait_until(missing("witness"), LIMIT, "the witness is missed")
    with pytest.raises(SandboxError, match="witness is switched off already"):
        inject(cluster, "power-off", "witness")
    said: list[str] = []
    heal(cluster, said.append)
    assert said == ["witness is switched on again"]
    cluster.wait_until(missing(), LIMIT, "the witness votes again")


def has_address(cluster: Sandbox) -> list[str]:
    return [name for name in MONITORS if ADDRESS in bound_addresses(cluster.machine(name))]


@contextmanager
def keepalived(cluster: Sandbox) -> Iterator[None]:
    """Run Debian's keepalived on the monitors' machines, by the example in etc/."""
    program = Path("/usr/sbin/keepalived")
    if not program.exists():
        pytest.skip("no keepalived here: apt-get install keepalived")
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name in MONITORS:
            machine, (peer,) = cluster.machine(name), (each for each in MONITORS if each != name)
            conf = EXAMPLE.read_text()
            for old, new in (
                ("/usr/sbin/mmm_control", build.program("mmm_control")),
                ("192.168.100.50", cluster.layout.monitors[name]),
                ("192.168.100.49", cluster.layout.monitors[peer]),
                ("192.168.100.240", ADDRESS),
            ):
                assert old in conf
                conf = conf.replace(old, new)
            machine.path("/run/keepalived.conf").write_text(conf)
            argv = [str(program), "-n", "-l", "-D", "-f", "/run/keepalived.conf", "-p", "/run/keepalived.pid"]
            argv += ["-r", "/run/vrrp.pid"]
            running.append(machine.spawn(argv, log=machine.log / "keepalived.log"))
        yield
    finally:
        for name in MONITORS:
            for process in cluster.machine(name).processes():
                if any(re.search("keepalived$", word) for word in process.argv[:1]):
                    process.end(signal.SIGTERM, LIMIT)
        for each in running:
            each.wait(LIMIT)
