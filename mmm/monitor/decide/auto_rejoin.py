"""Whether a host is rebuilt without an admin, and why not (rule 12.4). Pure.

needed  tells why a host stays out of use whatever it waits for: its data cannot join those of the active master
kept    tells what speaks against rebuilding it now; None: nothing
orders  gives the order that is due, one at a time

The host itself is out of use, so that the cluster loses nothing by it; the active master, which has to be in use and to
have its role confirmed, is what serves meanwhile. What the tool on the host finds besides, it refuses by itself.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import ClassVar

from mmm.monitor.assess import divergence
from mmm.monitor.world.attempt import Attempt, Step
from mmm.monitor.world.checks import SOURCE_LACKS_LOG
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.orders import Rejoin
from mmm.monitor.world.rebuilt import rebuilt
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import Mode, World
from mmm.wire.job import Kind
from mmm.wire.rejoin import Wanted

SETTLED = 10.0
"""Seconds for which nothing may have changed about a host before it is rebuilt: it may yet join by itself."""
SHOWN_AFTER = 15.0
"""Seconds after which a job that has begun is told by the host's agent, at the latest."""
REFUSED_AGAIN = 30.0
"""Seconds until a host is asked again whose tool has refused: what it finds may pass."""
_OUT = frozenset({State.AWAITING_RECOVERY, State.REPLICATION_FAIL, State.REPLICATION_DELAY})
_CANNOT_JOIN = frozenset({SOURCE_LACKS_LOG, "rows_differ"})
"""Codes of what stops a replica for good because of what it has."""


class Needed(Said):
    """Why a host's data cannot join those of the active master."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "extra_transactions": "it has {extra} that {master} lacks",
        "refuses_to_follow": "{refusal}",
        "source_lacks_log": "its source has no binary log of what it lacks: {finding}",
        "rows_differ": "its rows are not those of its source: {finding}",
        "broken_off": "a job that rebuilds it was broken off",
    }


class Kept(Said):
    """What speaks against rebuilding a host now."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "mode": "the mode is {mode}",
        "no_active_master": "no host is the active master",
        "master_unfit": "{master}, the active master, is not in use, or has not confirmed its role",
        "moving": "the active master role is being moved",
        "has_writer_vip": "it may have the active master's VIP",
        "no_gtids": "it or {master} has no GTIDs, so nothing proves what only it has",
        "silent": "it does not answer, or its agent does not",
        "mmm2": "its agent is one of MMM 2.x",
        "another": "{other} {said}",
        "flapping": "it failed too often: it waits until no check has changed for {flap_duration:g} s",
        "settling": "it may yet join by itself: something has changed {seconds:.0f} s ago, not {settled:g} s ago",
        "asked": "its agent has been ordered to, and has not answered yet",
        "begun": "that has begun",
        "refused": "that was refused {ago:.0f} s ago, and is tried again in {left:.0f} s: {why}",
        "not_allowed": "its agent does not obey such an order, and is asked again in {left:.0f} s: {why}",
        "failed": "that failed {ago:.0f} s ago, and is tried again in {left:.0f} s: {why}",
        "in_vain": "that was done {ago:.0f} s ago and did not help: it is done again in {left:.0f} s",
    }


def needed(world: World, name: str) -> Needed | None:
    """Return why the host cannot join without other data; None: it can, or `auto_rejoin` is off."""
    host = world.hosts[name]
    if world.conf.monitor is None or not world.conf.monitor.auto_rejoin or host.state is State.ADMIN_OFFLINE:
        return None
    if host.job is not None:
        of_ours = (
            host.job.kind == Kind.REJOIN
        )  # another program's is for the admin to go on with, or to take back
        return Needed("broken_off") if of_ours and host.job.broken_off else None
    if host.state not in _OUT:
        return None
    if (extra := divergence.unshared(world, name)) is not None:
        return Needed("extra_transactions", {"extra": extra, "master": divergence.opposite(world)})
    if refusal := host.agent.refuses_to_follow:
        return Needed("refuses_to_follow", {"refusal": refusal})
    threads = host.checks["rep_threads"]
    if threads.failed and not threads.unknown and threads.cause.code in _CANNOT_JOIN:
        return Needed(threads.cause.code, {"finding": threads.finding})
    return None


