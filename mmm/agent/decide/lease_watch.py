"""The watch over this host's leases: renews what may be renewed, and takes the role when the writer's has ended. Pure.

    writer VIP     renewed by the monitor's orders; when a third of the lease is left, by promises of all other hosts
                   of the role, so also while an order takes longer than the lease it came with
    reader VIPs    renewed with the writer's, and for as long as any neighbour is reached
    contested      another MAC claims the VIP, or the clocks of the host say that it was paused: all other hosts of the
                   role are asked for promises at once, and it is given up when one knows that another has it
    lease lost     no new connections can come once the kernel removed the VIP; read_only is set, clients are ended

After an agent was stopped and continued, the first thing that happens is a look at the lease. One that was started
again renews whatever an earlier one has left here, until the first order says what is assigned.
"""

from dataclasses import replace
from math import inf

from mmm.agent.decide.actions import (
    Action,
    AskPromises,
    Deny,
    LeaseOver,
    Outdone,
    Reach,
    Renew,
    RenewedByPromises,
    SayAgain,
    Unbind,
)
from mmm.agent.decide.core import Concluding, Core, Stage, Step, conclude, lost, proceed, settle
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.held_lease import least
from mmm.agent.decide.obedience import Changed, believes
from mmm.agent.decide.plan import UNKNOWN
from mmm.agent.decide.watched import Denying, TakingAway
from mmm.config.model import Vip
from mmm.lease.rules import FOREVER
from mmm.wire.promises import AskedPromise
from mmm.wire.why import NO_PROMISE, TAKEN

LOOK = 0.2
"""Longest time, in seconds, between two looks at the lease of a host that holds the role."""
REST = 1.0
"""The same of one that does not, unless a lease begins meanwhile or a fence has failed."""
HEARTBEAT = 3.0
"""Seconds between two orders of the monitor, at most, where it has not got to renew a lease sooner."""
LEAD = 0.3
"""Seconds before the end of a lease at which the host begins to give the role up; less where the lease is short."""
CLAIMS_APART = 1.0
"""Seconds between two claims of a VIP that are asked about, and between two such questions that nobody answers."""
STOOD = 0.25
"""Seconds by which the wall clock may go ahead of that of leases between two looks: more, and one was set, or stood."""
UNDISTURBED = 1.3
"""Seconds before the kernel removes the writer's VIP in which no other address is changed: that would make it late."""


def lead_of(length: float) -> float:
    """Return how many seconds before the end of a lease of `length` seconds the host begins to give the role up."""
    return min(LEAD, 0.15 * length)


def asks_at(length: float) -> float:
    """Return with how many seconds left of a lease of `length` seconds others are asked for promises.

    Early enough for an order that takes longer than its token lasts: the kernel can be told a second all the while.
    """
    return max(length / 3, min(LEAD + 0.5, 0.4 * length), least(length) + pause_of(length))


def pause_of(length: float) -> float:
    """Return the seconds between two looks at a lease of `length` seconds that is held."""
    return min(LOOK, length / 20)


def pause(core: Core, now: float) -> float:
    """Return after how many seconds somebody is to see whether a look `is_due`."""
    length, away = core.held.length, core.watch.taking_away
    if away is not None:  # past its moment only the end of the unbinding is waited for, which says itself
        return min(LOOK, away.until - now) if away.until > now else LOOK
    urgent = core.watch.writable or core.held.lease.until > 0
    return pause_of(length) if urgent else min(REST, length / 8)


def is_due(core: Core, now: float) -> bool:
    """Tell whether there is something to look at: a look for nothing would cost more than this question."""
    held, watch = core.held, core.watch
    low = held.lease.until > 0 and held.left(now) < asks_at(held.length)
    readers = held.leased and now - watch.renewed > held.length / 4
    low = low or _is_contested(core, now)
    return low or readers or not watch.is_at_peace


