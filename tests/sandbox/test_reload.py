"""Another conf is taken by daemons that run, as a whole or not at all, while clients write."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import NET, Conf, Values, fast
from mmm.sandbox.trouble.faults import daemon_processes
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, PATIENCE, Log

pytestmark = pytest.mark.sandbox

READERS = tuple(f"{NET}{place}" for place in range(90, 94))
ALL = ("db1", "db2", "db3", "db4")
FIRST = Conf(slaves=2, top={"vip_lease": LONG_LEASE}, monitor={"flap_count": 0, "failover_block": 0})
NEW_PASSWORDS = replace(FIRST, hosts={"default": {"agent_password": "other", "monitor_password": "other"}})


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give a cluster with two slaves, of which one comes and goes."""
    with kept("reload", FIRST) as cluster:
        yield cluster


def reader(hosts: tuple[str, ...], ips: tuple[str, ...] = READERS) -> dict[str, Values]:
    return {"reader": {"hosts": ", ".join(hosts), "ips": ", ".join(ips)}}


class Confs:
    """The conf files of a cluster, and how its daemons take them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._logs = {name: Log(sandbox, name, "mmm_agentd") for name in sandbox.hosts}
        self._taken = dict.fromkeys(sandbox.hosts, 0)

    def write(self, conf: Conf, readers: str = "reader") -> None:
        """Have all find another conf; `readers` is what the role of the readers is called there."""
        files = fast(conf).files()
        common = files["mmm_common.conf"].replace("<role reader>", f"<role {readers}>")
        monitor = self.sandbox.layout.monitor
        for name in (*ALL, monitor):
            (self.sandbox.machine(name).etc / "mmm_common.conf").write_text(common)
        mon = files["mmm_mon.conf"].replace(
            "monitor-secret", "other" if conf is NEW_PASSWORDS else "monitor-secret"
        )
        (self.sandbox.machine(monitor).etc / "mmm_mon.conf").write_text(mon)

    def hang_up(self, *names: str, says: str) -> None:
        """Send SIGHUP to agents, and wait for what each says of the conf."""
        for name in names:
            os.kill(daemon_processes(self.sandbox, name, "mmm_agentd")[0].pid, signal.SIGHUP)
        for name in names:
            self._taken[name] += 1
            assert says in self._logs[name].wait("the conf (is|cannot|has not)", self._taken[name])

    def agents(self, *names: str) -> None:
        """Have agents take the conf."""
        self.hang_up(*names, says="the conf is taken: ")

    def monitor(self, *options: str) -> str:
        """Return the monitor's answer to `reload`."""
        done = self.sandbox.control("reload", *options)
        return done.stdout + done.stderr


def reader_vips(sandbox: Sandbox) -> dict[str, tuple[str, ...]]:
    return {ip: sandbox.holders(ip) for ip in READERS}


