"""Builds, installs and uses the packages on booted systems of Debian: `python -m tests.deb [SUITE…]`. Root only.

--only packages|perl|units    one of the three parts alone
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.deb import perl, units
from tests.deb.cluster import PASSWORD, Cluster, blocks, main_pid
from tests.deb.machines import LIMIT, Machine, Network, system
from tests.deb.packages import TREE, build, install

SUITES = ("bookworm", "trixie")
AGENT, MONITOR, WEB = "mysql-mmm-agent", "mysql-mmm-monitor", "mysql-mmm-web"
OTHER = f"{MONITOR}@C2"
"""The unit of another cluster's monitor."""
NET_BIND_SERVICE, NET_RAW = 10, 13
"""Capabilities, by their numbers in linux/capability.h."""
ASK = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9990/metrics').read().decode())"
HEARS = """
import http.server as h
class Posts(h.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
server = h.HTTPServer(("127.0.0.1", 8099), Posts)
print("listening", flush=True)
server.handle_request()
"""
"""A receiver of one message to a webhook, which it prints."""
HEALTHY = 'mmm_host_state{host="db1",mmm_host_state="ONLINE"} 1.0'


def main(suites: list[str], only: str | None = None) -> None:
    """Prove the packages on each suite; raises what the first one that fails raises."""
    for suite in suites or SUITES:
        with Network(system(suite)) as network, tempfile.TemporaryDirectory(prefix="mmm-deb-") as folder:
            if only in {None, "units"}:
                unit_tests(suite, network)
            if only == "units":
                continue
            builder = network.machine("builder", "192.168.100.99")
            builder.boot()
            builds = build(builder, Path(folder))
            builder.close()
            if only in {None, "packages"}:
                by_themselves(suite, Cluster(network), *builds)
                rehearsed(suite, network, builds[0])
            if only in {None, "perl"}:
                over_perl(suite, Cluster(network, "p-"), builds[0], Path(folder))


def by_themselves(suite: str, cluster: Cluster, first: Path, later: Path) -> None:
    """Install and use the packages on new machines."""
    cluster.boot()
    set_up = [installed(first), started, looked_at, shown_on_a_page(first), several, kept_out]
    for step in [*set_up, told, backed_up, watched, killed, without_root, upgraded(later), rebooted, purged]:
        print(f"{suite}: {step.__doc__}", flush=True)
        step(cluster)
    cluster.close()


def rehearsed(suite: str, network: Network, build: Path) -> None:
    """Run the packages' own test, as Debian's autopkgtest would, on a machine that has nothing else."""
    (command,) = re.findall(
        r"^Test-Command: (.*)$", (TREE / "debian/tests/control").read_text(), re.MULTILINE
    )
    print(f"{suite}: The packages' own test: a cluster on one machine.", flush=True)
    machine = network.machine("rehearsal", "192.168.100.97")
    machine.boot()
    install(
        machine, build, *(f"mysql-mmm-{part}" for part in ("common", "agent", "monitor", "tools", "sandbox"))
    )
    print(machine.run("sh", "-c", command))
    machine.close()


def over_perl(suite: str, cluster: Cluster, build: Path, folder: Path) -> None:
    """Install the packages over stand-ins for those of the Perl MMM, while a client writes."""
    cluster.boot()
    print(
        f"{suite}: Over stand-ins for the packages of the Perl MMM: no write fails, confs stay.", flush=True
    )
    perl.build(folder)
    perl.installed(cluster, folder)
    with cluster.written_to() as came:
        for machine in (*cluster.hosts.values(), cluster.monitor):
            perl.replaced(cluster, machine, build)
        cluster.wait_for_writer("db1")
        cluster.monitor.run("sleep", "2")
    print(came)
    expect(came["failed"], 0)
    expect(came["written"] > 0, wanted=True)
    cluster.close()


def unit_tests(suite: str, network: Network) -> None:
    """Run the unit tests by the Python and the libraries of the suite."""
    machine = network.machine("units", "192.168.100.98")
    units.prepare(machine, debian=True)
    machine.boot(idle=True)
    print(f"{suite}: The unit tests by the libraries of Debian: {units.versions(machine)}", flush=True)
    print(units.run(machine), flush=True)
    machine.close()


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
    (copy,) = re.findall(
        r"^    (cp -n /usr/share/doc/\S+ \.)", (TREE / "README.md").read_text(), re.MULTILINE
    )
    for machine in cluster.machines.values():
        machine.run("sh", "-c", f"cd /etc/mysql-mmm && {copy}")
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
    script = ". /usr/share/bash-completion/completions/mmm_control; COMP_LINE='mmm_control set_online d'; COMP_POINT=24"
    said = cluster.monitor.run("bash", "-c", f'{script}; _mmm_control; echo "${{COMPREPLY[@]}}"')
    expect(said.split(), ["db1", "db2", "db3"])


