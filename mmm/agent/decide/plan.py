"""What the agent has to do: wanted against seen, as ordered steps (rules 7, 10.3, 10.4, 10.36). Pure.

Nothing is done because it was ordered, and nothing is left because it was done before: each time the steps
lead from what is found on the interface and in the server to what is wanted. The order is

    1. follow     a slave in use, or with broken replication, that replicates from another than the active master
    2. remove     deny writes, then unbind the writer's VIP, then the others that are not wanted; a server that does not
                  answer is killed then, where the conf says so
    3. add        bind the others, then for the writer's: sync, receive no more where a lost master is the source,
                  get what only its binary log has, then what other replicas of it have, probe where somebody may
                  still have it, allow writes, bind
    4. replicate  ADMIN_OFFLINE stops replication, its end starts it; what a switch that was broken off has left stopped
                  is started; the active master is detached from a master that was lost, and attached again once the
                  lost one is compared (rule 10.16); it goes on in the log of one that was set up anew; a master whose
                  source is a slave, because getting what the slave had was broken off, takes its peer again

While a job rebuilds the host its replication is left alone, and the writer role is not taken.

A step is done only if those before it in its chain were. Unbinding never waits for denying to succeed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from mmm.agent.decide.seen import Seen, Server
from mmm.agent.decide.steps import (
    AllowWrites,
    Attach,
    Bind,
    CatchUp,
    Chain,
    DenyWrites,
    Detach,
    FinishLifting,
    Follow,
    GoOn,
    KillServer,
    OwnSource,
    Plan,
    Probe,
    RenewLogin,
    Salvage,
    SemiSyncRole,
    StartReplication,
    StopReceiving,
    StopReplication,
    Sync,
    ThrowAway,
    Unbind,
    UnbindElsewhere,
)
from mmm.config.model import Cluster, Vip
from mmm.wire.status import PROBE_STOP, Status
from mmm.wire.why import BEING_REBUILT, NOT_DONE

ONLINE = "ONLINE"
ADMIN_OFFLINE = "ADMIN_OFFLINE"
HARD_OFFLINE = "HARD_OFFLINE"
UNKNOWN = "UNKNOWN"
REPLICATION_FAIL = "REPLICATION_FAIL"
FOLLOWS = frozenset({ONLINE, REPLICATION_FAIL, "REPLICATION_DELAY"})
"""States in which a slave follows the active master: one with broken replication has no other way back."""


UNUSED = frozenset({"AWAITING_RECOVERY", HARD_OFFLINE})
"""States of hosts that are not in use: a server that was started meanwhile need not have started its replication."""


_SWITCHES = Follow | RenewLogin | OwnSource | Attach | GoOn | FinishLifting
"""Steps that stop replication and start it again: one that is broken off between leaves it stopped."""


@dataclass(frozen=True, slots=True)
class Past:
    """What cannot be seen: which VIPs were taken over completely, and whether replication was stopped by order.

    Then it is still to be started when ADMIN_OFFLINE ends.
    """

    held: frozenset[Vip] = frozenset()
    offline: bool = False
    unused: bool = False
    """It was told a state in which it is not in use, and not yet one in which its replication was seen to run."""
    fresh: bool = False
    """The agent was started since it was last told that this host is in use, and knows nothing of what was before."""
    switching: bool = False
    """A step that stops replication, to start it again, was broken off; it was not seen to receive since."""
    ready: frozenset[Vip] = frozenset()
    """VIPs for which all was done but to allow writes and to bind, a moment ago: it need not be done again."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conf says about this host and its cluster."""

    this: str
    slave: bool
    writer: str
    """Name of the active master role."""
    vips: tuple[Vip, ...]
    sources: Mapping[str, tuple[str, int]]
    """Where each host's server listens: IP and port."""
    peer: str = ""
    """The other master."""
    slaves: frozenset[str] = frozenset()
    """The hosts that are not masters."""
    on_wire: bool = True
    """The writer's VIP is bound on an interface: on the wire it can be asked for."""
    kills: bool = False
    """A server that does not answer is killed when the active master role leaves it."""

    def is_astray(self, seen: Seen) -> bool:
        """Tell whether this master replicates from a slave, as only a catching up leaves it that was broken off."""
        source = (seen.source.ip, seen.source.port) if seen.source else None
        places = {self.sources[name] for name in self.slaves if name in self.sources}
        return bool(self.peer) and not self.slave and source in places


