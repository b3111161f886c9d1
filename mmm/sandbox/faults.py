"""What can go wrong, done on purpose to real parts, and how each fault is undone."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mmm.mysql.replication import parse_status
from mmm.sandbox import network, sql
from mmm.sandbox.build import DAEMONS
from mmm.sandbox.cluster import Sandbox, Say
from mmm.sandbox.layout import SWITCH
from mmm.sandbox.machine import SandboxError, python
from mmm.sandbox.processes import Process
from mmm.sandbox.servers import CNF

_END_LIMIT = 60.0
_LAG = "mmm.sandbox.lag"


@dataclass(frozen=True, slots=True)
class _Target:
    sandbox: Sandbox
    host: str
    angel: bool
    """Whether the daemon's angel is meant too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: what is done, in a sentence with {host}; `anywhere` when it takes no host."""

    sentence: str
    inject: Callable[[_Target], None]
    anywhere: bool = False


def inject(sandbox: Sandbox, fault: str, host: str | None = None, *, angel: bool = False) -> str:
    """Do a fault and return the sentence that says what was done; raises SandboxError, SqlError.

    With `angel` the kill of a daemon includes the parent that would start it again.
    """
    kind = FAULTS.get(fault)
    if kind is None:
        raise SandboxError(f"no fault {fault}: there are {', '.join(FAULTS)}")
    if kind.anywhere:
        host = sandbox.layout.monitor
    elif host not in sandbox.hosts:
        raise SandboxError(f"fault {fault} takes a host: {', '.join(sandbox.hosts)}")
    kind.inject(_Target(sandbox, host, angel))
    return kind.sentence.format(host=host)


def heal(sandbox: Sandbox, say: Say = lambda _: None) -> None:
    """Undo every fault: cables, frozen processes, locks, servers, replication, daemons; raises SandboxError."""
    _plug_in(sandbox, say)
    for name in sandbox.layout.plugs:
        if not sandbox.machine(name).running:
            sandbox.power_on(name)
            say(f"{name} is switched on again")
        _thaw(sandbox, name, say)
    down = [name for name in sandbox.hosts if server_process(sandbox, name) is None]
    with ThreadPoolExecutor() as pool:
        for name, job in [(name, pool.submit(sandbox.start_server, name)) for name in down]:
            job.result()
            say(f"{name}: its server runs again")
    offline = {name for name, state in sandbox.states().items() if state == "ADMIN_OFFLINE"}
    for name in sandbox.hosts:
        if name not in offline and _start_replication(sandbox, name):
            say(f"{name}: replication started")
    if sandbox.has_daemons:
        for name in sandbox.hosts:
            _start(sandbox, name, "mmm_agentd", say)
        _start(sandbox, sandbox.layout.monitor, "mmm_mond", say)


def _plug_in(sandbox: Sandbox, say: Say) -> None:
    switch = sandbox.machine(SWITCH)
    names = {plug.port: name for name, plug in sandbox.layout.plugs.items()}
    for port in network.ports_down(switch):
        network.set_port(switch, port, up=True)
        say(f"{names.get(port, port)}: its cable is back")


def _thaw(sandbox: Sandbox, name: str, say: Say) -> None:
    for process in sandbox.machine(name).processes():
        if process.state == "T" and (_is_server(process) or any(map(process.runs, DAEMONS))):
            os.kill(process.pid, signal.SIGCONT)
            say(f"{name}: process {process.inner} goes on")
        elif _LAG in process.argv:
            _end(process, signal.SIGKILL)
            say(f"{name}: the lock that made it lag is gone")


def _start(sandbox: Sandbox, name: str, daemon: str, say: Say) -> None:
    if not daemon_processes(sandbox, name, daemon):
        sandbox.start_daemon(name, daemon)
        say(f"{name}: {daemon} started")


def server_process(sandbox: Sandbox, host: str) -> Process | None:
    """Return the process of a host's server, None when it does not run."""
    return next(filter(_is_server, sandbox.machine(host).processes()), None)


def daemon_processes(sandbox: Sandbox, machine: str, daemon: str) -> list[Process]:
    """Return the processes of a daemon: the angel, if it lives, first."""
    found = [process for process in sandbox.machine(machine).processes() if process.runs(daemon)]
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: process.parent in pids)


def _is_server(process: Process) -> bool:
    return f"--defaults-file={CNF}" in process.argv and process.state != "Z"


def _server(sandbox: Sandbox, host: str) -> Process:
    process = server_process(sandbox, host)
    if process is None:
        raise SandboxError(f"the server of {host} does not run: mmm_sandbox heal")
    return process


