"""What many runs come to."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.lead_faults import of_several
from tests.simulation.run import Result
from tests.simulation.runs import run_of
from tests.simulation.scenario import scenario


@dataclass
class Tally:
    """Sums over runs."""

    runs: int = 0
    failures: int = 0
    commands: int = 0
    orders: int = 0
    by_hand: int = 0
    virtual: float = 0.0
    cycles: list[float] = field(default_factory=list)
    limits: Counter[str] = field(default_factory=Counter)
    violations: list[Result] = field(default_factory=list)
    seconds: float = 0.0
    """Processor seconds."""

    def count(self, result: Result) -> None:
        """Add a run."""
        self.runs += 1
        self.failures += result.failures
        self.commands += result.commands
        self.orders += result.orders
        self.by_hand += result.by_hand
        self.virtual += result.at
        self.limits.update(result.limits)
        if result.violation:
            self.violations.append(result)
        else:
            self.cycles.append(result.cycles)

    def add(self, other: "Tally") -> None:
        """Add the runs of another tally."""
        self.runs += other.runs
        self.failures += other.failures
        self.commands += other.commands
        self.orders += other.orders
        self.by_hand += other.by_hand
        self.virtual += other.virtual
        self.seconds += other.seconds
        self.cycles += other.cycles
        self.limits.update(other.limits)
        self.violations += other.violations

    def __str__(self) -> str:
        cycles = sorted(self.cycles) or [0.0]
        lines = [
            f"{self.runs} runs: {self.failures} failures, {self.commands} commands, {self.orders} orders",
            f"{self.virtual / 3600:.0f} hours of virtual time",
            f"{self.failures / max(self.seconds, 0.001):.0f} failures per second of processor time",
            f"at rest after {cycles[len(cycles) // 2]:.1f} heartbeats (median), {cycles[-1]:.1f} (most)",
            *(f"{what}: {count} times" for what, count in sorted(self.limits.items())),
            f"replication had to be started by hand after an agent's restart: {self.by_hand} times",
            f"{len(self.violations)} violations",
            *(
                f"  seed {result.seed} at {result.at:.3f}: {result.violation}"
                for result in self.violations[:20]
            ),
        ]
        return "\n".join(lines)


def run_seeds(seeds: Iterable[int], monitors: int = 1) -> Tally:
    """Return what the runs of these seeds come to, with one monitor or with two."""
    tally = Tally()
    began = time.process_time()
    for seed in seeds:
        tally.count(run_of(scenario(seed) if monitors == 1 else of_several(seed)).result())
    tally.seconds = time.process_time() - began
    return tally
