"""Passive, manual and wait mode, and preferred hosts, on two masters."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.trouble.faults import daemon_processes, heal, inject
from mmm.sandbox.witness.health import host_facts, settle
from tests.clusters import (
    BY_ITSELF,
    LIMIT,
    Kept,
    bound,
    kept,
    lives_for_good,
    log,
    monitor_away,
    monitor_log,
    request,
    restart,
    shown,
)
from tests.scenarios import move_writer
from tests.taps import Addresses, Traffic

pytestmark = pytest.mark.sandbox

WRITER, READER = "10.77.0.80", "10.77.0.90"
KILLED = "/var/lib/misc/killed"
KILL_HOST = f"#!/bin/sh\necho $1 $2 >>{KILLED}\n"
TOP = {"allow_from": "10.77.0.0/26", "vip_lease": 6}


@pytest.fixture(scope="module")
def pair() -> Iterator[Kept]:
    """Give two masters whose writer prefers db1, and a kill_host that notes whom it was to kill.

    The lease is one that outlives a busy machine's starts of daemons.
    """
    monitor = {"flap_count": 0, "kill_host_bin": "/var/lib/misc/kill_host", "wait_for_other_master": 0}
    conf = Conf(slaves=0, monitor=monitor, roles={"writer": {"prefer": "db1"}}, top=TOP)
    with kept("modes", conf, furnish=with_kill_host) as cluster:
        yield cluster


def with_kill_host(sandbox: Sandbox) -> None:
    program = sandbox.monitor.path("/var/lib/misc/kill_host")
    program.write_text(KILL_HOST)
    program.chmod(0o755)


@pytest.fixture
def cluster(pair: Kept) -> Sandbox:
    """Give them healthy, in active mode, db1 being the writer."""
    sandbox = pair.healthy()
    sandbox.monitor.path(KILLED).unlink(missing_ok=True)
    return sandbox


def ok(sandbox: Sandbox, *args: str) -> str:
    done = sandbox.control(*args, limit=90)
    assert done.returncode == 0, done.stdout
    return done.stdout.rstrip("\n")


def lines(sandbox: Sandbox) -> list[str]:
    return sandbox.ask("show").splitlines()


# --- two monitors


@contextmanager
def second_monitor(sandbox: Sandbox) -> Iterator[Machine]:
    """Run a monitor with the same conf, but for its address, on the clients' machine."""
    machine, own = sandbox.client, sandbox.layout.plugs["client"].ip
    for path in sandbox.monitor.etc.glob("*.conf"):
        copy = machine.etc / path.name
        copy.write_text(path.read_text().replace(sandbox.layout.monitor_ip, own))
        copy.chmod(0o600)
    machine.run([program("mmm_mond")])
    try:
        yield machine
    finally:
        for process in daemon_processes(sandbox, "client", "mmm_mond"):
            process.end(signal.SIGTERM, LIMIT)
        for path in (*machine.etc.glob("*.conf"), machine.path("/var/lib/misc/mmm_mond.status")):
            path.unlink(missing_ok=True)


def second_says(machine: Machine, *command: str) -> str:
    return machine.run([program("mmm_control"), *command], limit=90, check=False).stdout


def test_of_two_monitors_one_gives_way_and_both_name_the_other(cluster: Sandbox) -> None:
    first, own = cluster.layout.monitor_ip, cluster.layout.plugs["client"].ip
    watched = [log(cluster, host, "mmm_agentd") for host in ("db1", "db2")]
    with second_monitor(cluster) as second:
        cluster.wait_until(
            lambda: f"obeys another monitor, the one at {first}:9988" in second_says(second, "show"),
            LIMIT,
            "the second one is passive",
        )
        cluster.wait_until(
            lambda: f"another monitor, at {own}:9988, gives orders" in cluster.ask("show"),
            LIMIT,
            "the first says so",
        )
        assert ok(cluster, "mode") == "ACTIVE"
        refused = f"refused: this agent obeys the monitor at {first}:9988"
        cluster.wait_until(lambda: any(each.count(refused) for each in watched), LIMIT, "an agent says so")
        assert WRITER in bound(cluster, "db1")
        assert WRITER not in bound(cluster, "db2")
        assert cluster.init(cluster.layout.monitor, "mysql-mmm-monitor", "stop").returncode == 0
        assert second_says(second, "set_active").startswith("OK")  # the first one has freed the agents
        cluster.wait_until(
            lambda: not cluster.states() and second_says(second, "show").count("ONLINE. Roles: ") == 2,
            LIMIT,
            "the second one gives orders",
        )
    cluster.start_daemon(cluster.layout.monitor, "mmm_mond")
    settle(cluster)


