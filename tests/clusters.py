"""What scenarios do to a sandbox's cluster beside what the sandbox itself offers."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmm.sandbox.build import DAEMONS
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.faults import daemon_processes
from mmm.sandbox.network import bound_addresses

LIMIT = 30.0
"""Longest wait for anything, in seconds: far above what a loaded machine needs."""


@dataclass(frozen=True, slots=True)
class Log:
    """A daemon's log from a moment on."""

    path: Path
    start: int

    @property
    def text(self) -> str:
        """Return what was logged since."""
        return self.path.read_bytes()[self.start :].decode(errors="replace") if self.path.exists() else ""

    def count(self, pattern: str) -> int:
        """Return how many of the lines match."""
        return sum(re.search(pattern, line) is not None for line in self.text.splitlines())


def log(sandbox: Sandbox, machine: str, name: str) -> Log:
    """Return the log of a daemon (mmm_mond, mmm_agentd_C2) from now on."""
    path = sandbox.machine(machine).log / f"{name}.log"
    return Log(path, path.stat().st_size if path.exists() else 0)


def monitor_log(sandbox: Sandbox) -> Log:
    """Return the monitor's log from now on."""
    return log(sandbox, sandbox.layout.monitor, "mmm_mond")


def status_file(sandbox: Sandbox) -> Path:
    """Return the monitor's status file as seen from outside."""
    monitor = sandbox.layout.cluster.monitor
    assert monitor is not None
    return sandbox.monitor.path(monitor.status_path)


@contextlib.contextmanager
def monitor_away(sandbox: Sandbox) -> Iterator[None]:
    """Stop the monitor in order, and start it again at the end; it answers then."""
    assert sandbox.init(sandbox.layout.monitor, DAEMONS["mmm_mond"], "stop").returncode == 0
    yield
    sandbox.start_daemon(sandbox.layout.monitor, "mmm_mond")
    sandbox.wait_until(sandbox.show, LIMIT, "the monitor answers")


def restart(sandbox: Sandbox, machine: str, daemon: str) -> None:
    """Restart a daemon by its init script."""
    done = sandbox.init(machine, DAEMONS[daemon], "restart")
    assert done.returncode == 0, done.stderr


def request(sandbox: Sandbox, host: str, line: str, port: int | None = None) -> str:
    """Send a line to a host's agent from the monitor's machine and return its reply without the uptime."""
    where = sandbox.layout.hosts[host]
    with sandbox.monitor.connect((where.ip, port or where.agent_port), LIMIT) as connection:
        connection.sendall(line.encode() + b"\n")
        with connection.makefile("r") as stream:
            return stream.readline().rpartition("|")[0]


def pids(sandbox: Sandbox, machine: str, daemon: str) -> tuple[int, ...]:
    """Return the processes of a daemon, the angel first."""
    return tuple(process.pid for process in daemon_processes(sandbox, machine, daemon))


def shown(sandbox: Sandbox) -> str:
    """Return what `show` must answer now that all hosts are ONLINE: the VIPs as they are bound."""
    lines = []
    for name, host in sorted(sandbox.layout.hosts.items()):
        bound = bound_addresses(sandbox.machine(name))
        roles = sorted(str(vip) for vip in sandbox.layout.cluster.vips if vip.ip in bound)
        lines.append(f"  {name}({host.ip}) {host.mode}/ONLINE. Roles: {', '.join(roles)}\n")
    return "".join(lines)


def bound(sandbox: Sandbox, host: str) -> frozenset[str]:
    """Return the VIPs of the cluster that are bound on a host."""
    return bound_addresses(sandbox.machine(host)) & {vip.ip for vip in sandbox.layout.cluster.vips}
