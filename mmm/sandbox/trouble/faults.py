"""What can go wrong, done on purpose to real parts, and how each fault is undone."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mmm.mysql.server.replica_status import parse_status
from mmm.process.companion import HEALTH
from mmm.sandbox.cluster import Sandbox, Say
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import DAEMONS
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.machines.servers import CNF
from mmm.sandbox.trouble import clocks, cuts
from mmm.sandbox.trouble.lag import MODULE, slow_down, speed_up

_END_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class _Target:
    sandbox: Sandbox
    host: str
    angel: bool
    """Whether the daemon's angel is meant too."""
    guard: bool
    """Whether with the angel the process is meant too that answers load balancers and fences last."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: what is done, in a sentence with {host}, how, and how that is undone.

    `anywhere` when it takes no host, `of_server` when that must have a server, which a witness has not; `touches`
    says what is broken: one of a kind can be broken once at a time.
    """

    sentence: str
    inject: Callable[[_Target], object]
    undo: Callable[[_Target], object]
    touches: str
    anywhere: bool = False
    of_server: bool = False


def inject(
    sandbox: Sandbox, fault: str, host: str | None = None, *, angel: bool = False, guard: bool = True
) -> str:
    """Do a fault and return the sentence that says what was done; raises SandboxError, SqlError.

    With `angel` the kill of a daemon includes the parent that would start it again. Without `guard` mmm_health goes on
    where an agent is killed or frozen with its angel.
    """
    kind, target = _resolved(sandbox, fault, host, angel=angel, guard=guard)
    kind.inject(target)
    return kind.sentence.format(host=target.host)


def undo(sandbox: Sandbox, fault: str, host: str | None = None) -> None:
    """Undo one fault, what is left of it, and no other; raises SandboxError."""
    kind, target = _resolved(sandbox, fault, host)
    kind.undo(target)


def _resolved(
    sandbox: Sandbox, fault: str, host: str | None, *, angel: bool = False, guard: bool = True
) -> tuple[Fault, _Target]:
    kind = FAULTS.get(fault)
    if kind is None:
        raise SandboxError(f"no fault {fault}: there are {', '.join(FAULTS)}")
    if kind.anywhere:
        host = host or sandbox.layout.monitor
        if host not in sandbox.layout.monitors:
            raise SandboxError(f"fault {fault} takes a monitor: {', '.join(sandbox.layout.monitors)}")
    elif kind.of_server and host in sandbox.layout.cluster.witnesses:
        raise SandboxError(
            f"fault {fault} needs a server, and {host} is a witness: choose of {', '.join(sandbox.hosts)}"
        )
    elif host is None or host not in sandbox.layout.agents:
        of = sandbox.hosts if kind.of_server else sandbox.layout.agents
        raise SandboxError(f"fault {fault} takes a host: {', '.join(of)}")
    return kind, _Target(sandbox, host, angel, guard)


def heal(sandbox: Sandbox, say: Say = lambda _: None) -> None:
    """Undo every fault: cables, frozen processes, servers, lag, replication, daemons; raises SandboxError."""
    for name in sandbox.layout.plugs:
        for done in cuts.join(sandbox, name):
            say(done)
        if not sandbox.machine(name).running:
            sandbox.power_on(name)
            say(f"{name} is switched on again")
        _thaw(sandbox, name, say)
        if clocks.right(sandbox, name):
            say(f"{name}: its clock is right again")
    down = [name for name in sandbox.hosts if server_process(sandbox, name) is None]
    with ThreadPoolExecutor() as pool:
        for name, job in [(name, pool.submit(sandbox.start_server, name)) for name in down]:
            job.result()
            say(f"{name}: its server runs again")
    for name in sandbox.hosts:
        _hurry(sandbox, name, say)
    offline = {name for name, state in sandbox.states().items() if state == "ADMIN_OFFLINE"}
    for name in sandbox.hosts:
        if name not in offline and _start_replication(sandbox, name):
            say(f"{name}: replication started")
    if sandbox.has_daemons:
        for name in sandbox.layout.agents:
            _start(sandbox, name, "mmm_agentd", say)
        for name in sandbox.layout.monitors:
            _start(sandbox, name, "mmm_mond", say)


def _thaw(sandbox: Sandbox, name: str, say: Say) -> None:
    for process in sandbox.machine(name).processes():
        if process.state == "T" and (_is_server(process) or any(map(process.runs, DAEMONS))):
            os.kill(process.pid, signal.SIGCONT)
            say(f"{name}: process {process.inner} goes on")


def _hurry(sandbox: Sandbox, name: str, say: Say = lambda _: None) -> None:
    for process in sandbox.machine(name).processes():
        if MODULE in process.argv:
            _end(process, signal.SIGKILL)
            say(f"{name}: nothing makes it lag any more")
    if server_process(sandbox, name) is not None:
        speed_up(sandbox.machine(name))


def _start(sandbox: Sandbox, name: str, daemon: str, say: Say = lambda _: None) -> None:
    if not daemon_processes(sandbox, name, daemon):
        sandbox.start_daemon(name, daemon)
        say(f"{name}: {daemon} started")


