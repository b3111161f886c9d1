"""What the monitor knows at one moment, as frozen values.

Every decider takes a World and returns another one. Times are monotonic seconds; `None` means never.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from mmm.config.model import Cluster, Host, Vip
from mmm.config.names import CHECK_NAMES
from mmm.gtid.place import Tail
from mmm.gtid.settings import Settings
from mmm.gtid.transactions import Executed, Transactions
from mmm.lease.rules import NOTHING, Outstanding
from mmm.monitor.world.indexed import Hosts, Owners
from mmm.wire.agent import Note, Status
from mmm.wire.doubts import Doubt


class State(StrEnum):
    """The state of a host (rule 6.4). Only ONLINE hosts hold roles."""

    ONLINE = "ONLINE"
    ADMIN_OFFLINE = "ADMIN_OFFLINE"
    HARD_OFFLINE = "HARD_OFFLINE"
    AWAITING_RECOVERY = "AWAITING_RECOVERY"
    REPLICATION_FAIL = "REPLICATION_FAIL"
    REPLICATION_DELAY = "REPLICATION_DELAY"


class Mode(StrEnum):
    """How much the monitor does by itself."""

    ACTIVE = "ACTIVE"
    MANUAL = "MANUAL"
    WAIT = "WAIT"
    PASSIVE = "PASSIVE"


class Outcome(StrEnum):
    """What one run of a check found."""

    OK = "OK"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a check is not OK, where that is to be told apart; else all is empty.

    UNKNOWN: what kept it from looking. ERROR: what no waiting mends.
    """

    code: str = ""
    """UNKNOWN: the server's error, as mmm.mysql.session.errors.ErrorKind has it, or `internal`.

    ERROR: `refused_by_source`, `source_lacks_log`.
    """
    number: int = 0
    """The server's error number."""
    grant: str = ""
    """The statement that gives the monitor's account the privilege which it lacks."""


NO_CAUSE = Cause()


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What the monitor believes of one check of one host."""

    failed: bool = False
    message: str = "UNKNOWN: not checked yet"
    changed: float = 0.0
    """When `failed` last changed."""
    error_since: float | None = None
    """When the trap started: the first ERROR without an OK since."""
    unknown: bool = False
    """The newest result was UNKNOWN (said once)."""
    refused: bool = False
    """The newest ERROR was the refusal of a connection: the host's system lives."""
    refused_since: float | None = None
    """The first refusal since which every ERROR was one; None where the newest was none."""
    saturated: bool = False
    """The newest result was that the server has no connection left to give."""
    cause: Cause = NO_CAUSE
    """Why the newest result was UNKNOWN or ERROR."""


def silent(checks: Mapping[str, CheckStatus], conf: Cluster) -> bool:
    """Tell whether nothing reaches the host of these checks, so that its agent cannot be told anything.

    That is so when ping has failed and nothing answered when the server was asked next (rule 10.9); with
    ping_alone_kills, when ping has failed.
    """
    ping, mysql = checks["ping"], checks["mysql"]
    if not ping.failed:
        return False
    if conf.monitor is not None and conf.monitor.ping_alone_kills:
        return True
    check = conf.checks["mysql"]
    asked_next = ping.changed + check.check_period + check.timeout
    return mysql.error_since is not None and mysql.error_since <= asked_next and not mysql.refused


