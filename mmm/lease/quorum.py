"""How many voters it takes to lead, and to go on leading (rule 14.2). Pure.

Any set that takes the lead meets any set that keeps it: `take(n) + keep(n) > n`. So who takes it has asked a voter that
would have been bound, had the other one still led.
"""

from collections.abc import Iterable
from math import inf

MOST_VOTERS = 7
"""Hosts that vote where the conf does not name the voters."""


def take(voters: int) -> int:
    """Return how many voters must agree before a monitor leads: a majority."""
    return voters // 2 + 1


def keep(voters: int) -> int:
    """Return how many must agree to each later round: one of any that take the lead is among them."""
    return voters - take(voters) + 1


def free_in(left: Iterable[float], voters: int) -> float:
    """Return in how many seconds so many of the voters are bound to nobody that a monitor may take the lead.

    `left` has the seconds for which each is bound yet that has said so, 0 for one that is not. 0: they are now;
    infinity: too few have said anything.
    """
    ended = sorted(left)[: take(voters)]
    return ended[-1] if len(ended) == take(voters) else inf