def look(core: Core, now: float, *, agreed: bool, heard: float) -> Step:
    """Look at the lease; another host, or the monitor, was `heard` last at that moment.

    `agreed`: the monitor has said that it knows of the same hosts of the role as this conf.
    """
    core, actions = _give_up_in_time(core, now)
    held = core.held
    if not held.leased:
        return core, actions
    said = core.watch.said and held.heard(now) > held.length
    core = replace(core, watch=replace(core.watch, said=said))
    if _asks_now(core, now, agreed=agreed):
        core = replace(core, held=replace(held, owes=True), watch=replace(core.watch, asking=now))
        actions += (AskPromises(now, held.token(now), core.site.rivals),)
    if now - core.watch.renewed > held.length / 4:
        core = replace(core, watch=replace(core.watch, renewed=now))
        core, more = _renew_readers(core, now, heard)
        actions += more
    return core, actions


def _give_up_in_time(core: Core, now: float) -> Step:
    held, watch = core.held, core.watch
    if watch.taking_away is not None:
        core, actions = _deny(core) if watch.writable and watch.denying is None else (core, ())
        core, more = _take_away(core, now)
        return core, actions + more
    if held.lease.until > 0 and held.left(now) <= lead_of(held.length):
        core, actions = take_away(core, now)
        return core, (LeaseOver(core.site.writer_vips, held.heard(now)), *actions)
    return _deny(core) if watch.writable and watch.denying is None else (core, ())


def changed(core: Core, came: Changed, now: float) -> Step:
    """Take what a change has come to; what it has bound or allowed while the lease ended is taken back."""
    core, actions = conclude(core, came, now)
    if not (isinstance(core.work, Concluding) and core.work.stage is Stage.TAKING_AWAY):
        return core, actions
    core, more = take_away(core, now)
    return core, actions + more


def take_away(core: Core, now: float) -> Step:
    """Have this host without the writer role: read_only, its clients ended, and at the lease's end no VIP."""
    before = core.watch.taking_away
    away = TakingAway(now + max(0.0, core.held.left(now)), unbinding=before.unbinding if before else 0)
    core, actions = _deny(replace(core, watch=replace(core.watch, taking_away=away)))
    core, more = _take_away(core, now)
    return core, actions + more


def _deny(core: Core) -> Step:
    if core.watch.denying is not None:
        return replace(core, watch=replace(core.watch, denying=Denying(again=True))), ()
    return replace(core, fenced=inf, watch=replace(core.watch, denying=Denying())), (Deny(),)


def _take_away(core: Core, now: float) -> Step:
    """Go on with taking the role away, as far as that is possible now."""
    watch, away = core.watch, core.watch.taking_away
    waits = away is not None and watch.denying is not None and now < away.until
    if away is None or waits:
        return core, ()
    if not away.left:
        core, actions = lost(core)
        away = TakingAway(now + LOOK, left=True, unbinding=away.unbinding + 1)
        core = replace(core, watch=replace(core.watch, taking_away=away))
        return core, (*actions, Unbind(core.site.writer_vips))
    if away.unbinding:
        return core, ()
    core = replace(core, watch=replace(watch, taking_away=None))
    if isinstance(core.work, Concluding) and core.work.stage is Stage.TAKING_AWAY:
        return settle(replace(core, work=replace(core.work, stage=Stage.SETTLING)), now)
    return proceed(core, now)


def denied(core: Core, failure: str, now: float) -> Step:
    """Take it that the server is read_only, or why not; what was seen before does not count any more."""
    watch = core.watch
    again = watch.denying is not None and watch.denying.again
    over = watch.taking_away is not None or core.held.left(now) <= 0
    writable = bool(failure) and over
    core = replace(core, fenced=now, watch=replace(watch, denying=None, writable=writable))
    if again:
        return _deny(core)
    if core.watch.taking_away is not None:
        return _take_away(core, now)
    if core.site.is_writer(core.status):  # the role was given anew meanwhile: writes are allowed again
        return proceed(replace(core, due=core.work is None), now)
    return core, ()