def dead(checks: Mapping[str, CheckStatus], conf: Cluster) -> bool:
    """Tell whether the host of these checks has failed: its server, or all of it."""
    return checks["mysql"].failed or silent(checks, conf)


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
    stale: bool = False
    """The last order was refused for its token, as by an agent that has just been started; it is repeated at once."""


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
    """Seconds from then to the last look at it before the other one was looked at, and had got nothing of this."""


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
class HostWorld:
    """All that is known of one host."""

    state: State = State.AWAITING_RECOVERY
    since: float = 0.0
    online_since: float | None = None
    checks: Mapping[str, CheckStatus] = field(
        default_factory=lambda: dict.fromkeys(CHECK_NAMES, CheckStatus())
    )
    uptime: float = 0.0
    """Seconds the host's system was up when its agent last answered."""
    last_uptime: float = 0.0
    """The same, when it last answered while the host was ONLINE; 0 is never."""
    rebooted: bool = False
    """Its uptime was less than before in an answer since then: it may have grown past `last_uptime` again."""
    flapping: bool = False
    flap_start: float | None = None
    flap_count: int = 0
    writable_since: float | None = None
    """Since when every mysql check has found the server writable though it is not the active master."""
    writable_seen: float | None = None
    """When the newest mysql check found it so."""
    connecting_since: float | None = None
    """Since when its replica has been trying to connect to a source that works."""
    settings: Settings | None = None
    """What its server is set to, as last read; of hosts that can be active master. None: never read."""
    notes: tuple[Note, ...] = ()
    """What its agent sees of its server that the monitor may not; of hosts that can be active master."""
    doubts: tuple[Doubt, ...] = ()
    """What is wrong on the host, as its agent said last."""
    delay: int = 0
    """Seconds by which its replication is set to stay behind."""
    uses_gtid: bool = False
    """Its replication follows a source by GTID, so that the moment of a switch does not matter."""
    transactions: Transactions | None = None
    """What its server has, as last read; it stays when the server is gone. None: never read."""
    rates: tuple[Pace, ...] = ()
    """How fast it got transactions in the last looks at what it has; of hosts that can be active master."""
    behind: float | None = None
    """Seconds that it was behind its source when that was last known.

    Of hosts that can be active master, and of those whose agent is of MMM 2.x.
    """
    behind_at: float = 0.0
    """When that was."""
    missed: Missed | None = None
    """What it has not got of the last writer; of hosts that can be active master. None: nothing, or not known."""
    lost: bool = False
    """It was HARD_OFFLINE or AWAITING_RECOVERY since it was in use last."""
    used: bool = False
    """It has been in use (ONLINE) since the cluster was set up; False where nothing tells that it was."""
    reference: Reference | None = None
    """What it is compared with when it comes back; of possible masters only."""
    tail: Tail | None = None
    """What its binary log has behind the place up to which the active master had it; where GTIDs do not tell."""
    switched: Switched | None = None
    """Whom its agent, one of MMM 2.x, has last confirmed to follow; of slaves only."""
    skipped_at: str = ""
    """The active master at the end of whose binary log it went on, so that it may lack rows; empty: it did not."""
    reads_log: bool = False
    """Its binary log is being looked at."""
    log_read: float | None = None
    """When that ended last."""
    looks: int = 0
    """How often its replication was checked since it is in its state; counted while it may have to be compared."""
    opinion: Opinion | None = None
    """What others said when they were asked last whether they reach it."""
    rule: str = ""
    """Name of the state rule that brought it here."""
    sentence: str = ""
    """The sentence of that rule, with its figures."""
    agent: AgentLink = AgentLink()

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


class Phase(StrEnum):
    """How far a planned move is (rule 11.7)."""

    FREEZING = "FREEZING"
    """The old holder is to let go; until it confirms, it keeps the role if anything fails."""
    PROMOTING = "PROMOTING"
    """The old holder has let go, the new one is to take the role; if it cannot, the old one gets it back."""
    RETURNING = "RETURNING"
    """The move has failed: the old holder is to have the role as before."""


@dataclass(frozen=True, slots=True)
class Move:
    """A planned move of an exclusive role that is under way."""

    vip: Vip
    source: str
    target: str
    phase: Phase = Phase.FREEZING
    since: float = 0.0
    """When the phase began; not known of the first."""
    cause: str = ""
    """Why it has failed."""

    @property
    def goal(self) -> str:
        """Return the host that the role is assigned to while the move is in this phase."""
        return self.source if self.phase is Phase.RETURNING else self.target


class LossCode(StrEnum):
    """What is known of a loss. Only AT_MOST, COMPARED and ACKNOWLEDGED come with a number that it does not exceed."""

    AT_MOST = "at_most"
    """`most` were lost if the host wrote no faster than it was seen to."""
    COMPARED = "compared"
    """The host is back, and `most` is what it has and the taker lacks."""
    ACKNOWLEDGED = "acknowledged"
    """Nothing that clients were told of: the taker acknowledged every commit (semi-sync)."""
    NEVER_SEEN = "never_seen"
    """What one of the two has was never read."""
    NO_GTIDS = "no_gtids"
    """Places in the binary log are all that is known."""
    LOOKED_ONCE = "looked_once"
    """How fast the host wrote was never measured."""
    UNSEEN = "unseen"
    """It can have written for longer, unseen, than it was measured, or from rest: `likely` is an estimate only."""
    WRITES_ON = "writes_on"
    """It may take writes still: nothing keeps it from that."""


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
    """It has the role no more, for certain."""
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
    why: str = ""
    """The rest of its sentence."""

    @property
    def known(self) -> bool:
        """Tell whether it has been estimated."""
        return self.code is not None


@dataclass(frozen=True, slots=True)
class Hold:
    """The active master role stays with `host`, or with nobody, for another `left` seconds (rule 10.18)."""

    host: str
    left: int
    returning: bool = False
    """It wrote last, is back, and only has to confirm it."""


