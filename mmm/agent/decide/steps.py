"""What an agent can do, one value a step, and plans made of them (rules 7, 10.3)."""

from dataclasses import dataclass

from mmm.config.model import Vip
from mmm.wire.why import NOT_DONE


@dataclass(frozen=True, slots=True)
class Follow:
    """Replicate from `host`."""

    host: str

    def __str__(self) -> str:
        return f"follow {self.host}"


@dataclass(frozen=True, slots=True)
class DenyWrites:
    """Set read_only and end the clients."""

    def __str__(self) -> str:
        return "deny writes"


@dataclass(frozen=True, slots=True)
class AllowWrites:
    """Lift read_only, for the writer's VIP."""

    vip: Vip

    def __str__(self) -> str:
        return "allow writes"


@dataclass(frozen=True, slots=True)
class SemiSyncRole:
    """Be the semi-sync source, whose commits wait, or a replica that acknowledges. That it fails fails no order."""

    source: bool

    def __str__(self) -> str:
        return f"semi-sync {'source' if self.source else 'replica'}"


@dataclass(frozen=True, slots=True)
class Sync:
    """Apply all that the peer has, or where it does not answer, all that was received.

    With `force` as much of that as can be had in time is enough (rule 10.10). A peer that is `lost` is not waited for.
    """

    force: bool = False
    lost: bool = False

    def __str__(self) -> str:
        return "sync as far as possible" if self.force else "sync"


@dataclass(frozen=True, slots=True)
class Salvage:
    """Get what only the binary log of the old writer's dead server has, while the lease of `vip` lasts.

    That it fails fails no order: the failover goes on without, and says so.
    """

    host: str
    vip: Vip

    def __str__(self) -> str:
        return f"get the rest of {self.host}'s binary log"


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Follow other replicas of the lost writer, one after the other, up to what they have, while `vip` has a lease.

    What cannot be got fails no order: the failover goes on without, and says so. At its end the peer is the source
    again, and out of reach.
    """

    hosts: tuple[str, ...]
    vip: Vip

    def __str__(self) -> str:
        return f"catch up from {', '.join(self.hosts)}" if self.hosts else "catch up no more"


@dataclass(frozen=True, slots=True)
class OwnSource:
    """Replicate from `host`, the peer, again: catching up from a slave was broken off. That it fails fails no order."""

    host: str
    detached: bool = False
    """The peer was lost: it is not to be reached."""

    def __str__(self) -> str:
        return f"take {self.host} as the source again"


@dataclass(frozen=True, slots=True)
class Bind:
    """Bind a VIP and announce it, and go on with that where it is to `insist`: another host may wake that had it."""

    vip: Vip
    insist: bool = False

    def __str__(self) -> str:
        return f"bind {self.vip}"


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whether somebody has the VIP; where somebody has and it is to `stop` that, it fails."""

    vip: Vip
    stop: bool = False

    def __str__(self) -> str:
        return f"probe {self.vip}"


@dataclass(frozen=True, slots=True)
class Unbind:
    """Unbind a VIP."""

    vip: Vip

    def __str__(self) -> str:
        return f"unbind {self.vip}"


@dataclass(frozen=True, slots=True)
class UnbindElsewhere:
    """Unbind a VIP from all other interfaces."""

    vip: Vip

    def __str__(self) -> str:
        return f"unbind {self.vip} elsewhere"


@dataclass(frozen=True, slots=True)
class KillServer:
    """Kill the server here, which does not answer: if it thaws it commits nothing. That it fails fails no order."""

    def __str__(self) -> str:
        return "kill the server"


@dataclass(frozen=True, slots=True)
class StopReceiving:
    """Take nothing more from the source; where that is to `finish`, what came since the sync is applied."""

    finish: bool = False

    def __str__(self) -> str:
        return "stop receiving"


@dataclass(frozen=True, slots=True)
class ThrowAway:
    """Throw away what was received and could not be applied in time: it is lost by order, and is not to come later.

    Only while the peer, which has it, lives. That it fails fails no order.
    """

    def __str__(self) -> str:
        return "throw away what is not applied"


@dataclass(frozen=True, slots=True)
class Detach:
    """Make the source unreachable, also for a server that restarts. That it fails fails no order: it is tried again."""

    def __str__(self) -> str:
        return "detach from the source"


@dataclass(frozen=True, slots=True)
class Attach:
    """Replicate from the source again. One that has still to catch up is waited for, until the next look."""

    def __str__(self) -> str:
        return "attach to the source"


@dataclass(frozen=True, slots=True)
class FinishLifting:
    """Finish setting the delay to 0 that a promotion has begun; what is not applied yet is waited for, until later."""

    def __str__(self) -> str:
        return "finish setting the delay to 0"


@dataclass(frozen=True, slots=True)
class StartReplication:
    """Start replication."""

    def __str__(self) -> str:
        return "start replication"


@dataclass(frozen=True, slots=True)
class RenewLogin:
    """Log in to the source, which turns the replica away, as the conf says. That it fails fails no order."""

    host: str

    def __str__(self) -> str:
        return f"renew the login at {self.host}"


@dataclass(frozen=True, slots=True)
class GoOn:
    """Go on in the log of a source that was set up anew, where that is proved to skip nothing.

    Else replication stays stopped. That it fails fails no order.
    """

    host: str

    def __str__(self) -> str:
        return f"go on in the log of {self.host}"


@dataclass(frozen=True, slots=True)
class StopReplication:
    """Stop replication."""

    def __str__(self) -> str:
        return "stop replication"


Replicate = (
    StopReceiving
    | ThrowAway
    | Detach
    | Attach
    | FinishLifting
    | StartReplication
    | StopReplication
    | RenewLogin
    | GoOn
    | OwnSource
)
Step = (
    Follow
    | DenyWrites
    | AllowWrites
    | SemiSyncRole
    | Sync
    | Salvage
    | CatchUp
    | Probe
    | Bind
    | Unbind
    | UnbindElsewhere
    | KillServer
    | Replicate
)
Dispensable = KillServer | SemiSyncRole | ThrowAway | Detach | RenewLogin | GoOn | OwnSource
"""Steps whose failure fails no order, and does not end their chain."""

Chain = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Chains of steps in order; a chain ends at its first step that fails."""

    chains: tuple[Chain, ...] = ()
    refusals: tuple[str, ...] = ()
    """What was ordered and cannot be done, a sentence each: the answer is ERROR."""
    notes: tuple[str, ...] = ()
    """What could not be confirmed and does no harm now: the answer is OK, and it is looked at again soon."""
    code: str = NOT_DONE
    """What the refusals come from, one of `mmm.wire.why`."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return all steps in order."""
        return tuple(step for chain in self.chains for step in chain)