def unbound(core: Core, now: float) -> Step:
    """Take it that the VIPs are gone, as far as they could be removed."""
    away = core.watch.taking_away
    if away is None:
        return core, ()
    away = replace(away, unbinding=away.unbinding - 1)
    return _take_away(replace(core, watch=replace(core.watch, taking_away=away)), now)


def _is_contested(core: Core, now: float) -> bool:
    """Tell whether another host may have the role; for as long as a lease: by then this one was renewed, or is over."""
    return now - core.watch.contested < core.held.length


def _may_contest(core: Core, now: float) -> bool:
    held = core.held
    return held.leased and held.lease.holds(now) and core.site.candidate and not held.leaving


def claimed(core: Core, ip: str, now: float) -> tuple[Core, bool]:
    """Return the state when another MAC claims a VIP, and whether others are asked before it is announced again.

    Who has just taken the role from a host that was not heard is sure of it.
    """
    is_writer = any(vip.ip == ip for vip in core.site.writer_vips)
    if not (is_writer and _may_contest(core, now)) or now < core.watch.sure_until:
        return core, False
    if now - core.watch.claimed < CLAIMS_APART:
        return core, True
    watch = replace(core.watch, claimed=now, contested=now, asking=None, asks_from=now)
    return replace(core, watch=watch), True


def stood(core: Core, ahead: float, now: float) -> Core | None:
    """Return the state when the wall clock has gone `ahead` of the clock of leases by that since the last look.

    None where there is nothing to ask about: it is as ever, or this host does not hold the role.
    """
    if abs(ahead) <= STOOD or not _may_contest(core, now):
        return None
    return replace(core, watch=replace(core.watch, contested=now, asking=None, asks_from=now))


def asked_by_rival(core: Core, now: float) -> Core:
    """Return the state of a host that was asked for a promise: if it holds the role, so does the one that asks.

    That one gives the role up by the answer, or is not sure either: it is asked in return after a moment.
    """
    if not _may_contest(core, now) or now < core.watch.sure_until or _is_contested(core, now):
        return core
    return replace(core, watch=replace(core.watch, contested=now, asks_from=now + LOOK))


def _asks_now(core: Core, now: float, *, agreed: bool) -> bool:
    held, watch, where = core.held, core.watch, core.site
    low = lead_of(held.length) < held.left(now) < asks_at(held.length)
    return (
        (low or (_is_contested(core, now) and held.left(now) > lead_of(held.length)))
        and where.candidate
        and agreed
        and not held.leaving
        and watch.asking is None
        and now >= watch.asks_from
    )


def promised(core: Core, asked: float, now: float) -> Step:
    """Take it that all rivals have promised what they were asked for at `asked`."""
    if core.watch.asking != asked:
        return core, ()
    again = _says_again(core)
    watch, held = replace(core.watch, asking=None, contested=-inf), core.held.renewed(asked, now)
    core, silent = replace(core, watch=watch, held=held), held.heard(now)
    actions: tuple[Action, ...] = (Renew(standing(core)), *again)
    if held.lease.holds(now) and not watch.said and silent > held.length:
        core = replace(core, watch=replace(watch, said=True))
        return core, (RenewedByPromises(silent, core.site.rivals), *actions)
    return core, actions if held.lease.holds(now) else ()


def _says_again(core: Core) -> tuple[Action, ...]:
    """Return the announcement that waited until others were asked about a claim."""
    return (SayAgain(core.site.writer_vips),) if core.watch.contested == core.watch.claimed > -inf else ()


def not_promised(core: Core, asked: float, now: float) -> Step:
    """Take it that a rival has not promised: all are asked again in a moment."""
    if core.watch.asking != asked:
        return core, ()
    pause = CLAIMS_APART if core.held.left(now) >= asks_at(core.held.length) else LOOK
    watch = replace(core.watch, asking=None, asks_from=now + pause)
    return replace(core, watch=watch), _says_again(core)