def facts(conf: Cluster) -> Facts:
    """Return what the agent's conf says for `plan`."""
    here = conf.hosts[conf.this]
    return Facts(
        this=here.name,
        slave=here.mode == "slave",
        writer=conf.active_master_role,
        vips=conf.vips,
        sources={host.name: (host.ip, host.mysql_port) for host in conf.hosts.values()},
        peer=here.peer or "",
        slaves=frozenset(host.name for host in conf.hosts.values() if host.mode == "slave"),
        on_wire=conf.master_vip in conf.bound_vips,
        kills=conf.kill_frozen_server,
    )


def plan(wanted: Status, seen: Seen, known: Facts, past: Past) -> Plan:
    """Return the steps from what is seen to what is wanted."""
    strangers = [vip for vip in wanted.vips if vip not in known.vips]
    vips = [vip for vip in wanted.vips if vip in known.vips]
    follow, unknown_master = _follow(wanted, seen, known)
    deny, unconfirmed = _deny(vips, seen, known)
    confirmed = wanted.state == ONLINE and seen.server is not Server.DEAD
    chains = (
        *follow,
        *deny,
        *_removals(vips, seen, known),
        *_kill(wanted, vips, seen, known),
        *_additions(wanted, _takeable(vips, seen, known), seen, known, past),
        *_strays(vips, seen, known),
        *_replication(wanted, seen, known, past),
    )
    refusals = [f"{vip} is not in the conf of {known.this}" for vip in strangers] + unknown_master
    refusals += _unable(vips, seen, known)
    rebuilt = [f"{vip}: {_job(seen, known)}" for vip in vips if _waits_for_job(vip, seen, known)]
    return Plan(
        tuple(chain for chain in chains if chain),
        tuple(rebuilt + refusals + (unconfirmed if confirmed else [])),
        tuple([] if confirmed else unconfirmed),
        BEING_REBUILT if rebuilt else NOT_DONE,
    )


def put_right(wanted: Status, seen: Seen, known: Facts, past: Past) -> Plan:
    """Return the steps that bring back what is assigned here and was changed since, and take nothing away.

    Between two orders somebody may have bound a VIP or allowed writes by hand, while there is no monitor: what
    is to go, only an order says.
    """
    vips = [vip for vip in wanted.vips if vip in known.vips]
    chains = _additions(wanted, _takeable(vips, seen, known), seen, known, past)
    return Plan(tuple(chain for chain in chains if chain))


def remember(wanted: Status, seen: Seen, known: Facts, past: Past, unfinished: Iterable[Chain]) -> Past:
    """Return what is to be known at the next plan: what was taken over completely by this one.

    `unfinished` are the chains of it in which a step failed. A writer's VIP that could not be tried was not taken
    over either: once its server answers, it has to sync.
    """
    chains = tuple(unfinished)
    missed = {step.vip for chain in chains for step in chain if isinstance(step, Bind | AllowWrites)}
    held = frozenset(
        vip
        for vip in wanted.vips
        if vip in known.vips
        and vip not in missed
        and not (vip.role == known.writer and _lame(seen))
        and not _waits_for_job(vip, seen, known)
    )
    if seen.job is not None:
        return replace(past, held=held, ready=frozenset())
    asked = seen.server is Server.UP and not seen.problem
    offline = wanted.state == ADMIN_OFFLINE or (past.offline and (bool(chains) or not asked))
    unused = wanted.state in UNUSED or (past.unused and (bool(chains) or not asked))
    fresh = past.fresh and (wanted.state != ONLINE or bool(chains) or not asked)
    stopped = any(isinstance(step, _SWITCHES) for chain in chains for step in chain)
    receives = asked and (seen.source is None or seen.source.receives)
    return Past(held, offline, unused, fresh, switching=stopped or (past.switching and not receives))


def clear(assigned: Iterable[Vip], seen: Seen, known: Facts) -> Plan:
    """Return the steps that remove the cluster's VIPs that are bound and not assigned, and nothing else."""
    vips = tuple(assigned)
    removals = _removals(vips, seen, known)
    writer_goes = any(
        Unbind(vip) in chain for vip in known.vips if vip.role == known.writer for chain in removals
    )
    deny, notes = _deny(vips, seen, known) if writer_goes else ([], [])
    return Plan((*deny, *removals), notes=tuple(notes))


