"""How many hosts one monitor can watch.

python -m bench.scale [--hosts 10,100,500,1000] [--dead 0,10] [--seconds 7] [--failovers 3] [--json FILE]
                      [--profile FILE]

The monitor is the real one, as a process, with real sockets and ICMP; it runs in a machine of its own, and all the
hosts are stand-ins (`bench.stand_ins`) in another one. Every check has a period, trap and time-out of 1 s. A host
dies by a black hole for its address: nothing comes back from it any more, at any protocol.

For each number of hosts and each part of them that is dead before the clock starts:

    CPU        of the monitor, in percent of one core, and per check in microseconds
    memory     of all its processes (PSS)
    late       how much later than a period after the one before the mysql checks start: median and 99th percentile, of
               three looks the middle one, for a single pause of the machine makes the percentile of a look much larger
    checks     how many of them a second there really were, of those that the conf asks for, in percent
    failover   from the death of the writer's host to the order that gives its role to the other master, median and
               longest; without leases, whose end it would wait for otherwise

With --profile the monitor's event loop runs under cProfile meanwhile, which makes it slower; the functions that took
most of its time are printed after each step, and all of them are in FILE, of the last step.
"""

import argparse
import io
import json
import os
import pstats
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.tables import Table, write_json
from bench.usage import Usage, running, usage
from mmm.sandbox.machines.machine import Machine

_STAND_INS = str(Path(__file__).with_name("stand_ins.py"))
_PROFILED = str(Path(__file__).with_name("profiled.py"))
_HOSTS, _MONITORS = ("10.87.0.1", "10.87.1.1"), ("10.87.0.2", "10.87.1.2")
"""The addresses of the machine of all hosts, and of the monitor at the other end of each cable."""
_AGENT_PORT, _MYSQL_PORT = 9989, 3306
_PRIVATE = ("/var/log/mysql-mmm", "/run", "/var/lib/misc")
_LIMIT = 120.0
_BY_ITSELF = 30.0
"""Seconds in which hosts come online by themselves, auto_set_online being 1."""
_LOOKS = 3
_CHECKS = 4
_COLUMNS = [
    "hosts", "dead", "CPU %", "us/check", "memory MB", "checks %", "late p50 ms", "late p99 ms", "failover s",
    "longest s",
]  # fmt: skip
_HEADER = (
    f"{'hosts':>6}{'dead':>6}{'CPU %':>8}{'us/check':>10}{'memory MB':>11}"
    f"{'checks %':>10}{'late p50 ms':>13}{'p99':>7}{'failover s':>12}{'most':>7}"
)
_ASKED = 2
"""What a host that lives is to be asked a second: whether it may be written to, and how its replica does."""
_SHOWN = 45


@dataclass(frozen=True, slots=True)
class Measured:
    """One step: `late` in seconds, `memory` in bytes, `cpu` in seconds per second, `done` a part of 1."""

    hosts: int
    dead: int
    cpu: float
    memory: int
    done: float
    late: tuple[float, float]
    failovers: tuple[float, ...]

    @property
    def per_check(self) -> float:
        """Return the processor time of one check that was run, in microseconds."""
        return 1e6 * self.cpu / (_CHECKS * self.hosts * self.done)

    @property
    def failover(self) -> float:
        """Return the median of the failovers, in seconds."""
        return statistics.median(self.failovers)

    def row(self) -> list[float]:
        """Return the figures in the order of `_COLUMNS`."""
        return [
            self.hosts,
            self.dead,
            round(100 * self.cpu, 1),
            round(self.per_check),
            round(self.memory / 1e6),
            round(100 * self.done, 1),
            round(1e3 * self.late[0]),
            round(1e3 * self.late[1]),
            round(self.failover, 2),
            round(max(self.failovers), 2),
        ]

    def __str__(self) -> str:
        return (
            f"{self.hosts:>6}{self.dead:>6}{100 * self.cpu:>8.1f}{self.per_check:>10.0f}{self.memory / 1e6:>11.0f}"
            f"{100 * self.done:>10.1f}{1e3 * self.late[0]:>13.0f}{1e3 * self.late[1]:>7.0f}{self.failover:>12.2f}"
            f"{max(self.failovers):>7.2f}"
        )