def shown_on_a_page(folder: Path) -> Callable[[Cluster], None]:
    """Return the step that installs mmm_web of a build."""

    def step(cluster: Cluster) -> None:
        """mmm_web tells that all is well, by its unit."""
        install(cluster.monitor, folder, "mysql-mmm-web")
        cluster.monitor.run("systemctl", "start", WEB)
        expect(HEALTHY in cluster.monitor.run("python3", "-c", ASK), wanted=True)

    return step


def several(cluster: Cluster) -> None:
    """The monitor of another cluster runs beside, by its own unit, and each shows its own."""
    machine, before = cluster.monitor, _hosts(cluster)
    folder = machine.root / "etc/mysql-mmm"
    common = (folder / "mmm_common.conf").read_text().replace("192.168.100.", "192.168.101.")
    own = (folder / "mmm_mon.conf").read_text().replace("mmm_mond.", "mmm_mond_C2.")
    own = own.replace("include mmm_common.conf\n", common).replace("<monitor>", "<monitor>\n    port 9989", 1)
    (folder / "mmm_mon_C2.conf").touch(0o640)
    (folder / "mmm_mon_C2.conf").write_text(own)
    machine.run("systemctl", "enable", "--now", OTHER)
    expect("db1(192.168.101.51)" in machine.run("mmm_control", "@C2", "show"), wanted=True)
    expect(_hosts(cluster), before)


def kept_out(cluster: Cluster) -> None:
    """`blocking_type soft` refuses new clients, and no packet of a session that is open is lost."""
    machine = cluster.hosts["db1"]
    (machine.root / "root/blocked.py").write_text((TREE / "tests/deb/blocked.py").read_text())
    said = machine.run("env", "PYTHONPATH=/usr/share/mysql-mmm", "python3", "/root/blocked.py")
    expect(json.loads(said), {"again": 0, "refused": True})


def told(cluster: Cluster) -> None:
    """A move of the writer is posted to a webhook."""
    machine = cluster.monitor
    conf = machine.root / "etc/mysql-mmm/mmm_mon.conf"
    notify = "<notify chat>\n    webhook http://127.0.0.1:8099/\n    events moved\n</notify>\n"
    conf.write_text(f"{conf.read_text()}\n{notify}")
    machine.run("systemctl", "reload", MONITOR)
    with subprocess.Popen(
        machine.enter("python3", "-c", HEARS), stdout=subprocess.PIPE, text=True
    ) as receiver:
        try:
            if receiver.stdout is not None:
                receiver.stdout.readline()
            for name in ("db2", "db1"):
                cluster.move_writer(name)
                cluster.wait_for_writer(name)
            said, _ = receiver.communicate(timeout=LIMIT)
        finally:
            receiver.kill()
    expect("moved" in {each["event"]["code"] for each in json.loads(said)["events"]}, wanted=True)


def backed_up(cluster: Cluster) -> None:
    """A host keeps a backup of its own data, on which a server has run."""
    machine = cluster.hosts["db3"]
    account = blocks("sql", "docs/rejoin.md")[0].replace("'tools_password'", f"'{PASSWORD}'")
    for host in cluster.hosts.values():
        host.run("mariadb", given=account)
    folder = machine.root / "etc/mysql-mmm"
    common = folder / "mmm_common.conf"
    login = f"    tools_user mmm_tools\n    tools_password {PASSWORD}\n"
    common.write_text(common.read_text().replace("<host default>\n", f"<host default>\n{login}", 1))
    (folder / "mmm_tools.conf").touch(0o640)
    (folder / "mmm_tools.conf").write_text("include mmm_common.conf\nthis db3\n")
    machine.run("systemctl", "reload", AGENT)
    said = machine.run("mmm_backup", "--host", "db3", "--dest-dir", "/root/kept", limit=LIMIT)
    print(said, end="")
    expect("a server has run on it" in said, wanted=True)


def watched(cluster: Cluster) -> None:
    """A worker that is stuck is ended by systemd, and started again."""
    machine = cluster.hosts["db3"]
    patient = f"mkdir -p /run/systemd/system/{AGENT}.service.d && cat >/run/systemd/system/{AGENT}.service.d/own.conf"
    machine.run("sh", "-c", patient, given="[Service]\nWatchdogSec=3\nRestartSec=1\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", AGENT)
    before = main_pid(machine, AGENT)
    (worker,) = _workers(machine, before)
    machine.run("kill", "-STOP", worker)
    machine.wait_until(lambda: main_pid(machine, AGENT) not in {0, before})
    expect(machine.says("ps", "-o", "pid=", "-p", f"{before},{worker}"), "")
    machine.wait_until(lambda: machine.says("systemctl", "is-active", AGENT) == "active")
    expect(len(_workers(machine, main_pid(machine, AGENT))), 1)
    machine.run("rm", "-r", f"/run/systemd/system/{AGENT}.service.d")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", AGENT)
    cluster.wait_for_role("db3", "reader")


