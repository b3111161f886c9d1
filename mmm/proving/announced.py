"""What MMM said about a loss, as values, and whether it was true. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Announced:
    """What was said once of a loss; of one failover it may be more than once, when more is known."""

    at: float
    """When it was read, by the clock of who reads: the monitor's own may be wrong."""
    host: str
    taker: str
    code: str
    """See mmm.monitor.world.LossCode."""
    most: int | None
    """Transactions that are lost at most; None: MMM does not know."""

    def __str__(self) -> str:
        said = "unknown" if self.most is None else f"at most {self.most}"
        return f"{said} ({self.code})"

    def too_low(self, lost: int) -> bool:
        """Tell whether more was lost than was said; where MMM says that it does not know, nothing is."""
        return self.most is not None and self.most < lost
