"""What mmm_agentd does once its conf is read: answers on the agent's port (rule 4)."""

import asyncio
import logging
import ssl
from collections.abc import Callable

from mmm.agent.act.agent import Agent
from mmm.agent.act.fence import fence
from mmm.config.allow import allowed, sentence
from mmm.config.model import Cluster
from mmm.network.arp import Announcer, Sender
from mmm.network.conflicts import Watch
from mmm.network.line_server import Limits, LineServer
from mmm.network.link import LinkWatch
from mmm.network.own import interfaces, own_addresses
from mmm.network.vips import Interface
from mmm.process import tls
from mmm.process.inspection import Inspection, not_here
from mmm.process.program import Duties, on_end
from mmm.process.watchdog import Ward
from mmm.wire.agent import MAX_LINE

CLIENTS = 256
"""Connections at once; one more ends the one that has been silent for longest."""
IDLE = 60.0
"""Seconds that a client may take for its next line."""

log = logging.getLogger(__name__)


def _doctor(conf: Cluster) -> int:
    """Look at this host, say what is found, and return the exit status."""
    from mmm.doctor.command import of_host  # noqa: PLC0415 - the daemon does without

    return of_host(conf)


def inspect(conf: Cluster) -> Inspection:
    """Return what is wrong with the conf on this machine: whether its address and its interface are here."""
    here = conf.hosts[conf.this]
    try:
        own, known = own_addresses(), interfaces()
    except OSError as error:
        return Inspection(warnings=(f"this machine's addresses cannot be asked for: {error}",))
    wrong = not_here(conf, f"the address of 'this {here.name}'", here.ip, own)
    if wrong:
        wrong += f"; correct `this`, or the ip of host {here.name}"
    name = here.cluster_interface
    missing = (
        f"cluster_interface {name} does not exist on this machine ({', '.join(sorted(known))}); correct it"
    )
    return Inspection((wrong,) if wrong else (), () if name in known else (missing,))


async def work(conf: Cluster, ward: Ward, ready: Callable[[], None]) -> int:
    """Run the agent until TERM; returns 0, or 1 when its port or its TLS files cannot be had.

    `ward` is told until when this host may be the writer. `ready` is called once orders are taken.
    """
    for warning in conf.warnings:
        log.warning("%s", warning)
    ended = asyncio.Event()
    on_end(ended.set)
    here = conf.hosts[conf.this]
    try:
        context = tls.server_context(conf.socket)
        with Interface(here.cluster_interface) as interface:
            await _serve(conf, interface, context, ended, ward, ready)
    except tls.TlsError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", here.ip, here.agent_port, error.strerror or error)
        return 1
    log.info("stopping: VIPs and read_only stay as they are")
    return 0


async def _serve(
    conf: Cluster,
    interface: Interface,
    context: ssl.SSLContext | None,
    ended: asyncio.Event,
    ward: Ward,
    ready: Callable[[], None],
) -> None:
    here = conf.hosts[conf.this]
    sender = Sender(interface.name, (vip.ip for vip in conf.vips))
    announcer = Announcer(sender)
    agent = Agent(conf, interface, announcer, ward.set)
    watch = Watch(interface.name, (vip.ip for vip in conf.vips), announcer)
    link = LinkWatch(interface.name, announcer.link_up)
    try:
        limits = Limits(line=MAX_LINE, clients=CLIENTS, idle=IDLE)
        who = allowed(conf)
        log.log(logging.INFO if who.networks else logging.WARNING, "%s", sentence(conf))
        port = LineServer("agent port", agent.answer, limits, agent.reassert, who, agent.streams.claim)
        async with port.listen(here.ip, here.agent_port, context):
            ready()
            await agent.take_stock()
            leases = asyncio.create_task(agent.watch(tls.client_context(conf.socket)))
            await ended.wait()
            await agent.leave()
            leases.cancel()
    finally:
        await agent.close()
        link.close()
        watch.close()
        await announcer.close()
        sender.close()


DUTIES = Duties(work, lambda conf: Ward(lambda: fence(conf)), inspect, _doctor)
