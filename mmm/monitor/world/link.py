"""What was said to a host's agent, and what came back, as frozen values (rules 10.3, 10.24)."""

from dataclasses import dataclass, replace
from enum import StrEnum

from mmm.config.model import Vip
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.wire.held import Stay
from mmm.wire.status import Status


@dataclass(frozen=True, slots=True)
class Greeting:
    """A PING is under way that is to bring a token for the order with this status."""

    status: Status
    at: float
    """When it went out."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order is under way."""

    status: Status
    at: float
    """When it went out."""
    new: frozenset[Vip] = frozenset()
    """The VIPs of it that the host could not have before."""
    overtaken: bool = False
    """The host was killed or found without its VIP since: the answer says nothing of what is told or held now."""
    before: Outstanding = NOTHING
    """What the host was granted of the active master role before this was sent."""


InFlight = Greeting | Ordered


@dataclass(frozen=True, slots=True)
class Token:
    """What an agent gives to be granted a lease by, and when it was received."""

    text: str
    received: float


@dataclass(frozen=True, slots=True)
class Orders:
    """The exchange of orders and answers; it changes with every heartbeat."""

    in_flight: InFlight | None = None
    number: int = 0
    """That of the last one; an answer counts only for the order it answers."""
    ended: float | None = None
    """When the last one ended; None: the next one is due at once."""
    again: float | None = None
    """When a promise by which the last one was refused is over: it is due again then; None: it was not."""
    token: Token | None = None
    """The newest token of the agent, as long as no order was sent with it."""
    stale: int = 0
    """How often the last order was refused for its token, as by an agent that has just been started, or one that took
    longer than the lease it came with; it is repeated at once."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The agent answered ERROR to the last order; `status` is what that was, None where it is owed anew."""

    text: str
    status: Status | None


@dataclass(frozen=True, slots=True)
class Silence:
    """The last order had no answer; `status` is what that was, None where it is not known, or owed anew."""

    why: str
    status: Status | None
    unreachable: bool = False
    """It is the agent's own fault: its host answered all the same."""
    closed: bool = False
    """The host's system said that no agent listens."""


Failure = ErrorReply | Silence
"""How the last order failed."""


class KillStep(StrEnum):
    """How far it is with kill_host for a host."""

    NONE = "none"
    OWED = "owed"
    """The host lost roles by a failure: if the next order is not answered it is killed."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Kill:
    """Whether the host is to be killed."""

    step: KillStep = KillStep.NONE
    failed: float | None = None
    """When kill_host failed last; None: it did not, or the agent has answered since."""
    spared: bool = False
    """It is not killed for what it may have: the monitor before knew it to have no VIP, or nobody tells of one."""

    @property
    def running(self) -> bool:
        """Tell whether kill_host is running."""
        return self.step is KillStep.RUNNING

    def owed(self) -> "Kill":
        """Return what comes of it when the host loses roles by a failure."""
        return self if self.running else replace(self, step=KillStep.OWED, spared=False)

    def settled(self) -> "Kill":
        """Return what is left of it when the host does not have to be killed any more."""
        return replace(self, step=KillStep.NONE) if self.step is KillStep.OWED else self


@dataclass(frozen=True, slots=True)
class Look:
    """A look for the host's VIP has ended."""

    ended: float
    absent_since: float | None = None
    """Since when every look has found that nothing answers ARP for the host and its VIP."""


@dataclass(frozen=True, slots=True)
class Search:
    """The looks for a VIP on a host whose agent cannot be asked."""

    under_way: bool = False
    last: Look | None = None

    @property
    def absent_since(self) -> float | None:
        """Return since when every look has found that nothing answers ARP for the host and its VIP."""
        return None if self.last is None else self.last.absent_since


class Kind(StrEnum):
    """What an agent can do, as its answers show."""

    LEASED = "leased"
    """It gives tokens for leases; so is one taken to be that has not answered yet."""
    UNLEASED = "unleased"
    """Its conf has no leases."""
    MMM2 = "mmm2"
    """It is one of MMM 2.x, which knows no leases."""


@dataclass(frozen=True, slots=True)
class About:
    """What the agent has said of itself."""

    kind: Kind = Kind.LEASED
    leaving: bool = False
    """It is being stopped, and waits to be granted the active master role for good."""
    halting: bool = False
    """Its machine, or its agent, is being stopped: nothing new is given to it, and its roles go elsewhere."""
    differs: tuple[str, ...] = ()
    """The keys in which its conf differs from this monitor's, of what leases rest on."""
    stranger: str = ""
    """The address of another monitor that gave it orders lately, which it has refused; empty: there was none."""
    shared: str = ""
    """The digest of what its conf and this monitor's have to have in common; empty: it does not say."""
    heard: bool = False
    """It has answered since the monitor was started, so that its kind is known."""
    stays: frozenset[Stay] = frozenset()
    """For whom it refuses the active master role."""

    @property
    def classic(self) -> bool:
        """Tell whether it gives no tokens for leases: what it holds it holds for good."""
        return self.kind is not Kind.LEASED

    @property
    def mmm2(self) -> bool:
        """Tell whether it is an agent of MMM 2.x."""
        return self.kind is Kind.MMM2


