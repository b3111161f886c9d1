"""Runs of either kind: with one monitor, or with two."""

from mmm.agent.act.voting import Voting
from mmm.lease.quorum import take
from mmm.lease.rules import margin
from mmm.monitor.world.leadership import Place
from tests.simulation import lead_faults
from tests.simulation.run import Result, Run
from tests.simulation.scenario import Action, LeadKind, Scenario
from tests.simulation.several import Several


class RunOfSeveral(Run):
    """Two monitors and their cluster under a scenario."""

    def __init__(self, scenario: Scenario, *, tell: bool = False) -> None:
        super().__init__(scenario)
        self.cluster: Several = Several(scenario, tell=tell)
        self.clock, self.watch = self.cluster.clock, self.cluster.watch
        self._unled = 0
        """Seconds, after the last fault, for which no monitor has led."""

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
        for name, voter in self._voters().items():
            follows = voter.said().follows
            if follows != monitor.lead or voter.voter.new:
                wrong.append(f"{name} follows {follows}, not {monitor.lead}")
        return wrong

    def _voters(self) -> dict[str, Voting]:
        """Return those whose word counts; an agent that has no vote is asked ahead of its next order only."""
        return {name: self.cluster.votes[name] for name in self.scenario.conf.voters}

    def _start_what_was_forgotten(self) -> None:
        """Do what the admin does besides: where too few voters count he vouches that no monitor gives orders."""
        super()._start_what_was_forgotten()
        cluster = self.cluster
        self._unled = 0 if cluster.monitor else self._unled + 1
        lead = self.scenario.conf.lead_lease
        voters = self._voters().values()
        too_few = sum(not each.voter.new for each in voters) < take(len(voters))
        if too_few and self._unled > 2 * (lead + margin(lead)):
            self._unled = 0
            monitor = next(iter(cluster.seats.values())).monitor
            if monitor is not None:
                self.clock.say("the admin says 'take_lead --force'")
                cluster.counted[LeadKind.TAKE_LEAD] += 1
                monitor.command("take_lead --force")

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
