"""What mmm_agentd does once its conf is read: answers on the agent's port (rule 4)."""

import asyncio
import logging
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from mmm.agent import witness
from mmm.agent.act import old_data
from mmm.agent.act.agent import Agent, Heritage
from mmm.agent.act.blocking import let_in
from mmm.agent.act.fence import fence, give_up_overdue
from mmm.agent.act.guard import is_needed
from mmm.agent.act.health_port import serve
from mmm.agent.act.health_watch import NOTHING_KNOWN, HealthWatch, Known
from mmm.agent.act.life import Life
from mmm.agent.act.places import Places
from mmm.agent.act.received import unfinished
from mmm.agent.act.reception import Reception
from mmm.agent.decide.core import Core
from mmm.clock import clock
from mmm.config.allow import allowed, sentence
from mmm.config.model import Cluster
from mmm.network.arp import Announcer
from mmm.network.conflicts import Watch
from mmm.network.line_server import Limits, LineServer
from mmm.network.link import LinkWatch
from mmm.network.own import interfaces, kernel_name, nearer, own_addresses, own_networks
from mmm.network.sender import Sender
from mmm.process import tls
from mmm.process.beside import Beside
from mmm.process.board import Board
from mmm.process.companion import HEALTH, Companion
from mmm.process.conf_file import ConfFile
from mmm.process.duties import Duties
from mmm.process.inspection import Inspection, not_here
from mmm.process.limits import allow_files
from mmm.process.renewal import ClusterTls
from mmm.process.started import on_end, on_reload
from mmm.process.watchdog import Ward
from mmm.wire.agent import MAX_LINE

CLIENTS = 256
"""Connections at once; one more ends the one that has been silent for longest."""
IDLE = 60.0
"""Seconds that a client may take for its next line."""
FILES = 8192
"""Open files: clients, handshakes of many addresses at once, and what the agent needs itself."""
STUCK = 3.0
"""Seconds without a look at what is being taken from this host after which its agent is taken to be stuck."""
LIMITS = Limits(line=MAX_LINE, clients=CLIENTS, idle=IDLE)

Before = tuple[Heritage | None, Known]
"""What the agent that takes the place of another one goes on with: what that one knew, and what it has reported."""

log = logging.getLogger(__name__)


def _doctor(conf: Cluster) -> int:
    """Look at this host, say what is found, and return the exit status."""
    from mmm.doctor.command import of_host  # noqa: PLC0415 - the daemon does without

    return of_host(conf)


def inspect(conf: Cluster) -> Inspection:
    """Return what is wrong with the conf on this machine: whether its address and its interface are here."""
    here = conf.here
    try:
        own, known, elsewhere = own_addresses(), interfaces(), _elsewhere(conf)
    except OSError as error:
        return Inspection(warnings=(f"this machine's addresses cannot be asked for: {error}",))
    wrong = not_here(conf, f"the address of 'this {here.name}'", here.ip, own)
    if wrong:
        wrong += f"; correct `this`, or the ip of host {here.name}"
    absent = (wrong,) if wrong else ()
    if conf.is_witness:
        return Inspection(absent, absent=absent)
    name = here.cluster_interface
    missing = (
        f"cluster_interface {name} does not exist on this machine ({', '.join(sorted(known))}); correct it"
    )
    warnings = elsewhere if kernel_name(name) in known else (missing,)
    return Inspection(absent, (*warnings, *_missing_scripts(conf)), absent)


def _elsewhere(conf: Cluster) -> tuple[str, ...]:
    """Return what is to be said where the VIPs are of the network of another interface; raises OSError."""
    if conf.is_witness:
        return ()
    name = conf.here.cluster_interface
    vip, other = nearer(kernel_name(name), (vip.ip for vip in conf.bound_vips), own_networks())
    return (
        (f"{vip} is of the network of {other}, not of cluster_interface {name}; correct that",) if vip else ()
    )


def _missing_scripts(conf: Cluster) -> tuple[str, ...]:
    programs = {command: shlex.split(command)[0] for command in conf.scripts.values()}
    return tuple(
        f"vip_script {program} cannot be run on this machine: install it, or correct the path"
        for program in dict.fromkeys(programs.values())
        if shutil.which(program) is None
    )


async def work(file: ConfFile, beside: Beside, ready: Callable[[], None]) -> int:
    """Run the agent until TERM; returns 0, or 1 when its port or its TLS files cannot be had.

    The ward of `beside` is told until when this host may be the writer, its board what load balancers are told.
    `ready` is called once orders are taken, and the lease is known that an earlier agent was given.
    """
    allow_files(FILES)
    conf = file.conf
    for warning in conf.warnings:
        log.warning("%s", warning)
    here = conf.here
    life = Life(file)
    on_end(life.end)
    try:
        secured = ClusterTls(conf.socket)
        on_reload(secured.renewal.ask, life.reload)
        async with secured.renewal.watched():
            if conf.is_witness:
                await witness.serve(life, secured.server, LIMITS, ready)
                log.info("stopping")
                return 0
            await _serve(life, secured, beside, ready)
    except tls.TlsError as error:
        log.critical("%s", error)
        return 1
    except OSError as error:
        log.critical("cannot listen on %s:%d: %s", here.ip, here.agent_port, error.strerror or error)
        return 1
    log.info("stopping: VIPs and read_only stay as they are")
    return 0


