"""Which slaves leave the old active master before the new one takes writes (rule 8). Pure.

    follows by GTID            is not waited for: it goes on where it was, whenever it is told
    follows by file and place  is waited for, at most SLAVES_FIRST seconds: its own agent proves the place or refuses
    has more than the writer   is told later: see `behind_others`
    has an agent of MMM 2.x    is waited for until it has answered or its order has failed, GTID or not: such an agent
                               goes on at the end of the new master's binary log as it is then, and what was written
                               before never comes to that slave

Where a slave of the third kind was told too late all the same, it may lack rows, and nothing on it tells so.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from mmm.monitor.assess import behind_others
from mmm.monitor.world.host import HostWorld, State, Switched
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import World
from mmm.wire.status import Status

SLAVES_FIRST = 2.0
"""Longest time, in seconds, that a new active master waits for slaves whose own agent refuses what would lose rows."""


def keep_waiting(world: World, master: str, now: float) -> bool:
    """Tell whether `master`, which is to take writes, has to wait for slaves."""
    since = world.slaves_first_since
    in_time = since is None or now - since < SLAVES_FIRST
    return waits_for_mmm2(world, master) or (in_time and bool(_unsettled(world, master)))


def waits_for_mmm2(world: World, master: str) -> bool:
    """Tell whether `master` waits for a slave that may not be left behind, however long that takes."""
    return any(world.hosts[slave].agent.about.mmm2 for slave in _unsettled(world, master))


def followed(world: World, name: str, done: Status, now: float) -> World:
    """Return the world after the agent of a slave has done what it was told.

    An agent of MMM 2.x has the slave go on at the end of the new master's binary log: where that is being written
    already, the slave may lack rows from now on.
    """
    host, master = world.hosts[name], done.master
    if not host.agent.about.mmm2 or world.conf.hosts[name].mode != "slave" or done.state != State.ONLINE:
        return world
    if master not in world.hosts:
        return world
    source = _source(world, host)
    switched = host.replication.switched
    if source == master and switched is not None and switched.master == master:
        return world  # a heartbeat: nothing follows from it
    late = source not in ("", master) and bool(world.master_vips & world.hosts[master].agent.may_hold)
    at = master if late else host.replication.skipped_at
    replication = replace(host.replication, switched=Switched(master, now), skipped_at=at)
    return world.with_host(name, replace(host, replication=replication))


def _source(world: World, host: HostWorld) -> str:
    """Return the host that a slave replicated from when it was last seen or told, empty where that is not known."""
    seen, told = host.progress.transactions, host.replication.switched
    if told is not None and (seen is None or seen.seen <= told.at):
        return told.master
    if seen is None or not seen.source_ip:
        return ""
    return next(
        (name for name, conf in world.conf.hosts.items() if conf.ip == seen.source_ip), seen.source_ip
    )


_WAIT = "nobody could write until it has caught up, because the agent of {host} is one of MMM 2.x"


class Slow(Said):
    """A slave that would keep a new active master waiting."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "slave_behind": "{host} is behind ({check}): " + _WAIT,
        "slave_behind_by": "{host} is {seconds:g} s behind, a move needs at most {limit:g} s: " + _WAIT,
    }


def too_slow(world: World, limit: float) -> Iterator[Slow]:
    """Yield which slaves would keep a new active master waiting for longer than `limit` seconds."""
    for name, host in world.hosts.items():
        if (
            world.conf.hosts[name].mode != "slave"
            or not host.agent.about.mmm2
            or host.state is not State.ONLINE
        ):
            continue
        backlog, behind = host.checks["rep_backlog"], host.progress.behind
        if backlog.failed or backlog.error_since is not None:
            yield Slow("slave_behind", {"host": name, "check": backlog.finding})
        elif behind is not None and behind.seconds > limit:
            yield Slow("slave_behind_by", {"host": name, "seconds": behind.seconds, "limit": limit})


def _unsettled(world: World, master: str) -> list[str]:
    return [
        name
        for name, host in world.hosts.items()
        if world.conf.hosts[name].mode == "slave"
        and name != master
        and not world.is_silent(name)
        and not _settled(host, master)
        and not behind_others.holds_back(world, name)
    ]


def _settled(host: HostWorld, master: str) -> bool:
    link = host.agent
    by_gtid = host.replication.uses_gtid and not link.about.mmm2
    if by_gtid or host.state is not State.ONLINE or link.unreachable:
        return True
    return any(status is not None and status.master == master for status in (link.told, link.refused))