# --- a key


def kill_monitor(sandbox: Sandbox) -> None:
    processes = daemon_processes(sandbox, sandbox.layout.monitor, "mmm_mond")
    for process in processes:  # the angel's death would end the worker in order, with a lease for good
        assert process.freeze(LIMIT)
    for process in processes:
        assert process.end(signal.SIGKILL, LIMIT)


def rewrite(sandbox: Sandbox, changes: dict[str, str]) -> None:
    """Change lines, by their keys, of every mmm_common.conf as docs/security.md says: the monitor stops in order."""
    with monitor_away(sandbox):
        for name in (*sandbox.hosts, sandbox.layout.monitor):
            path = sandbox.machine(name).etc / "mmm_common.conf"
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(changes.get(line.partition(" ")[0], line) for line in lines))
        for host in sandbox.hosts:
            restart(sandbox, host, "mmm_agentd")


def test_with_a_key_what_is_not_signed_is_refused_and_all_else_is_as_ever(cluster: Sandbox) -> None:
    with Addresses(cluster) as addresses:
        rewrite(cluster, {"vip_lease": "vip_lease 6\nauth_key a-secret-of-this-cluster\n"})
        settle(cluster)
    assert addresses.of(WRITER) == []
    try:
        assert "|WHY:auth" in request(cluster, "db2", "PREPARE|1|db2|LEAD:0.10.77.0.2:9988.x")
        assert "|WHY:auth" in request(cluster, "db2", "PROMISE|1|db2|db1|3")
        assert ok(cluster, "set_offline", "db2").startswith("OK")
        cluster.wait_states(LIMIT, db2="ADMIN_OFFLINE")
        assert json.loads(ok(cluster, "--format", "json", "set_online", "db2"))["code"] == "set_online"
        told = log(cluster, "db1", "mmm_agentd")
        kill_monitor(cluster)
        cluster.wait_until(
            lambda: told.count("the lease is renewed by promises of db2"), LIMIT, "db2 promises"
        )
        assert WRITER in bound(cluster, "db1")
    finally:
        rewrite(cluster, {"auth_key": ""})
    settle(cluster)


# --- passive


def test_passive_mode_says_so_and_why(cluster: Sandbox) -> None:
    before = shown(cluster)
    assert ok(cluster, "set_passive") == "OK: Switched into passive mode."
    assert ok(cluster, "mode") == "PASSIVE"
    head = "# --- Monitor is in PASSIVE MODE ---\n# Cause: Admin switched to passive mode.\n"
    assert cluster.ask("show").startswith(head + before)
    assert ok(cluster, "set_passive") == "OK: Already in passive mode."
    done = cluster.control("move_role", "writer", "db2")
    assert (done.returncode, done.stdout.startswith("ERROR: Not possible in passive mode")) == (1, True)
    assert ok(cluster, "set_active") == "OK: Switched into active mode."
    settle(cluster)


def test_in_passive_mode_a_dead_host_is_seen_and_nothing_is_done(cluster: Sandbox) -> None:
    set_passive(cluster)
    with Traffic(cluster, cluster.layout.monitor) as traffic:
        inject(cluster, "cut", "db1")
        cluster.wait_states(LIMIT, db1="HARD_OFFLINE")
        cluster.wait_until(
            lambda: f"master/HARD_OFFLINE. Roles: {held(cluster, 'db1')}" in cluster.ask("show"),
            LIMIT,
            "show has what is bound there",
        )
    assert traffic.orders == []
    assert not cluster.monitor.path(KILLED).exists()
    assert (WRITER in bound(cluster, "db1"), WRITER in bound(cluster, "db2")) == (True, False)
    heal(cluster)
    cluster.wait_until(lambda: cluster.states()["db1"] != "HARD_OFFLINE", LIMIT, "db1 is seen again")
    ok(cluster, "set_active")


