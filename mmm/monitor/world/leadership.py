"""Which monitor leads, as this one knows it (rule 14.2), as values."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import NamedTuple


class Place(StrEnum):
    """What this monitor is among the others."""

    ALONE = "alone"
    """The conf has no `monitors`: it gives orders for as long as agents obey."""
    STANDS_BY = "stands_by"
    """It checks hosts and decides nothing."""
    TAKES = "takes"
    """Enough voters have agreed; it does not yet know what there is."""
    LEADS = "leads"


class HandOver(NamedTuple):
    """The admin wants another monitor to lead."""

    target: str = ""
    """Its address; empty: whichever takes the lead."""


class TakeLead(NamedTuple):
    """The admin vouches that no other monitor gives orders, and wants this one to lead.

    Agents that do not vote, and voters that do not count, do not keep it from that.
    """

    until: float
    """Monotonic seconds: the moment from which on the word is too old to go by."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, and who keeps it so. Addresses are those of `monitors`, without port."""

    place: Place = Place.ALONE
    since: float = 0.0
    """Seconds since 1970: of the place, not of the leader's."""
    leader: str = ""
    """Who leads as far as voters have said, this one where it leads; empty: nobody is known to."""
    kept_by: tuple[str, ...] = ()
    """Voters that agreed in the newest complete round of who leads here, or that say they follow the leader."""
    by_monitors: bool = False
    """That round counted because all other monitors agreed not to take the lead."""
    barred: tuple[str, ...] = ()
    """The monitors by whose word the one before may lead yet, this one not among them: it does not ask for the lead."""
    missing: tuple[str, ...] = ()
    """Voters that did not answer in the last round."""
    uncounted: tuple[str, ...] = ()
    """Voters that answer this one, which stands by, and do not count before they have heard a monitor that leads."""
    others: tuple[str, ...] = ()
    """The other monitors that answer."""
    sure_until: float = 0.0
    """Monotonic seconds: the moment until which agents are sent orders that give no tokens, as those of MMM 2.x."""
    until: float = inf
    """Monotonic seconds: the moment at which the lead ends by itself, unless voters agree once more before."""
    held: frozenset[str] = frozenset()
    """Hosts that may have the active master role for good: enough voters have that on record."""
    asked: HandOver | TakeLead | None = None
    """What the admin has asked for and is not done yet."""

    @property
    def may_order(self) -> bool:
        """Tell whether this monitor gives orders."""
        return self.place in {Place.ALONE, Place.LEADS}


ALONE = Leadership()
