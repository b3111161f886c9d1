"""The writer's lease at a simulated host: the real `Tenure`, and as events what `mmm.agent.act.lease_watch` does."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmm.agent.act.held_lease import Tenure
from mmm.agent.act.lease_watch import LOOK, asks_at, lead_of
from mmm.agent.act.leave import HEARTBEAT
from mmm.agent.decide.obedience import Changed, believes, is_without
from mmm.agent.decide.plan import AllowWrites, Bind, Server, Step
from mmm.config.model import Cluster
from mmm.lease.rules import FOREVER, Grant, Reason, Refusal
from mmm.wire.agent import LeaseOffer, Status
from tests.simulation.clock import Clock
from tests.simulation.machine import Machine

if TYPE_CHECKING:
    from tests.simulation.agent import Agent

_FILE = Path("promise")


class _OnMachine(Tenure):
    """A Tenure by the clock of a simulated host, whose promises are kept below its /run."""

    def __init__(self, length: float, machine: Machine) -> None:
        self._machine = machine
        super().__init__(length, _FILE, lambda: machine.boottime, machine.boot_name)

    def _load(self, _: Path) -> str:
        if not self._machine.promise:
            raise FileNotFoundError
        return self._machine.promise

    def _store(self, _: Path, text: str) -> None:
        self._machine.promise = text


class Tenancy:
    """What an agent knows of its lease, and its watch over it."""

    def __init__(self, conf: Cluster, machine: Machine, clock: Clock, agent: "Agent") -> None:
        self.machine, self.clock, self.agent = machine, clock, agent
        self.tenure = _OnMachine(conf.vip_lease, machine)
        role = conf.roles[conf.active_master_role]
        self.ips = frozenset(role.ips)
        self._others = tuple(name for name in role.hosts if name != machine.name)
        self._asked: float | None = None
        self._missing: set[str] = set()
        self._look_due = -1.0
        self._deny = False
        for ip in self.ips & machine.bound:
            self.tenure.found(machine.left(ip))
        self._watch()

    # Orders

    def refusal(self, status: Status, grant: Grant, waits: Grant | None) -> Refusal | None:
        """Return why an order is not obeyed; `waits` is the grant of the one that waits."""
        if waits is not None and waits.token > grant.token:
            return Refusal(Reason.OVERTAKEN)
        return self.tenure.refusal(grant, role=self.is_writer(status))

    def grant(self, granted: LeaseOffer) -> Grant:
        """Return what an order grants."""
        return self.tenure.grant(granted)

    def begin(self, status: Status, grant: Grant) -> None:
        """Take an order as what is wanted."""
        if self.is_writer(status):
            self.tenure.obeyed(grant, role=True)
            self._deny = False
        else:
            self.tenure.noted(grant)
        self._watch()

    def done(self, status: Status, grant: Grant, changed: Changed, *, failed: bool) -> None:
        """Note what an order has come to: no lease is kept for a role that is not here."""
        without = is_without(changed, self.ips)
        if not self.is_writer(status):
            if without or not failed:
                self.tenure.obeyed(grant, role=False)
        elif without and failed:
            self.tenure.ended()
        if token := self.tenure.gives_back():
            self._asked = None
            for name in self._others:
                other = self.agent.peers[name]
                if not other.gone and other.tenancy and self.machine.speaks_with(other.machine):
                    self._release(other, token)

    def _release(self, other: "Agent", token: str) -> None:
        """Have another host hear that its promise is given back, later where it is frozen."""
        if other.tenancy is not None and not other.awake(self._release, other, token):
            other.tenancy.tenure.given_back(self.machine.name, token)

    def renew(self) -> None:
        """Have the kernel keep what is bound for as long as it may be."""
        for vip in self.agent.status.vips:
            if vip.ip in self.ips & self.machine.bound and self.tenure.lifetime() >= 0:
                self.machine.expire(vip.ip, self.tenure.lifetime())
        self._watch()

    def is_writer(self, status: Status) -> bool:
        """Tell whether a status names the writer's role."""
        return any(vip.ip in self.ips for vip in status.vips)

    def hinders(self, step: Step) -> str:
        """Return why a step may not be done now: the lease is over."""
        writer = isinstance(step, Bind | AllowWrites) and step.vip.ip in self.ips
        return "the lease of the order has run out meanwhile" if writer and self.tenure.lifetime() < 0 else ""

    def bound(self, step: Step) -> None:
        """Give a VIP that was just bound its lifetime."""
        if isinstance(step, Bind) and step.vip.ip in self.ips:
            self.machine.expire(step.vip.ip, self.tenure.lifetime())

    @property
    def holds(self) -> bool:
        """Tell whether the lease is held, and the host does not begin to give the role up."""
        return self.tenure.left > lead_of(self.tenure.length)

    @property
    def leaves(self) -> float:
        """Return for how many seconds an agent that is stopped in order waits for a grant for ever."""
        tenure = self.tenure
        if not (tenure.leased and self.is_writer(self.agent.status) and 0 < tenure.left < FOREVER):
            return 0.0
        return min(1.0 + min(HEARTBEAT, tenure.length / 4), tenure.left)

    # The guard

    def _watch(self) -> None:
        """Look at the lease when something is next to be done about it."""
        left = self.tenure.left
        if not 0 < left < FOREVER and not self._deny:
            return
        promises, lead = asks_at(self.tenure.length), lead_of(self.tenure.length)
        wait = left - promises if left > promises else LOOK if left > lead else 0.0
        moment = self.clock.now + max(wait, 0.0) + LOOK * self.clock.random()
        if self._look_due <= self.clock.now or moment < self._look_due:
            self._look_due = moment
            self.clock.at(moment, self._look, moment)

    def _look(self, due: float) -> None:
        if due != self._look_due or self.agent.awake(self._look, due):
            return
        self._look_due = -1.0
        tenure = self.tenure
        lead = lead_of(tenure.length)
        if tenure.left <= lead and tenure.lease.until > 0:
            self._give_up()
        elif self._deny:
            self._fence()
        low = lead < tenure.left < asks_at(tenure.length)
        if tenure.leased and low and not tenure.leaving and self._asked is None:
            self._ask_promises()
        self._watch()

    def _give_up(self) -> None:
        self.clock.say(f"    {self.machine.name}: its lease is over: read_only, and no VIP")
        self._fence()
        self.tenure.ended()
        status = self.agent.status
        self.agent.lost(replace(status, vips=tuple(vip for vip in status.vips if vip.ip not in self.ips)))
        if self.clock.now >= self.machine.stuck_until:
            self.machine.bound -= self.ips
            self.machine.hand -= self.ips

    def _fence(self) -> None:
        up = self.machine.server is Server.UP
        if up:
            self.machine.writable = False
        self._deny = not up and self.machine.server is not Server.DEAD

    def _ask_promises(self) -> None:
        asked, token = self.tenure.asks()
        self._asked, self._missing = asked, set(self._others)
        agents = self.agent.peers
        for name in self._others:
            self.clock.after(0.001 + 0.01 * self.clock.random(), self._arrive, asked, token, agents[name])
        limit = max(0.5, min(1.0, self.tenure.length / 4))
        self.clock.after(limit + LOOK, self._give_asking_up, asked)

    def _arrive(self, asked: float, token: str, other: "Agent") -> None:
        if other.gone or other.tenancy is None or not self.machine.speaks_with(other.machine):
            return
        if other.awake(self._arrive, asked, token, other):
            return
        known, name, length = other.tenancy.tenure, self.machine.name, self.tenure.length
        if believes(other.status.master, name, known.heard, known.length):
            return
        if not known.promise(name, length, token):
            moment = self.clock.now + 0.001 + 0.01 * self.clock.random()
            self.clock.at(moment, self._promised, asked, other)

    def _promised(self, asked: float, other: "Agent") -> None:
        if not self.machine.speaks_with(other.machine) or self.agent.awake(self._promised, asked, other):
            return
        if self._asked != asked:
            return
        self._missing.discard(other.machine.name)
        if not self._missing:
            self._asked = None
            if self.tenure.renewed(asked):
                self.renew()

    def _give_asking_up(self, asked: float) -> None:
        if not self.agent.awake(self._give_asking_up, asked) and self._asked == asked:
            self._asked = None
            self._watch()
