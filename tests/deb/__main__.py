"""Builds, installs and uses the packages on booted systems of Debian: `python -m tests.deb [SUITE…]`. Root only."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.deb.cluster import Cluster, main_pid
from tests.deb.machines import Machine, Network, system
from tests.deb.packages import build, install

SUITES = ("bookworm", "trixie")
AGENT, MONITOR = "mysql-mmm-agent", "mysql-mmm-monitor"


def main(suites: list[str]) -> None:
    """Prove the packages on each suite; raises what the first one that fails raises."""
    for suite in suites or SUITES:
        with tempfile.TemporaryDirectory(prefix="mmm-deb-") as folder, Network(system(suite)) as network:
            builder = network.machine("builder", "192.168.100.99")
            builder.boot()
            first, later = build(builder, Path(folder))
            builder.close()
            cluster = Cluster(network)
            cluster.boot()
            steps = [installed(first), started, looked_at, watched, upgraded(later), rebooted, purged]
            if suite != "bookworm":  # whose aiohttp is too old
                steps.insert(3, shown_on_a_page(first))
            for step in steps:
                print(f"{suite}: {step.__doc__}", flush=True)
                step(cluster)


def installed(folder: Path) -> Callable[[Cluster], None]:
    """Return the step that installs a build."""

    def step(cluster: Cluster) -> None:
        """Installed, nothing runs, and all is enabled."""
        cluster.install(folder)
        for machine, unit in ((cluster.hosts["db1"], AGENT), (cluster.monitor, MONITOR)):
            expect(machine.says("systemctl", "is-active", unit), "inactive")
            expect(machine.says("systemctl", "is-enabled", unit), "enabled")
            machine.says("systemctl", "start", unit)  # there is no conf yet
            expect(machine.says("systemctl", "is-failed", unit), "inactive")

    return step


def started(cluster: Cluster) -> None:
    """Set up as the README says: the writer role is held, and clients write."""
    cluster.set_up()
    cluster.start()
    with cluster.written_to() as came:
        cluster.monitor.run("sleep", "2")
    expect(came["failed"], 0)
    expect(came["written"] > 0, wanted=True)


def looked_at(cluster: Cluster) -> None:
    """The doctor, the man pages and completion."""
    print(cluster.monitor.says("mmm_control", "doctor"))
    for page in ("mmm_control", "mmm_mond", "mmm.conf"):
        cluster.monitor.run("man", "-w", page)
    script = ". /usr/share/bash-completion/completions/mmm_control; COMP_WORDS=(mmm_control set_online d); COMP_CWORD=2"
    said = cluster.monitor.run("bash", "-c", f'{script}; _mmm_control; echo "${{COMPREPLY[@]}}"')
    expect(said.split(), ["db1", "db2", "db3"])


def shown_on_a_page(folder: Path) -> Callable[[Cluster], None]:
    """Return the step that installs mmm_web of a build."""

    def step(cluster: Cluster) -> None:
        """mmm_web tells that all is well, by its unit."""
        install(cluster.monitor, folder, "mysql-mmm-web")
        cluster.monitor.run("systemctl", "start", "mysql-mmm-web")
        ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9990/metrics').read().decode())"
        said = cluster.monitor.run("python3", "-c", ask)
        expect('mmm_host_state{host="db1",mmm_host_state="ONLINE"} 1.0' in said, wanted=True)

    return step


def watched(cluster: Cluster) -> None:
    """A worker that is stuck is ended by systemd, and started again."""
    machine = cluster.hosts["db3"]
    patient = f"mkdir -p /run/systemd/system/{AGENT}.service.d && cat >/run/systemd/system/{AGENT}.service.d/own.conf"
    machine.run("sh", "-c", patient, given="[Service]\nWatchdogSec=3\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", AGENT)
    before = main_pid(machine, AGENT)
    machine.run("sh", "-c", f"kill -STOP $(cat /proc/{before}/task/{before}/children)")
    machine.wait_until(lambda: main_pid(machine, AGENT) not in {0, before})


def upgraded(folder: Path) -> Callable[[Cluster], None]:
    """Return the step that upgrades to a build."""

    def step(cluster: Cluster) -> None:
        """Upgraded while a client writes: no write fails, the daemons are new, the confs as they were."""
        running = [(machine, AGENT) for machine in cluster.hosts.values()] + [(cluster.monitor, MONITOR)]
        before = [main_pid(machine, unit) for machine, unit in running]
        conf = (cluster.monitor.root / "etc/mysql-mmm/mmm_mon.conf").read_text()
        with cluster.written_to() as came:
            cluster.install(folder)
        print(came)
        expect(came["failed"], 0)
        after = [main_pid(machine, unit) for machine, unit in running]
        expect(any(one in {0, *before} for one in after), wanted=False)
        expect((cluster.monitor.root / "etc/mysql-mmm/mmm_mon.conf").read_text(), conf)
        cluster.wait_for_writer("db1")

    return step


def rebooted(cluster: Cluster) -> None:
    """The writer's machine reboots: the role goes to the other master before, and the host comes back."""
    with cluster.written_to() as came:
        cluster.hosts["db1"].reboot()
    print(came)
    cluster.wait_for_writer("db2")
    print(cluster.control("history", "5"))
    cluster.control("set_online", "db1")
    cluster.monitor.wait_until(lambda: "db1(192.168.100.51) master/ONLINE" in cluster.show())


def purged(cluster: Cluster) -> None:
    """Removed, nothing runs and the confs stay; purged, nothing is left."""
    machine = cluster.monitor
    machine.run("apt-get", "-y", "remove", MONITOR)
    expect((machine.root / "etc/mysql-mmm/mmm_mon.conf").exists(), wanted=True)
    for one in (machine, cluster.hosts["db3"]):
        names = one.run("dpkg-query", "--show", "--showformat=${Package} ", "mysql-mmm*").split()
        one.run("apt-get", "-y", "purge", *names)
        expect(one.says("pgrep", "--full", "/usr/sbin/mmm_"), "")
        expect(_left(one), "")


def _left(machine: Machine) -> str:
    """Return what of MMM is still there."""
    places = ("/etc", "/usr", "/var/lib", "/var/log", "/lib/systemd")
    return machine.says("find", *places, "-xdev", "-iname", "*mmm*", "!", "-name", "90-mmm.cnf")


def expect(found: object, wanted: object) -> None:
    """Raise AssertionError where these differ."""
    if found != wanted:
        raise AssertionError(f"{found!r}, and not {wanted!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