def _daemon(sandbox: Sandbox, machine: str, daemon: str) -> list[Process]:
    found = daemon_processes(sandbox, machine, daemon)
    if not found:
        raise SandboxError(f"{daemon} does not run on {machine}: mmm_sandbox heal")
    return found


def _end(process: Process, number: signal.Signals) -> None:
    if not process.end(number, _END_LIMIT):
        raise SandboxError(f"process {process.pid} ({process.argv[0]}) does not end")


def _kill_mysqld(at: _Target) -> None:
    _end(_server(at.sandbox, at.host), signal.SIGKILL)


def _stop_mysqld(at: _Target) -> None:
    _end(_server(at.sandbox, at.host), signal.SIGTERM)


def _freeze_mysqld(at: _Target) -> None:
    os.kill(_server(at.sandbox, at.host).pid, signal.SIGSTOP)


def _cut(at: _Target) -> None:
    network.set_port(at.sandbox.machine(SWITCH), at.sandbox.layout.plugs[at.host].port, up=False)


def _freeze_agent(at: _Target) -> None:
    for process in _daemon(at.sandbox, at.host, "mmm_agentd"):
        os.kill(process.pid, signal.SIGSTOP)


def _kill_agent(at: _Target) -> None:
    _kill_daemon(at.sandbox, at.host, "mmm_agentd", angel=at.angel)


def _kill_monitor(at: _Target) -> None:
    _kill_daemon(at.sandbox, at.host, "mmm_mond", angel=at.angel)


def _kill_daemon(sandbox: Sandbox, machine: str, daemon: str, *, angel: bool) -> None:
    parent, *workers = _daemon(sandbox, machine, daemon)
    if (
        angel
    ):  # held fast meanwhile: it would start the worker again, and its death would end the worker in order
        os.kill(parent.pid, signal.SIGSTOP)
    for process in workers:
        _end(process, signal.SIGKILL)
    if angel:
        _end(parent, signal.SIGKILL)


def _stop_replication(at: _Target) -> None:
    at.sandbox.sql(at.host, at.sandbox.server.flavour.stop_replica)


def _start_replication(sandbox: Sandbox, host: str) -> bool:
    """Start what is stopped of a host's replication; tells whether there was anything to start."""
    flavour = sandbox.server.flavour
    try:
        for status in map(parse_status, sandbox.sql(host, flavour.replica_status)):
            stopped = status.io_running == "No" or not status.sql_running
            if stopped and not status.detached:  # the agent starts that itself
                sandbox.sql(host, flavour.start_replica)
                return True
    except sql.SqlError as error:
        raise SandboxError(f"{host}: cannot start replication: {error}") from error
    return False


def _lag(at: _Target) -> None:
    if at.host in at.sandbox.holders(at.sandbox.layout.writer_ip):
        raise SandboxError(
            f"{at.host} has the writer's VIP, so it replicates nothing that could lag: choose another"
        )
    machine = at.sandbox.machine(at.host)
    log = machine.home / "lag.log"
    log.unlink(missing_ok=True)
    port = at.sandbox.layout.hosts[at.host].mysql_port
    machine.spawn(python(_LAG, at.sandbox.layout.writer_ip, str(port)), log=log)
    deadline = time.monotonic() + 20
    while not (log.exists() and "locked" in log.read_text()):
        if time.monotonic() > deadline:
            raise SandboxError(f"{at.host}: no lock: {log.read_text().strip() or 'no answer'}")
        time.sleep(0.01)


FAULTS: dict[str, Fault] = {
    "kill-mysqld": Fault("{host}: server killed (SIGKILL)", _kill_mysqld),
    "stop-mysqld": Fault("{host}: server stopped in order (SIGTERM)", _stop_mysqld),
    "freeze-mysqld": Fault(
        "{host}: server frozen (SIGSTOP): it accepts connections and answers nothing", _freeze_mysqld
    ),
    "cut": Fault("{host}: network cable pulled", _cut),
    "freeze-agent": Fault("{host}: agent frozen (SIGSTOP)", _freeze_agent),
    "kill-agent": Fault("{host}: agent killed (SIGKILL)", _kill_agent),
    "kill-monitor": Fault("{host}: monitor killed (SIGKILL)", _kill_monitor, anywhere=True),
    "stop-replication": Fault("{host}: replication stopped", _stop_replication),
    "lag": Fault("{host}: a lock holds up replication while rows are written: the lag grows", _lag),
}
