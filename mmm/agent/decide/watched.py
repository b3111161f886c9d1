"""What the watch over this host's lease knows between two looks; see `mmm.agent.decide.lease_watch`. Pure."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class TakingAway:
    """The role is being taken from this host: no more writes at first, then no VIP."""

    until: float
    """The lease ends at this moment, and whoever waits for the server to be read_only has waited enough."""
    left: bool = False
    """The host is not the writer any more."""
    unbinding: int = 0
    """How many unbindings of VIPs are under way."""


@dataclass(frozen=True, slots=True)
class Denying:
    """The server is being made read_only, and its clients ended."""

    again: bool = False
    """Writes may have been allowed since that began."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What the watch over the lease knows."""

    renewed: float = -inf
    """When readers' VIPs were renewed last."""
    asking: float | None = None
    """When the awaited promises were asked for."""
    asks_from: float = -inf
    """Promises are not asked for before this moment."""
    reaching: bool = False
    """Other hosts are being asked for a sign of life."""
    said: bool = False
    """That promises renew the lease was said since the monitor was last heard."""
    contested: float = -inf
    """Since when another host may have the role by some sign; it is over once all have promised."""
    claimed: float = -inf
    """When another MAC was last heard to claim the VIP, and others were asked for that."""
    sure_until: float = -inf
    """Before this moment who claims the VIP is taken to be the one that has lost it."""
    voids: bool = False
    """The monitor knows of VIPs that stay for good though it was not heard, and says when that is void."""
    writable: bool = False
    """The lease is over, and the server could not be made read_only."""
    denying: Denying | None = None
    taking_away: TakingAway | None = None

    @property
    def is_at_peace(self) -> bool:
        """Tell whether nothing is still to be taken from this host, or denied."""
        return self.is_fenced and self.taking_away is None

    @property
    def is_fenced(self) -> bool:
        """Tell whether no writes are to be denied that were not yet."""
        return self.denying is None and not self.writable