def test_what_may_change_is_taken_while_clients_write(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    confs = Confs(sandbox)
    with Probe(sandbox, limit=PATIENCE) as probe:
        probe.wait_writes(LIMIT)
        a_host_goes_and_comes(sandbox, confs)
        a_vip_goes_and_comes(sandbox, confs)
        role_hosts_and_periods_change(sandbox, confs)
        passwords_change(sandbox, confs)
        confs.write(FIRST)
        confs.agents(*ALL)
        assert confs.monitor().startswith("OK: The conf is taken.")
    assert probe.report.writes == ()
    assert probe.report.missing == ()
    told = " ".join(
        entry for entry in sandbox.ask("history 50").splitlines() if "another conf is taken" in entry
    )
    assert "<host db4> removed" in told


def a_host_goes_and_comes(sandbox: Sandbox, confs: Confs) -> None:
    confs.write(replace(FIRST, slaves=1, roles=reader(ALL[:3])))
    refusal = "ERROR: The conf is not taken, all stays as it was: <host db4> removed: it may have reader("
    assert refusal in confs.monitor()
    assert sandbox.control("set_offline", "db4").returncode == 0
    sandbox.wait_until(lambda: "ERROR" not in confs.monitor("--dry-run"), LIMIT, "db4 has let its role go")
    dry = confs.monitor("--dry-run")
    assert "<host db4> removed\n" in dry
    assert "db4" in sandbox.states()
    assert confs.monitor().partition("\n")[2] == dry.partition("\n")[2]
    assert "db4" not in sandbox.states()
    assert confs.monitor() == "OK: The conf has not changed: nothing to take.\n"

    confs.write(FIRST)
    assert "<host db4> added\n" in confs.monitor()
    assert sandbox.states()["db4"] == "AWAITING_RECOVERY"
    assert "added to the conf" in sandbox.ask("explain db4")
    sandbox.wait_until(
        lambda: sandbox.control("set_online", "db4").returncode == 0, LIMIT, "db4 is set online"
    )
    sandbox.wait_until(lambda: sandbox.show()["db4"].roles, LIMIT, "db4 has a role")


def a_vip_goes_and_comes(sandbox: Sandbox, confs: Confs) -> None:
    confs.write(replace(FIRST, roles=reader(ALL, READERS[:3])))
    assert confs.monitor().startswith("OK: The conf is taken.")
    assert sandbox.holders(READERS[3]) == ()
    sandbox.wait_until(lambda: sandbox.warns("confs_apart"), LIMIT, "agents with the old conf are named")
    confs.agents(*ALL)
    sandbox.wait_until(lambda: not sandbox.warns("confs_apart"), LIMIT, "the agents have the monitor's conf")
    confs.write(FIRST)
    confs.agents(*ALL)
    assert confs.monitor().startswith("OK: The conf is taken.")
    sandbox.wait_until(lambda: len(sandbox.holders(READERS[3])) == 1, LIMIT, "the reader VIP is bound again")


def role_hosts_and_periods_change(sandbox: Sandbox, confs: Confs) -> None:
    confs.write(replace(FIRST, roles=reader(("db3", "db4")), checks={"ping": {"check_period": 0.5}}))
    confs.agents(*ALL)
    assert "<check ping> check_period: 1 -> 0.5\n" in confs.monitor()
    slaves = {("db3",), ("db4",)}
    sandbox.wait_until(
        lambda: set(reader_vips(sandbox).values()) == slaves, LIMIT, "the slaves have the readers"
    )
    sandbox.wait_until(
        lambda: [str(vip) for vip in sandbox.show()["db1"].roles] == [f"writer({sandbox.layout.writer_ip})"],
        LIMIT,
        "db1 has confirmed that it has the writer alone",
    )


def passwords_change(sandbox: Sandbox, confs: Confs) -> None:
    monitor = Log(sandbox)
    for user in ("mmm_monitor", "mmm_agent"):
        sandbox.sql("db1", f"SET PASSWORD FOR {user}@'%' = PASSWORD('other')")
    sandbox.wait_until(lambda: monitor.lines("Access denied"), LIMIT, "the monitor is turned away")
    confs.write(NEW_PASSWORDS)
    confs.agents(*ALL)
    assert "<host db1> monitor_password changed\n" in confs.monitor()
    sandbox.wait_until(lambda: "Access denied" not in sandbox.ask("checks"), LIMIT, "the monitor is let in")
    for user, password in (("mmm_monitor", "monitor-secret"), ("mmm_agent", "agent-secret")):
        sandbox.sql("db1", f"SET PASSWORD FOR {user}@'%' = PASSWORD('{password}')")


def test_the_vips_of_a_role_that_is_renamed_come_back_once_the_agents_know_of_it(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    confs = Confs(sandbox)
    for name, readers in (("reader", "app"), ("app", "reader")):
        confs.write(FIRST, readers)
        confs.hang_up("db1", says=") removed: the monitor has given it to this host")
        for said in (confs.monitor("--dry-run"), confs.monitor()):
            assert (
                f"{name}({READERS[0]}) becomes {readers}({READERS[0]}): no host has it until its agent"
                in said
            )
        assert set(reader_vips(sandbox).values()) == {()}
        confs.agents(*ALL)
        sandbox.wait_until(
            lambda: all(len(hosts) == 1 for hosts in reader_vips(sandbox).values()),
            LIMIT,
            "all are bound again",
        )


def test_what_is_refused_changes_nothing(own_cluster: Kept) -> None:
    sandbox = own_cluster.healthy()
    confs, log = Confs(sandbox), Log(sandbox)
    before = sandbox.states(), reader_vips(sandbox)
    confs.write(replace(FIRST, roles=reader(("db1", "db9"))))
    assert "no host is called db9" in confs.monitor()
    confs.hang_up("db1", says="the conf cannot be used, all stays as it was: ")
    done = sandbox.init(sandbox.layout.monitor, "mysql-mmm-monitor", "reload")
    assert done.returncode == 6
    assert "db9" in done.stderr
    log.wait("command 'reload': ERROR: The conf cannot be used, all stays as it was: .*db9")
    confs.write(replace(FIRST, top={"vip_lease": 3}))
    assert f"vip_lease: {LONG_LEASE} -> 3: leases rest on it" in confs.monitor()
    assert (sandbox.states(), reader_vips(sandbox)) == before

    sandbox.control("set_offline", "db4")
    confs.write(replace(FIRST, roles=reader(("db4",))))
    assert "<role reader> hosts: none of db4 can take it now; set one of them online first" in confs.monitor()
    confs.write(FIRST)
    confs.hang_up("db1", says="the conf has not changed")
