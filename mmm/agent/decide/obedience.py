"""What an order has come to once it was carried out. Pure.

An order is carried out in a thread, and takes its time. Meanwhile the lease it came with may end, and the watch over
the lease has then taken the role from this host already. So an order is judged by what is assigned at its end: only
that is held, and announced, and an order that has lost its lease was not obeyed.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import takewhile

from mmm.agent.decide.failure import Failure
from mmm.agent.decide.plan import Facts, Past, remember
from mmm.agent.decide.seen import Seen, Server
from mmm.agent.decide.steps import AllowWrites, Bind, Chain, Probe, SemiSyncRole, Step, Sync, ThrowAway
from mmm.config.model import Vip
from mmm.lease.rules import Grant
from mmm.wire.status import Status
from mmm.wire.why import LEASE_OVER

Laps = tuple[tuple[str, float], ...]
"""Names of what was done and the seconds that it took, in order."""

READY = 10.0
"""Seconds for which what was done for an order counts for the next one, at most."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: no failures means it stands as wanted; notes could not be confirmed."""

    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    held: frozenset[Vip] = frozenset()
    """The assigned VIPs that stand as wanted."""
    removed: int = 0
    took: Laps = ()
    bound: frozenset[str] | None = None
    """The cluster's addresses that stand on this host after a failure; None where none failed, or it cannot be told."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change has left behind; `seen` is None where nothing could be seen, and nothing was done then."""

    outcome: Outcome
    seen: Seen | None = None
    """What stood before it."""
    done: tuple[Step, ...] = ()
    unfinished: tuple[Chain, ...] = ()
    """The chains in which a step failed."""
    bound: frozenset[str] | None = None
    """The addresses that are bound after it; None where it was not looked."""
    writes: bool | None = None
    """It has left the server writable, or read_only; None: as it was."""


def remembered(changed: Changed, now: Status, known: Facts, past: Past) -> Past:
    """Return what is to be known at the next plan, by what is assigned `now`."""
    if changed.seen is None:
        return replace(past, held=past.held & frozenset(now.vips))
    after = remember(now, changed.seen, known, past, changed.unfinished)
    return replace(after, ready=_ready(changed, past))


def _ready(changed: Changed, past: Past) -> frozenset[Vip]:
    """Return the VIPs of which a change has done all, or found it done, but to allow writes and to bind."""
    found: set[Vip] = set()
    for chain in changed.unfinished:
        before = list(takewhile(lambda step: not isinstance(step, AllowWrites | Bind), chain))
        last = chain[len(before)] if len(before) < len(chain) else None
        needed = [step for step in before if isinstance(step, Sync | Probe)]
        done = all(step in changed.done for step in before if not isinstance(step, SemiSyncRole | ThrowAway))
        if isinstance(last, AllowWrites | Bind) and done and (needed or last.vip in past.ready):
            found.add(last.vip)
    return frozenset(found)


def still_ready(past: Past, wanted: Status, known: Facts, until: float, now: float) -> Past:
    """Return what is known at a plan: what was done for the writer role counts up to a moment, for that role only."""
    writes = any(vip.role == known.writer for vip in wanted.vips)
    return past if writes and now < until else replace(past, ready=frozenset())


def ready_until(grant: Grant | None, until: float, now: float) -> float:
    """Return until when what was done for an order counts for the next one.

    That is as long as its lease keeps the role from others by the monitor's count, or promises do that have prolonged
    it `until` then, so that nobody else has written.
    """
    return now + READY if grant is None else min(max(grant.token + grant.length, until), grant.token + READY)


def judged(changed: Changed, begun: Status, now: Status, past: Past) -> Outcome:
    """Return what a change has come to that was begun for one status, when another is assigned `now`.

    `past` is what is known after it, see `remembered`.
    """
    outcome = replace(changed.outcome, held=past.held)
    lost = [vip for vip in begun.vips if vip not in now.vips]
    if not lost:
        return outcome
    ended = (
        Failure("its lease ended while this order was carried out", LEASE_OVER, str(vip)) for vip in lost
    )
    return replace(outcome, failures=(*outcome.failures, *ended))


def is_without(changed: Changed, ips: Collection[str]) -> bool:
    """Tell whether this host is surely without the VIPs after a change, and its server read_only or dead."""
    if changed.seen is None or changed.bound is None or changed.bound & set(ips):
        return False
    if changed.writes is not None:
        return not changed.writes
    return changed.seen.server is Server.DEAD or changed.seen.writable is False


def believes(master: str, holder: str, heard: float, length: float) -> str:
    """Return the active master that this host knows of where that is not the `holder` that asks for a promise.

    What the monitor said counts for half a lease of `length` seconds after it was `heard`: a holder that does not hear
    it any more asks later than that. So one that knows nothing yet, or has lost the monitor too, promises.
    """
    return master if master not in {"", holder} and heard < length / 2 else ""