@dataclass(frozen=True, slots=True)
class AgentLink:
    """All that is known of a host's agent."""

    told: Status | None = None
    """The last status that the agent confirmed."""
    may_hold: frozenset[Vip] = frozenset()
    """VIPs that may be bound there: sent or seen, and their removal not confirmed."""
    supposed: frozenset[Vip] = frozenset()
    """Those of which nobody tells: it could not be asked at the start, and might have got them off the record."""
    found: frozenset[Vip] = frozenset()
    """VIPs that were seen bound there at the start; it has not been ordered anything since."""
    may_be_taking: bool = False
    """At the start it did not say what it has, or was at the order that gives it the active master role; it has
    confirmed nothing since."""
    clear: bool = True
    """CLEAR_BAD_ROLES is owed to it: it may hold VIPs that it does not know of."""
    orders: Orders = Orders()
    failure: Failure | None = None
    """How the last order failed; None: it did not, or there was none."""
    refuses_to_follow: str = ""
    """Why it refuses to replicate from the active master; empty once it has carried out an order to do so."""
    kill: Kill = Kill()
    search: Search = Search()
    given: Outstanding = NOTHING
    """What the active master role was granted to it for."""
    granted_before: float = 0.0
    """Seconds of a lease that an earlier start of the monitor may have granted it; 0 once an order was confirmed."""
    about: About = About()
    stays: frozenset[str] = frozenset()
    """Tokens by which it may have left its VIP for good, as others have shown: for these it is taken to hold it."""
    void: frozenset[str] = frozenset()
    """Those by which it surely does not: it has obeyed an order since that was shown, or is off."""

    @property
    def in_flight(self) -> InFlight | None:
        """Return the order or greeting that is under way."""
        return self.orders.in_flight

    @property
    def known_to_hold(self) -> frozenset[Vip]:
        """Return the VIPs that may be bound there by what somebody tells or was told: a status file has no others."""
        return self.may_hold - self.supposed

    @property
    def refused(self) -> Status | None:
        """Return the status that it answered ERROR to, or did not answer at all."""
        return None if self.failure is None else self.failure.status

    @property
    def refusal(self) -> str:
        """Return the ERROR it answered to the last order, empty where it answered none."""
        return self.failure.text if isinstance(self.failure, ErrorReply) else ""

    @property
    def silence(self) -> str:
        """Return why the last order had no answer, empty where it had one."""
        return self.failure.why if isinstance(self.failure, Silence) else ""

    @property
    def unreachable(self) -> bool:
        """Tell whether the agent did not answer although its host does."""
        return isinstance(self.failure, Silence) and self.failure.unreachable

    @property
    def closed(self) -> bool:
        """Tell whether the host's system said, when the agent was last asked, that none listens."""
        return isinstance(self.failure, Silence) and self.failure.closed

    @property
    def serves_many(self) -> bool:
        """Tell whether a question may stay open there: one of MMM 2.x would hear nobody else meanwhile."""
        return self.about.heard and not self.about.mmm2 and not self.unreachable

    def reached(self) -> "AgentLink":
        """Return this of an agent that answers after all."""
        if not isinstance(self.failure, Silence) or not self.failure.unreachable:
            return self
        return replace(self, failure=replace(self.failure, unreachable=False))

    def due(self) -> "AgentLink":
        """Return this where the next order is due at once."""
        return replace(self, orders=replace(self.orders, ended=None))

    def emptied(self, held: frozenset[Vip], given: Outstanding) -> "AgentLink":
        """Return this where it is known, though not from the agent, that its host holds no more than `held`."""
        link = replace(self, told=None, may_hold=held, clear=True, given=given)
        return link if given.until == FOREVER else link.left()

    def stayed(self, token: str, vips: frozenset[Vip]) -> "AgentLink":
        """Return this where another agent shows that these VIPs stay here for good, by what was asked with the token.

        The same where that is known. An answer to what was ordered before says nothing of it.
        """
        if token in self.stays | self.void:
            return self
        given, held = Outstanding(FOREVER, FOREVER), self.may_hold | vips
        link = replace(self, told=None, may_hold=held, given=given, stays=self.stays | {token})
        known = replace(link, supposed=self.supposed - vips, kill=replace(self.kill, spared=False))
        return known.overtaken(vips)

    def left(self) -> "AgentLink":
        """Return this where all by which its VIP may stay for good is void."""
        return replace(self, stays=frozenset(), void=self.void | self.stays) if self.stays else self

    def overtaken(self, there: frozenset[Vip] = frozenset()) -> "AgentLink":
        """Return this where the answer to an order that is under way says nothing of what is told or held any more.

        The VIPs that are `there` are so whether it arrives or not.
        """
        flight = self.orders.in_flight
        if not isinstance(flight, Ordered):
            return self
        flight = replace(flight, overtaken=True, new=flight.new - there)
        return replace(self, orders=replace(self.orders, in_flight=flight))
