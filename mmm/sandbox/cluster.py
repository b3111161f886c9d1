"""A running sandbox: looked at, steered, waited for. `up` and `down` are in mmm.sandbox.up.

Everything about it is below one folder, DIRECTORY/NAME, and in machines that die with their first process.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmm.sandbox.machines import build, network, servers, sql
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.layout import CLIENT, SWITCH, Layout
from mmm.sandbox.machines.machine import Machine, NotInTimeError, SandboxError
from mmm.wire.control import decode_show
from mmm.wire.lines import WireError

Say = Callable[[str], None]
UP_LIMIT = 60.0
_SERVER = "/etc/init.d/mysql"
_SERVER_LIMIT = 60.0
_GLANCE = 1.5
_ANSWER_LIMIT = 15.0
_NAP = 0.02
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A host as `mmm_control show` prints it; `roles` as role and VIP."""

    name: str
    ip: str
    mode: str
    state: str
    roles: tuple[tuple[str, str], ...]


def directory() -> Path:
    """Return the folder of all sandboxes: $MMM_SANDBOX_DIR, else /var/tmp/mmm-sandbox."""
    return Path(os.environ.get("MMM_SANDBOX_DIR") or "/var/tmp/mmm-sandbox").resolve()  # noqa: S108


def check_root() -> None:
    """Raise SandboxError when not root."""
    if os.geteuid() != 0:
        raise SandboxError("not root: network namespaces and mounts need it")


def names() -> list[str]:
    """Return the names of the sandboxes that are there, running or not."""
    with contextlib.suppress(OSError):
        return sorted(path.parent.name for path in directory().glob("*/machines"))
    return []