def outdone(core: Core, asked: float, said: str, now: float) -> Step:
    """Take it that a rival, asked for a promise at `asked`, knows of another host that has the role: it is given up."""
    if core.watch.asking != asked or not core.held.lease.holds(now):
        return core, ()
    watch = replace(core.watch, asking=None, contested=-inf)
    core, actions = take_away(replace(core, held=core.held.outdone(asked), watch=watch), now)
    return core, (Outdone(core.site.writer_vips, said), *actions)


def standing(core: Core) -> tuple[Vip, ...]:
    """Return the VIPs that may stand here by right: those assigned, and before the first order all that there are.

    Nobody has said yet which of them an earlier agent has left here. What does not stand here is not renewed.
    """
    return core.status.vips if core.status.state != UNKNOWN else core.site.facts.vips


def reached(core: Core) -> Core:
    """Note that other hosts were asked for a sign of life."""
    return replace(core, watch=replace(core.watch, reaching=False))


def _renew_readers(core: Core, now: float, heard: float) -> Step:
    held, watch = core.held, core.watch
    readers = tuple(vip for vip in standing(core) if vip.role != core.site.facts.writer)
    if not readers or 0 < held.left(now) < UNDISTURBED:
        return core, ()
    actions: tuple[Action, ...] = ()
    silent = now - heard
    if silent > held.length / 2 and not watch.reaching:
        core, actions = replace(core, watch=replace(watch, reaching=True)), (Reach(),)
    return core, (*actions, Renew(readers)) if silent < held.length else actions


def promise(core: Core, asked: AskedPromise, now: float) -> tuple[Core, Failure | None]:
    """Return the state after a promise to another host, and why there is none.

    It counts once it is written down: before that the shell keeps to the old state.
    """
    where, holder = core.site, asked.holder
    if not where.leases:
        return core, Failure("no vip_lease in the conf of this agent: it keeps no promises", NO_PROMISE)
    if holder not in where.rivals:
        return core, Failure(f"{holder[:80]} is no other host of role {where.facts.writer}", NO_PROMISE)
    if other := believes(core.status.master, holder, core.held.heard(now), core.held.length):
        return core, Failure(f"the active master is {other}, not {holder}: nothing is promised to it", TAKEN)
    held, why = core.held.promise(holder, asked.length, asked.token, now)
    if not why:
        return replace(core, held=held), None
    return core, Failure(why, TAKEN if core.held.lease.holds(now) else NO_PROMISE)


def promise_returned(core: Core, holder: str, token: str) -> Core:
    """Return the state without what was promised to another host up to the token; the same where that is nothing."""
    held = core.held.given_back(holder, token)
    return core if held is core.held else replace(core, held=held)


def found(core: Core, vip: Vip, left: float, now: float) -> Core:
    """Return the state of an agent that finds a VIP of an earlier one, which the kernel keeps for `left` seconds.

    By the writer's the role is held, whatever was to be denied before; by another one that has an end it is known that
    this host has leases.
    """
    if vip.role == core.site.facts.writer:
        watch = replace(core.watch, writable=core.watch.writable and left <= 0)
        return replace(core, held=core.held.found(left, now), watch=watch)
    return replace(core, held=replace(core.held, leased=core.held.leased or 0 < left < FOREVER))


def holds(core: Core, now: float) -> bool:
    """Tell whether the writer's lease is held, and the host does not begin to give the role up."""
    return core.held.left(now) > lead_of(core.held.length) and core.watch.taking_away is None


def lifetime(core: Core, vip: Vip, now: float) -> int:
    """Return the seconds that the VIP may be bound now: 0 is for good, -1 that it may not."""
    if vip.role == core.site.facts.writer:
        return core.held.lifetime(now)
    return round(core.held.length) if core.held.leased else 0


def patience(core: Core, now: float) -> float:
    """Return for how many seconds an agent that is stopped in order waits for the role to be granted for good.

    0 where it does not hold the role, or has it for good. The monitor sends its next order within a heartbeat.
    """
    held, left = core.held, core.held.left(now)
    if not (held.leased and core.site.is_writer(core.status) and 0 < left < FOREVER):
        return 0.0
    return min(1.0 + min(HEARTBEAT, held.length / 4), left)
