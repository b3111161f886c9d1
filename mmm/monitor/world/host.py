"""What is known of a host, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mmm.config.names import CHECK_NAMES
from mmm.gtid.place import Tail
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Executed, Transactions
from mmm.monitor.world.attempt import Attempt
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.said import Said
from mmm.wire.doubts import Doubt
from mmm.wire.job import Job
from mmm.wire.questions import Note


class State(StrEnum):
    """The state of a host (rule 6.4). Only ONLINE hosts hold roles."""

    ONLINE = "ONLINE"
    ADMIN_OFFLINE = "ADMIN_OFFLINE"
    HARD_OFFLINE = "HARD_OFFLINE"
    AWAITING_RECOVERY = "AWAITING_RECOVERY"
    REPLICATION_FAIL = "REPLICATION_FAIL"
    REPLICATION_DELAY = "REPLICATION_DELAY"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the agents of other hosts said of one whose server fell silent (rule 11.2)."""

    asked: float
    """When they were asked last."""
    pending: bool = False
    """Their answers are awaited."""
    known: bool = False
    """They have answered, or their time was over, at least once."""
    heard: tuple[str, ...] = ()
    """The hosts that had an opinion."""
    reached: tuple[str, ...] = ()
    """Those of them that reach its server."""
    met: tuple[str, ...] = ()
    """Those of them that its agent answers."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What the active master had when a host was in use last, or when it took over while that host was lost."""

    host: str
    transactions: Transactions


@dataclass(frozen=True, slots=True)
class Missed:
    """What the last writer, `host`, had when it was looked at, and another has not got yet."""

    host: str
    seen: float
    """When it was looked at, in monotonic seconds."""
    executed: Executed
    lag: float = 0.0
    """For how many seconds, as of the last look at both, the other one has received nothing of this."""


@dataclass(frozen=True, slots=True)
class Switched:
    """The active master that a slave's agent has confirmed to follow, and when."""

    master: str
    at: float


@dataclass(frozen=True, slots=True)
class Pace:
    """How many transactions a second a server got between two looks, the later one `at`, `over` seconds apart."""

    at: float
    rate: float
    over: float


@dataclass(frozen=True, slots=True)
class System:
    """How long the host's system has been up, in seconds, as its agent says with every answer."""

    uptime: float = 0.0
    """When its agent last answered."""
    last_uptime: float = 0.0
    """When it last answered while the host was ONLINE; 0 is never."""
    rebooted: bool = False
    """It was less than before in an answer since then: it may have grown past `last_uptime` again."""

    def heard(self, uptime: float, *, online: bool) -> "System":
        """Return this after an answer, of a host that is `online` or not."""
        if online:
            return System(uptime, uptime)
        return System(uptime, self.last_uptime, self.rebooted or uptime < self.last_uptime)


@dataclass(frozen=True, slots=True)
class Flaps:
    """How often a host went out of use since it began to."""

    since: float
    count: int
    too_many: bool = False
    """It is flapping: it went out of use too often."""


@dataclass(frozen=True, slots=True)
class Writable:
    """Every mysql check found the server writable, though it is not the active master's, in this time."""

    since: float
    seen: float


@dataclass(frozen=True, slots=True)
class Behind:
    """By how many seconds a server was behind its source, and when that was seen."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Replication:
    """How a server replicates."""

    connecting_since: float | None = None
    """Since when its replica has been trying to connect to a source that works."""
    delay: int = 0
    """Seconds by which it is set to stay behind."""
    uses_gtid: bool = False
    """It follows a source by GTID, so that the moment of a switch does not matter."""
    switched: Switched | None = None
    """The master that its agent, one of MMM 2.x, last confirmed to follow; of slaves only."""
    skipped_at: str = ""
    """The active master at the end of whose binary log it went on, so that it may lack rows; empty: it did not."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a server has, and what it lacks: of one that is written to it changes with every look."""

    transactions: Transactions | None = None
    """What it has, as last read; it stays when the server is gone. None: never read."""
    rates: tuple[Pace, ...] = ()
    """How fast it got transactions in the last looks at what it has; of hosts that can be active master."""
    behind: Behind | None = None
    """How far it was behind its source when that was last known.

    Of hosts that can be active master, and of those whose agent is of MMM 2.x.
    """
    missed: Missed | None = None
    """What it has not got of the last writer; of hosts that can be active master. None: nothing, or not known."""
    earlier: Transactions | None = None
    """What it had at the look before the last one; of hosts that can be active master."""


