"""Hosts that cannot be told are killed before their roles go elsewhere; and dead hosts delay nobody.

A cluster of its own: with a kill_host, and servers may take 12 s to answer before they count as dead.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log, check_line
from tests.taps import Traffic

pytestmark = pytest.mark.sandbox

TIMEOUT = 12
BIN = "/etc/mysql-mmm"
PROGRAM = f"""\
#!/bin/sh
# Notes what it was called with and ends with the status that is in `done`, as soon as that is there.
echo "$@" >>{BIN}/called
while [ ! -s {BIN}/done ]; do sleep 0.05; done
echo no such plug
exit "$(cat {BIN}/done)"
"""


@dataclass(frozen=True, slots=True)
class KillHost:
    """The kill_host of a cluster, seen from outside."""

    sandbox: Sandbox

    @property
    def calls(self) -> list[str]:
        """Return the arguments of every call."""
        called = self.sandbox.monitor.etc / "called"
        return called.read_text().splitlines() if called.exists() else []

    def wait(self) -> list[str]:
        """Wait until it is called and return the arguments of every call."""
        self.sandbox.wait_until(lambda: self.calls, LIMIT, "kill_host is called")
        return self.calls

    def end(self, status: int) -> None:
        """Let it end."""
        (self.sandbox.monitor.etc / "done").write_text(f"{status}\n")

    def forget(self) -> None:
        """Let it run for ever again, and forget its calls."""
        for name in ("called", "done"):
            (self.sandbox.monitor.etc / name).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and two slaves whose checks of servers take up to 12 s."""
    conf = Conf(
        slaves=2,
        top={"vip_lease": 25},  # so that kill_host is there before the lease is over
        monitor={"flap_count": 0, "failover_block": 0, "bin_path": BIN},
        checks={check: {"timeout": TIMEOUT} for check in ("mysql", "rep_threads", "rep_backlog")},
    )
    with kept("kill", conf, furnish=with_kill_host) as cluster:
        yield cluster


def with_kill_host(sandbox: Sandbox) -> None:
    path = sandbox.monitor.etc / "monitor/kill_host"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    path.chmod(0o755)


@pytest.fixture
def kill_host(own_cluster: Kept) -> Iterator[KillHost]:
    """Give that cluster healthy, with a kill_host that runs until it is told to end."""
    found = KillHost(own_cluster.healthy())
    found.forget()
    yield found
    found.end(0)


def test_a_dead_host_is_killed_before_its_roles_go_elsewhere(kill_host: KillHost) -> None:
    sandbox, log = kill_host.sandbox, Log(kill_host.sandbox)
    vip = sandbox.layout.writer_ip
    db2 = (sandbox.layout.hosts["db2"].ip, sandbox.layout.hosts["db2"].agent_port)
    with Probe(sandbox, readers=False) as probe, Traffic(sandbox, sandbox.layout.monitor) as traffic:
        inject(sandbox, "cut", "db1")
        assert kill_host.wait() == ["db1 0"]
        told = traffic.calls.count(db2)
        sandbox.wait_until(lambda: traffic.calls.count(db2) > told, LIMIT, "another order to db2")
        assert "db2" not in sandbox.holders(vip)
        sandbox.power_off("db1")
        kill_host.end(0)
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        assert log.wait("db1: killed by kill_host").split()[2] == "WARN"
        probe.wait_writes(LIMIT)
    assert kill_host.calls == ["db1 0"]
    assert log.lines("could not be killed") == []
    assert probe.report.doubled == ()


@pytest.mark.parametrize("status", [0, 3])
def test_a_host_that_pings_but_whose_server_and_agent_are_dead_is_killed(
    kill_host: KillHost, status: int
) -> None:
    sandbox, log = kill_host.sandbox, Log(kill_host.sandbox)
    kill_host.end(status)
    inject(sandbox, "kill-agent", "db1", angel=True)
    inject(sandbox, "kill-mysqld", "db1")
    vip = sandbox.layout.writer_ip
    could_not = (
        "FATAL db1: could not be killed: '.*/monitor/kill_host db1 1' ended with status 3: no such plug"
    )
    log.wait(could_not if status else "db1: killed by kill_host")
    assert kill_host.calls == ["db1 1"]
    sandbox.wait_until(
        lambda: log.lines("db2: told ONLINE, .*writer"), 2 * LIMIT, "db2 is told that it takes over"
    )
    assert kill_host.calls == ["db1 1"], "\n".join(log.lines())
    assert len(log.lines("could not be killed")) == (1 if status else 0)
    sandbox.wait_until(lambda: "db2" in sandbox.holders(vip), LIMIT, "db2 takes over")


def test_a_host_that_can_be_told_is_not_killed(kill_host: KillHost) -> None:
    sandbox = kill_host.sandbox
    inject(sandbox, "kill-mysqld", "db1")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    sandbox.start_server("db1")
    sandbox.wait_states(LIMIT, db1="ONLINE")
    settle(sandbox)
    assert kill_host.calls == []


@contextmanager
def patient_checks(sandbox: Sandbox) -> Iterator[None]:
    """Have a check that hangs do so until its server goes on: no failover takes as long."""
    path = sandbox.monitor.etc / "mmm_mon.conf"
    before = path.read_text()

    def take(conf: str) -> None:
        path.write_text(conf)
        taken = sandbox.control("reload").stdout
        assert taken.startswith("OK: The conf is taken."), taken

    take(re.sub(rf"\b(timeout +){TIMEOUT}\b", r"\g<1>600", before))
    try:
        yield
    finally:
        take(before)


def test_hosts_whose_checks_hang_do_not_delay_the_failover_of_another(kill_host: KillHost) -> None:
    sandbox, log = kill_host.sandbox, Log(kill_host.sandbox)
    monitor = sandbox.layout.plugs[sandbox.monitor.name].ip

    def waiting(host: str) -> int:
        """Return how many of the monitor's questions, and how many new connections, wait for a frozen server."""
        shown = sandbox.machine(host).run(["ss", "-tnH", "state", "established", "sport = :3306"]).stdout
        rows = [line.split() for line in shown.splitlines() if f"{monitor}:" in line]
        listening = sandbox.machine(host).run(["ss", "-tnlH", "sport = :3306"]).stdout.splitlines()
        return sum(row[0] != "0" for row in rows) + sum(int(line.split()[1]) for line in listening)

    def hang() -> bool:
        """Tell whether the monitor waits for the answers of all checks of both: the two of a replica ask together."""
        return min(waiting("db3"), waiting("db4")) >= 2

    with patient_checks(sandbox), Probe(sandbox, readers=False) as probe:
        for host in ("db3", "db4"):
            inject(sandbox, "freeze-mysqld", host)
        sandbox.wait_until(hang, LIMIT, "every check of db3 and db4 hangs")
        inject(sandbox, "kill-mysqld", "db1")
        outage = probe.wait_move(LIMIT)
        assert (outage.before, outage.after) == ("db1", "db2")
        # The checks that hung have not even come back yet.
        assert hang()
        for host in ("db3", "db4"):
            assert check_line(sandbox, host, "mysql").endswith("OK")
            assert log.changes(host) == []
        heal(sandbox)
    assert probe.report.doubled == ()