def address(number: int) -> str:
    """Return the address of a host; the first one is 0."""
    return f"10.88.{number // 250}.{number % 250 + 1}"


def conf(hosts: int, monitors: int = 1, period: float = 1.0) -> str:
    """Return the monitors' conf: two masters, the other hosts slaves, one reader VIP for ten hosts.

    One monitor goes without leases, for the end of one would be waited for; several cannot. Checks are `period`
    seconds apart.
    """
    names = [f"db{number + 1}" for number in range(hosts)]
    readers = ", ".join(f"10.89.{n // 250}.{n % 250 + 1}" for n in range(max(2, hosts // 10)))
    several = [f"monitors {', '.join(_MONITORS[:monitors])}", "vip_lease 10"]
    lines = several if monitors > 1 else ["vip_lease 0"]
    lines += ["active_master_role writer", "<host default>", "cluster_interface eth0", "agent_user a",
             "agent_password a", "replication_user r", "replication_password r", "monitor_user m",
             "monitor_password m", "</host>"]  # fmt: skip
    for number, name in enumerate(names):
        lines += [f"<host {name}>", f"ip {address(number)}"]
        lines += ["mode master", f"peer {names[1 - number]}"] if number < 2 else ["mode slave"]
        lines.append("</host>")
    lines += ["<role writer>", "hosts db1, db2", "ips 10.89.255.1", "mode exclusive", "</role>"]
    lines += ["<role reader>", f"hosts {', '.join(names)}", f"ips {readers}", "mode balanced", "</role>"]
    lines += ["<check default>", f"check_period {period:g}", "trap_period 1", "timeout 1", "</check>"]
    lines += ["<monitor>", *([] if monitors > 1 else [f"ip {_MONITORS[0]}", "split_brain_guard no"])]
    lines += [f"ping_ips {', '.join(_HOSTS[:monitors])}", "flap_count 0", "failover_block 0",
              "auto_set_online 1", "pid_path /run/mmm_mond.pid",
              "status_path /var/lib/misc/mmm_mond.status", "bin_path /usr/lib/mysql-mmm", "</monitor>"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _unfit(shown: str) -> str:
    """Return the lines of `show` that are not those of slaves in use."""
    return "\n".join(line for line in shown.splitlines() if "slave/ONLINE" not in line)[:2000]


def _program(name: str) -> str:
    """Return the path of one of our programs."""
    return str(Path(sys.executable).with_name(name))


class Bench:
    """The machine of the stand-ins, and one for each monitor."""

    def __init__(
        self,
        home: Path,
        stack: ExitStack,
        hosts: int,
        profile: Path | None = None,
        monitors: int = 1,
        period: float = 1.0,
    ) -> None:
        self.hosts = hosts
        self._profile = profile
        self._far = self._machine(home, stack, "hosts")
        self._all = [self._machine(home, stack, f"monitor{number + 1}") for number in range(monitors)]
        self._near = self._all[0]
        for number, machine in enumerate(self._all):
            self._wire(machine, number)
        # A dead host's address is the far machine's no more, but a hole that swallows what comes.
        self._stand_ins = subprocess.Popen(
            self._far.enter([
                sys.executable, _STAND_INS, str(_AGENT_PORT), str(_MYSQL_PORT), *["votes"] * (monitors > 1)
            ]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(self._stand_ins.kill)
        assert self._said().get("ready")
        under = [] if profile is None else [sys.executable, _PROFILED, str(profile)]
        program = [*under, _program("mmm_mond"), "--foreground"]
        for machine in self._all:
            (machine.etc / "mmm_mon.conf").write_text(conf(hosts, monitors, period))
            (machine.etc / "mmm_mon.conf").chmod(0o600)
            stack.callback(machine.spawn(program, log=home / f"{machine.name}.out").kill)

    def profile(self) -> None:
        """Let the monitor's profile begin, or end."""
        if self._profile is not None:
            for process in running(self._near, "mmm_mond"):
                os.kill(process.pid, signal.SIGUSR2)

    @staticmethod
    def _machine(home: Path, stack: ExitStack, name: str) -> Machine:
        machine = Machine(name, home / name)
        machine.home.mkdir()
        machine.etc.mkdir(parents=True)
        machine.boot(_PRIVATE)
        stack.callback(machine.halt)
        return machine

    def _wire(self, near: Machine, number: int) -> None:
        """Lay the cable of a monitor."""
        cable = f"link add far{number} type veth peer name near netns {near.pid}"
        subprocess.run(
            ["nsenter", "-t", str(self._far.pid), "-n", "--", "ip", *cable.split()], check=True, timeout=10
        )
        for machine, interface, ip in (
            (self._far, f"far{number}", _HOSTS[number]), (near, "near", _MONITORS[number])
        ):  # fmt: skip
            machine.run(["ip", "address", "add", f"{ip}/24", "dev", interface])
            machine.run(["ip", "link", "set", interface, "up"])
        if number == 0:
            self._far.run(["ip", "route", "add", "local", "10.88.0.0/16", "dev", "lo"])
            self._far.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])  # monitors reach each other
        near.run(["ip", "route", "add", "10.86.0.0/15", "via", _HOSTS[number]])
        near.run(["ip", "route", "add", "10.88.0.0/16", "via", _HOSTS[number]])

    def kill(self, number: int) -> float:
        """Let nothing come back from a host any more; returns the moment."""
        self._far.run(["ip", "route", "add", "blackhole", f"{address(number)}/32", "table", "local"])
        return time.monotonic()

    def revive(self, number: int) -> None:
        """Let a host answer again, and wait until it is ONLINE; raises TimeoutError."""
        self._far.run(["ip", "route", "del", "blackhole", f"{address(number)}/32", "table", "local"])
        wanted = f"db{number + 1}({address(number)}) master/ONLINE"
        deadline = time.monotonic() + _LIMIT
        while wanted not in self.ask("show"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not ONLINE again: db{number + 1}")
            time.sleep(0.2)

    def ask(self, *words: str) -> str:
        """Return what mmm_control says; empty while the monitor does not answer."""
        return self._near.run([_program("mmm_control"), *words], check=False, limit=_LIMIT).stdout

    def wait_online(self, number: int) -> None:
        """Wait until so many hosts are ONLINE and the writer's role is placed; raises TimeoutError."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < _LIMIT:
            shown = self.ask("show")
            if shown.count("/ONLINE") >= number and "writer(" in shown:
                return
            for line in shown.splitlines():
                if "AWAITING_RECOVERY" in line and waited > _BY_ITSELF:
                    self.ask("set_online", line.split("(")[0].strip())
            time.sleep(1)
        raise TimeoutError(f"not {number} of {self.hosts} hosts are ONLINE:\n{_unfit(self.ask('show'))}")

    def tally(self) -> dict[str, float]:
        """Return the intervals between checks since the last call."""
        assert self._stand_ins.stdin is not None
        self._stand_ins.stdin.write("\n")
        self._stand_ins.stdin.flush()
        while "checks" not in (said := self._said()):
            pass
        return {name: float(str(value)) for name, value in said.items()}

    def look(self, seconds: float) -> dict[str, float]:
        """Return the intervals between checks from now on, for some seconds."""
        time.sleep(seconds)
        return self.tally()

    def writer_told(self, number: int) -> float:
        """Return the moment at which a host is told that it has the writer's role."""
        while (said := self._said()).get("writer") != address(number):
            pass
        return float(str(said["at"]))

    def _said(self) -> dict[str, object]:
        assert self._stand_ins.stdout is not None
        line = self._stand_ins.stdout.readline()
        if not line:
            raise RuntimeError("the stand-ins have ended")
        said: dict[str, object] = json.loads(line)
        return said

    def usage(self) -> Usage:
        """Return what the first monitor's processes cost."""
        return usage(self._near, "mmm_mond")

    def usages(self) -> dict[str, Usage]:
        """Return what each monitor's processes cost, by its address."""
        return {ip: usage(machine, "mmm_mond") for ip, machine in zip(_MONITORS, self._all, strict=False)}


@contextmanager
def bench(hosts: int, profile: Path | None = None, monitors: int = 1, period: float = 1.0) -> Iterator[Bench]:
    """Give monitors at work with so many hosts, and checks `period` seconds apart."""
    home = Path(tempfile.mkdtemp(prefix="mmm-scale-"))
    try:
        with ExitStack() as stack:
            yield Bench(home, stack, hosts, profile, monitors, period)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(hosts: int, dead: int, seconds: float, failovers: int, profile: Path | None = None) -> Measured:
    """Return one step; `dead` hosts, the last ones, die before."""
    with bench(hosts, profile) as cluster:
        cluster.wait_online(hosts)
        for number in range(hosts - dead, hosts):
            cluster.kill(number)
        time.sleep(min(10.0, seconds) if dead else 3.0)
        cluster.tally()
        cluster.profile()
        before, began = cluster.usage(), time.monotonic()
        looks = [cluster.look(seconds) for _ in range(_LOOKS)]
        cluster.profile()
        after = cluster.usage()
        took = time.monotonic() - began
        done = sum(look["asked"] for look in looks) / (took * _ASKED * (hosts - dead))
        late = (_late(looks, "p50"), _late(looks, "p99"))
        took_over = []
        for turn in range(failovers):
            victim = turn % 2
            died = cluster.kill(victim)
            took_over.append(cluster.writer_told(1 - victim) - died)
            cluster.revive(victim)
        return Measured(
            hosts, dead, (after.cpu - before.cpu) / took, after.memory, done, late, tuple(took_over)
        )


def _late(looks: Sequence[dict[str, float]], part: str) -> float:
    """Return the median of what the looks say of a part of the checks, in seconds beyond a period."""
    return max(0.0, statistics.median(look[part] for look in looks) - 1)


def profiled(path: Path) -> str:
    """Return which functions took most of the time in a file of cProfile's."""
    written = io.StringIO()
    pstats.Stats(str(path), stream=written).sort_stats("tottime").print_stats(_SHOWN)
    return written.getvalue()


def main() -> int:
    """Measure all steps and print the table."""
    parser = argparse.ArgumentParser(description="Measure how many hosts one monitor can watch.")
    parser.add_argument("--hosts", default="10,100,500,1000", help="numbers of hosts")
    parser.add_argument("--dead", default="0,10", help="percents of them that are dead before")
    parser.add_argument(
        "--seconds", type=float, default=7.0, help="how long each of three looks takes (default 7)"
    )
    parser.add_argument("--failovers", type=int, default=3, help="how often the writer dies (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write columns and rows there too")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="run the monitor under cProfile")
    args = parser.parse_args()
    print(_HEADER, flush=True)
    found = []
    for hosts in map(int, args.hosts.split(",")):
        for percent in map(float, args.dead.split(",")):
            found.append(
                measure(hosts, round(hosts * percent / 100), args.seconds, args.failovers, args.profile)
            )
            print(found[-1], flush=True)
            if args.profile is not None:
                print(profiled(args.profile))
            if args.json is not None:
                rows = [one.row() for one in found]
                write_json(args.json, [Table("scale", _COLUMNS, rows, _ratios(found))])
    for name, ratio in _ratios(found).items():
        print(f"{name}: {ratio:.2f}")
    return 0


def _ratios(found: Sequence[Measured]) -> dict[str, float]:
    """Return what the last step comes to beside others: aims, and the cost of a host from 100 hosts on."""
    ratios = {}
    largest = [one for one in found if one.hosts == found[-1].hosts]
    ratios[f"late p99 of {largest[0].hosts} hosts / 250 ms"] = max(one.late[1] for one in largest) / 0.25
    ratios[f"memory of {largest[0].hosts} hosts / 150 MB"] = max(one.memory for one in largest) / 150e6
    several = [one for one in found if one.hosts >= 100 and not one.dead]
    if len(several) > 1:
        first, last = several[0], several[-1]
        ratios[f"CPU of a host, {last.hosts} hosts / {first.hosts}"] = (
            last.cpu * first.hosts / (first.cpu * last.hosts)
        )
    if len(largest) > 1:
        ratios[f"failover of {largest[0].hosts} hosts, some dead / none"] = (
            largest[-1].failover / largest[0].failover
        )
    return {name: round(ratio, 3) for name, ratio in ratios.items()}


if __name__ == "__main__":
    sys.exit(main())