def set_passive(sandbox: Sandbox) -> None:
    """Switch into passive mode and wait for its only order: db1, the writer, keeps its VIP with nobody to renew it."""
    ok(sandbox, "set_passive")
    sandbox.wait_until(lambda: lives_for_good(sandbox, "db1"), LIMIT, "the lease of db1 has no end")


def held(sandbox: Sandbox, host: str) -> str:
    """Return the roles of a host as `show` writes them, by what is bound."""
    vips = [str(vip) for vip in sandbox.layout.cluster.vips if vip.ip in bound(sandbox, host)]
    return ", ".join(sorted(vips))


def test_active_mode_after_passive_takes_roles_from_hosts_that_died_meanwhile(cluster: Sandbox) -> None:
    ok(cluster, "set_passive")
    inject(cluster, "kill-mysqld", "db1")
    cluster.wait_states(LIMIT, db1="HARD_OFFLINE")
    ok(cluster, "set_active")
    cluster.wait_until(lambda: cluster.writer() == "db2", LIMIT, "db2 is the writer")
    cluster.wait_until(lambda: host_facts(cluster, "db2").writable, LIMIT, "db2 takes writes")


def test_set_ip_counts_when_passive_mode_ends(cluster: Sandbox) -> None:
    ok(cluster, "set_manual")  # so that the preferred host does not take the role back at once
    set_passive(cluster)
    with Traffic(cluster, cluster.layout.monitor) as traffic:
        assert ok(cluster, "set_ip", WRITER, "db2").startswith(
            f"OK: Set role 'writer({WRITER})' to host 'db2'."
        )
        db2 = next(line for line in lines(cluster) if line.startswith("  db2("))
        assert f"writer({WRITER})" in db2, "the plan is shown"
        assert cluster.writer() == "db1", "and not yet carried out"
        for args in (("set_ip", "10.9.9.9", "db1"), ("set_ip", WRITER, "db9")):
            done = cluster.control(*args)
            assert (done.returncode, done.stdout.startswith("ERROR: Unknown")) == (1, True)
    assert traffic.orders == []
    with Traffic(cluster, cluster.layout.monitor) as traffic:
        ok(cluster, "set_manual")
        cluster.wait_until(lambda: cluster.writer() == "db2", LIMIT, "db2 is the writer")
    assert set(traffic.orders) == {cluster.layout.hosts[name].ip for name in cluster.hosts}
    settle(cluster)
    ok(cluster, "set_active")
    cluster.wait_until(lambda: cluster.writer() == "db1", BY_ITSELF, "the preferred host is the writer")
    settle(cluster)


def test_set_ip_to_a_host_that_is_not_online_is_refused(cluster: Sandbox) -> None:
    ok(cluster, "set_offline", "db2")
    ok(cluster, "set_passive")
    done = cluster.control("set_ip", WRITER, "db2")
    assert (done.returncode, done.stdout) == (
        1,
        "ERROR: Can't assign role to host 'db2': it is ADMIN_OFFLINE.\n",
    )


def test_leaving_passive_mode_removes_what_was_bound_meanwhile(cluster: Sandbox) -> None:
    ok(cluster, "set_passive")
    agent = log(cluster, "db2", "mmm_agentd")
    cluster.machine("db2").run(["ip", "address", "add", f"{WRITER}/32", "dev", "eth0"])
    assert cluster.writer() is None
    ok(cluster, "set_active")
    settle(cluster)
    assert cluster.writer() == "db1"
    agent.wait(f"unbind writer.{WRITER}")


# --- manual


