"""What a failover may have lost, as a frozen value."""

from dataclasses import dataclass, field
from enum import StrEnum

from mmm.gtid.transactions import Transactions
from mmm.monitor.world.host import Pace
from mmm.monitor.world.said import Fields
from mmm.wire.caught_up import CaughtUp
from mmm.wire.salvaged import Salvaged


class LossCode(StrEnum):
    """What is known of a loss.

    AT_MOST, COMPARED, ACKNOWLEDGED and SALVAGED alone come with a number that it does not exceed.
    """

    AT_MOST = "at_most"
    """`most` were lost if the host wrote no faster than it was seen to."""
    COMPARED = "compared"
    """The host is back, and `most` is what it has and the taker lacks."""
    ACKNOWLEDGED = "acknowledged"
    """Nothing that clients were told of: the taker acknowledged every commit (semi-sync)."""
    SALVAGED = "salvaged"
    """Its binary log was read to its end: `most` is what the taker did not get of that."""
    NEVER_SEEN = "never_seen"
    """What one of the two has was never read."""
    NO_GTIDS = "no_gtids"
    """Places in the binary log are all that is known."""
    LOOKED_ONCE = "looked_once"
    """How fast the host wrote was never measured."""
    UNSEEN = "unseen"
    """It can have written for longer, unseen, than it was measured, or from rest: `likely` is an estimate only."""
    WRITES_ON = "writes_on"
    """It may still take writes: nothing prevents it."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an earlier start of the monitor has said of a loss, of which more is not known any more."""

    text: str
    """The sentence, from its `lost with` on."""
    fields: Fields
    """What that was made of, as JSON has it."""
    values: Fields
    """The loss as JSON has it."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next writer's agent was asked to get the binary log of a writer whose server is dead, in advance."""

    host: str
    """Whose log."""
    taker: str
    """Who was asked."""
    asked: float
    """When that was, the last time."""
    under_way: bool = True
    """There is no answer yet."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What may have been lost when the active master role went from `host` to `taker` (rule 11.3)."""

    host: str
    taker: str
    began: float
    """When the role was given to the other one."""
    dead: float | None = None
    """Since when nothing listened at the host's port, where it was so when the other one took over."""
    released: float | None = None
    """When the host's agent had confirmed that it let the role go; None: it did not."""
    sure: bool = True
    """It certainly no longer has the role."""
    taken: float | None = None
    """When the other one had confirmed that it has the role; None: not yet."""
    ended: float | None = None
    """Until when the host can have written, at the latest."""
    code: LossCode | None = None
    """None: it was not estimated yet."""
    most: int | None = None
    """Transactions; None: unknown."""
    likely: int | None = None
    """Transactions, where `most` is unknown: at the fastest rate that was seen."""
    missing: int = 0
    """Transactions that were seen on the host and that the other one lacks."""
    rate: float | None = None
    """The fastest that the host was seen to write, in transactions a second."""
    rate_age: float = 0.0
    """How many seconds that was before `ended`."""
    acknowledged: tuple[str, ...] = ()
    """The hosts that have received all that clients were told of, one or another of them (semi-sync); none: unknown."""
    seen: float | None = None
    """When the host was last looked at: transactions since then, and those that were missing then, count."""
    looked: float | None = None
    """When the other one was looked at for this; None: not since it took over."""
    had: Transactions | None = None
    """What the host had at the last look that tells of it: not one at data that have replaced what was lost."""
    paces: tuple[Pace, ...] = ()
    """How fast the host wrote, up to that look."""
    salvaged: Salvaged | None = None
    """What the taker got of the binary log of the host; None: nothing was tried."""
    caught_up: tuple[CaughtUp, ...] = ()
    """What the taker got of other replicas before it took writes, or could not get."""
    about: Fields = field(default_factory=dict)
    """What else its sentence names, by the code."""
    recorded: Recorded | None = None
    """Set where it is from the history, and not this start's own."""

    @property
    def known(self) -> bool:
        """Tell whether it has been estimated."""
        return self.code is not None
