"""What each event makes of the monitor's world."""

from dataclasses import replace

from mmm.monitor.apply.answered import answered
from mmm.monitor.apply.checked import checked
from mmm.monitor.apply.exited import exited
from mmm.monitor.apply.killed import killed
from mmm.monitor.apply.led import led
from mmm.monitor.apply.network import network
from mmm.monitor.apply.rebuilt import ordered
from mmm.monitor.decide import get_ahead, leases
from mmm.monitor.world.check_results import PingChecked, ReplicaChecked, ServerChecked
from mmm.monitor.world.events import (
    Answered,
    Doubted,
    Event,
    Examined,
    GotAhead,
    Killed,
    Led,
    LogRead,
    Network,
    Noted,
    Opinions,
    RejoinAnswered,
    ServerExited,
    ServerWatched,
    VipLooked,
    Withdrawn,
)
from mmm.monitor.world.host import Opinion, TailRead
from mmm.monitor.world.world import World


def apply(world: World, event: Event, now: float) -> World:
    """Return the world after the event. It is the same object when nothing that matters changed."""
    match event:
        case Network() | Examined() | Withdrawn() | Led():
            return _of_all(world, event)
        case _ if event.host not in world.hosts:
            return world  # it was asked before another conf was taken, which has not got the host
        case PingChecked() | ServerChecked() | ReplicaChecked():
            return checked(world, event, now)
        case ServerExited():
            return exited(world, event, now)
        case Answered():
            return answered(world, event, now)
        case RejoinAnswered():
            return ordered(world, event, now)
        case Killed():
            return killed(world, event, now)
        case VipLooked():
            return leases.looked(world, event.host, event.vip, absent=event.absent, now=now)
        case GotAhead():
            return get_ahead.answered(world)
        case Opinions() | LogRead() | Noted() | Doubted() | ServerWatched():
            return _told(world, event, now)


def _of_all(world: World, event: Network | Examined | Withdrawn | Led) -> World:
    """Return the world after what is about no single host."""
    match event:
        case Network():
            return network(world, event)
        case Led():
            return led(world, event)
        case Examined():
            errors = frozenset(met for met in event.errors if not met.host or met.host in world.hosts)
            ending = tuple(each for each in event.ending if not each.host or each.host in world.conf.agents)
            return replace(world, examined=errors, examined_before=world.examined, ending=ending)
        case Withdrawn():
            return replace(world, going=event.vips).with_owner(dict.fromkeys(event.vips))


def _told(world: World, event: Opinions | LogRead | Noted | Doubted | ServerWatched, now: float) -> World:
    """Return the world after somebody has said what was asked of a host."""
    host = world.hosts[event.host]
    match event:
        case LogRead():
            read = TailRead(event.tail, now)
            host = replace(host, comparison=replace(host.comparison, reads_log=False, read=read))
        case Noted() if (event.notes, at := now if event.notes else 0.0) != (host.notes, host.noted_at):
            host = replace(host, notes=event.notes, noted_at=at)
        case Doubted() if event.doubts != host.doubts:
            host = replace(host, doubts=event.doubts)
        case ServerWatched() if event.problem != host.unwatched:
            host = replace(host, unwatched=event.problem)
        case Opinions() if host.opinion is not None:
            said = Opinion(host.opinion.asked, False, True, event.heard, event.reached, event.met)
            host = replace(host, opinion=said)
        case _:
            return world
    return world.with_host(event.host, host)