def server_process(sandbox: Sandbox, host: str) -> Process | None:
    """Return the process of a host's server, None when it does not run."""
    return next(filter(_is_server, sandbox.machine(host).processes()), None)


def daemon_processes(sandbox: Sandbox, machine: str, daemon: str) -> list[Process]:
    """Return the processes of a daemon: the angel, if it lives, the worker, and what answers load balancers."""
    found = [process for process in sandbox.machine(machine).processes() if process.runs(daemon)]
    pids = {process.pid for process in found}
    return sorted(found, key=lambda process: (process.parent in pids, process.name == HEALTH))


def _is_server(process: Process) -> bool:
    return f"--defaults-file={CNF}" in process.argv and process.state != "Z"


def _server(sandbox: Sandbox, host: str) -> Process:
    process = server_process(sandbox, host)
    if process is None:
        raise SandboxError(f"the server of {host} does not run: mmm_sandbox heal")
    return process


def _met(at: _Target, daemon: str, *, angel: bool) -> list[Process]:
    """Return the angel, and those that are met beside it: mmm_health goes on without the worker."""
    found = daemon_processes(at.sandbox, at.host, daemon)
    if not found:
        raise SandboxError(f"{daemon} does not run on {at.host}: mmm_sandbox heal")
    parent, *others = found
    return [parent, *(each for each in others if each.name != HEALTH or (angel and at.guard))]


def _freeze(process: Process) -> None:
    if not process.freeze(_END_LIMIT):
        raise NotInTimeError(f"process {process.pid} ({process.argv[0]}) does not stop")


def _end(process: Process, number: signal.Signals) -> None:
    if not process.end(number, _END_LIMIT):
        raise NotInTimeError(f"process {process.pid} ({process.argv[0]}) does not end")


def _kill_mysqld(at: _Target) -> None:
    _end(_server(at.sandbox, at.host), signal.SIGKILL)


def _stop_mysqld(at: _Target) -> None:
    _end(_server(at.sandbox, at.host), signal.SIGTERM)


def _freeze_mysqld(at: _Target) -> None:
    _freeze(_server(at.sandbox, at.host))


def _at(do: Callable[[Sandbox, str], object]) -> Callable[[_Target], object]:
    return lambda at: do(at.sandbox, at.host)


_cut, _unhear, _mute, _blink = map(_at, (cuts.cut, cuts.unhear, cuts.mute, cuts.blink))
_plug, _hear = map(_at, (cuts.plug, cuts.hear))


def _power_off(at: _Target) -> None:
    if not at.sandbox.machine(at.host).running:
        raise SandboxError(f"{at.host} is switched off already: mmm_sandbox heal")
    at.sandbox.power_off(at.host)


def _power_on(at: _Target) -> None:
    if not at.sandbox.machine(at.host).running:
        at.sandbox.power_on(at.host)


def _hide(at: _Target) -> None:
    for monitor in _others(at):
        cuts.part(at.sandbox, at.host, monitor)


def _find(at: _Target) -> None:
    for monitor in _others(at):
        cuts.meet(at.sandbox, at.host, monitor)


def _others(at: _Target) -> list[str]:
    """Return the machines of the monitors other than the one the fault is for."""
    found = [name for name in at.sandbox.layout.monitors if name != at.host]
    if not found:
        raise SandboxError(f"{at.host} is the only monitor: mmm_sandbox up --monitors 2")
    return found


def _part(at: _Target) -> None:
    cuts.part(at.sandbox, at.host, _peer(at))


def _meet(at: _Target) -> None:
    cuts.meet(at.sandbox, at.host, _peer(at))


def _peer(at: _Target) -> str:
    peer = at.sandbox.layout.hosts[at.host].peer
    if not peer:
        raise SandboxError(f"{at.host} has no peer to be cut off from: choose a master")
    return peer


def _signal(name: str, *, angel: bool, worker: bool) -> Callable[[_Target], None]:
    """Return what freezes the agent's processes of these two, or the monitor's."""

    def freeze(at: _Target) -> None:
        parent, *workers = _met(at, name, angel=angel)
        for process in [parent] * angel + workers * worker:
            _freeze(process)

    return freeze


def _continue(name: str) -> Callable[[_Target], None]:
    def thaw(at: _Target) -> None:
        for process in daemon_processes(at.sandbox, at.host, name):
            os.kill(process.pid, signal.SIGCONT)

    return thaw


def _kill_angel(at: _Target) -> None:
    _end(_met(at, "mmm_agentd", angel=True)[0], signal.SIGKILL)


def _started(name: str) -> Callable[[_Target], None]:
    return lambda at: _start(at.sandbox, at.host, name)


def _serve(at: _Target) -> None:
    if server_process(at.sandbox, at.host) is None:
        at.sandbox.start_server(at.host)


def _thaw_server(at: _Target) -> None:
    process = server_process(at.sandbox, at.host)
    if process is None:  # it was killed meanwhile, as kill_frozen_server has it
        at.sandbox.start_server(at.host)
        return
    os.kill(process.pid, signal.SIGCONT)