def test_in_manual_mode_the_admin_moves_roles_off_a_dead_host(cluster: Sandbox) -> None:
    assert ok(cluster, "set_manual") == "OK: Switched into manual mode."
    assert ok(cluster, "mode") == "MANUAL"
    inject(cluster, "kill-mysqld", "db1")
    cluster.wait_states(LIMIT, db1="HARD_OFFLINE")
    roles = next(line for line in lines(cluster) if line.startswith("  db1("))
    assert f"writer({WRITER})" in roles
    assert cluster.writer() == "db1"
    assert move_writer(cluster, "db2").startswith("OK: Role 'writer' has been moved from 'db1' to 'db2'")
    assert cluster.writer() == "db2"
    assert host_facts(cluster, "db2").writable


def test_active_mode_after_manual_takes_roles_from_hosts_that_are_not_online(cluster: Sandbox) -> None:
    ok(cluster, "set_manual")
    inject(cluster, "kill-mysqld", "db1")
    cluster.wait_states(LIMIT, db1="HARD_OFFLINE")
    assert cluster.writer() == "db1"
    ok(cluster, "failover_method", "auto")
    cluster.wait_until(lambda: cluster.writer() == "db2", LIMIT, "db2 is the writer")
    everything = {WRITER, *cluster.layout.reader_ips}
    cluster.wait_until(lambda: bound(cluster, "db2") == everything, LIMIT, "db2 has all VIPs")


# --- wait


def test_wait_mode_becomes_active_when_both_masters_are_online(cluster: Sandbox) -> None:
    ok(cluster, "set_offline", "db2")
    assert ok(cluster, "failover_method", "wait") == "OK: Switched into wait mode."
    inject(cluster, "kill-mysqld", "db1")
    cluster.wait_states(LIMIT, db1="HARD_OFFLINE")
    assert (ok(cluster, "mode"), cluster.writer()) == ("WAIT", "db1"), "roles stay as in manual mode"
    monitor = monitor_log(cluster)
    heal(cluster)
    cluster.bring_online(limit=LIMIT)
    cluster.wait_until(lambda: ok(cluster, "failover_method") == "ACTIVE", LIMIT, "wait mode is over")
    assert monitor.wait("mode: WAIT -> ACTIVE: both masters are ONLINE") == 1


def test_manual_mode_ends_wait_mode(cluster: Sandbox) -> None:
    ok(cluster, "set_offline", "db2")
    ok(cluster, "failover_method", "wait")
    assert ok(cluster, "set_manual") == "OK: Switched into manual mode."
    ok(cluster, "set_online", "db2")
    assert ok(cluster, "mode") == "MANUAL"


# --- prefer


def test_a_preferred_role_is_moved_away_in_manual_mode_only_and_comes_home(cluster: Sandbox) -> None:
    assert lines(cluster)[-1] == "# Role writer is assigned to it's preferred host db1."
    done = cluster.control("move_role", "writer", "db2")
    assert (
        done.returncode,
        done.stdout.startswith("ERROR: Role 'writer' is on its preferred host 'db1'"),
    ) == (1, True)
    ok(cluster, "set_manual")
    move_writer(cluster, "db2")
    away = "# Role writer has db1 configured as it's preferred host but is assigned to db2 at the moment."
    assert lines(cluster)[-1] == away
    ok(cluster, "set_active")
    cluster.wait_until(lambda: cluster.writer() == "db1", BY_ITSELF, "the role is at home")
    settle(cluster)


# --- kill host


def test_a_host_that_cannot_be_told_is_killed_before_its_roles_go_elsewhere(cluster: Sandbox) -> None:
    inject(cluster, "cut", "db1")
    killed = cluster.monitor.path(KILLED)
    cluster.wait_until(lambda: killed.exists() and killed.read_text(), LIMIT, "kill_host is called")
    assert killed.read_text() == "db1 0\n"
    cluster.wait_until(lambda: WRITER in bound(cluster, "db2"), LIMIT, "db2 has the writer's VIP")
    assert "# Warning: agent on host" not in cluster.control("show").stdout
    cluster.machine("db1").run(["ip", "address", "flush", "to", f"{WRITER}/32"])  # what a real kill does