def _workers(machine: Machine, angel: int) -> list[str]:
    """Return the processes that the angel has started."""
    return machine.says("ps", "-o", "pid=", "--ppid", str(angel)).split()


def killed(cluster: Cluster) -> None:
    """Of a monitor whose angel is killed all ends; systemd starts it again, it knows what it knew, no write fails."""
    machine, before = cluster.monitor, _hosts(cluster)
    angel = main_pid(machine, MONITOR)
    (worker,) = _workers(machine, angel)
    with cluster.written_to() as came:
        machine.run("kill", "-KILL", str(angel))
        machine.wait_until(lambda: main_pid(machine, MONITOR) not in {0, angel})
        machine.wait_until(lambda: machine.says("systemctl", "is-active", MONITOR) == "active")
        expect(machine.says("ps", "-o", "pid=", "-p", f"{angel},{worker}"), "")
    print(came)
    expect(came["failed"], 0)
    machine.wait_until(lambda: _hosts(cluster) == before)


def without_root(cluster: Cluster) -> None:
    """The monitor becomes user mmm as docs/install.md says: it knows what it knew, and its orders are obeyed."""
    machine = cluster.monitor
    trial, commands, web = blocks("sh", "docs/install.md")
    as_whom = trial.replace("PROGRAM", "/usr/bin/id -un")
    expect(machine.run("bash", "-e", given=as_whom), "root\n")
    before = _hosts(cluster)
    machine.run("bash", "-e", given=commands)
    _is_mmm(machine, MONITOR, (NET_BIND_SERVICE, NET_RAW))
    expect(machine.run("bash", "-e", given=as_whom), "mmm\n")
    expect((machine.root / "var/log/mysql-mmm/mmm_mond_C2.log").owner(), "root")  # whose monitor is root yet
    machine.wait_until(lambda: _hosts(cluster) == before)
    for name in ("db2", "db1"):
        cluster.move_writer(name)
        cluster.wait_for_writer(name)
    expect(
        machine.run("/etc/init.d/mysql-mmm-monitor", "status").startswith(f"{MONITOR}: mmm_mond is running"),
        wanted=True,
    )
    expect((machine.root / "var/lib/mysql-mmm-monitor/mmm_mond.status").stat().st_uid > 0, wanted=True)
    machine.run("bash", "-e", given=web)
    _is_mmm(machine, WEB)
    expect(HEALTHY in machine.run("python3", "-c", ASK), wanted=True)


def _hosts(cluster: Cluster) -> list[str]:
    """Return the hosts as show has them, with states and roles."""
    return re.findall(r"^ *(db\d\(.*)$", cluster.show(), re.MULTILINE)


def _is_mmm(machine: Machine, unit: str, capabilities: tuple[int, ...] = ()) -> None:
    """Raise AssertionError unless the unit's processes are user mmm's, and have these capabilities alone."""
    pid = main_pid(machine, unit)
    expect(machine.run("ps", "-o", "user=", "-p", str(pid), "--ppid", str(pid)).split(), ["mmm", "mmm"])
    (mask,) = re.findall(r"^CapEff:\t(\w+)$", machine.run("cat", f"/proc/{pid}/status"), re.MULTILINE)
    expect(int(mask, 16), sum(1 << number for number in capabilities))


def upgraded(folder: Path) -> Callable[[Cluster], None]:
    """Return the step that upgrades to a build."""

    def step(cluster: Cluster) -> None:
        """Upgraded while a client writes: no write fails, the daemons are new, the confs as they were."""
        running = [(machine, AGENT) for machine in cluster.hosts.values()] + [
            (cluster.monitor, each) for each in (MONITOR, OTHER)
        ]
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
    cluster.set_online("db1")
    cluster.monitor.wait_until(lambda: "db1(192.168.100.51) master/ONLINE" in cluster.show())


def purged(cluster: Cluster) -> None:
    """Removed, nothing runs and the confs stay; purged, nothing is left."""
    machine = cluster.monitor
    machine.run("systemctl", "disable", OTHER)
    machine.run("apt-get", "-y", "remove", MONITOR)
    expect(machine.says("pgrep", "--full", "/usr/sbin/mmm_mond"), "")
    expect((machine.root / "etc/mysql-mmm/mmm_mon.conf").exists(), wanted=True)
    machine.run("sh", "-c", "rm -r /etc/systemd/system/mysql-mmm-*.service.d; userdel mmm")  # the admin's
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
    parser = argparse.ArgumentParser(prog="python -m tests.deb")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    parser.add_argument("--only", choices=("packages", "perl", "units"))
    main(**vars(parser.parse_args()))
