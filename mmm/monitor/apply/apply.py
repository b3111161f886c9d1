"""What each event makes of the monitor's world."""

from dataclasses import replace

from mmm.monitor.apply.answered import answered
from mmm.monitor.apply.checked import checked
from mmm.monitor.apply.exited import exited
from mmm.monitor.apply.killed import killed
from mmm.monitor.apply.network import network
from mmm.monitor.apply.rebuilt import ordered
from mmm.monitor.decide import leases
from mmm.monitor.world.check_results import PingChecked, ReplicaChecked, ServerChecked
from mmm.monitor.world.events import (
    Answered,
    Doubted,
    Event,
    Examined,
    Killed,
    LogRead,
    Network,
    Noted,
    Opinions,
    RejoinAnswered,
    ServerExited,
    ServerWatched,
    VipLooked,
)
from mmm.monitor.world.host import Opinion, TailRead
from mmm.monitor.world.world import World


def apply(world: World, event: Event, now: float) -> World:
    """Return the world after the event. It is the same object when nothing that matters changed."""
    match event:
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
        case Network():
            return network(world, event)
        case Examined():
            return replace(world, examined=event.errors, examined_before=world.examined)
        case Opinions() | LogRead() | Noted() | Doubted() | ServerWatched():
            return _told(world, event, now)


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
