"""What mmm_mond does once its conf is read: looks at the cluster as it is, and starts the shell (rule 6)."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from mmm.config.addresses import is_loopback
from mmm.config.allow import allowed, sentence
from mmm.config.model import Cluster, Monitor
from mmm.config.monitors import of_machine
from mmm.config.tree import Fault
from mmm.lease.lead import Lead, authority
from mmm.monitor.act import first_look, old_agents
from mmm.monitor.act.admission import Admission
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.before_start import ReloadLater, waits_for_network
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.control_port import control_server
from mmm.monitor.act.kill_host import program
from mmm.monitor.act.network_check import a_host_answers, is_up
from mmm.monitor.act.shell import Shell
from mmm.monitor.assess import pair_warnings
from mmm.monitor.decide import startup
from mmm.monitor.report import notices
from mmm.monitor.world.host import State
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.world import World
from mmm.network import privileged_port
from mmm.network.icmp import Pinger
from mmm.network.line_server import LineServer
from mmm.network.listener import see_free
from mmm.network.own import located, own_addresses
from mmm.process import tls
from mmm.process.beside import Beside
from mmm.process.conf_file import ConfFile, UnusableError
from mmm.process.duties import Duties
from mmm.process.garbage import collect_seldom
from mmm.process.inspection import Inspection, not_here
from mmm.process.limits import allow_files
from mmm.process.renewal import ClusterTls
from mmm.process.started import on_end, on_reload

_FILES, _FILES_A_HOST = 512, 8
"""Files that may be open at once: of a host two sessions, its agent, the question that stays open there, and spare."""

log = logging.getLogger(__name__)


def _doctor(conf: Cluster) -> int:
    """Look at the whole cluster, say what is found, and return the exit status."""
    from mmm.doctor.command import of_conf  # noqa: PLC0415 - the daemon does without

    return of_conf(conf)


def inspect(conf: Cluster) -> Inspection:
    """Return what is wrong with the conf on this machine, and what would hurt when it is needed."""
    monitor = _monitor(conf)
    errors, warnings, absent = [pair_warnings.too_many(conf)], list(_cautions(conf)), list[str]()
    try:
        own = own_addresses()
    except OSError as error:
        own = {}
        warnings.append(f"this machine's addresses cannot be asked for: {error}")
    if conf.monitors and not monitor.ip:
        found = of_machine(conf.monitors, own)
        if isinstance(found, Fault):
            (absent if found.code == "monitor_not_here" else errors).append(str(found))
    elif wrong := not_here(conf, "the monitor's ip", monitor.ip, own):
        absent.append(f"{wrong}; correct it in <monitor>")
    for_trying = all(host.ip in own for host in conf.hosts.values())  # the whole cluster is on one machine
    errors += [
        str(Fault("pings_this_machine", {"ip": ip, "own": own[ip]}))
        for ip in monitor.ping_ips
        if ip in own and not is_loopback(ip) and not for_trying
    ]
    return Inspection((*filter(None, errors), *absent), tuple(warnings), tuple(absent))


def _cautions(conf: Cluster) -> Iterator[str]:
    """Yield what would hurt later."""
    monitor = _monitor(conf)
    if alone := pair_warnings.alone(conf):
        yield alone
    if len(monitor.ping_ips) == 1:
        yield (
            f"ping_ips has {monitor.ping_ips[0]} alone: while neither that nor any host answers, the monitor"
            " takes its own network to be down and changes nothing; add a second address, such as that of"
            " another router"
        )
    folder = Path(monitor.status_path).parent
    if not folder.is_dir():
        yield f"status_path: there is no folder {folder}: create it, or states and roles are forgotten at the end"
    for notify in conf.notify.values():
        for glob in notices.unknown(notify):
            yield f"notify {notify.name}: nothing that happens is called {glob}: see docs/monitoring.md for the events"
    if not program(monitor).exists():
        yield f"kill_host_bin {program(monitor)} does not exist: a host that cannot be told cannot be killed"


def _monitor(conf: Cluster) -> Monitor:
    if conf.monitor is None:
        raise ValueError("the conf of a monitor has a <monitor> section")
    return conf.monitor


async def work(file: ConfFile, _: Beside, ready: Callable[[], None]) -> int:
    """Run the monitor until TERM; returns 0, or 1 when its port, its TLS files or raw sockets cannot be had.

    `ready` is called once mmm_control is answered.
    """
    conf = file.conf
    for warning in conf.warnings:
        log.warning("%s", warning)
    try:
        conf = located(conf)
    except OSError as error:
        log.critical("this monitor's address is not known: %s", error)
        return 1
    monitor = _monitor(conf)
    if not program(monitor).exists():
        log.warning(
            "kill_host_bin %s does not exist: a host that cannot be told cannot be killed", program(monitor)
        )
    if not conf.auth_key and conf.socket.type == "plain" and (reason := privileged_port.usable()):
        log.critical(
            "no port below 1024 can be sent from (%s): agents refuse all orders; run mmm_mond as root, or set auth_key",
            reason,
        )
    _allow_files(conf)
    task = asyncio.current_task()
    on_end(lambda: task.cancel() if task else None)
    try:
        secured = ClusterTls(conf.socket)
        async with Pinger() as pinger, secured.renewal.watched():
            see_free(monitor.ip, monitor.port)
            await _watch(file, conf, secured, pinger, ready)
    except asyncio.CancelledError:
        log.info("stopping: roles stay where they are")
    except tls.TlsError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("cannot serve on %s:%d: %s", monitor.ip, monitor.port, error.strerror or error)
        return 1
    return 0


def _allow_files(conf: Cluster) -> None:
    allow_files(_FILES + _FILES_A_HOST * len(conf.hosts))


def _read(file: ConfFile) -> Cluster:
    """Return the conf as it is written now, with this machine's address; raises UnusableError."""
    try:
        return located(file.read())
    except OSError as error:
        raise UnusableError((f"this monitor's address is not known: {error}",)) from error