@dataclass(frozen=True, slots=True)
class TailRead:
    """What a look at a server's binary log found, and when it ended."""

    tail: Tail
    ended: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How what a host has that was lost is compared with what the active master has."""

    reference: Reference | None = None
    """What it is compared with when it comes back; of possible masters only."""
    looks: int = 0
    """How often its replication was checked in its present state; counted while it may have to be compared."""
    reads_log: bool = False
    """Its binary log is being looked at."""
    read: TailRead | None = None
    """What the last look at that found."""

    @property
    def tail(self) -> Tail | None:
        """Return what its binary log has behind the place up to which the active master had it, as far as is known."""
        return None if self.read is None else self.read.tail


@dataclass(frozen=True, slots=True)
class HostWorld:
    """All that is known of one host."""

    state: State = State.AWAITING_RECOVERY
    since: float = 0.0
    online_since: float | None = None
    why: Said | None = None
    """What brought it here, by the name of the state rule or of the order, with its figures."""
    lost: bool = False
    """It was HARD_OFFLINE or AWAITING_RECOVERY since it was in use last."""
    used: bool = False
    """It has been in use (ONLINE) since the cluster was set up; False where nothing tells that it was."""
    flaps: Flaps | None = None
    checks: Mapping[str, CheckStatus] = field(
        default_factory=lambda: dict.fromkeys(CHECK_NAMES, CheckStatus())
    )
    system: System = System()
    writable: Writable | None = None
    """Set while its server is writable though it is not the active master."""
    settings: Settings | None = None
    """What its server is set to, as last read; of hosts that can be active master. None: never read."""
    notes: tuple[Note, ...] = ()
    """What its agent sees of its server that the monitor may not; of hosts that can be active master."""
    noted_at: float = 0.0
    """When it said so, where it said anything."""
    doubts: tuple[Doubt, ...] = ()
    """What is wrong on the host, as its agent said last."""
    job: Job | None = None
    """The job that gives it other data and has not ended, as its agent said last."""
    ended_job: str = ""
    """The name of the last job of that kind that its agent has told the end of."""
    attempt: Attempt | None = None
    """The last order to rebuild it by itself; None: there was none since the monitor was started."""
    unwatched: str = ""
    """Why its agent cannot watch the process of its server; empty where it can, or was not asked."""
    replication: Replication = Replication()
    progress: Progress = Progress()
    comparison: Comparison = Comparison()
    opinion: Opinion | None = None
    """What others said when they were asked last whether they reach it."""
    agent: AgentLink = field(default_factory=AgentLink)

    @property
    def rule(self) -> str:
        """Return the name of what brought it here; empty where that is not known."""
        return "" if self.why is None else self.why.code

    @property
    def flapping(self) -> bool:
        """Tell whether it went out of use too often to come back by itself."""
        return self.flaps is not None and self.flaps.too_many

    @property
    def being_rebuilt(self) -> bool:
        """Tell whether a job is giving it other data now: its server may be stopped for that."""
        return self.job is not None and not self.job.broken_off

    def noted(self, code: str) -> Note | None:
        """Return what its agent notes of that kind, None where it notes nothing."""
        return next((note for note in self.notes if note.code == code), None)

    @property
    def is_lost(self) -> bool:
        """Tell whether it was out of the cluster's sight since it was in use last."""
        return self.lost or self.state in (State.HARD_OFFLINE, State.AWAITING_RECOVERY)

    def good(self, *names: str) -> bool:
        """Tell whether none of the named checks has failed."""
        return not any(self.checks[name].failed for name in names)
