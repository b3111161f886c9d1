"""How long a client cannot write: planned moves, dead servers, cut-off hosts, frozen servers.

python -m bench.failover [--runs N] [--only NAME,…]

A client in the sandbox writes a row every 2 ms through the writer's VIP, with time-outs of 0.25 s; an outage goes
from its last acknowledged row to its next one. Three confs: the default one (check_period 5, trap_period 10,
timeout 2), one with 1 s for all three, and that of etc/mmm_mon.fast.conf.example.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.conf import Conf, fast
from mmm.sandbox.faults import inject
from mmm.sandbox.inspect import catch_up
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up
from mmm.sandbox.watch import Probe

_LIMIT = 60.0
_HEADER = (
    f"{'writes stop for (ms)':<34}{'runs':>5}{'min':>8}{'median':>8}{'max':>8}{'missing':>9}{'doubled':>9}"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One way to lose the writer; `runs` relative to --runs."""

    name: str
    conf: Conf
    strike: Callable[[Sandbox], None]
    runs: float = 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: the outage in ms, and what became of acknowledged rows."""

    ms: float
    missing: int
    doubled: int


def _move(sandbox: Sandbox) -> None:
    target = next(name for name in sandbox.layout.masters if name != sandbox.writer())
    said = sandbox.control("move_role", "writer", target)
    if said.returncode:
        raise SystemExit(f"move_role: {said.stdout}{said.stderr}")


def _fault(name: str) -> Callable[[Sandbox], None]:
    def strike(sandbox: Sandbox) -> None:
        inject(sandbox, name, sandbox.writer())

    return strike


_MONITOR = {"flap_count": 0, "failover_block": 0}
_EXAMPLE = Path(__file__).parents[1] / "etc/mmm_mon.fast.conf.example"
DEFAULT, FAST = Conf(monitor=_MONITOR), fast(Conf(monitor=_MONITOR))
FASTEST = Conf(monitor=_MONITOR, extra={"mmm_mon.conf": _EXAMPLE.read_text("utf-8")})
CASES = (
    Case("planned move", FAST, _move, 2.0),
    Case("kill -9, 1/1/1", FAST, _fault("kill-mysqld")),
    Case("clean stop, 1/1/1", FAST, _fault("stop-mysqld"), 0.6),
    Case("host cut off, 1/1/1", FAST, _fault("cut"), 0.6),
    Case("server frozen, 1/1/1", FAST, _fault("freeze-mysqld"), 0.6),
    Case("kill -9, fast conf", FASTEST, _fault("kill-mysqld")),
    Case("clean stop, fast conf", FASTEST, _fault("stop-mysqld"), 0.6),
    Case("host cut off, fast conf", FASTEST, _fault("cut"), 0.6),
    Case("server frozen, fast conf", FASTEST, _fault("freeze-mysqld"), 0.6),
    Case("planned move, default conf", DEFAULT, _move),
    Case("kill -9, default conf", DEFAULT, _fault("kill-mysqld"), 0.6),
)


def measure(sandbox: Sandbox, case: Case) -> Measured:
    """Return one run on a healthy cluster."""
    restore(sandbox)
    catch_up(sandbox)
    with Probe(sandbox, readers=False) as probe:
        probe.wait_writes(_LIMIT, 200)
        case.strike(sandbox)
        outage = probe.wait_outage(_LIMIT)
        probe.wait_writes(_LIMIT, 200)
    return Measured(outage.ms, len(probe.report.missing), len(probe.report.doubled))


def line(case: Case, runs: list[Measured]) -> str:
    """Return a row of the table."""
    ms = [run.ms for run in runs]
    figures = f"{min(ms):>8.0f}{statistics.median(ms):>8.0f}{max(ms):>8.0f}"
    rows = f"{sum(run.missing for run in runs):>9}{sum(run.doubled for run in runs):>9}"
    return f"{case.name:<34}{len(runs):>5}{figures}{rows}"


def main() -> int:
    """Run all cases and print the table; returns 1 when a row was doubled."""
    parser = argparse.ArgumentParser(description="Measure how long a client cannot write.")
    parser.add_argument("--runs", type=int, default=5, help="runs of a case of ordinary length (default 5)")
    parser.add_argument("--only", default="", help="names of cases, or parts of them, separated by commas")
    args = parser.parse_args()
    wanted = [case for case in CASES if any(part in case.name for part in args.only.split(","))]
    print(_HEADER, flush=True)
    doubled = 0
    for conf in (FAST, FASTEST, DEFAULT):
        cases = [case for case in wanted if case.conf is conf]
        if not cases:
            continue
        sandbox = up("bench", conf=conf)
        try:
            for case in cases:
                runs = [measure(sandbox, case) for _ in range(max(1, round(args.runs * case.runs)))]
                doubled += sum(run.doubled for run in runs)
                print(line(case, runs), flush=True)
        finally:
            down("bench")
    return 1 if doubled else 0


if __name__ == "__main__":
    sys.exit(main())
