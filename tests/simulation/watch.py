"""What must hold after every step, and what must hold once faults have stopped.

The books say who may hold a VIP by what was ordered and answered, kept apart from the monitor's own. The machines
say who really holds it. Where the two differ for a reason that is known (kill_host failed, an order came when
nobody waited for it any more, a VIP was bound by hand) the overlap is counted under that reason; any other is a
violation.
"""

from collections import Counter
from collections.abc import Mapping

from mmm.agent.decide.steps import AllowWrites, Bind, Step
from mmm.config.model import Cluster, Vip
from mmm.monitor.act import status_file
from mmm.monitor.assess import divergence, promotion
from mmm.monitor.decide import startup
from mmm.monitor.decide.found import Found
from mmm.monitor.decide.turn import Assigned, Lost, Turn
from mmm.monitor.states.table import Change
from mmm.monitor.world.host import State
from mmm.monitor.world.move import Move, Phase
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from tests.simulation.books import CutOff, FirstStart, Losses, ViolationError
from tests.simulation.machine import Machine

UNASKED = (Mode.MANUAL, Mode.WAIT)
"""Modes in which a host that is not ONLINE keeps its roles."""


class Watch:
    """Looks on."""

    __slots__ = (
        "books",
        "conf",
        "cut_off",
        "failed_moves",
        "first_start",
        "leased",
        "limits",
        "losses",
        "machines",
        "orders",
        "writer_ips",
    )

    def __init__(self, conf: Cluster, *, first_start: bool = False) -> None:
        self.conf = conf
        self.leased = conf.vip_lease > 0
        self.machines: dict[str, Machine] = {}
        self.losses = Losses(self.machines)
        self.first_start = FirstStart(conf, self.machines, first=first_start)
        self.cut_off = CutOff(conf)
        self.books: dict[Vip, set[str]] = {vip: set() for vip in conf.vips}
        self.orders = 0
        self.limits: Counter[str] = Counter()
        """How often a known limit was met, in words."""
        self.failed_moves = 0
        self.writer_ips = frozenset(vip.ip for vip in conf.vips if vip.role == conf.active_master_role)

    # The books

    def found(self, found: Mapping[str, Found]) -> None:
        """Begin the books of a monitor that starts: what somebody says a host holds, it may hold."""
        for vip, names in self.books.items():
            names.clear()
            for name, host in found.items():
                stored, agent, bound = host.claims(vip)
                if agent or bound or (stored and host.system is None):
                    names.add(name)

    def ordered(self, world: World, order: Tell) -> None:
        """Check an order and put it in the books."""
        self.orders += 1
        state = world.hosts[order.host].state
        if self.leased and world.mode is Mode.PASSIVE and order.status == world.hosts[order.host].agent.told:
            return  # what it has it is to keep for good, while nothing moves
        if order.status.vips and state is not State.ONLINE and world.mode not in UNASKED:
            raise ViolationError(f"{order.host} is {state} and is told to hold {order.status.vips}")
        if world.mode is Mode.PASSIVE:
            raise ViolationError(f"{order.host} is told something in passive mode")
        for vip in order.status.vips:
            if world.owner[vip] != order.host:
                raise ViolationError(f"{order.host} is told to hold {vip}, which is {world.owner[vip]}'s")
            names = self.books[vip]
            if self._by_lease(vip.ip):
                continue
            if names and order.host not in names:  # what it has already it may keep
                others = " and ".join(sorted(names))
                raise ViolationError(f"{order.host} is told to hold {vip}, which {others} may still hold")
            names.add(order.host)
            if vip.ip not in self.machines[order.host].bound:
                self._overlap(vip.ip, order.host, f"{order.host} is told to hold")

    def confirmed(self, host: str, vips: tuple[Vip, ...]) -> None:
        """Take from the books what the host said it does not hold."""
        for vip, names in self.books.items():
            if vip not in vips:
                names.discard(host)

    def taken_back(self, host: str, vips: frozenset[Vip]) -> None:
        """Take from the books what never reached the host."""
        for vip in vips:
            self.books[vip].discard(host)

    # The machines

    def _by_lease(self, ip: str) -> bool:
        """Tell whether a lease, and not what was answered, says who may have the VIP."""
        return self.leased and ip in self.writer_ips

    def one_writer(self) -> None:
        """Check that with leases no two hosts have the writer's VIP, unless somebody bound it by hand."""
        if not self.leased:
            return
        bound = [machine for machine in self.machines.values() if machine.bound & self.writer_ips]
        if len(bound) < 2 or any(machine.hand & self.writer_ips for machine in bound):
            return
        names = " and ".join(machine.name for machine in bound)
        writers = ", ".join(machine.name for machine in bound if machine.writable and machine.server_up)
        raise ViolationError(f"{names} have the writer's VIP, and {writers or 'nobody'} takes writes")

    def stepped(self, machine: Machine, step: Step) -> None:
        """Check a step that an agent took."""
        if isinstance(step, Bind) and step.vip.ip in machine.bound:
            self._overlap(step.vip.ip, machine.name, f"{machine.name} binds")
        elif isinstance(step, AllowWrites) and step.vip.ip not in machine.bound and not machine.caught_up:
            raise ViolationError(f"{machine.name} takes writes before it has applied what there is")
        elif isinstance(step, AllowWrites) and step.vip.ip not in machine.bound:
            self._lacking(machine)
        self.one_writer()

    def _lacking(self, machine: Machine) -> None:
        """Count that a slave which the new writer reaches has more than that one."""
        slaves = (other for other in machine.others.values() if self.conf.hosts[other.name].mode == "slave")
        for slave in slaves if machine.gtid else ():
            has = ((name, last) for name, last in slave.has.items() if name != slave.name)
            more = any(last > machine.has.get(name, 0) for name, last in has)
            if more and machine.reaches(slave):
                self.limits["a slave that was reached had more than the new writer"] += 1

    def bound_by_hand(self, machine: Machine, ip: str) -> None:
        """Bind a VIP as somebody might."""
        if self._by_lease(ip) and ip in machine.bound:
            return
        machine.bound.add(ip)
        machine.hand.add(ip)
        machine.excuse_until_told("a VIP was bound by hand")
        self._overlap(ip, machine.name, "")

    def _overlap(self, ip: str, name: str, what: str) -> None:
        if self._by_lease(ip):
            return
        for other in self.machines.values():
            if ip in other.bound and other.name != name:
                cause = other.excuse or self.machines[name].excuse
                if not cause:
                    raise ViolationError(f"{what} {ip}, which is bound on {other.name}")
                for machine in (other, self.machines[name]):  # both stay excused until they were told
                    machine.excuse_until_told(cause)
                what = "the writer's VIP" if ip in self.writer_ips else "another VIP"
                self.limits[f"two hosts had {what}, {cause}"] += 1

    # The monitor's world

    def returned(self, before: World, after: World) -> None:
        """Check that a planned move which failed has left its role with the old holder, which has confirmed that."""
        for failed in after.failed_moves:
            if failed in before.failed_moves:
                continue
            if failed.phase is Phase.PROMOTING:
                self._went_on(failed, after)
                continue
            link = after.hosts[failed.source].agent
            told = link.told is not None and failed.vip in link.told.vips
            if after.owner[failed.vip] != failed.source or not told:
                raise ViolationError(f"{failed} has failed, {after.owner[failed.vip]} has the role")
            self.failed_moves += 1

    def _went_on(self, failed: Move, after: World) -> None:
        """Check that a role which goes on to a third host could not go back."""
        owner = after.owner[failed.vip]
        if owner in (failed.source, failed.target) or after.can_take(failed.source):
            raise ViolationError(f"{failed} has failed, {owner} gets the role")
        self.limits["a planned move went on to a third host"] += 1

    def turned(self, turn: Turn, now: float) -> None:
        """Check a turn in which something changed."""
        world = turn.world
        for change in turn.changes:
            if isinstance(change, Assigned) and change.after is not None:
                self._promoted(world, change.vip, change.after)
            elif isinstance(change, Lost):
                self.losses.said(change.loss, world)
            elif isinstance(change, Change):
                self.first_start.changed(world, change)
                self.cut_off.changed(change, now)
                if change.after is State.ONLINE:
                    self._returned(world, change)
        self.losses.begins(world)
        for vip, name in world.owner.items():
            if name is None:
                continue
            if name not in self.conf.roles[vip.role].hosts:
                raise ViolationError(f"{vip} is assigned to {name}, which cannot hold it")
            if world.hosts[name].state is not State.ONLINE and world.mode is Mode.ACTIVE:
                raise ViolationError(f"{vip} is assigned to {name}, which is {world.hosts[name].state}")
        if world.mode is not Mode.PASSIVE and world.network_up:
            self.level(world)

    def _promoted(self, world: World, vip: Vip, name: str) -> None:
        """Check that nobody becomes active master by itself whose replication has failed."""
        wrote_last = world.last_writer in (None, name) or vip in world.hosts[name].agent.may_hold
        if vip.role != world.conf.active_master_role or wrote_last or world.move is not None:
            return
        if world.hosts[name].checks["rep_threads"].failed:
            raise ViolationError(f"{name} is promoted though its replication has failed")

    def _returned(self, world: World, change: Change) -> None:
        """Check that a host that may be active master comes back by itself only with what the active master has."""
        master = world.active_master
        held = world.move is not None and world.move.source == change.host  # it was the active master itself
        if not (master and world.can_be_active_master(change.host)) or held:
            return
        ours, theirs = self.machines[change.host].has, self.machines[master].has
        more = [
            f"{last - theirs.get(name, 0)} of {name}"
            for name, last in ours.items()
            if last > theirs.get(name, 0)
        ]
        theirs_read = world.hosts[master].progress.transactions is not None
        unread = not theirs_read or not divergence.is_fresh(world, change.host)
        if more and unread:
            self.limits["a master came back that could not be compared with the active one"] += 1
        elif more:
            raise ViolationError(f"{change}; it has {', '.join(more)} that {master} lacks")

    def level(self, world: World) -> None:
        """Check that balanced roles are spread evenly among those that can take them."""
        for role in world.conf.roles.values():
            if role.mode == "balanced":
                able = promotion.eligible(world, role)
                held = [sum(world.owner[vip] == name for vip in role.vips) for name in able]
                if held and max(held) - min(held) > 1:
                    raise ViolationError(
                        f"role {role.name} is spread unevenly: {dict(zip(able, held, strict=True))}"
                    )

    def reloaded(self, world: World, text: str) -> None:
        """Check that the status file brings the same world back, as far as it alone can."""
        stored, warnings = status_file.decode(text)
        if warnings or list(stored) != list(world.hosts):
            raise ViolationError(f"the status file is not what was written: {warnings}: {text!r}")
        for name, host in world.hosts.items():
            if stored[name].state != host.state:
                raise ViolationError(
                    f"the status file says {stored[name].state} of {name}, which is {host.state}"
                )
            lost = (world.vips_of(name) | host.agent.known_to_hold) - set(stored[name].vips)
            if lost:
                raise ViolationError(f"the status file forgets that {name} may hold {lost}")

    def restarts_the_same(self, world: World, text: str, now: float) -> None:
        """Check that a monitor that starts now, finding only the status file, believes the same."""
        stored, _ = status_file.decode(text)
        checks = {name: host.checks for name, host in world.hosts.items()}
        found = {name: Found(stored.get(name)) for name in world.hosts}
        again = startup.start(self.conf, checks, found, now).world
        states = {name: host.state for name, host in world.hosts.items()}
        if {name: host.state for name, host in again.hosts.items()} != states:
            raise ViolationError(f"a restart changes states: {text!r}")
        if again.owner != world.owner:
            raise ViolationError(f"a restart changes roles: {text!r} becomes {again.owner}")


