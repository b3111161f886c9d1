"""Two clusters on the same hosts: agents and monitors of both, each with its own conf, port, VIPs, pid file and log."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.build import program
from mmm.sandbox.trouble.faults import daemon_processes
from mmm.sandbox.witness.health import settle
from tests.clusters import LIMIT, bound, knows, restart

pytestmark = pytest.mark.sandbox

HOSTS = ("db1", "db2")
PORT = 9990
WRITER = "10.77.0.180"
VIPS = frozenset({WRITER, "10.77.0.190", "10.77.0.191"})
COMMON = f"""\
active_master_role writer
<host default>
    cluster_interface eth0
    agent_port {PORT}
    pid_path /var/run/mmm_agentd_C2.pid
    bin_path /usr/lib/mysql-mmm/
    replication_user replication
    replication_password replication-secret
    agent_user mmm_agent
    agent_password agent-secret
    monitor_user mmm_monitor
    monitor_password monitor-secret
</host>
<host db1>
    ip 10.77.0.4
    mode master
    peer db2
</host>
<host db2>
    ip 10.77.0.5
    mode master
    peer db1
</host>
<role writer>
    hosts db1, db2
    ips {WRITER}
    mode exclusive
    prefer db1
</role>
<role reader>
    hosts db1, db2
    ips 10.77.0.190, 10.77.0.191
    mode balanced
</role>
"""
MON = """\
include mmm_common_C2.conf
<monitor>
    ip 10.77.0.2
    port 9987
    pid_path /var/run/mmm_mond_C2.pid
    bin_path /usr/lib/mysql-mmm/
    status_path /var/lib/misc/mmm_mond_C2.status
    ping_ips 10.77.0.1
</monitor>
<check default>
    check_period 1
    trap_period 1
    timeout 1
</check>
"""


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)


def confs(sandbox: Sandbox) -> Iterator[Path]:
    """Write the second cluster's conf files everywhere, and yield where they are."""
    for name in (*HOSTS, "monitor"):
        etc = sandbox.machine(name).etc
        write(etc, "mmm_common_C2.conf", COMMON)
        write(etc, "mmm_mon_C2.conf", MON)
        if name in HOSTS:
            write(etc, "mmm_agent_C2.conf", f"include mmm_common_C2.conf\nthis {name}\n")
        yield from etc.glob("*_C2.conf")


