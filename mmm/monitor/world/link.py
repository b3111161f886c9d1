"""What was said to a host's agent, and what came back, as frozen values."""

from dataclasses import dataclass

from mmm.config.model import Vip
from mmm.lease.rules import NOTHING, Outstanding
from mmm.wire.agent import Status


@dataclass(frozen=True, slots=True)
class AgentLink:
    """What was said to a host's agent and what came back (rules 10.3, 10.24)."""

    told: Status | None = None
    """The last status that the agent confirmed."""
    may_hold: frozenset[Vip] = frozenset()
    """VIPs that may be bound there: sent or seen, and their removal not confirmed."""
    found: frozenset[Vip] = frozenset()
    """VIPs that were seen bound there at the start; it has not been ordered anything since."""
    sent: Status | None = None
    """The status of the order under way, None when none is."""
    sent_at: float = 0.0
    """When the last order went out."""
    sent_new: frozenset[Vip] = frozenset()
    """The VIPs of that order which were not there before."""
    overtaken: bool = False
    """kill_host has ended since that order went out: its answer says nothing of what is told or held now."""
    order: int = 0
    """Number of the last order; an answer counts only for the order it answers."""
    last_order: float | None = None
    """When the last order ended."""
    unreachable: bool = False
    """The agent did not answer although ping is good."""
    silence: str = ""
    """Why the last order had no answer."""
    refusal: str = ""
    """The ERROR it answered to the last order, empty when it was OK."""
    refuses_to_follow: str = ""
    """Why it refuses to replicate from the active master; empty once it has done an order that asks for it."""
    refused: Status | None = None
    """The status that it answered ERROR to, or did not answer at all."""
    clear: bool = True
    """CLEAR_BAD_ROLES is owed to it: it may hold VIPs that it does not know of."""
    kill_unless_told: bool = False
    """It lost roles by a failure: if the next order is not answered the host is killed."""
    killing: bool = False
    """kill_host is running for it."""
    unkillable: bool = False
    """kill_host has failed for it, and its agent has not answered since."""
    kill_tried: float | None = None
    """When kill_host ended last."""
    closed: bool = False
    """When it was last asked the host's system said that no agent listens."""
    looking: bool = False
    """Its VIP is being looked for."""
    looked: float | None = None
    """When that ended last."""
    absent_since: float | None = None
    """Since when every look has found that nothing answers ARP for the host and its VIP."""
    given: Outstanding = NOTHING
    """What the active master role was granted to it for."""
    token: str = ""
    """The newest token of its agent, as long as no order was sent with it."""
    token_at: float = 0.0
    """When that one was received."""
    classic: bool = False
    """Its agent gives no tokens for leases: what it holds it holds for good."""
    mmm2: bool = False
    """Its agent is one of MMM 2.x."""
    leaving: bool = False
    """Its agent is being stopped, and waits to be granted the active master role for good."""
    greeting: bool = False
    """The order under way is a PING for a token."""
    differs: tuple[str, ...] = ()
    """The keys in which its conf differs from this monitor's, of what leases rest on."""
    stranger: str = ""
    """The address of another monitor that gave it orders lately, which it has refused; empty: there was none."""
    stale: int = 0
    """How often the last order was refused for its token, as by an agent that has just been started, or one that took
    longer than the lease it came with; it is repeated at once."""


NEW_LINK = AgentLink()
"""A link over which nothing was said yet."""
