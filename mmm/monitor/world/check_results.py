"""What a run of a check comes to: each kind of check with what it alone can tell."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Transactions
from mmm.monitor.world.checks import NO_CAUSE, REFUSED, Cause, Finding, Outcome


@dataclass(frozen=True, slots=True)
class PingChecked:
    """A run of `ping` has ended."""

    host: str
    finding: Finding

    check: ClassVar[str] = "ping"

    @property
    def answered(self) -> bool:
        """Tell whether the host answered: what passed over the network."""
        return self.finding.outcome is Outcome.OK


@dataclass(frozen=True, slots=True)
class ServerChecked:
    """A run of `mysql` has ended."""

    host: str
    finding: Finding
    writable: bool | None = None
    """None where the server did not say."""
    cause: Cause = NO_CAUSE
    """Why it is UNKNOWN or ERROR."""

    check: ClassVar[str] = "mysql"

    @property
    def answered(self) -> bool:
        """Tell whether the host answered, be it by a refusal, or by turning the monitor away."""
        return self.finding.outcome is not Outcome.ERROR or self.cause.code == REFUSED


class Link(StrEnum):
    """How a replica stands to its source."""

    ATTACHED = "attached"
    CONNECTING = "connecting"
    """It tries to connect, now and again."""
    DETACHED = "detached"
    """On purpose; an ERROR only for a host that should follow another."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What a server says of its replication."""

    source: str
    """The address that it replicates from."""
    uses_gtid: bool
    behind: float | None = None
    """Seconds that it is behind its source; None where it does not know."""
    link: Link = Link.ATTACHED
    delay: int = 0
    """Seconds by which it is set to stay behind."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a server's replication has found."""

    replica: Replica | None
    """None where replication is not configured."""
    transactions: Transactions | None = None
    """What the server has; None where it did not say."""


@dataclass(frozen=True, slots=True)
class ReplicaChecked:
    """A run of `rep_threads` or `rep_backlog` has ended."""

    host: str
    check: str
    finding: Finding
    look: Look | None = None
    """None where the server did not let the monitor look."""
    cause: Cause = NO_CAUSE
    """Why it is UNKNOWN or ERROR."""
    settings: Settings | None = None
    """What the server is set to; None where it was not asked now."""

    @property
    def answered(self) -> bool:
        """Tell whether the server answered the question."""
        return self.finding.outcome is Outcome.OK

    @property
    def replica(self) -> Replica | None:
        """Return what it says of its replication; None where it did not, or has none."""
        return None if self.look is None else self.look.replica

    @property
    def transactions(self) -> Transactions | None:
        """Return what the server has; None where it did not say."""
        return None if self.look is None else self.look.transactions

    @property
    def connecting_to(self) -> str:
        """Return the address of the source that it is trying to connect to; empty when it is not."""
        replica = self.replica
        return replica.source if replica is not None and replica.link is Link.CONNECTING else ""

    @property
    def detached(self) -> bool:
        """Tell whether it is detached from its source."""
        return self.replica is not None and self.replica.link is Link.DETACHED


CheckResult = PingChecked | ServerChecked | ReplicaChecked
