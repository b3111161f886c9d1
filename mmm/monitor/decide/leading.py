"""What follows from the lead for what this monitor decides (rule 14.2). Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf

from mmm.config.agreement import writer_hosts
from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING, Record
from mmm.lease.rules import FOREVER
from mmm.monitor.decide import leases, reconcile
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.world.host import State
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.world import Mode, World
from mmm.wire.voting import epoch_text


def record(world: World) -> Record:
    """Return what the next monitor that leads has to know, except who wrote it and when.

    A host that is to hold the active master role for good is among the holders before it is granted that.
    """
    offline = frozenset(name for name, host in world.hosts.items() if host.state is State.ADMIN_OFFLINE)
    cause = world.passive_cause.code if world.mode is Mode.PASSIVE and world.passive_cause else ""
    held = frozenset(
        name
        for name, host in world.hosts.items()
        if host.agent.given.until == FOREVER or leases.is_to_hold_for_good(world, name)
    )
    monitors = frozenset(world.conf.monitors)
    return Record(mode=str(world.mode), cause=cause, offline=offline, held=held, monitors=monitors)


def next_record(world: World, epoch: Lead, last: Record) -> Record:
    """Return the record that goes with the next round: `last`, or where there is more to know a newer one."""
    wanted = record(world)._replace(epoch=epoch, sequence=last.sequence)
    return last if wanted == last else wanted._replace(sequence=last.sequence + 1)


def to_follow(
    world: World, bound: Mapping[str, float], newest: Callable[[str], float], now: float, period: float
) -> tuple[str, ...]:
    """Return the agents without a vote that are asked with a round to follow this monitor, in conf order.

    Those of hosts that may be the writer with each. Any other one in time for its next order, where by then it would
    follow no more, or its token would be too old: one that it gives now may be sent once the next round is complete.
    `bound` are the moments at which each was asked what it has agreed to last, `newest` those of their newest tokens;
    rounds are `period` seconds apart.
    """
    voters = frozenset(world.conf.voters)
    beat, lasts = reconcile.heartbeat(world), leases.lasts(world)

    def is_asked(name: str) -> bool:
        link = world.hosts[name].agent
        if link.about.classic or world.is_silent(name):
            return False
        due = now if link.orders.ended is None else max(now, link.orders.ended + beat)
        if world.can_be_active_master(name):
            return True
        token = max(newest(name), -inf if link.orders.token is None else link.orders.token.received)
        ends = min(bound.get(name, -inf) + world.conf.lead_lease - period, token + lasts)
        return due <= now + 2 * period and ends < due

    return tuple(name for name in world.hosts if name not in voters and is_asked(name))


def barred(records: Iterable[Record], own: str) -> frozenset[str]:
    """Return the monitors that alone may take the lead by the newest record, `own` not among them; empty: any may.

    The one that led before may lead on by their word.
    """
    newest = max(records, key=Record.age, default=NOTHING)
    return frozenset() if newest.lets(own) else newest.monitors


def unsure(conf: Cluster, found: Record, epoch: Lead) -> Record:
    """Return a record that may not be the newest, for voters have lost theirs: any host may have the role for good."""
    role = conf.roles.get(conf.active_master_role)
    held = found.held | frozenset(role.hosts if role is not None else ())
    return found._replace(epoch=found.epoch or epoch, held=held)


def believed(conf: Cluster, found: Record, stored: Mapping[str, Stored]) -> Mapping[str, Stored]:
    """Return what is believed of the hosts by the record of who led before, where a status file would say it.

    Each host of the active master role is taken to have been granted it until a lease from now on is over, or for good;
    so it is until it has obeyed an order of this monitor. `stored` is this one's own file, for what the record lacks.
    """
    role = conf.roles.get(conf.active_master_role)
    lines: dict[str, Stored] = {}
    for name in conf.hosts:
        if found.epoch is not None:
            state = str(State.ADMIN_OFFLINE) if name in found.offline else ""
            may_write = role is not None and name in role.hosts
            held = "forever" if name in found.held else "finite"
            lines[name] = Stored(
                state,
                role.vips if role is not None and may_write else (),
                held if may_write else "",
                conf.vip_lease if may_write else 0.0,
                writer_hosts(conf) if may_write else "",
                left_out=stored[name].left_out if name in stored else frozenset(),
            )
        elif name in stored:
            lines[name] = stored[name]
    return lines


def remembered(
    conf: Cluster, found: Mapping[str, Found], record: Record, stored: Mapping[str, Stored]
) -> Mapping[str, Found]:
    """Return what was found, with what is `stored` of hosts whose agents do not say what they have.

    It counts where it is of the monitor that wrote the record: then it is what that one believed, but for its last
    moments. The VIPs of balanced roles stay where they are; of the active master role nothing is added. Of hosts whose
    agents say what they have only that they had let go before counts.
    """
    epoch = "" if record.epoch is None else epoch_text(record.epoch)
    after = dict(found)
    for name, host in found.items():
        line, known = stored.get(name), host.stored
        if line is None or known is None or not epoch or line.epoch != epoch:
            continue
        known = replace(known, let_go=not line.vips and known.lease != "forever")
        if host.agent is not None and host.system is not None:
            nothing = not (host.agent.vips or host.system.vips)
            after[name] = replace(host, stored=replace(known, let_go=known.let_go and nothing))
            continue
        state = line.state if line.state != State.ADMIN_OFFLINE else ""
        balanced = tuple(vip for vip in line.vips if vip.role != conf.active_master_role)
        known = replace(known, state=known.state or state, vips=(*known.vips, *balanced))
        known = replace(known, lost=line.lost, used=line.used)
        after[name] = replace(host, stored=known)
    return after


def with_mode(world: World, found: Record) -> World:
    """Return the world in the mode of the record; a conflict that was just found stays."""
    if found.epoch is None or not found.mode or world.passive_cause is not None:
        return world
    mode = Mode(found.mode)
    return replace(world, mode=mode, passive_cause=PassiveCause("by_admin") if mode is Mode.PASSIVE else None)
