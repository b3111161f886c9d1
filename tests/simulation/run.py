"""One run: a scenario carried out in virtual time, watched at every step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmm.lease.lead import HEARTBEAT
from mmm.monitor.act import status_file
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode
from tests.simulation.books import ViolationError
from tests.simulation.cluster import Cluster
from tests.simulation.faults import begin, start_monitor
from tests.simulation.scenario import Action, Kind, Scenario
from tests.simulation.watch import astray

SETTLED_FOR = 3
"""Heartbeats for which all has to stay as it should be."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run."""

    seed: int
    violation: str = ""
    at: float = 0.0
    """Virtual seconds from the start to the end, or to the violation."""
    failures: int = 0
    commands: int = 0
    cycles: float = 0.0
    """Heartbeats between the end of the last fault and the moment when all was as it should be."""
    orders: int = 0
    by_hand: int = 0
    """How often replication had to be started by hand."""
    limits: Mapping[str, int] = field(default_factory=dict)
    history: tuple[str, ...] = ()


class Run:
    """A cluster under a scenario."""

    def __init__(self, scenario: Scenario, *, tell: bool = False) -> None:
        self.scenario = scenario
        self.cluster = Cluster(scenario, tell=tell)
        self.clock, self.watch = self.cluster.clock, self.cluster.watch

    def result(self) -> Result:
        """Let it run; returns what became of it, never raises for what the deciders do."""
        violation, cycles = "", 0.0
        try:
            self._start()
            for action in self.scenario.actions:
                self.clock.at(action.at, self._strike, action)
            self.clock.run(self.scenario.end)
            cycles = self._converge()
        except ViolationError as error:
            violation = str(error)
        except Exception as error:  # noqa: BLE001 - a decider that raises is what the simulation is to find
            violation = f"{type(error).__name__}: {error}"
        commands = self.cluster.counted.pop(Kind.COMMAND, 0)
        return Result(
            self.scenario.seed,
            violation,
            self.clock.now,
            sum(self.cluster.counted.values()),
            commands,
            cycles,
            self.watch.orders,
            self.cluster.by_hand,
            self.watch.limits,
            tuple(self.clock.history or ()),
        )

    def _start(self) -> None:
        start_monitor(self.cluster)

    def _strike(self, action: Action) -> None:
        begin(self.cluster, action)

    # The end: everything works again

    def _converge(self) -> float:
        """Return after how many heartbeats all was as it should be and stayed so."""
        start = self.clock.now
        self.clock.say("no more faults")
        limit = start + self._patience()
        good_since: float | None = None
        while True:
            self.clock.run(self.clock.now + 1.0)
            if self.cluster.monitor is not None and self.cluster.monitor.world.mode is Mode.PASSIVE:
                self.clock.say("the admin says 'set_active'")
                self.cluster.monitor.command("set_active")
            self._start_what_was_forgotten()
            wrong = self._astray()
            now = self.clock.now
            if wrong:
                good_since = None
                if now > limit:
                    raise ViolationError(
                        f"not settled {now - start:.0f} s after the last fault: {'; '.join(wrong)}"
                    )
            elif good_since is None:
                good_since = now
            elif now - good_since > SETTLED_FOR * HEARTBEAT:
                break
        self._reload()
        return (good_since - start) / HEARTBEAT

    def _start_what_was_forgotten(self) -> None:
        """Do by hand what an agent does not that ended between ADMIN_OFFLINE and its end."""
        for name, machine in self.cluster.machines.items():
            offline = self.cluster.agents[name].status.state == State.ADMIN_OFFLINE
            if machine.forgotten and not machine.replicates and not offline:
                self.clock.say(f"{name}: replication is started by hand")
                machine.replicates, machine.forgotten = True, False
                self.cluster.by_hand += 1

    def _astray(self) -> list[str]:
        monitor = self.cluster.monitor
        if monitor is None:
            return ["there is no monitor"]
        if not monitor.settled():
            return [f"mode is {monitor.world.mode}, kill_host or a move is under way"]
        return astray(monitor.world, self.cluster.machines, self.cluster.agents)

    def _reload(self) -> None:
        monitor = self.cluster.monitor
        if monitor is not None:
            self.watch.level(monitor.world)
            text = status_file.encode(monitor.world)
            self.watch.reloaded(monitor.world, text)
            if monitor.world.mode is Mode.ACTIVE:
                self.watch.restarts_the_same(monitor.world, text, self.clock.now)

    def _patience(self) -> float:
        """Return how many seconds a cluster may take to come to rest: every limit once, and some heartbeats."""
        conf = self.scenario.conf
        monitor = conf.monitor
        assert monitor is not None
        trap_time = 2 * max(check.check_period + check.trap_period for check in conf.checks.values())
        waits = monitor.failover_block + max(check.connect_grace for check in conf.checks.values())
        waits += monitor.auto_set_online + (monitor.wait_for_other_master or 1000.0)
        flap = monitor.flap_duration if monitor.auto_set_online else 0.0
        return (
            trap_time + waits + flap + 3 * self.scenario.order_limit + 20 * HEARTBEAT + 4 * conf.sync_timeout
        )
