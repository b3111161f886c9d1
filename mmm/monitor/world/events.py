"""What happens to the monitor: each event ends something that it asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mmm.config.model import Vip
from mmm.gtid.place import Tail
from mmm.monitor.world.check_results import PingChecked, ReplicaChecked, ServerChecked
from mmm.monitor.world.examined import Ending, Met
from mmm.monitor.world.leadership import Leadership
from mmm.monitor.world.link import Token
from mmm.wire.caught_up import CaughtUp
from mmm.wire.doubts import Doubt
from mmm.wire.held import Stay
from mmm.wire.job import Ended, Job
from mmm.wire.questions import Note
from mmm.wire.salvaged import Salvaged


@dataclass(frozen=True, slots=True)
class Led:
    """Which monitor leads, by the last round of questions to the voters, and what may be sent to agents now."""

    leadership: Leadership
    tokens: Mapping[str, Token]
    """By host: received before the newest complete round was asked."""
    done: bool = False
    """What the admin has asked for is done."""


class Answer(StrEnum):
    """How an order to an agent ended."""

    OK = "OK"
    ERROR = "ERROR"
    REFUSED = "REFUSED"
    """No connection: the order cannot have arrived."""
    SILENT = "SILENT"
    """No answer, or garbage: it may have been carried out or not."""
    UNSENT = "NOT SENT"
    """The monitor has not sent it: the file that was to be written first, which the text names, was not in time."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An order of `number` to a host's agent has ended; `uptime` only where it answered."""

    host: str
    number: int
    answer: Answer
    text: str = ""
    uptime: float | None = None
    token: str = ""
    """The token that the answer brought; empty where there was none."""
    closed: bool = False
    """The host's system said that no agent listens."""
    why: str = ""
    """The code of an ERROR, one of `mmm.wire.why` or `mmm.wire.lead`; empty where it has none."""
    refuses_to_follow: str = ""
    """The sentence by which a slave refuses to follow the active master."""
    follows: str = ""
    """The address of another monitor that the agent obeys: it has refused this one."""
    differs: tuple[str, ...] = ()
    """The keys in which the agent's conf differs from this monitor's, of what leases rest on."""
    shared: str = ""
    """The digest of what its conf and this monitor's have to have in common; empty: it does not say."""
    halting: bool = False
    """Its machine is being shut down, or its agent is stopped, and its roles are to go elsewhere."""
    without: bool = False
    """It has refused the active master role for its conf, and done the rest: the host is without the role."""
    stranger: str = ""
    """The address of another monitor that the agent has refused lately."""
    bound: frozenset[str] | None = None
    """The VIPs that stand on the host after an order that was not carried out; None where the agent does not say."""
    promised_for: float | None = None
    """It refuses the role by its promise for that many seconds yet; None: it does not say so."""
    stays: frozenset[Stay] = frozenset()
    """For whom it refuses the active master role: their VIP stays for good by what they have asked."""
    leaving: bool = False
    """The agent is being stopped, and is to be granted the active master role for good."""
    salvaged: Salvaged | None = None
    """What it got of the binary log of the writer before it; None: nothing was tried."""
    caught_up: tuple[CaughtUp, ...] = ()
    """What it got of other replicas before it took writes."""
    job: Job | None = None
    """The job that rebuilds its host, and has not ended."""
    ended: Ended | None = None
    """The last one that has ended, for a while after that."""


@dataclass(frozen=True, slots=True)
class RejoinAnswered:
    """An order to rebuild a host has ended: it has begun there, or `why` it has not; `lines` say so in words."""

    host: str
    begun: bool
    lines: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Why the tool has refused."""
    why: str = ""
    """The code of an ERROR."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return the codes of why it has not begun."""
        return self.codes or (self.why,) * bool(self.why)


@dataclass(frozen=True, slots=True)
class ServerExited:
    """A host's agent has told that the process of its server has ended."""

    host: str
    pid: int
    at: float
    """When that was heard, on the monitor's own clock."""


@dataclass(frozen=True, slots=True)
class Killed:
    """kill_host_bin has ended; `failure` is empty where it succeeded."""

    host: str
    failure: str = ""


@dataclass(frozen=True, slots=True)
class VipLooked:
    """A look for a VIP has ended; `absent` where nothing answers for it."""

    host: str
    vip: Vip
    absent: bool


@dataclass(frozen=True, slots=True)
class Opinions:
    """Others were asked about a host: those that `heard` the question and had an opinion, those that `reached` it.

    `reached` its server, that is; `met` are those whom its agent answered.
    """

    host: str
    heard: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    met: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRead:
    """A look at the binary log of a host's server has ended."""

    host: str
    tail: Tail


@dataclass(frozen=True, slots=True)
class GotAhead:
    """A host's agent was asked to get another one's binary log in advance, and has answered or not."""

    host: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A host's agent has said what it sees of its server."""

    host: str
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class Doubted:
    """A host's agent has said what is wrong on its host."""

    host: str
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class ServerWatched:
    """A host's agent watches the process of its server, or says why it cannot: `problem`."""

    host: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """The monitor is cut off, or no more. `by_hosts`: for all hosts fell silent at once."""

    up: bool
    by_hosts: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """These VIPs, and no others any more, are to be bound nowhere: another conf has not got them."""

    vips: frozenset[Vip]


@dataclass(frozen=True, slots=True)
class Examined:
    """The doctor has looked at the cluster; what it found that the next failover would meet."""

    errors: frozenset[Met]
    ending: tuple[Ending, ...] = ()
    """Certificates that end soon, or have ended."""


Event = (
    PingChecked
    | ServerChecked
    | ReplicaChecked
    | ServerExited
    | Answered
    | Doubted
    | Examined
    | GotAhead
    | Killed
    | Led
    | LogRead
    | Network
    | Noted
    | Opinions
    | RejoinAnswered
    | ServerWatched
    | VipLooked
    | Withdrawn
)
