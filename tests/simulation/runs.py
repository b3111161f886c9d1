"""Runs of either kind: with one monitor, or with two."""

from mmm.lease.rules import margin
from mmm.monitor.world.leadership import Place
from tests.simulation import lead_faults
from tests.simulation.run import Result, Run
from tests.simulation.scenario import Action, Scenario
from tests.simulation.several import Several


class RunOfSeveral(Run):
    """Two monitors and their cluster under a scenario."""

    def __init__(self, scenario: Scenario, *, tell: bool = False) -> None:
        super().__init__(scenario)
        self.cluster: Several = Several(scenario, tell=tell)
        self.clock, self.watch = self.cluster.clock, self.cluster.watch

    def result(self) -> Result:
        """Let it run; returns what became of it, never raises for what is real in it."""
        with self.cluster.time():
            try:
                return super().result()
            finally:
                self.cluster.close()

    def _start(self) -> None:
        self.cluster.begin()

    def _strike(self, action: Action) -> None:
        lead_faults.begin(self.cluster, action)

    def _astray(self) -> list[str]:
        monitor = self.cluster.monitor
        if monitor is None:
            places = {
                ip: seat.monitor and seat.monitor.world.leadership for ip, seat in self.cluster.seats.items()
            }
            return [f"no monitor leads: {places}"]
        wrong = super()._astray()
        stand = [each.monitor for each in self.cluster.seats.values() if each.monitor is not monitor]
        if any(each is None or each.world.leadership.place is not Place.STANDS_BY for each in stand):
            wrong.append("the other monitor does not stand by")
        for name, vote in self.cluster.votes.items():
            follows = vote.said().follows
            if follows != monitor.lead or vote.voter.new:
                wrong.append(f"{name} follows {follows}, not {monitor.lead}")
        return wrong

    def _reload(self) -> None:
        if self.cluster.monitor is not None:
            self.watch.level(self.cluster.monitor.world)

    def _patience(self) -> float:
        conf = self.scenario.conf
        whole = 2 * (conf.lead_lease + margin(conf.lead_lease)) + conf.vip_lease + margin(conf.vip_lease)
        return super()._patience() + whole + 10.0


def run_of(scenario: Scenario, *, tell: bool = False) -> Run:
    """Return the run of a scenario, by the monitors that it has."""
    return RunOfSeveral(scenario, tell=tell) if scenario.conf.monitors else Run(scenario, tell=tell)