def _taken(file: ConfFile, server: LineServer, conf: Cluster) -> None:
    """Go by another conf outside of the shell, too."""
    file.take(conf)
    server.let_in(allowed(conf))
    _allow_files(conf)


async def _watch(
    file: ConfFile, conf: Cluster, secured: ClusterTls, pinger: Pinger, ready: Callable[[], None]
) -> None:
    monitor = _monitor(conf)
    lead = Lead(0, authority(monitor.ip, monitor.port), secrets.token_hex(8))
    agents = Agents(secured.client, lead, conf)
    checks = Checks(conf, pinger)
    admission, later = Admission(conf), ReloadLater()
    on_reload(secured.renewal.ask, later)
    try:
        up = await is_up(monitor, pinger) or await a_host_answers(conf, pinger)
        if not up:
            waiting = control_server(waits_for_network(monitor), allowed(conf), admission)
            async with waiting.listen(monitor.ip, monitor.port, secured.server):
                ready()
                await first_look.wait_for_network(conf, monitor, pinger)
        stored = first_look.read_stored(Path(monitor.status_path))
        trusted = () if up else startup.in_use(stored)
        checked, has, settings = await first_look.first_checks(conf, checks, time.monotonic(), trusted)
        found = await first_look.ask_everybody(conf, stored, agents, checked)
        started = startup.start(conf, checked, found, time.monotonic(), has, stored)
        world = started.world
        if conf.monitors:
            world = replace(world, leadership=Leadership(Place.STANDS_BY, time.time()))
        for name, known in settings.items():
            world = world.with_host(name, replace(world.hosts[name], settings=known))
        _say_start(started, world)
        shell = Shell(world, lambda: _read(file), agents, checks, pinger, stored)
        log.info("%s", sentence(conf))
        collect_seldom()
        server = control_server(shell.command, allowed(conf), admission)
        shell.taken, shell.renew = partial(_taken, file, server), secured.renewal.look_now
        async with server.listen(monitor.ip, monitor.port, secured.server):
            on_reload(secured.renewal.ask, shell.reload)
            if later.asked:
                shell.reload()
            ready()
            await shell.run()
    finally:
        checks.close()


def _say_start(started: startup.Started, world: World) -> None:
    alone = pair_warnings.alone(world.conf)
    for warning in (*started.warnings, *([alone] if alone else ()), *pair_warnings.found(world)):
        log.warning("%s", warning)
    if started.conflict:
        log.critical("%s", started.conflict)
    for name, host in world.hosts.items():
        roles = ", ".join(map(str, world.vips_of(name))) or "no roles"
        level = logging.INFO if host.state is State.ONLINE else logging.WARNING
        log.log(level, "%s: starts as %s with %s: %s", name, host.state, roles, host.why)


DUTIES = Duties(work, lambda _: Beside(), inspect, _doctor, old_agents.ask)