@pytest.fixture
def both(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give the shared cluster with a second one, C2, on its masters; both are healthy."""
    files = list(confs(sandbox))
    try:
        for host in HOSTS:
            sandbox.machine(host).run([program("mmm_agentd"), "@C2"])
        sandbox.monitor.run([program("mmm_mond"), "@C2"])
        sandbox.wait_until(lambda: control(sandbox, "ping")[0] == 0, LIMIT, "the second monitor answers")
        for host in HOSTS:
            online = f"set_online {host}"
            sandbox.wait_until(lambda: control(sandbox, *online.split())[0] == 0, LIMIT, online)  # noqa: B023
        wait_healthy(sandbox)
        yield sandbox
    finally:
        for name in (*HOSTS, "monitor"):
            end_second(sandbox, name)
        for path in files:
            path.unlink()


def end_second(sandbox: Sandbox, machine: str) -> None:
    for process in sandbox.machine(machine).processes():
        if "@C2" in process.argv:
            process.end(signal.SIGKILL, LIMIT)
    if machine in HOSTS:
        for ip in VIPS & bound_addresses(sandbox.machine(machine)):
            sandbox.machine(machine).run(["ip", "address", "del", f"{ip}/32", "dev", "eth0"])


def control(sandbox: Sandbox, *args: str) -> tuple[int, str]:
    """Ask the second cluster's monitor."""
    done = sandbox.control("@C2", *args, limit=60)
    return done.returncode, done.stdout


def second(sandbox: Sandbox) -> dict[str, frozenset[str]]:
    """Return the second cluster's VIPs by the host they are bound on."""
    return {host: VIPS & bound_addresses(sandbox.machine(host)) for host in sandbox.hosts}


def wait_healthy(sandbox: Sandbox) -> None:
    """Wait until the writer of C2 is on db1 and its readers are level."""

    def well() -> bool:
        held = second(sandbox)
        counts = [len(held[host] - {WRITER}) for host in sandbox.hosts]
        return WRITER in held["db1"] and counts == [1, 1, 0]

    sandbox.wait_until(well, LIMIT, "the second cluster is healthy")


def wait_first(sandbox: Sandbox, wanted: dict[str, frozenset[str]]) -> None:
    """Wait until the first cluster's VIPs are there: those of an agent that starts may have gone with their lease."""
    sandbox.wait_until(
        lambda: {host: bound(sandbox, host) for host in sandbox.hosts} == wanted,
        LIMIT,
        "its VIPs are as before",
    )


def test_each_monitor_shows_its_own_cluster(both: Sandbox) -> None:
    hosts = control(both, "show")[1].splitlines()
    assert [line.split("(")[0].strip() for line in hosts[:2]] == ["db1", "db2"]
    assert f"writer({WRITER})" in hosts[0]
    assert "10.77.0.80" not in "".join(hosts)
    assert WRITER not in both.ask("show")
    settle(both)
    logs = both.machine("db1").log
    assert "10.77.0.80" not in (logs / "mmm_agentd_C2.log").read_text()
    assert WRITER not in (logs / "mmm_agentd.log").read_text()
    assert both.monitor.path("/var/lib/misc/mmm_mond_C2.status").exists()


def test_each_agent_leaves_the_others_vips_alone(both: Sandbox) -> None:
    second_before = second(both)
    first_before = {host: bound(both, host) for host in both.hosts}
    for mode in ("set_passive", "set_active"):  # then CLEAR_BAD_ROLES is sent
        assert both.control(mode).returncode == 0
        assert control(both, mode)[0] == 0
    settle(both)
    restart(both, "db2", "mmm_agentd")
    both.wait_until(lambda: knows(both, "db2", "ONLINE"), LIMIT, "it is told again")
    assert second(both) == second_before
    wait_first(both, first_before)


def test_what_happens_in_one_cluster_is_nothing_to_the_other(both: Sandbox) -> None:
    first_before, second_before = {host: bound(both, host) for host in both.hosts}, second(both)
    assert control(both, "set_manual")[0] == 0
    assert (both.ask("mode"), control(both, "mode")) == ("ACTIVE", (0, "MANUAL\n"))
    lost = next(iter(bound(both, "db2")))
    both.machine("db2").run(["ip", "address", "del", f"{lost}/32", "dev", "eth0"])
    settle(both)
    assert control(both, "move_role", "reader", "db2")[0] == 0
    exchanged = second_before | {
        "db1": second_before["db2"] | {WRITER},
        "db2": second_before["db1"] - {WRITER},
    }
    both.wait_until(
        lambda: second(both) == exchanged, LIMIT, "the readers of the second cluster are exchanged"
    )
    wait_first(both, first_before)


def test_the_second_daemons_have_angels_and_copies_of_their_own(both: Sandbox) -> None:
    agents = daemon_processes(both, "db1", "mmm_agentd")
    assert len(agents) == 4
    pid_files = {path.name for path in both.machine("db1").path("/run").glob("mmm_agentd*.pid")}
    assert pid_files == {"mmm_agentd.pid", "mmm_agentd_C2.pid"}
    again = both.machine("db1").run([program("mmm_agentd"), "@C2"], check=False)
    assert again.returncode == 1
    assert "runs already" in again.stderr


def test_stopping_one_clusters_agent_stops_nothing_of_the_other(both: Sandbox) -> None:
    held = second(both)
    assert both.init("db1", "mysql-mmm-agent", "stop").returncode == 0
    assert (
        len([process for process in daemon_processes(both, "db1", "mmm_agentd") if "@C2" in process.argv])
        == 2
    )
    both.start_daemon("db1", "mmm_agentd")
    settle(both)
    assert second(both) == held
