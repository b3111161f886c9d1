"""What an order has come to once it was carried out. Pure.

An order is carried out in a thread, and takes its time. Meanwhile the lease it came with may end, and the watch over
the lease has then taken the role from this host already. So an order is judged by what is assigned at its end: only
that is held, and announced, and an order that has lost its lease was not obeyed.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from mmm.agent.plan import Chain, Facts, Past, Seen, Server, remember
from mmm.agent.stopwatch import Laps
from mmm.config.model import Vip
from mmm.wire.agent import LEASE_OVER, Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: no failures means it stands as wanted; notes could not be confirmed."""

    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    held: frozenset[Vip] = frozenset()
    """The assigned VIPs that stand as wanted."""
    removed: int = 0
    took: Laps = ()
    why: str = ""
    """The code of what failed; empty where it has none."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change has left behind; `seen` is None where nothing could be seen, and nothing was done then."""

    outcome: Outcome
    seen: Seen | None = None
    """What stood before it."""
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
    return remember(now, changed.seen, known, past, changed.unfinished)


def judged(changed: Changed, begun: Status, now: Status, past: Past) -> Outcome:
    """Return what a change has come to that was begun for one status, when another is assigned `now`.

    `past` is what is known after it, see `remembered`.
    """
    outcome = replace(changed.outcome, held=past.held)
    lost = [vip for vip in begun.vips if vip not in now.vips]
    if not lost:
        return outcome
    said = tuple(f"{vip}: its lease ended while this order was carried out" for vip in lost)
    return replace(outcome, failures=(*outcome.failures, *said), why=LEASE_OVER)


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