class Sandbox:
    """One cluster with its monitor and a client, each on its own machine."""

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise SandboxError(f"{name!r} cannot be a sandbox's name: up to 32 letters, digits and `_`")
        self.name = name
        self.directory = directory() / name
        self.homes = self.directory / "machines"
        self.mark = self.directory / "sandbox.json"
        """Written when the sandbox is up: which server it runs, and whether daemons."""

    @classmethod
    def attach(cls, name: str) -> "Sandbox":
        """Return the sandbox of that name that is up; raises SandboxError."""
        sandbox = cls(name)
        check_root()
        if not sandbox.mark.is_file():
            others = ", ".join(names())
            raise SandboxError(
                f"no sandbox {name}: mmm_sandbox up" + (f" (there is: {others})" if others else "")
            )
        return sandbox

    # --- what it consists of

    @cached_property
    def layout(self) -> Layout:
        """Return the machines, read from the conf files that the machines have now; raises SandboxError."""
        return build.read_layout(None, self.homes)

    @cached_property
    def server(self) -> servers.Server:
        """Return the kind of server that the hosts run; raises SandboxError."""
        return servers.find(str(self._marked["server"]))

    @property
    def has_daemons(self) -> bool:
        """Tell whether agents and monitor belong to this sandbox, or only servers."""
        return bool(self._marked["daemons"])

    @property
    def _marked(self) -> dict[str, Any]:
        marked: dict[str, Any] = json.loads(self.mark.read_text())
        return marked

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names of the database hosts in conf order."""
        return tuple(self.layout.hosts)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all machines that are there, whatever stands in their conf files."""
        return tuple(sorted(home.name for home in self.homes.iterdir() if (home / "booted").exists()))

    def machine(self, name: str) -> Machine:
        """Return the machine `name`: a host, the monitor's, `client`, or `switch` (the bridge)."""
        return Machine(name, self.homes / name)

    @property
    def monitor(self) -> Machine:
        """Return the machine that the monitor runs on."""
        return self.machine(self.layout.monitor)

    @property
    def client(self) -> Machine:
        """Return the machine that clients run on."""
        return self.machine(CLIENT)

    # --- steering

    def control(
        self, *args: str, limit: float = 30.0, on: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run mmm_control on a monitor's machine, the first by default, and return what it printed.

        Raises SandboxError.
        """
        machine = self.machine(on) if on else self.monitor
        return machine.run([build.program("mmm_control"), *args], limit=limit, check=False)

    def ask(self, command: str, limit: float = _ANSWER_LIMIT) -> str:
        """Return the monitor's answer to a control command, of several that of the one which leads; raises OSError."""
        return self.ask_monitor(self.leader() or self.layout.monitor, command, limit)

    def leader(self) -> str | None:
        """Return the machine of the monitor that says it leads, the last to have begun; None where none does.

        A monitor that is the only one is not asked.
        """
        if len(self.layout.monitors) == 1:
            return self.layout.monitor
        since: dict[float, str] = {}
        for name in self.layout.monitors:
            with contextlib.suppress(OSError, SandboxError, ValueError):
                told = json.loads(self.ask_monitor(name, "json monitors", _GLANCE))
                if told.get("leads"):
                    since[told["since"]] = name
        return since[max(since)] if since else None

    def ask_monitor(self, name: str, command: str, limit: float = _ANSWER_LIMIT) -> str:
        """Return the answer of the monitor on that machine; see `ask`."""
        monitor = self.layout.cluster.monitor
        if self.layout.cluster.socket.type == "ssl" or monitor is None:
            only = ["--monitor", self.layout.monitors[name]] if len(self.layout.monitors) > 1 else []
            done = self.control(*only, *command.split(), limit=limit, on=name)
            if done.returncode > 1:
                raise ConnectionError(done.stderr.strip())
            return done.stdout
        with self.machine(name).connect((self.layout.monitors[name], monitor.port), limit) as connection:
            connection.sendall(f"{command}\nquit\n".encode())
            with connection.makefile("rb") as stream:
                return stream.read().decode(errors="replace")

    def show(self) -> dict[str, Shown]:
        """Return every host as the monitor shows it; empty when the monitor does not answer."""
        try:
            hosts = decode_show(self.ask("show")).hosts
        except (OSError, SandboxError, WireError):
            return {}
        return {host.name: Shown(host.name, host.ip, host.mode, host.state, host.vips) for host in hosts}

    def states(self) -> dict[str, str]:
        """Return the state of every host; empty when the monitor does not answer."""
        return {name: shown.state for name, shown in self.show().items()}

    def insist(self, host: str, statement: str, *, limit: float = sql.LIMIT) -> list[sql.Row]:
        """Run what may well be run twice, and again where a fence has ended the session; raises SqlError."""
        return sql.insist(self.machine(host), statement, limit=limit)

    def sql(self, host: str, statement: str, *, limit: float = sql.LIMIT) -> list[sql.Row]:
        """Run a statement on a host's server as root and return the rows; raises SqlError."""
        return sql.query(self.machine(host), statement, limit=limit)

    def init(self, machine: str, service: str, action: str) -> subprocess.CompletedProcess[str]:
        """Run an init script (mysql-mmm-agent, mysql-mmm-monitor, mysql) and return what it did."""
        return self.machine(machine).run([f"/etc/init.d/{service}", action], limit=90, check=False)

    def wait_until(self, true: Callable[[], object], limit: float, what: str) -> float:
        """Wait until `true()` and return the seconds it took; raises NotInTimeError after `limit` seconds."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > limit:
                raise NotInTimeError(f"not within {limit:g} s: {what}\n{self.picture()}")
            time.sleep(_NAP)
        return time.monotonic() - began

    def wait_states(self, limit: float, **states: str) -> float:
        """Wait until the hosts have these states, e.g. db1="ONLINE"; see wait_until."""
        return self.wait_until(lambda: states.items() <= self.states().items(), limit, f"states {states}")

    def picture(self, lines: int = 12) -> str:
        """Return what `show` says and the last lines of every log, for a message about what went wrong."""
        try:
            parts = [self.ask("show")]
        except (OSError, SandboxError) as error:
            parts = [f"monitor: {error}\n"]
        for log in sorted(self.homes.glob("*/var/log/mysql-mmm/*.log")):
            tail = log.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"--- {log.parts[-5]} {log.name}\n" + "\n".join(tail))
        return "\n".join(parts)

    # --- starting

    def start_server(self, name: str) -> None:
        """Start a host's server and wait until it answers; raises SandboxError."""
        machine = self.machine(name)
        machine.run([_SERVER, "start"])
        deadline = time.monotonic() + _SERVER_LIMIT
        while True:
            try:
                sql.query(machine, "SELECT 1")
            except sql.SqlError as error:
                if time.monotonic() > deadline:
                    raise NotInTimeError(
                        f"server of {name} does not answer: {error}; {self._why(machine)}"
                    ) from error
                time.sleep(_NAP)
            else:
                return

    def start_daemons(self) -> None:
        """Start every agent and the monitor by their init scripts; raises SandboxError."""
        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(self.start_daemon, name, "mmm_agentd") for name in self.layout.agents]
            jobs += [pool.submit(self.start_daemon, name, "mmm_mond") for name in self.layout.monitors]
            for job in jobs:
                job.result()

    def start_daemon(self, machine: str, daemon: str) -> None:
        """Start a daemon by its init script; raises SandboxError."""
        done = self.init(machine, build.DAEMONS[daemon], "start")
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip()).replace("\n", "; ")
            raise SandboxError(
                f"{daemon} does not start on {machine}: {told or f'exit status {done.returncode}'}"
            )

    def bring_online(self, say: Say = lambda _: None, limit: float = UP_LIMIT, *, force: bool = True) -> None:
        """Set every host online as an admin does after the first start, and wait for the roles.

        With `force` also those that have more than the writer had.
        """
        if self.layout.cluster.monitor is not None and self.layout.cluster.monitor.mode == "passive":
            say("the monitor starts in passive mode: set hosts online and set_active yourself")
            return
        told: set[str] = set()

        def online() -> bool:
            shown = self.show()
            for host in shown.values():
                if host.state == "ONLINE" and host.name not in told:
                    told.add(host.name)
                    say(f"{host.name} is ONLINE")
                elif host.state in {"AWAITING_RECOVERY", "ADMIN_OFFLINE"} and (
                    order := online_order(host.name, self.refused(host.name), force=force)
                ):
                    self.ask(order)
            return len(told) == len(self.hosts) and all(host.state == "ONLINE" for host in shown.values())

        self.wait_until(_quietly(online), limit, "every host is ONLINE")
        self.wait_until(lambda: self.writer() is not None, limit, "the writer's VIP is bound")
        say(f"{self.writer()} has the writer's VIP {self.layout.writer_ip}")

    def refused(self, name: str) -> str | None:
        """Return the code of why set_online of the host would be refused now, None where it would not."""
        (host,) = json.loads(self.ask(f"json explain {name}"))["hosts"]
        code: str | None = (host["set_online"] or {}).get("code")
        return code

    def warns(self, code: str) -> bool:
        """Tell whether the monitor has a warning of that code."""
        return any(each["code"] == code for each in json.loads(self.ask("json show"))["warnings"])

    def holders(self, ip: str) -> tuple[str, ...]:
        """Return the hosts that have the address on an interface."""
        found = []
        for name in self.hosts:
            with contextlib.suppress(SandboxError):
                if ip in bound_addresses(self.machine(name)):
                    found.append(name)
        return tuple(found)

    def writer(self) -> str | None:
        """Return the only host that has the writer's VIP bound, None when none or several have."""
        holders = self.holders(self.layout.writer_ip)
        return holders[0] if len(holders) == 1 else None

    def boot(self, name: str) -> None:
        """Switch a machine on and plug it in; its programs are not started. Raises SandboxError."""
        machine = self.machine(name)
        private = [*self.layout.private(name), *(servers.PRIVATE if name in self.hosts else ())]
        shutil.rmtree(machine.path("/run"), ignore_errors=True)
        machine.boot(private)
        machine.path("/run/lock").mkdir(parents=True, exist_ok=True)
        network.plug_in(self.machine(SWITCH), machine, self.layout.plugs[name], self.layout.lengths)

    def power_off(self, name: str) -> None:
        """Switch a machine off at once: its processes, addresses and /run are lost. Raises SandboxError."""
        # First the cable: the kernel would go on answering for as long as it wants to end connections in order.
        network.unplug(self.machine(SWITCH), self.layout.plugs[name])
        self.machine(name).halt()

    def power_on(self, name: str, *, answers: bool = True) -> None:
        """Switch a machine on again, as its init system does: uptime 0, server, agent. Raises SandboxError.

        Without `answers` the server need not start: its data may be somewhere else.
        """
        self.boot(name)
        if name in self.hosts and answers:
            self.start_server(name)
        elif name in self.hosts:
            self.machine(name).run([_SERVER, "start"])
        if self.has_daemons and name in self.layout.agents:
            self.start_daemon(name, "mmm_agentd")
        if self.has_daemons and name in self.layout.monitors:
            self.start_daemon(name, "mmm_mond")

    @staticmethod
    def _why(machine: Machine) -> str:
        with contextlib.suppress(OSError):
            lines = machine.path(servers.ERROR_LOG).read_text(errors="replace").splitlines()
            errors = [line for line in lines if "ERROR" in line] or lines
            return errors[-1] if errors else "its error log is empty"
        return "it has no error log"


def online_order(host: str, against: str | None, *, force: bool) -> str:
    """Return the command that sets a host online, empty where it would be refused: the log has each try.

    `against` is the code of why it would be. With `force` it is no matter that the host has more than the writer had.
    """
    if against is None:
        return f"set_online {host}"
    return f"set_online --force {host}" if force and against == "extra_transactions" else ""


def _quietly(true: Callable[[], bool]) -> Callable[[], bool]:
    """Return a test that counts a monitor that cannot be reached as not yet."""

    def test() -> bool:
        try:
            return true()
        except (OSError, SandboxError):
            return False

    return test
