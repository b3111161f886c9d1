"""What scenarios do to a sandbox's cluster beside what the sandbox itself offers."""

import contextlib
import json
import os
import re
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mmm.sandbox import proxy
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.build import DAEMONS
from mmm.sandbox.machines.conf import Conf, Values, fast
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.sql import SqlError
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import daemon_processes
from mmm.sandbox.up import down, up
from tests.status import looked_at

LIMIT = 30.0
BY_ITSELF = 90.0
"""Seconds for a preferred host to get its role by itself: after an attempt that failed that rests for a minute."""
"""Longest wait for anything, in seconds: far above what a loaded machine needs."""


def needs_haproxy() -> None:
    """Skip the scenarios where HAProxy is not installed."""
    try:
        proxy.program()
    except SandboxError as error:
        pytest.skip(str(error))


class Kept:
    """A cluster that scenarios share: made when first asked for, and anew when nothing else repairs it.

    Its daemons stand still while scenarios use another one: they would take a tenth of a core.
    """

    _all: ClassVar[list["Kept"]] = []

    def __init__(
        self,
        kind: str,
        conf: Conf | Path,
        server: str,
        furnish: Callable[[Sandbox], None] | None,
        options: Values,
        *,
        may_rest: bool,
    ) -> None:
        self._name = f"{kind}{os.getpid()}"
        self._conf = fast(conf) if isinstance(conf, Conf) else conf
        self._server = server
        self._furnish = furnish
        self._options = options
        self._sandbox: Sandbox | None = None
        self._doubtful = False
        self._may_rest, self._rests = may_rest, False
        self._all.append(self)

    def healthy(self) -> Sandbox:
        """Return it as it was at first, db1 being the writer; that it had to be made anew is a warning."""
        for each in self._all:
            if each is not self:
                each._rest()
        self._rests = False
        if self._doubtful:
            self.down()
        if self._sandbox is not None:
            try:
                restore(self._sandbox)
            except (SandboxError, SqlError, OSError) as error:
                warnings.warn(f"cluster {self._name} is made anew: {error}", stacklevel=2)
                self.down()
        if self._sandbox is None:
            self._sandbox = up(self._name, conf=self._conf, server=self._server, options=self._options)
            if self._furnish is not None:
                self._furnish(self._sandbox)
            restore(self._sandbox)  # after its first start any master may be the writer
        return self._sandbox

    def _rest(self) -> None:
        """Have its daemons stand still, until it is made healthy again."""
        if self._sandbox is None or self._rests or not self._may_rest:
            return
        self._rests = True
        for name in self._sandbox.layout.plugs:
            for process in self._sandbox.machine(name).processes():
                if any(map(process.runs, DAEMONS)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGSTOP)

    def down(self) -> None:
        """Leave nothing of it."""
        self._doubtful = self._rests = False
        if self._sandbox is not None:
            self._sandbox = None
            down(self._name)

    @classmethod
    def look_at_all(cls) -> None:
        """Fail where the status that one of them tells is not as its schema says."""
        for each in cls._all:
            if each._sandbox is not None and not each._rests:
                looked_at(each._sandbox)

    @classmethod
    def doubt_all(cls) -> None:
        """Have each of them made anew when it is asked for next."""
        for each in cls._all:
            each._doubtful = True


@contextlib.contextmanager
def kept(
    kind: str,
    conf: Conf | Path,
    server: str = "mariadb",
    furnish: Callable[[Sandbox], None] | None = None,
    options: Values | None = None,
    *,
    may_rest: bool = True,
) -> Iterator[Kept]:
    """Give a cluster for several scenarios; one of the sandbox's own confs is made `fast`.

    `furnish` puts into it what no conf file does, each time that it is made; `options` are in every my.cnf. Unless it
    `may_rest` it goes on while others are used.
    """
    if os.geteuid() != 0:
        pytest.skip("the sandbox needs root")
    cluster = Kept(kind, conf, server, furnish, options or {}, may_rest=may_rest)
    try:
        yield cluster
    finally:
        cluster.down()