@dataclass(frozen=True, slots=True)
class World:
    """The whole cluster as the monitor knows it."""

    conf: Cluster
    mode: Mode
    hosts: Mapping[str, HostWorld]
    owner: Mapping[Vip, str | None]
    """Every configured VIP in conf order, with the host that it is assigned to."""
    network_up: bool = True
    hosts_silent: bool = False
    """The network is taken to be down because all hosts fell silent at once."""
    examined: frozenset[str] = frozenset()
    """What the doctor found at its last look that the next failover would meet."""
    examined_before: frozenset[str] = frozenset()
    """The same at the look before."""
    passive_cause: str = ""
    other_monitor: str = ""
    """The address of another monitor that agents obey: this one gives no orders until the admin says so."""
    move: Move | None = None
    """A planned move that is under way."""
    failed_move: Move | None = None
    """The last planned move that failed; its `since` is when the role went back."""
    unsure: frozenset[Vip] = frozenset()
    """VIPs whose last host did not confirm that it let them go, until another has them (rule 10.19)."""
    forced: str | None = None
    """The host that the admin has forced to be active master, until it is."""
    slaves_first_since: float | None = None
    """Since when a new active master waits for slaves to follow it."""
    waits: frozenset[str] = frozenset()
    """The reasons, already said, for which nobody gets the active master role."""
    loss: Loss | None = None
    """What the last failover may have lost, until its host is ONLINE again."""
    last_writer: str | None = None
    """The host that last confirmed that it has the active master role: nobody lacks less."""
    last_master: str | None = None
    """The host that has the active master role, or had it last."""
    failed_over: float | None = None
    """When the active master role last moved by itself, unless the admin has moved it or ended the block since."""
    hold: Hold | None = None
    """Set while a failover is blocked."""

    def __post_init__(self) -> None:
        if type(self.hosts) is not Hosts:
            object.__setattr__(self, "hosts", Hosts(self.hosts))
        if type(self.owner) is not Owners:
            object.__setattr__(self, "owner", Owners(self.owner))

    @property
    def active_master(self) -> str | None:
        """Return the host that the active master role is assigned to."""
        vip = self.conf.master_vip
        return None if vip is None else self.owner.get(vip)

    def peer(self, name: str) -> str | None:
        """Return the host's peer: for a slave the active master (rule 6.4)."""
        host = self.conf.hosts[name]
        return self.active_master if host.mode == "slave" else host.peer

    def is_silent(self, name: str) -> bool:
        """Tell whether nothing reaches the host, so that its agent cannot be told anything."""
        return silent(self.hosts[name].checks, self.conf)

    def is_dead(self, name: str) -> bool:
        """Tell whether the host has failed: its server, or all of it."""
        return dead(self.hosts[name].checks, self.conf)

    def only_ping_lost(self, name: str) -> bool:
        """Tell whether ping has failed, and nothing follows because the host's server answers."""
        return self.hosts[name].checks["ping"].failed and not self.is_dead(name)

    def can_take(self, name: str) -> bool:
        """Tell whether the host may get a VIP now: it is ONLINE and has confirmed that, its agent answers.

        One that is ONLINE and dead is cut off from the monitor only, or waits for others to say so.
        """
        host, link = self.hosts[name], self.hosts[name].agent
        confirmed = link.told is not None and link.told.state == State.ONLINE
        return host.state is State.ONLINE and confirmed and not link.unreachable and not self.is_dead(name)

    def vips_of(self, name: str) -> frozenset[Vip]:
        """Return the VIPs assigned to the host."""
        return self._owners.vips_of(name)

    def holders(self, vip: Vip) -> frozenset[str]:
        """Return the hosts that may have the VIP bound."""
        return self._indexed.holders(vip)

    @property
    def _indexed(self) -> Hosts:
        return cast("Hosts", self.hosts)  # __post_init__ has seen to it

    @property
    def _owners(self) -> Owners:
        return cast("Owners", self.owner)

    def can_be_active_master(self, name: str) -> bool:
        """Tell whether the host is among those of the active master role."""
        role = self.conf.roles.get(self.conf.active_master_role)
        return role is not None and name in role.hosts

    @property
    def master_vips(self) -> frozenset[Vip]:
        """Return the VIPs of the active master role."""
        vip = self.conf.master_vip
        return frozenset() if vip is None else frozenset((vip,))

    @property
    def guarded(self) -> bool:
        """Tell whether the active master role waits for its last host to be safely without it (rule 10.14)."""
        return self.conf.monitor is None or self.conf.monitor.split_brain_guard

    def masters(self) -> tuple[Host, ...]:
        """Return the hosts that may be active master, in conf order."""
        return self.conf.masters

    def with_host(self, name: str, **changes: Any) -> "World":
        """Return this world with fields of one host changed."""
        return replace(self, hosts=self._indexed.with_host(name, replace(self.hosts[name], **changes)))

    def with_agent(self, name: str, **changes: Any) -> "World":
        """Return this world with fields of one host's agent link changed."""
        return self.with_host(name, agent=replace(self.hosts[name].agent, **changes))

    def with_owner(self, changes: Mapping[Vip, str | None]) -> "World":
        """Return this world with VIPs assigned to other hosts, or to none."""
        return replace(self, owner={**self.owner, **changes})

    def without_roles(self, name: str) -> "World":
        """Return this world with every VIP of the host unassigned."""
        return self.with_owner(dict.fromkeys(self.vips_of(name)))
