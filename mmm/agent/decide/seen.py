"""What stands on interface and server of this host, as a look has found it (rule 10.4)."""

from dataclasses import dataclass
from enum import Enum

from mmm.gtid.semi_sync import SemiSync
from mmm.wire.job import Job


class Server(Enum):
    """How this host's own server answers."""

    UP = "up"
    DEAD = "dead"
    """Nothing listens: nobody can write."""
    SILENT = "silent"
    """No answer in time, or no way to it: it may be frozen and thaw with sessions that write."""
    REFUSING = "refusing"
    """It lives and turns the agent away."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the server replicates from, and whether a thread of replication runs."""

    ip: str
    port: int
    running: bool
    receives: bool = True
    """The thread that receives runs, or tries to connect."""
    detached: bool = False
    """It was made unreachable on purpose."""
    refused: bool = False
    """The source does not let the replica in."""
    lifting: bool = False
    """Its delay was about to be set to 0, and what was received is being applied first."""
    asleep: bool = False
    """It has not run since the server was started, and nobody has stopped it since."""
    lacks_log: bool = False
    """The source has no binary log from the replica's place on: it was set up anew, say."""
    replicates: bool = True
    """What it has is received and applied: both threads run."""
    behind: int | None = None
    """Seconds by which it is behind, as it says itself; None where it does not know."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands on interface and server. Unknown is None."""

    bound: frozenset[str]
    """The cluster's virtual IPs on the interface, whatever their prefix length."""
    wide: frozenset[str] = frozenset()
    """Those of them that are bound otherwise than as a /32, or /128, or that the kernel does not use."""
    server: Server = Server.UP
    writable: bool | None = False
    source: Source | None = None
    """None without replication, or when it could not be asked."""
    problem: str = ""
    """Why the server could not be asked."""
    sealed: bool = True
    """Not even administrators may write, where the server can forbid it them (super_read_only)."""
    semi_sync: SemiSync | None = None
    """None when it could not be asked."""
    stray: frozenset[str] = frozenset()
    """The cluster's virtual IPs that are bound on other interfaces of this host, a former cluster_interface say."""
    job: Job | None = None
    """The job that rebuilds this host, and has not ended."""

    @property
    def receives(self) -> bool:
        """Tell whether something comes by replication, or would."""
        return self.source is not None and self.source.receives