def _waits_for_job(vip: Vip, seen: Seen, known: Facts) -> bool:
    """Tell whether a VIP is the writer's, and not to be taken while a job rebuilds this host."""
    return seen.job is not None and vip.role == known.writer and vip.ip not in seen.bound


def _takeable(vips: Iterable[Vip], seen: Seen, known: Facts) -> list[Vip]:
    return [vip for vip in vips if not _waits_for_job(vip, seen, known)]


def _job(seen: Seen, known: Facts) -> str:
    """Return in words what job keeps the role away."""
    if seen.job is None:
        return ""
    whence = f" from {seen.job.donor}" if seen.job.donor else ""
    if seen.job.broken_off:
        return f"the rebuild of {known.this}{whence} was broken off: run mmm_{seen.job.kind} there again"
    return f"{known.this} is being rebuilt{whence}"


def _follow(wanted: Status, seen: Seen, known: Facts) -> tuple[list[Chain], list[str]]:
    master = wanted.master
    if seen.job is not None:
        return [], []
    if not (known.slave and wanted.state in FOLLOWS and master) or master == known.this:
        return [], []
    if master not in known.sources:
        return [], [f"active master {master} is not in the conf of {known.this}"]
    source = (seen.source.ip, seen.source.port) if seen.source else None
    return ([(Follow(master),)] if source != known.sources[master] else []), []


def _deny(vips: Iterable[Vip], seen: Seen, known: Facts) -> tuple[list[Chain], list[str]]:
    """Return the denying of writes on a host without the writer role, or why it cannot be confirmed."""
    if any(vip.role == known.writer for vip in vips):
        return [], []
    # Only when nobody commits any more: who waits would be told OK.
    replica: Chain = (SemiSyncRole(source=False),) if _is_source(seen, known) else ()
    if seen.writable is False and seen.sealed:
        return [replica] if replica else [], []
    if seen.server in {Server.UP, Server.REFUSING}:
        return [(DenyWrites(), *replica)], []
    return [], [f"read_only is not confirmed: {seen.problem or f'the server is {seen.server.value}'}"]


def _is_source(seen: Seen, known: Facts) -> bool:
    """Tell whether this master is a semi-sync source, or none that acknowledges; slaves are the admin's."""
    state = seen.semi_sync if seen.job is None else None
    return not known.slave and state is not None and state.on and (state.source or state.replica is False)


def _unable(vips: Iterable[Vip], seen: Seen, known: Facts) -> list[str]:
    """Return why this host cannot be the writer that it is to be."""
    return [
        f"{vip}: {seen.problem or f'the server is {seen.server.value}'}"
        for vip in vips
        if vip.role == known.writer and _lame(seen)
    ]


def _lame(seen: Seen) -> bool:
    """Tell whether the server cannot be made writable: each attempt would wait for its time-out."""
    return not seen.writable and seen.server is Server.SILENT


def _removals(vips: Iterable[Vip], seen: Seen, known: Facts) -> list[Chain]:
    wanted = {vip.ip for vip in vips}
    gone = [vip for vip in known.vips if vip.ip in (seen.bound | seen.stray) - wanted]
    return [
        tuple(
            step
            for step, there in ((Unbind(vip), seen.bound), (UnbindElsewhere(vip), seen.stray))
            if vip.ip in there
        )
        for vip in sorted(gone, key=lambda vip: vip.role != known.writer)
    ]


def _kill(wanted: Status, vips: Iterable[Vip], seen: Seen, known: Facts) -> list[Chain]:
    """Return the killing of a server that has failed, at the moment in which the writer's VIP leaves it."""
    frozen = known.kills and wanted.state == HARD_OFFLINE and seen.server is Server.SILENT
    goes = {vip.ip for vip in known.vips if vip.role == known.writer} - {vip.ip for vip in vips}
    return [(KillServer(),)] if frozen and goes & seen.bound else []


def _strays(vips: Iterable[Vip], seen: Seen, known: Facts) -> list[Chain]:
    """Return the removal of what is assigned here and stands on another interface: last, for it serves till then."""
    return [(UnbindElsewhere(vip),) for vip in vips if vip.ip in seen.stray and vip in known.vips]


def _bind(vip: Vip, wanted: Status, known: Facts) -> Bind:
    return Bind(vip, insist=bool(wanted.probe) and vip.role == known.writer)