async def _serve(
    life: Life,
    secured: ClusterTls,
    beside: Beside,
    ready: Callable[[], None],
) -> None:
    """Answer on the agent's port until the end, by whatever conf was taken last."""
    reception = Reception()
    here = life.conf.hosts[life.conf.this]
    port = LineServer(
        "agent port", reception.answer, LIMITS, reception.reassert, allowed(life.conf), reception.claim,
        unfinished=unfinished,
    )  # fmt: skip
    sender = Sender(here.cluster_interface, (vip.ip for vip in life.conf.bound_vips))
    try:
        async with port.listen(here.ip, here.agent_port, secured.server):
            await asyncio.to_thread(let_in, life.conf)
            await asyncio.to_thread(give_up_overdue, life.conf)
            known = await _be_there(
                life, secured, (sender, reception), (beside, ready), (None, NOTHING_KNOWN)
            )
            while not life.ended:
                port.let_in(allowed(life.conf))
                sender.learn(vip.ip for vip in life.conf.bound_vips)
                known = await _be_there(life, secured, (sender, reception), (beside, ready), known)
    finally:
        sender.close()


async def _be_there(
    life: Life,
    secured: ClusterTls,
    ways: tuple[Sender, Reception],
    told: tuple[Beside, Callable[[], None]],
    before: Before,
) -> Before:
    """Be the agent by this conf, in the place of the one `before`; until the end, or until another conf was taken.

    Returns what the next one goes on with. `ways` lead out and in, `told` hear what is known, and that it serves.
    """
    conf, (sender, reception), (beside, ready), (heritage, known) = life.conf, ways, told, before
    interface = Places(conf)
    announcer = Announcer(sender)
    health = HealthWatch(conf, interface, beside.board, known) if beside.board else None

    told_all = _Told(beside.ward, health, knows_lease=heritage is not None)
    agent = Agent(conf, interface, announcer, told_all.take, heritage, life.learn)
    watch = Watch(interface.name, (vip.ip for vip in conf.bound_vips), announcer, agent.claimed)
    link = LinkWatch(interface.name, announcer.link_up)
    try:
        who = allowed(conf)
        log.log(logging.INFO if who.networks else logging.WARNING, "%s", sentence(conf))
        await agent.know_lease()
        told_all.know_lease(agent.heritage[0])
        reception.open(agent)
        ready()
        await _watch(life, secured, agent, health)
    finally:
        await reception.close(for_good=life.ended)
        if health is not None:
            health.close()
        link.close()
        watch.close()
        await announcer.close()
        interface.close()
    return agent.heritage, health.known if health else known


@dataclass
class _Told:
    """Who is told what an agent knows: the angel's ward, and what load balancers are answered by."""

    ward: Ward
    health: HealthWatch | None
    knows_lease: bool
    """Until then the worker before, which may be dead, has said when the lease is over."""

    def take(self, core: Core) -> None:
        if self.knows_lease:
            _tell_ward(self.ward, core)
        if self.health is not None:
            self.health.take(core)

    def know_lease(self, core: Core) -> None:
        """Take it that the agent knows by now which lease an earlier one was given."""
        self.knows_lease = True
        _tell_ward(self.ward, core)


def _tell_ward(ward: Ward, core: Core) -> None:
    """Have the angel act at the end of the lease, and where what is to be taken by then, or denied, is at a stop."""
    if core.watch.is_at_peace:
        ward.set(core.held.ends)
    else:
        ward.put_off(min(core.held.ends, clock() + STUCK))


async def _watch(life: Life, secured: ClusterTls, agent: Agent, health: HealthWatch | None) -> None:
    """Watch over the leases and report on this host until its agent's time is over, in order."""
    await agent.take_stock()
    tasks = [asyncio.create_task(agent.watch(secured.client))]
    tasks.append(asyncio.create_task(old_data.watch(life.conf)))
    if health is not None:
        tasks.append(asyncio.create_task(health.watch()))
    await life.over(agent.objections)
    if life.ended:
        await agent.leave()
    for task in tasks:
        task.cancel()


def _beside(file: ConfFile) -> Beside:
    """Return the fence, and the process that answers load balancers where the conf has a port for that."""
    if file.conf.is_witness:
        return Beside()
    ward = Ward(lambda due: fence(file.conf, due))
    if not (file.conf.hosts[file.conf.this].health_port or is_needed(file.conf)):
        return Beside(ward)
    board = Board()
    return Beside(ward, Companion(HEALTH, lambda: serve(file, board), outlives=is_needed(file.conf)), board)


DUTIES = Duties(work, _beside, inspect, _doctor)