def astray(world: World, machines: Mapping[str, Machine], agents: Mapping[str, object]) -> list[str]:
    """Return what is not as it should be in a cluster that has been left alone for long enough."""
    wrong = _unplaced(world)
    for name, host in world.hosts.items():
        machine, link = machines[name], host.agent
        owned = world.vips_of(name)
        if host.state is State.AWAITING_RECOVERY:
            wrong += _waits_in_vain(world, name)
        elif host.state not in (State.ONLINE, State.ADMIN_OFFLINE):
            wrong.append(f"{name} is {host.state} though all is well there: {host.why}")
        if link.unreachable or link.refusal or link.clear or link.may_hold != owned:
            wrong.append(f"{name}: link is {link}, roles are {sorted(owned)}")
        if link.told is None or set(link.told.vips) != owned or link.told.state != host.state:
            wrong.append(f"{name} was told {link.told}, is {host.state} with {sorted(owned)}")
        if getattr(agents[name], "status", None) != link.told and world.conf.hosts[name].mode == "slave":
            wrong.append(
                f"{name}: its agent knows {getattr(agents[name], 'status', None)}, told was {link.told}"
            )
        wrong += _machine_astray(world, machine, owned)
    return wrong


def _machine_astray(world: World, machine: Machine, owned: frozenset[Vip]) -> list[str]:
    name, wrong = machine.name, []
    if machine.bound != {vip.ip for vip in owned}:
        wrong.append(f"{name} has {sorted(machine.bound)} bound, roles are {sorted(owned)}")
    writer = world.active_master == name
    if machine.writable != writer:
        wrong.append(
            f"{name} is {'' if machine.writable else 'not '}writable, writer is {world.active_master}"
        )
    state = world.hosts[name].state
    if state is State.ONLINE:
        if machine.detached != divergence.keeps_away(world, name):
            wrong.append(f"{name} is {'' if machine.detached else 'not '}detached: {world.hosts}")
        elif not (machine.replicates or machine.detached):
            wrong.append(f"{name} is ONLINE and does not replicate")
        slave = world.conf.hosts[name].mode == "slave"
        if slave and world.active_master and machine.source != world.active_master:
            wrong.append(f"{name} replicates from {machine.source}, active master is {world.active_master}")
    return wrong


def _unplaced(world: World) -> list[str]:
    return [
        f"{vip} is nobody's, though {able} could have it"
        for vip, name in world.owner.items()
        if name is None and (able := promotion.eligible(world, world.conf.roles[vip.role]))
    ]


def _waits_in_vain(world: World, name: str) -> list[str]:
    monitor, host = world.conf.monitor, world.hosts[name]
    assert monitor is not None
    more = divergence.unshared(world, name) is not None
    for_the_admin = monitor.auto_set_online == 0 or host.flapping or more
    return [] if for_the_admin else [f"{name} is AWAITING_RECOVERY and not for the admin: {host}"]