def _shift_clock(seconds: int) -> Callable[[_Target], None]:
    return lambda at: clocks.shift(at.sandbox, at.host, seconds)


def _kill_agent(at: _Target) -> None:
    _kill_daemon(at, "mmm_agentd")


def _kill_monitor(at: _Target) -> None:
    _kill_daemon(at, "mmm_mond")


def _kill_daemon(at: _Target, daemon: str) -> None:
    parent, *workers = _met(at, daemon, angel=at.angel)
    if (
        at.angel
    ):  # held fast meanwhile: it would start the worker again, and its death would end the worker in order
        _freeze(parent)
    for process in workers:
        _end(process, signal.SIGKILL)
    if at.angel:
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
        raise SandboxError(f"{at.host} has the writer's VIP and replicates nothing: choose another")
    port = at.sandbox.layout.hosts[at.host].mysql_port
    slow_down(at.sandbox.machine(at.host), at.sandbox.layout.writer_ip, port)


_AGENT, _MONITOR = "mmm_agentd", "mmm_mond"
FAULTS: dict[str, Fault] = {
    "power-off": Fault("{host}: switched off at once, as by loss of power", _power_off, _power_on, "machine"),
    "kill-mysqld": Fault("{host}: server killed (SIGKILL)", _kill_mysqld, _serve, "server", of_server=True),
    "stop-mysqld": Fault("{host}: server stopped in order (SIGTERM)", _stop_mysqld, _serve, "server", of_server=True),
    "freeze-mysqld": Fault(
        "{host}: server frozen (SIGSTOP): it accepts connections and answers nothing",
        _freeze_mysqld, _thaw_server, "server", of_server=True,
    ),
    "cut": Fault("{host}: network cable pulled", _cut, _plug, "link"),
    "cut-in": Fault("{host}: nothing reaches it any more, what it sends arrives", _unhear, _hear, "link"),
    "cut-out": Fault("{host}: nothing that it sends arrives any more, it is reached", _mute, _hear, "link"),
    "cut-from-monitor": Fault("{host}: it and the monitor do not reach each other", _hide, _find, "pair"),
    "cut-from-peer": Fault("{host}: it and its peer do not reach each other", _part, _meet, "pair", of_server=True),
    "blink": Fault("{host}: its port was off the switch for a second", _blink, _plug, "link"),
    "cut-monitors-apart": Fault(
        "{host}: it and the other monitors do not reach each other", _hide, _find, "pair", anywhere=True
    ),
    "cut-monitor": Fault("{host}: the monitor's network cable pulled", _cut, _plug, "monitor link", anywhere=True),
    "freeze-agent": Fault(
        "{host}: agent frozen (SIGSTOP)", _signal(_AGENT, angel=True, worker=True), _continue(_AGENT), "agent"
    ),
    "freeze-worker": Fault(
        "{host}: agent frozen (SIGSTOP), but for its angel",
        _signal(_AGENT, angel=False, worker=True), _continue(_AGENT), "agent",
    ),
    "freeze-angel": Fault(
        "{host}: the agent's angel frozen (SIGSTOP)",
        _signal(_AGENT, angel=True, worker=False), _continue(_AGENT), "agent",
    ),
    "kill-agent": Fault("{host}: agent killed (SIGKILL)", _kill_agent, _started(_AGENT), "agent"),
    "kill-angel": Fault("{host}: the agent's angel killed (SIGKILL)", _kill_angel, _started(_AGENT), "agent"),
    "freeze-monitor": Fault(
        "{host}: monitor frozen (SIGSTOP)",
        _signal(_MONITOR, angel=True, worker=True), _continue(_MONITOR), "monitor", anywhere=True,
    ),
    "kill-monitor": Fault(
        "{host}: monitor killed (SIGKILL)", _kill_monitor, _started(_MONITOR), "monitor", anywhere=True
    ),
    "clock-ahead": Fault(
        "{host}: the wall clock of its daemons an hour ahead", _shift_clock(clocks.FAR), _at(clocks.right), "clock"
    ),
    "clock-back": Fault(
        "{host}: the wall clock of its daemons an hour back", _shift_clock(-clocks.FAR), _at(clocks.right), "clock"
    ),
    "monitor-clock": Fault(
        "{host}: the wall clock of the monitor an hour back",
        _shift_clock(-clocks.FAR), _at(clocks.right), "monitor clock", anywhere=True,
    ),
    "stop-replication": Fault(
        "{host}: replication stopped", _stop_replication, _at(_start_replication), "replication", of_server=True
    ),
    "lag": Fault(
        "{host}: rows are written that it applies in half a second each: the lag grows",
        _lag, _at(_hurry), "replication", of_server=True,
    ),
}  # fmt: skip


def faults_told() -> str:
    """Return what each fault does, one in a line."""
    return "\n".join(
        f"  {name:<21}{'' if fault.anywhere else 'HOST  '}{fault.sentence.removeprefix('{host}: ')}"
        for name, fault in FAULTS.items()
    )
