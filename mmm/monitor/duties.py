"""What mmm_mond does once its conf is read: looks at the cluster as it is, and starts the shell (rule 6)."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mmm.config.addresses import is_loopback
from mmm.config.allow import allowed, sentence
from mmm.config.model import Cluster, Monitor
from mmm.config.tree import Fault
from mmm.lease.lead import Lead, authority
from mmm.monitor.act import witnesses
from mmm.monitor.act.admission import Admission
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.before_start import waits_for_network
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.control_port import serve_control
from mmm.monitor.act.kill_host import program
from mmm.monitor.act.network_check import a_host_answers, is_up
from mmm.monitor.act.shell import Shell
from mmm.monitor.assess import pair_warnings
from mmm.monitor.decide import startup
from mmm.monitor.report import notices
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.network import privileged_port
from mmm.network.icmp import Pinger
from mmm.network.line_server import see_free
from mmm.network.own import own_addresses
from mmm.process import tls
from mmm.process.garbage import collect_seldom
from mmm.process.inspection import Inspection, not_here
from mmm.process.limits import allow_files
from mmm.process.program import Duties, on_end
from mmm.process.watchdog import Ward, no_ward

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
    errors, warnings = [pair_warnings.too_many(conf)], list(_cautions(conf))
    try:
        own = own_addresses()
    except OSError as error:
        own = {}
        warnings.append(f"this machine's addresses cannot be asked for: {error}")
    wrong = not_here(conf, "the monitor's ip", monitor.ip, own)
    errors.append(f"{wrong}; correct it in <monitor>" if wrong else "")
    for_trying = all(host.ip in own for host in conf.hosts.values())  # the whole cluster is on one machine
    errors += [
        str(Fault("pings_this_machine", {"ip": ip, "own": own[ip]}))
        for ip in monitor.ping_ips
        if ip in own and not is_loopback(ip) and not for_trying
    ]
    return Inspection(tuple(filter(None, errors)), tuple(warnings))


def _cautions(conf: Cluster) -> Iterator[str]:
    """Yield what would hurt later."""
    monitor = _monitor(conf)
    if len(monitor.ping_ips) == 1:
        yield (
            f"ping_ips has {monitor.ping_ips[0]} alone: while that does not answer ping the monitor changes nothing;"
            " add a second address, such as that of another router"
        )
    for notify in conf.notify.values():
        for glob in notices.unknown(notify):
            yield f"notify {notify.name}: nothing that happens is called {glob}: see docs/monitoring.md for the events"
    if not program(monitor).exists():
        yield f"kill_host_bin {program(monitor)} does not exist: a host that cannot be told cannot be killed"


def _monitor(conf: Cluster) -> Monitor:
    if conf.monitor is None:
        raise ValueError("the conf of a monitor has a <monitor> section")
    return conf.monitor


async def work(conf: Cluster, _: Ward, ready: Callable[[], None]) -> int:
    """Run the monitor until TERM; returns 0, or 1 when its port, its TLS files or raw sockets cannot be had.

    `ready` is called once mmm_control is answered.
    """
    for warning in conf.warnings:
        log.warning("%s", warning)
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
    allow_files(_FILES + _FILES_A_HOST * len(conf.hosts))
    task = asyncio.current_task()
    on_end(lambda: task.cancel() if task else None)
    try:
        async with Pinger() as pinger:
            see_free(monitor.ip, monitor.port)
            tls.server_context(conf.socket)
            await _watch(conf, monitor, pinger, ready)
    except asyncio.CancelledError:
        log.info("stopping: roles stay where they are")
    except tls.TlsError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("cannot serve on %s:%d: %s", monitor.ip, monitor.port, error.strerror or error)
        return 1
    return 0


async def _watch(conf: Cluster, monitor: Monitor, pinger: Pinger, ready: Callable[[], None]) -> None:
    lead = Lead(0, authority(monitor.ip, monitor.port), secrets.token_hex(8))
    agents = Agents(tls.client_context(conf.socket), lead, conf)
    checks = Checks(conf, pinger)
    server_tls, admission = tls.server_context(conf.socket), Admission(conf)
    try:
        up = await is_up(monitor, pinger) or await a_host_answers(conf, pinger)
        if not up:
            async with serve_control(
                monitor, server_tls, waits_for_network(monitor), allowed(conf), admission
            ):
                ready()
                await witnesses.wait_for_network(conf, monitor, pinger)
        stored = witnesses.read_stored(Path(monitor.status_path))
        trusted = () if up else startup.in_use(stored)
        checked, has, settings = await witnesses.first_checks(conf, checks, time.monotonic(), trusted)
        found = await witnesses.ask_everybody(conf, stored, agents, checked)
        started = startup.start(conf, checked, found, time.monotonic(), has, stored)
        world = started.world
        for name, known in settings.items():
            world = world.with_host(name, replace(world.hosts[name], settings=known))
        _say_start(started, world)
        shell = Shell(world, monitor, agents, checks, pinger)
        log.info("%s", sentence(conf))
        collect_seldom()
        async with serve_control(monitor, server_tls, shell.command, allowed(conf), admission):
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


DUTIES = Duties(work, lambda _: no_ward(), inspect, _doctor)