def _additions(wanted: Status, vips: Iterable[Vip], seen: Seen, known: Facts, past: Past) -> list[Chain]:
    chains: list[Chain] = []
    for vip in sorted(vips, key=lambda vip: vip.role == known.writer):  # last, for its sync may take a while
        bound = vip.ip in seen.bound
        bind: Chain = () if bound and vip.ip not in seen.wide else (_bind(vip, wanted, known),)
        if vip.role != known.writer:
            chains.append(bind)
            continue
        if _lame(seen):
            continue
        allow: Chain = () if seen.writable else (AllowWrites(vip),)
        state = seen.semi_sync
        wait: Chain = (SemiSyncRole(source=True),) if state and state.on and state.source is False else ()
        # What is bound here, or was taken over completely, has synced: it is only put right again.
        sync: Chain = (
            ()
            if bound or vip in past.held or vip in past.ready
            else (Sync(wanted.force, wanted.detach and not wanted.force),)
        )
        alone = wanted.detach and wanted.master == known.this
        astray = known.is_astray(seen)
        leaves = alone and seen.source is not None and not seen.source.detached
        end = StopReceiving(finish=bool(sync) and not wanted.force)
        stop: Chain = (end,) if leaves and (sync or seen.receives) else ()
        cut: Chain = (ThrowAway(),) if leaves and sync and wanted.force and not astray else ()
        first: Chain = (
            (CatchUp(wanted.catch_up, vip),) if alone and sync and (wanted.catch_up or astray) else ()
        )
        left: Chain = (OwnSource(known.peer, detached=True),) if astray else (Detach(),)
        detach: Chain = left if leaves and not (astray and first) else ()
        probe: Chain = (
            (Probe(vip, wanted.probe == PROBE_STOP),)
            if wanted.probe and known.on_wire and not (bound or vip in past.ready)
            else ()
        )
        # Once nothing more comes by replication, whose place is set behind what is got so.
        rest: Chain = (Salvage(wanted.salvage, vip),) if leaves and sync and wanted.salvage else ()
        chains.append((*sync, *stop, *cut, *rest, *first, *probe, *wait, *allow, *bind, *detach))
    return chains


def _is_left_stopped(wanted: Status, seen: Seen, known: Facts) -> bool:
    """Tell whether replication stands still that a switch which was broken off has stopped.

    A writer that was cut off from the lost master is to receive nothing. Where the switch is done again, replication
    that is about to end, behind a long transaction, is not told to go on: that would stand in the way.
    """
    source = seen.source
    writes = any(vip.role == known.writer for vip in wanted.vips)
    if source is None or source.receives or (writes and wanted.detach):
        return False
    return not (source.running and _follow(wanted, seen, known)[0])


def _replication(wanted: Status, seen: Seen, known: Facts, past: Past) -> list[Chain]:
    source = seen.source
    if source is None or seen.job is not None:
        return []
    if wanted.state == ADMIN_OFFLINE:
        return [(StopReplication(),)] if source.running else []
    writer = any(vip.role == known.writer for vip in wanted.vips)
    if known.is_astray(seen) and not writer:
        return [(OwnSource(known.peer, wanted.detach),)]
    if source.lifting:
        return [(FinishLifting(),)]
    if source.detached:
        follows = wanted.master not in {"", known.this}
        compared = not wanted.detach and writer
        return [(Attach(),)] if follows or compared or (wanted.attach and not writer) else []
    idle = past.unused or (past.fresh and source.asleep)  # what was stopped by hand on a host in use stays so
    # Where the monitor was passive for longer than the trap, the host is that before its agent hears that it is in use.
    waits = source.asleep and (past.unused or past.fresh) and wanted.state == REPLICATION_FAIL
    comes = not writer and (waits or (idle and wanted.state == ONLINE))
    if not source.running and (past.offline or comes):
        return [(StartReplication(),)]
    if past.switching and _is_left_stopped(wanted, seen, known):
        return [(StartReplication(),)]
    names = [name for name, place in known.sources.items() if place == (source.ip, source.port)][:1]
    if source.refused:
        return [(RenewLogin(name),) for name in names]
    writes = wanted.state == ONLINE and writer
    if source.lacks_log and writes and not wanted.detach:
        return [(GoOn(name),) for name in names]
    return []