@dataclass(frozen=True, slots=True)
class Log:
    """A daemon's log from a moment on."""

    sandbox: Sandbox
    path: Path
    start: int

    @property
    def text(self) -> str:
        """Return what was logged since."""
        return self.path.read_bytes()[self.start :].decode(errors="replace") if self.path.exists() else ""

    def count(self, pattern: str) -> int:
        """Return how many of the lines match."""
        return sum(re.search(pattern, line) is not None for line in self.text.splitlines())

    def wait(self, pattern: str) -> int:
        """Wait until a line matches, for a thread writes them; return how many do then."""
        self.sandbox.wait_until(lambda: self.count(pattern), LIMIT, f"{self.path.name} says {pattern!r}")
        return self.count(pattern)


def log(sandbox: Sandbox, machine: str, name: str) -> Log:
    """Return the log of a daemon (mmm_mond, mmm_agentd_C2) from now on."""
    path = sandbox.machine(machine).log / f"{name}.log"
    return Log(sandbox, path, path.stat().st_size if path.exists() else 0)


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
    """Restart a daemon by its init script; it listens then."""
    done = sandbox.init(machine, DAEMONS[daemon], "restart")
    assert done.returncode == 0, done.stderr
    monitor = sandbox.layout.cluster.monitor
    assert monitor is not None
    host = sandbox.layout.hosts.get(machine)
    connect(
        sandbox, (host.ip, host.agent_port) if host and daemon == "mmm_agentd" else (monitor.ip, monitor.port)
    ).close()


def connect(sandbox: Sandbox, address: tuple[str, int]) -> socket.socket:
    """Return a connection from the monitor's machine to a daemon, once that listens: it may have just been started."""
    made: list[socket.socket] = []

    def connected() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            made.append(sandbox.monitor.connect(address, LIMIT))
        return bool(made)

    sandbox.wait_until(connected, LIMIT, f"{address[0]} listens at {address[1]}")
    return made[0]


def request(sandbox: Sandbox, host: str, line: str, port: int | None = None) -> str:
    """Send a line to a host's agent from the monitor's machine and return its reply without token and uptime."""
    where = sandbox.layout.hosts[host]
    with connect(sandbox, (where.ip, port or where.agent_port)) as connection:
        return _exchanged(connection, line)


def health(sandbox: Sandbox, host: str, path: str) -> tuple[int, dict[str, Any]]:
    """Return status and fields that a host's health port answers to the monitor's machine.

    The status is 0 where it hangs up, as when its process was just killed.
    """
    where = sandbox.layout.hosts[host]
    assert where.health_port is not None
    with connect(sandbox, (where.ip, where.health_port)) as connection:
        try:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            with connection.makefile("rb") as stream:
                head, _, body = stream.read().partition(b"\r\n\r\n")
        except ConnectionError:
            return 0, {}
    return (int(head.split()[1]), json.loads(body)) if head else (0, {})


def order(sandbox: Sandbox, host: str, line: str) -> str:
    """Send a line as the monitor's daemon does, from a port that only root has, and return the reply likewise."""
    where = sandbox.layout.hosts[host]
    with sandbox.monitor.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.settimeout(LIMIT)
        for local in range(1023, 600, -1):
            with contextlib.suppress(OSError):
                made.bind(("", local))
                break
        made.connect((where.ip, where.agent_port))
        return _exchanged(made, line)


def _exchanged(connection: socket.socket, line: str) -> str:
    with connection.makefile("r") as stream:
        connection.sendall(line.encode() + b"\n")
        return re.sub(r"(\|T:[0-9a-z.]+)?\|UP:[0-9.]+\n", "", stream.readline())


def knows(sandbox: Sandbox, host: str, state: str) -> bool:
    """Tell whether a host's agent says that it was told this state."""
    return f"|{state}|" in request(sandbox, host, f"GET_AGENT_STATUS|1|{host}")


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


def lives_for_good(sandbox: Sandbox, host: str) -> bool:
    """Tell whether the writer's VIP is bound there without a lifetime."""
    shown = sandbox.machine(host).run(["ip", "-o", "address", "show", "to", sandbox.layout.writer_ip]).stdout
    return "valid_lft forever" in shown