def kept(world: World, name: str, now: float) -> Kept | None:
    """Return what speaks against rebuilding a host that needs it now; None: nothing does."""
    return next((found for found in _against(world, name, now)), None)


def _against(world: World, name: str, now: float) -> Iterator[Kept]:
    yield from _of_the_cluster(world, name, now)
    host, monitor = world.hosts[name], world.conf.monitor
    if world.is_silent(name) or host.agent.unreachable:
        yield Kept("silent")
    if host.agent.about.mmm2:
        yield Kept("mmm2")
    if host.job is None and not _by_gtid(world, name):
        yield Kept("no_gtids", {"master": world.active_master})
    duration = inf if monitor is None else monitor.flap_duration
    changed = max(host.since, *(check.changed for check in host.checks.values()))
    if host.flapping and now - changed < duration:
        yield Kept("flapping", {"flap_duration": duration})
    if now - changed < SETTLED:
        yield Kept("settling", {"seconds": now - changed, "settled": SETTLED})
    if host.attempt is not None:
        yield from _after(host, host.attempt, now, duration)


def _of_the_cluster(world: World, name: str, now: float) -> Iterator[Kept]:
    if world.mode is not Mode.ACTIVE:
        yield Kept("mode", {"mode": world.mode})
    master = world.active_master
    if master is None or master == name:
        yield Kept("no_active_master")
    elif not world.can_take(master) or not _writes(world.hosts[master], world):
        yield Kept("master_unfit", {"master": master})
    if world.move is not None:
        yield Kept("moving")
    if world.master_vips & world.hosts[name].agent.may_hold:
        yield Kept("has_writer_vip")
    for other, host in world.hosts.items():
        if other != name and _is_being_rebuilt(host, now):
            said = "is to be rebuilt" if host.job is None else rebuilt(other, host.job)
            yield Kept("another", {"other": other, "said": said})


def _writes(host: HostWorld, world: World) -> bool:
    told = host.agent.told
    return told is not None and bool(world.master_vips & set(told.vips))


def _is_being_rebuilt(host: HostWorld, now: float) -> bool:
    return host.being_rebuilt or (host.attempt is not None and _may_run(host, host.attempt, now))


def _may_run(host: HostWorld, attempt: Attempt, now: float) -> bool:
    """Tell whether a job may be running that the agent has not told of yet."""
    begun = attempt.step is Step.BEGUN and (host.job is None or host.job.broken_off)
    return attempt.step is Step.ASKED or (begun and now - attempt.at < SHOWN_AFTER)


def _by_gtid(world: World, name: str) -> bool:
    hosts = [world.hosts[each] for each in (name, world.active_master) if each is not None]
    has = [host.progress.transactions for host in hosts]
    return all(each is not None and each.executed is not None for each in has)


def _after(host: HostWorld, last: Attempt, now: float, duration: float) -> Iterator[Kept]:
    """Yield what the last attempt has against another one.

    A job that was broken off is gone on with at once, and no second time before `duration` is over.
    """
    if _may_run(host, last, now):
        yield Kept(str(last.step))
        return
    if last.step is Step.BEGUN and host.job is not None and not last.again:
        return
    if last.step is Step.DONE and host.online_since is not None and host.online_since >= last.at:
        return
    wait = REFUSED_AGAIN if last.step is Step.REFUSED else duration
    ago, left = now - last.at, last.at + wait - now
    if left > 0:
        code = {Step.BEGUN: "failed", Step.DONE: "in_vain"}.get(last.step, str(last.step))
        why = last.why or "see mmm_tools.log there"
        yield Kept(code, {"ago": ago, "left": left, "why": why, "reasons": last.codes})


def orders(world: World, now: float) -> tuple[World, tuple[Rejoin, ...]]:
    """Return the order to rebuild a host that is due, and the world that knows it is under way."""
    if world.conf.monitor is None or not world.conf.monitor.auto_rejoin:
        return world, ()
    ways = world.conf.monitor.auto_rejoin
    wanted = Wanted(method=ways[0] if len(ways) == 1 else "")
    for name, host in world.hosts.items():
        why = needed(world, name)
        if why is not None and kept(world, name, now) is None:
            last = host.attempt or Attempt(Step.ASKED, now)
            attempt = replace(last, step=Step.ASKED, at=now, again=host.job is not None)
            return world.with_host(name, replace(host, attempt=attempt)), (Rejoin(name, wanted, why),)
    return world, ()
