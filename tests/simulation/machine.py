"""A host as it really is: power, links, server, replication, interface. Faults hold until a moment."""

from collections.abc import Mapping

from mmm.agent.decide.seen import Seen, Server, Source
from mmm.agent.decide.steps import (
    AllowWrites,
    Attach,
    Bind,
    CatchUp,
    DenyWrites,
    Detach,
    Follow,
    OwnSource,
    Probe,
    Salvage,
    StartReplication,
    Step,
    StopReceiving,
    StopReplication,
    Sync,
    ThrowAway,
    Unbind,
)
from mmm.config.model import Cluster, Host
from mmm.gtid.mysql import GtidSet
from mmm.gtid.place import LogPlace, Tail, Written
from mmm.gtid.transactions import Transactions
from mmm.lease.rules import FOREVER, PROBING
from mmm.monitor.world.checks import Outcome
from tests.simulation.clock import Clock

SALVAGING = 0.5
"""Seconds that it takes to get the rest of another server's log."""
LAG = 100.0
"""Seconds that a server is behind which is behind."""


def _place(number: int) -> LogPlace:
    return LogPlace("log.000001", number)


class Machine:
    """One host. What is `…_until` a moment is over when that moment has come."""

    __slots__ = (
        "agent_frozen_until",
        "agent_up",
        "apart_until",
        "applied",
        "boot_name",
        "booted",
        "bound",
        "broken_until",
        "caught_up",
        "clock",
        "cut_from_until",
        "cut_to_until",
        "detached",
        "excuse",
        "excused",
        "expires",
        "forgotten",
        "frozen_until",
        "gtid",
        "hand",
        "has",
        "host",
        "ips",
        "lag_until",
        "lies_until",
        "log",
        "name",
        "on",
        "others",
        "ping_lost_until",
        "promise",
        "refuses_until",
        "replicates",
        "server_frozen_until",
        "server_up",
        "source",
        "started",
        "starts_writable",
        "stays",
        "stuck_until",
        "sync_timeout",
        "unheard",
        "writable",
    )

    def __init__(self, conf: Cluster, host: Host, clock: Clock, *, starts_writable: bool, gtid: bool) -> None:
        self.clock = clock
        self.host = host
        self.name = host.name
        self.sync_timeout = conf.sync_timeout
        self.ips = frozenset(vip.ip for vip in conf.vips)
        self.others: Mapping[str, Machine] = {}
        self.starts_writable = starts_writable
        self.on = self.agent_up = self.server_up = True
        self.booted = self.started = -1000.0
        self.boot_name = "0"
        self.promise = ""
        """What its agent has written below /run."""
        self.stays = ""
        """What its agent has written on the disk: for whom it refuses the writer role."""
        self.unheard: dict[str, float] = {}
        """Until when nothing passes between it and one of several monitors, by address."""
        self.hand: set[str] = set()
        """What somebody has bound by hand, as long as it is."""
        self.expires: dict[str, float] = {}
        """When the kernel removes what is bound with a lifetime."""
        self.writable = False
        self.source: str = host.peer or "db1"
        self.replicates = True
        self.detached = False
        """Its source has a name that cannot be reached."""
        self.bound: set[str] = set()
        self.caught_up = True
        """It has applied what there was when it took the writer role over, and not lost it since."""
        self.gtid = gtid
        self.log: list[str] = []
        """Its binary log: whose each transaction is, in the order in which they came to be here."""
        self.applied = 0
        """How many of those in its source's log it has applied, or are its own."""
        self.has: dict[str, int] = {}
        """How many transactions of each host its server has; of one host it has the first so many."""
        self.excuse = ""
        """Why this host may hold VIPs that the monitor believes gone."""
        self.excused = 0.0
        self.forgotten = False
        """Its agent, which had stopped replication by order, ended, and the next one knows nothing of it."""
        self.frozen_until = self.agent_frozen_until = self.server_frozen_until = 0.0
        self.refuses_until = self.stuck_until = self.broken_until = self.lag_until = self.lies_until = 0.0
        self.ping_lost_until = self.cut_to_until = self.cut_from_until = self.apart_until = 0.0

    def excuse_until_told(self, why: str) -> None:
        """Note that the monitor errs about this host, until the host has done an order sent from now on."""
        self.excuse, self.excused = why, self.clock.now

    def told(self, sent: float) -> None:
        """End the excuse by an order that went out after it began, unless two hosts still hold the same VIP."""
        shared = any(other is not self and other.bound & self.bound for other in self.others.values())
        if sent > self.excused and not shared:
            self.excuse = ""

    def power_off(self) -> None:
        """Lose all that is not on a disk."""
        self.on = self.agent_up = self.server_up = False
        self.caught_up = False
        self.bound.clear()
        self.expires.clear()
        self.hand.clear()
        self.promise = ""
        self.excuse = ""

    def boot(self) -> None:
        """Come up as after a power cut; agent and server start by themselves."""
        if not self.on:
            self.on = self.agent_up = True
            self.started = self.clock.now
            self.boot_name = f"{self.clock.now:.3f}".replace(".", "-")
            if self.clock.now >= self.lies_until:
                self.booted = self.clock.now
            self.start_server()

    def start_server(self) -> None:
        """Start the server, if it is down and there is power."""
        if self.on and not self.server_up:
            self.server_up = True
            self.writable = self.starts_writable
            self.replicates = True
            self.forgotten = False

    @property
    def uptime(self) -> float:
        """Return what the system says it was up for."""
        if self.clock.now < self.lies_until:
            return self.clock.random() * 4000.0
        return self.clock.now - self.booted

    @property
    def boottime(self) -> float:
        """Return what the clock says by which its agent counts leases: seconds since the boot."""
        return self.clock.now - self.started

    def expire(self, ip: str, lifetime: int) -> None:
        """Have the kernel remove a VIP in so many seconds, and up to 0.3 s more; 0 is never."""
        waits = ip in self.expires
        if not lifetime:
            self.expires.pop(ip, None)
            return
        self.hand.discard(ip)
        self.expires[ip] = self.clock.now + lifetime + 0.3 * self.clock.random()
        if not waits:
            self.clock.at(self.expires[ip], self._expired, ip)

    def _expired(self, ip: str) -> None:
        due = self.expires.get(ip)
        if due is not None and due > self.clock.now:
            self.clock.at(due, self._expired, ip)
        elif due is not None:
            del self.expires[ip]
            self.bound.discard(ip)
            self.clock.say(f"    {self.name}: the kernel removes {ip}")

    def left(self, ip: str) -> float:
        """Return for how many seconds the kernel keeps a VIP."""
        return self.expires.get(ip, FOREVER) - self.clock.now

    def speaks_with(self, other: "Machine") -> bool:
        """Tell whether packets pass between the two hosts."""
        now = self.clock.now
        return self.on and other.on and now >= max(self.apart_until, other.apart_until)

    def sees(self, other: "Machine") -> bool:
        """Tell whether the other host's kernel answers this one."""
        return self.speaks_with(other) and self.clock.now >= other.frozen_until

    @property
    def server(self) -> Server:
        """Return how the server answers on its own host."""
        if not self.server_up:
            return Server.DEAD
        now = self.clock.now
        if now < self.server_frozen_until:
            return Server.SILENT
        return Server.REFUSING if now < self.refuses_until else Server.UP

    def link_to_monitor(self, monitor: str = "") -> bool:
        """Tell whether packets of a dialogue with a monitor pass and the kernel answers."""
        now = self.clock.now
        cut = max(self.cut_to_until, self.cut_from_until, self.unheard.get(monitor, 0.0))
        return self.on and now >= cut and now >= self.frozen_until

    def reaches(self, other: "Machine") -> bool:
        """Tell whether this host can speak with another's server."""
        now = self.clock.now
        return (
            other is self
            or (
                now >= self.apart_until
                and now >= other.apart_until
                and now >= other.frozen_until
                and other.on
            )
        ) and other.server is Server.UP

    def look(self) -> Seen:
        """Return what the agent sees."""
        bound = frozenset(self.bound)
        server = self.server
        if server is not Server.UP:
            return Seen(bound, server=server, writable=None, problem=f"server is {server.value}")
        source = self.others[self.source].host
        return Seen(
            bound,
            writable=self.writable,
            source=Source(source.ip, source.mysql_port, self.replicates, self.replicates, self.detached),
        )

    def check(self, name: str, monitor: str = "") -> tuple[Outcome, float, str]:
        """Return what a check of the monitor finds now, how many seconds it takes, and to whom it is connecting."""
        now = self.clock.now
        linked = self.link_to_monitor(monitor)
        if name == "ping":
            lost = not linked or now < self.ping_lost_until
            return (Outcome.ERROR, 0.5, "") if lost else (Outcome.OK, 0.0, "")
        reached = linked and now >= self.server_frozen_until
        if not (reached and self.server_up):
            return Outcome.ERROR if name == "mysql" else Outcome.UNKNOWN, 0.0 if reached else 2.0, ""
        if now < self.refuses_until:
            return Outcome.UNKNOWN, 0.0, ""
        if name == "mysql":
            return Outcome.OK, 0.0, ""
        return self._check_replica(name)

    def _check_replica(self, name: str) -> tuple[Outcome, float, str]:
        if self.detached:
            return Outcome.ERROR, 0.0, ""
        broken = not self.replicates or self.clock.now < self.broken_until
        source = self.others[self.source]
        connecting = "" if not self.replicates or self.reaches(source) else source.host.ip
        if name == "rep_threads":
            return Outcome.ERROR if broken else Outcome.OK, 0.0, connecting
        if broken or connecting:
            return Outcome.UNKNOWN, 0.0, connecting  # seconds behind are null
        return Outcome.ERROR if self.clock.now < self.lag_until else Outcome.OK, 0.0, ""

    @property
    def behind(self) -> float | None:
        """Return by how many seconds its replication is behind, None where it is not known."""
        if (
            not self.replicates
            or self.detached
            or self.clock.now < self.broken_until
            or not self.reaches(self.others[self.source])
        ):
            return None
        return LAG if self.clock.now < self.lag_until else 0.0

    def duration(self, step: Step) -> float:
        """Return how many seconds the step takes if it is begun now."""
        if isinstance(step, Sync | Follow) and not self._can_catch_up():
            return self.sync_timeout
        if isinstance(step, Bind | Unbind):
            return 0.0
        if isinstance(step, Probe):
            return PROBING
        if isinstance(step, Salvage):
            return SALVAGING
        return 1.0 if self.server is Server.SILENT else 0.0

    def _can_catch_up(self) -> bool:
        now = self.clock.now
        return self.server is not Server.UP or (
            (self.replicates or self.detached) and now >= max(self.broken_until, self.lag_until)
        )

    def serve(self, writer_ips: frozenset[str]) -> bool:
        """Let a client commit something, where there is a writer's VIP to reach it by; tells whether it did."""
        serves = self.writable and self.server is Server.UP and bool(self.bound & writer_ips)
        if serves:
            self._take(self.name)
        return serves

    def receive(self) -> None:
        """Apply what the source has, as far as it can be reached: after one's own, as it comes."""
        source = self.others[self.source]
        takes = self.replicates and not self.detached and self._can_catch_up()
        if self.server is Server.UP and takes and self.reaches(source):
            self._take_all(source)

    def _take_all(self, source: "Machine") -> None:
        if self.gtid:
            for name, number in source.has.items():
                self.has[name] = max(number, self.has.get(name, 0))
            return
        for origin in source.log[self.applied :]:
            if origin != self.name:
                self._take(origin)
        self.applied = len(source.log)

    def _salvage(self, host: str) -> None:
        """Get what the log of a server has that is dead or frozen, where its agent answers."""
        other, now = self.others[host], self.clock.now
        answers = self.speaks_with(other) and other.agent_up and now >= other.agent_frozen_until
        if answers and now >= other.frozen_until and self.source == host:
            self._take_all(other)

    def _take(self, origin: str) -> None:
        self.has[origin] = self.has.get(origin, 0) + 1
        self.log.append(origin)

    def transactions(self) -> Transactions:
        """Return what its server says of them."""
        source = self.others[self.source].host
        if self.gtid:
            executed = GtidSet({name: ((1, last),) for name, last in self.has.items()})
            return Transactions(
                self.clock.now, self.name, executed, source_ip=source.ip, source_port=source.mysql_port,
                detached=self.detached,
            )  # fmt: skip
        return Transactions(
            self.clock.now, self.name, None, _place(len(self.log)), source.ip, source.mysql_port,
            read=_place(self.applied), applied=_place(self.applied), detached=self.detached, server_id=self.server_id,
        )  # fmt: skip

    @property
    def server_id(self) -> int:
        """Return what its transactions carry in everybody's log."""
        return 1 + list(self.others).index(self.name)

    def tail(self, since: LogPlace) -> Tail:
        """Return what its server says that its binary log has behind a place."""
        of: dict[int, Written] = {}
        for number, origin in enumerate(self.log[since.position :], since.position):
            server, place = self.others[origin].server_id, _place(number)
            known = of.get(server, Written(0, place, place))
            of[server] = Written(known.count + 1, known.first, place)
        return Tail(since, self.clock.now, of)

    def do(self, step: Step) -> str:
        """Do a step of the agent's plan at its end; returns why it failed, empty when it was done."""
        if isinstance(step, Probe):
            others = (each for each in self.others.values() if each is not self and self.speaks_with(each))
            taken = step.stop and any(step.vip.ip in each.bound for each in others)
            return "another host has it" if taken else ""
        if isinstance(step, Bind | Unbind):
            if self.clock.now < self.stuck_until:
                return "the interface takes no changes"
            if isinstance(step, Bind):
                self.bound.add(step.vip.ip)
            else:
                self.bound.discard(step.vip.ip)
                self.hand.discard(step.vip.ip)
                self.expires.pop(step.vip.ip, None)
            return ""
        return self._do_in_server(step) if self.server is Server.UP else f"the server is {self.server.value}"

    def _catch_up(self, hosts: tuple[str, ...]) -> None:
        """Get what these hosts have, as far as they can be reached, and be detached from the own source then."""
        for other in (self.others[name] for name in hosts):
            more = {name: last for name, last in other.has.items() if last > self.has.get(name, 0)}
            if self.gtid and self.reaches(other) and more:
                self.has |= more
                self.source, self.detached = self.host.peer or self.source, True

    def _detach(self, step: ThrowAway | Detach | Attach | CatchUp | OwnSource) -> None:
        if isinstance(step, CatchUp):
            self._catch_up(step.hosts)
        elif isinstance(step, OwnSource):
            self.source, self.replicates, self.detached = step.host, not step.detached, step.detached
        elif isinstance(step, Attach):
            self.detached, self.replicates = False, True
        elif isinstance(step, Detach) or self.reaches(self.others[self.source]):
            self.detached = True

    def _do_in_server(self, step: Step) -> str:
        match step:
            case DenyWrites():
                self.writable = False
            case AllowWrites():
                self.writable = True
            case Sync(force):
                if not self._can_catch_up() and not force:
                    return "not applied in time"
                self.caught_up = True
                self.receive()
            case Follow(host):
                if not self.reaches(self.others[host]):
                    return f"{host} does not answer"
                if not self._can_catch_up():
                    return "the old source's end is not applied in time"
                self.source, self.replicates, self.detached = host, True, False
                self.applied = len(self.others[host].log)
            case StopReceiving():
                pass
            case Salvage(host):
                self._salvage(host)
            case ThrowAway() | Detach() | Attach() | CatchUp() | OwnSource():
                self._detach(step)
            case StartReplication() | StopReplication():
                self.replicates = isinstance(step, StartReplication)
                self.forgotten = False
            case _:
                raise AssertionError(f"{step} is unknown to the simulation")
        return ""
