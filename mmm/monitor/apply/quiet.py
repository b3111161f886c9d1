"""Events from which nothing follows, so that no turn is due for them at once."""

from dataclasses import replace

from mmm.monitor.assess import silent_lag
from mmm.monitor.decide import reconcile
from mmm.monitor.world.check_results import ReplicaChecked
from mmm.monitor.world.events import Answer, Answered, Event
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.link import Ordered
from mmm.monitor.world.world import World


def is_quiet(before: World, after: World, event: Event, now: float, *, awaited: bool) -> bool:
    """Tell whether no turn is due at once for what the event has made of the world.

    Where a command is `awaited` each answer of an agent may be the one that it waits for.
    """
    if after is before or only_transactions(before, after, event):
        return True
    return not awaited and only_heartbeat(before, after, event, now)


def only_transactions(before: World, after: World, event: Event) -> bool:
    """Tell whether the event did no more than say what a server has or lacks, which a busy one says anew each time.

    No turn is due for it at once.
    """
    if not isinstance(event, ReplicaChecked) or event.transactions is None:
        return False
    waiting = (after.hosts[host.name] for host in after.masters())
    if any(host.is_lost and host.state is not State.HARD_OFFLINE for host in waiting):
        return False  # it is compared
    old, new = before.hosts[event.host], after.hosts[event.host]
    if bool(silent_lag.said(before, event.host)) != bool(silent_lag.said(after, event.host)):
        return False
    if _source(old) != _source(new):
        return False
    return replace(old, progress=new.progress) == new


def _source(host: HostWorld) -> tuple[str, bool] | None:
    """Return whom the host replicates from, and whether it is detached from that; None: not known."""
    read = host.progress.transactions
    return None if read is None else (read.source_ip, read.detached)


def only_heartbeat(before: World, after: World, event: Event, now: float) -> bool:
    """Tell whether the event is no more than an agent's OK to what it knew already, and nothing new is for it to do.

    All that it may change is the system's uptime, and the orders themselves.
    """
    if not isinstance(event, Answered) or event.answer is not Answer.OK or after.move is not None:
        return False
    old, new = before.hosts[event.host], after.hosts[event.host]
    flight, repeated = old.agent.in_flight, old.agent.orders.stale
    if not isinstance(flight, Ordered) or flight.overtaken or repeated or flight.status != old.agent.told:
        return False
    alike = replace(old, system=new.system, agent=replace(old.agent, orders=new.agent.orders))
    same = alike == new and replace(after, hosts=before.hosts) == before
    return same and not reconcile.is_due(after, event.host, now)
