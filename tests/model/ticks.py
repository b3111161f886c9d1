"""Moments in ticks, and how those that no rule can tell apart are made equal; for both models."""

from math import floor

from mmm.lease.rules import FOREVER, NEVER

NOW = 0.5
"""An agent's clock; what it stamps within a tick lies before that, in the order in which it stamps."""
GRAIN = 1 / 64
"""What two stamps in one tick are apart."""


def places(moments: set[float], oldest: int) -> dict[float, float]:
    """Return for each moment one in the same tick, or the oldest that matters, in the same order."""
    found: dict[float, float] = {NEVER: NEVER}
    base, rank = NEVER, 0
    for moment in sorted(moments - {NEVER}):
        tick = max(floor(moment), oldest)
        rank = rank + 1 if tick == base else 0
        base = tick
        found[moment] = tick + rank * GRAIN
    return found


def rounded(until: float) -> float:
    """Return the end of a lease in whole ticks, NEVER where it is over."""
    if until == FOREVER:
        return until
    return float(floor(until)) if until > NOW else NEVER


def clipped(until: float, margin: float) -> float:
    """Return the end of a grant, NEVER once nobody has to wait for it."""
    return until if until + margin > 0 else NEVER
