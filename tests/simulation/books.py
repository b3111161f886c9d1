"""What is kept apart from the monitor's own knowledge: what a failover has really lost, who was chosen at a first
start, and whether it is the monitor that is cut off. Each raises ViolationError where the monitor errs."""

from collections import Counter
from collections.abc import Mapping

from mmm.config.model import Cluster
from mmm.monitor.states.table import Change
from mmm.monitor.world.checks import Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.loss import Loss
from mmm.monitor.world.world import World
from tests.simulation.machine import Machine


class ViolationError(AssertionError):
    """Something that must hold does not."""


class Losses:
    """What was said of the last loss of each host, against what its server has and the taker lacks."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines
        self._said: dict[str, Loss] = {}
        self._unwarranted: Counter[str] = Counter()
        """Transactions written under a VIP that the monitor cannot know of."""
        self.checked = 0
        """How often a number was compared with what was really lost, and something was."""

    def wrote(self, host: str, *, excused: bool) -> None:
        """Note a transaction of a client."""
        if excused:
            self._unwarranted[host] += 1

    def said(self, loss: Loss, world: World) -> None:
        """Check what the monitor says, now and until its host is in use again."""
        self._said[loss.host] = loss
        self.look()
        self.begins(world)

    def begins(self, world: World) -> None:
        """Forget what was lost with hosts that are in use again, by whatever: what they write from now on is not."""
        for name, host in world.hosts.items():
            if host.state is State.ONLINE:
                self._said.pop(name, None)

    def look(self) -> None:
        """Check that no more is lost than was said: a host that still writes is still losing."""
        for loss in self._said.values():
            lost = self._lost(loss)
            if loss.most is None:
                continue
            self.checked += lost > 0
            if lost > loss.most:
                raise ViolationError(
                    f"{lost} transactions of {loss.host} are lost, said were at most {loss.most} ({loss.code}): {loss}"
                )

    def _lost(self, loss: Loss) -> int:
        there, here = self._machines[loss.host].has, self._machines[loss.taker].has
        return there.get(loss.host, 0) - here.get(loss.host, 0) - self._unwarranted[loss.host]


class FirstStart:
    """Whether anybody has said, or anything shows, whose data are to be kept."""

    def __init__(self, conf: Cluster, machines: Mapping[str, Machine], *, first: bool) -> None:
        self._conf, self._machines = conf, machines
        self._chosen = not first

    def begins(self, world: World) -> None:
        """Note who is in use when a monitor starts, or after a command of the admin.

        So is who is found with a VIP: another program may have bound it before.
        """
        online = any(host.state is State.ONLINE for host in world.hosts.values())
        self._chosen |= online or any(name is not None for name in world.owner.values())

    def changed(self, world: World, change: Change) -> None:
        """Check that nobody is promoted on the ground that nothing is known."""
        if change.after is not State.ONLINE or not world.can_be_active_master(change.host):
            return
        monitor = self._conf.monitor
        by_conf = monitor is not None and monitor.auto_set_online > 0
        if not (self._chosen or by_conf):
            raise ViolationError(f"{change}: nobody was in use before, and nobody has chosen it")
        if change.rule == "has_everything" and not self._machines[change.host].has:
            raise ViolationError(f"{change}: it has nothing")
        self._chosen = True


class CutOff:
    """Until when it is only the monitor that is cut off."""

    def __init__(self, conf: Cluster) -> None:
        checks = [conf.checks[name] for name in ("ping", "mysql")]
        assert conf.monitor is not None
        run = max(check.check_period + check.timeout for check in checks) + conf.monitor.ping_interval
        self._tells = min(check.trap_period for check in checks) > run
        """All hosts have been missed once before the trap of the first ends."""
        self._until = self._late_until = 0.0

    def starts(self) -> None:
        """Note that a monitor starts: it has no trap before it, and judges by what it finds."""
        self._until = 0.0

    def late(self, now: float, until: float) -> None:
        """Note that a check outlasts its timeout: its host was well for all one knows, and the next result may be late.

        None of the real ones does, but for those of a monitor that is frozen. That its host fell silent with the others
        cannot be seen then.
        """
        self._late_until = max(self._late_until, until)
        if now < self._until:
            self._until = 0.0

    def begins(self, world: World, machines: Mapping[str, Machine], until: float, now: float) -> None:
        """Note that the monitor's own network fails until then: where all hosts in use are well, it must see that."""
        used = [
            name
            for name, host in world.hosts.items()
            if host.state not in (State.ADMIN_OFFLINE, State.HARD_OFFLINE)
        ]
        well = all(
            machines[name].check(check)[0] is Outcome.OK
            and world.hosts[name].checks[check].error_since is None
            for name in used
            for check in ("ping", "mysql")
        )
        seen = self._tells and well and now >= self._late_until
        if seen and len(used) > 1 and world.network_up:
            self._until = max(self._until, until)

    def changed(self, change: Change, now: float) -> None:
        """Check that no host is taken for dead for what is the monitor's own."""
        if change.after is not State.HARD_OFFLINE:
            return
        if now < self._until:
            raise ViolationError(f"{change}: it is the monitor that is cut off")
