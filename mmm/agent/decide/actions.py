"""What the agent's core asks its shell to do, and what an order is.

An action that says "ends in" has its result told to the core, once; the others are done and forgotten.
"""

from dataclasses import dataclass
from enum import Enum

from mmm.agent.decide.obedience import Outcome
from mmm.agent.decide.plan import Past
from mmm.agent.decide.seen import Seen
from mmm.config.model import Vip
from mmm.lease.rules import Grant
from mmm.wire.status import Status

PREPARED = 0.25
"""Seconds for which a look counts that was taken to be prepared for an order."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was seen to be prepared for the next order, and when that look began and ended, on the clock of leases."""

    began: float
    ended: float
    seen: Seen

    def counts(self, now: float, disturbed: float) -> bool:
        """Tell whether it still does: it is young, and began after this host was last `disturbed`.

        However long the look took: one that an order begins with would take as long.
        """
        return now - self.ended < PREPARED and self.began > disturbed


@dataclass(frozen=True, slots=True)
class Order:
    """A SET_STATUS; the shell knows by its number who waits for the answer."""

    number: int
    status: Status
    grant: Grant | None = None


class How(Enum):
    """How a change is planned."""

    APPLY = "apply"
    """Make the system what is assigned."""
    PUT_RIGHT = "put_right"
    """Bring back what is missing of it."""
    CLEAR = "clear"
    """Unbind what is not assigned."""


@dataclass(frozen=True, slots=True)
class Change:
    """Look at this host, or take what is `seen`, plan, and do the steps; ends in `changed`."""

    how: How
    status: Status
    past: Past
    seen: Seen | None = None
    renews: bool = False
    """The host serves as the writer when it begins, and goes on: others wait for the lease to be renewed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an order."""

    order: Order
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AnswerClear:
    """Answer a request to unbind what is not assigned."""

    number: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Assigned:
    """Say that another status is assigned."""

    before: Status
    after: Status


@dataclass(frozen=True, slots=True)
class Confirm:
    """The monitor has confirmed what is announced."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Announce these VIPs from now on, and no others."""

    vips: frozenset[Vip]


@dataclass(frozen=True, slots=True)
class EndAnnouncing:
    """Announce these VIPs no more."""

    vips: tuple[Vip, ...]


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Call `look_after` after that number of seconds, unless another change ends before."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GetReady:
    """Look for the same order, which comes again at once; ends in `ready`."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Tell all rivals that what they promised up to the token is given back; ends in `given_back`."""

    token: str


@dataclass(frozen=True, slots=True)
class Deny:
    """Set read_only and end clients; ends in `denied`."""


@dataclass(frozen=True, slots=True)
class Unbind:
    """Have the kernel end the clients of these VIPs and remove them; ends in `unbound`."""

    vips: tuple[Vip, ...]


@dataclass(frozen=True, slots=True)
class AskPromises:
    """Ask all rivals for promises; ends in `promised` or `not_promised`."""

    asked: float
    token: str
    rivals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """Ask other hosts for a sign of life; ends in `reached`."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Have the kernel keep these VIPs for as long as they may be bound now."""

    vips: tuple[Vip, ...]


@dataclass(frozen=True, slots=True)
class SayAgain:
    """Announce these VIPs again: another host claims one of them, and is not known to have the role."""

    vips: tuple[Vip, ...]


@dataclass(frozen=True, slots=True)
class Outdone:
    """Say that the role is given up, for another host has it by what a host has `said`."""

    vips: tuple[Vip, ...]
    said: str


@dataclass(frozen=True, slots=True)
class LeaseOver:
    """Say that the lease is over; the monitor was last `heard` that number of seconds ago, infinite: never."""

    vips: tuple[Vip, ...]
    heard: float


@dataclass(frozen=True, slots=True)
class RenewedByPromises:
    """Say that promises renew the lease; the monitor was last `heard` that number of seconds ago, infinite: never."""

    heard: float
    rivals: tuple[str, ...]


Action = (
    Change
    | Answer
    | AnswerClear
    | Assigned
    | Confirm
    | Announce
    | EndAnnouncing
    | LookAgain
    | GetReady
    | GiveBack
    | Deny
    | Unbind
    | AskPromises
    | Reach
    | Renew
    | SayAgain
    | Outdone
    | LeaseOver
    | RenewedByPromises
)
