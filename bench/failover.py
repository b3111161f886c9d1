"""How long a client cannot write: planned moves, dead servers, cut-off hosts, frozen servers.

python -m bench.failover [--runs N] [--only NAME]… [--json FILE]

A client in the sandbox writes a row every 2 ms through the writer's VIP, with time-outs of 0.25 s, of 0.05 s for
connecting; an outage goes from its last acknowledged row to its next one. Three confs: the default one (check_period
5, trap_period 10, timeout 2, vip_lease 10), one with 1 s for the first three and a lease of 2 s, and that of
etc/mmm_mon.fast.conf.example with a lease of 1 s.

What it should come to, beside which it is shown:

    dead      the server's port refuses: check_period/2 + trap_period + 0.3 s in the middle, check_period + trap_period
              + 0.5 s at most; with the fast conf and server_exit trap 0.5 s, killed with failover 0.1 s
    silent    nothing answers: timeout + trap_period + lease, and 0.5 s at most; with the fast conf 1.5 s
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.tables import Table, write_json
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.proxy import with_health
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.health import catch_up
from mmm.sandbox.witness.probe_run import Probe

_NAME = "bench_failover"
_LIMIT = 60.0
COLUMNS = ("writes stop for (s)", "runs", "min", "median", "max", "aim", "at most", "missing", "doubled",
           "classic", "best of others")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """What a conf says, in seconds."""

    period: float
    trap: float
    timeout: float
    lease: float


@dataclass(frozen=True, slots=True)
class Case:
    """One way to lose the writer; `runs` relative to --runs."""

    name: str
    conf: Conf
    strike: Callable[[Sandbox], None]
    aims: tuple[float, float] | None = None
    """Seconds that the median and the longest should have at most."""
    runs: float = 1.0
    classic: float | None = None
    """The median of MMM 2.2.3 on the same work, in seconds."""
    others: float | None = None
    """The best median of keepalived, MHA, orchestrator and replication-manager."""


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


def dead(conf: Timing) -> tuple[float, float]:
    """Return the aims for a server whose port refuses."""
    return conf.period / 2 + conf.trap + 0.3, conf.period + conf.trap + 0.5


def silent(conf: Timing) -> tuple[float, float]:
    """Return the aims for a host that answers nothing."""
    whole = conf.timeout + conf.trap + conf.lease
    return whole, whole + 0.5


_MONITOR = {"flap_count": 0, "failover_block": 0}
_EXAMPLE = Path(__file__).parents[1] / "etc/mmm_mon.fast.conf.example"
DEFAULT, FAST = Conf(monitor=_MONITOR), fast(Conf(monitor=_MONITOR))
FASTEST = Conf(monitor=_MONITOR, top={"vip_lease": 1}, extra={"mmm_mon.conf": _EXAMPLE.read_text("utf-8")})
TRAPPED = replace(
    FASTEST,
    extra={
        name: f"{text}\n<monitor>\n    server_exit trap\n</monitor>\n" for name, text in FASTEST.extra.items()
    },
)
"""The same, where a server that has ended may be started again within the trap."""
UNSALVAGED = replace(FASTEST, top={**FASTEST.top, "salvage": "no"})
"""The same as the first, where nobody reads the dead server's binary log: what that costs is the difference."""
PROXIED = with_health(FAST)
"""With a client behind HAProxy."""
KILLED_FROZEN = replace(FASTEST, top={**FASTEST.top, "kill_frozen_server": "yes"})
_DEFAULT, _FAST = Timing(5, 10, 2, 10), Timing(1, 1, 1, 2)
_AT_ONCE, _SOON, _SOON_SILENT = (0.1, 0.3), (0.5, 0.9), (1.5, 1.5)
_KILL, _STOP, _CUT, _FREEZE = map(_fault, ("kill-mysqld", "stop-mysqld", "cut", "freeze-mysqld"))
_SALVAGED = "kill -9, fast conf"
CASES = (
    Case("planned move, 1/1/1", FAST, _move, None, 1.0, 0.77, 0.26),
    Case("kill -9, 1/1/1", FAST, _KILL, dead(_FAST), 0.75, 5.0, 2.2),
    Case("clean stop, 1/1/1", FAST, _STOP, dead(_FAST), 0.75),
    Case("host cut off, 1/1/1", FAST, _CUT, silent(_FAST), 0.75, 20.5, 3.45),
    Case("server frozen, 1/1/1", FAST, _FREEZE, silent(_FAST), 0.75, None, 2.95),
    Case("planned move, 1/1/1, through HAProxy", PROXIED, _move),
    Case("host cut off, 1/1/1, through HAProxy", PROXIED, _CUT, silent(_FAST), 0.75),
    Case(_SALVAGED, FASTEST, _KILL, _AT_ONCE, 1.0, None, 2.2),
    Case("kill -9, fast conf, server_exit trap", TRAPPED, _KILL, _SOON, 1.0, None, 2.2),
    Case(f"{_SALVAGED}, salvage no", UNSALVAGED, _KILL, _AT_ONCE),
    Case("clean stop, fast conf", FASTEST, _STOP, _SOON),
    Case("host cut off, fast conf", FASTEST, _CUT, _SOON_SILENT, 1.0, None, 0.9),
    Case("server frozen, fast conf", FASTEST, _FREEZE, _SOON_SILENT, 1.0, None, 2.95),
    Case("server frozen, fast conf, killed then", KILLED_FROZEN, _FREEZE, _SOON_SILENT),
    Case("planned move, default conf", DEFAULT, _move, None, 1.0, 0.7),
    Case("kill -9, default conf", DEFAULT, _KILL, dead(_DEFAULT), 0.75, 14.2),
    Case("clean stop, default conf", DEFAULT, _STOP, dead(_DEFAULT), 0.75),
    Case("host cut off, default conf", DEFAULT, _CUT, silent(_DEFAULT), 0.5, 21.2),
    Case("server frozen, default conf", DEFAULT, _FREEZE, silent(_DEFAULT), 0.5, 30.7),
)
"""Times of the classic and of others are from runs of a client that gave up connecting after 0.25 s."""


def _all_good(sandbox: Sandbox) -> bool:
    """Tell whether the monitor knows of the cluster that all is well: by an earlier look a host may not be promoted."""
    said = sandbox.ask("checks all")
    return bool(said) and "ERROR" not in said and "UNKNOWN" not in said


def measure(sandbox: Sandbox, case: Case) -> Measured:
    """Return one run on a healthy cluster."""
    restore(sandbox)
    catch_up(sandbox)
    sandbox.wait_until(lambda: _all_good(sandbox), _LIMIT, "every check is good")
    proxy = case.conf is PROXIED
    with Probe(sandbox, readers=False, proxy=proxy, connect_limit=0.05) as probe:
        probe.wait_writes(_LIMIT, 200)
        case.strike(sandbox)
        outage = probe.wait_outage(_LIMIT)
        probe.wait_writes(_LIMIT, 200)
    return Measured(outage.ms, len(probe.report.missing), len(probe.report.doubled))


def _median(runs: list[Measured]) -> float:
    """Return the outage in the middle, in ms."""
    return statistics.median(run.ms for run in runs)


def row(case: Case, runs: list[Measured]) -> list[object]:
    """Return a row of the table."""
    seconds = [run.ms / 1000 for run in runs]
    aims = ("", "") if case.aims is None else tuple(f"{aim:.2f}" for aim in case.aims)
    return [
        case.name, len(runs), f"{min(seconds):.3f}", f"{statistics.median(seconds):.3f}", f"{max(seconds):.3f}", *aims,
        sum(run.missing for run in runs), sum(run.doubled for run in runs),
        "" if case.classic is None else case.classic, "" if case.others is None else case.others,
    ]  # fmt: skip


def table(found: dict[str, list[Measured]]) -> Table:
    """Return the table of what was measured so far."""
    cases = [case for case in CASES if case.name in found]
    ratios = {
        f"{case.name} / aim": _median(found[case.name]) / 1000 / case.aims[0]
        for case in cases
        if case.aims is not None
    }
    with_salvage, without = (found.get(name) for name in (_SALVAGED, f"{_SALVAGED}, salvage no"))
    if with_salvage and without:
        ratios[f"{_SALVAGED} / salvage no"] = _median(with_salvage) / _median(without)
    return Table("failover", COLUMNS, [row(case, found[case.name]) for case in cases], ratios)


def main() -> int:
    """Run all cases and print the table; returns 1 when a row was doubled."""
    parser = argparse.ArgumentParser(description="Measure how long a client cannot write.")
    parser.add_argument("--runs", type=int, default=4, help="runs of a case of ordinary length (default 4)")
    parser.add_argument("--only", action="append", help="name of a case, or part of one; may be given again")
    parser.add_argument("--json", type=Path, help="write the table to a file too, anew after every case")
    parser.add_argument("--name", default=_NAME, help="of the sandbox")
    args = parser.parse_args()
    wanted = [case for case in CASES if any(part in case.name for part in args.only or [""])]
    found: dict[str, list[Measured]] = {}
    for conf in (FAST, PROXIED, FASTEST, TRAPPED, UNSALVAGED, KILLED_FROZEN, DEFAULT):
        cases = [case for case in wanted if case.conf is conf]
        if not cases:
            continue
        sandbox = up(args.name, conf=conf, proxy=conf is PROXIED)
        try:
            for case in cases:
                runs = [measure(sandbox, case) for _ in range(max(1, round(args.runs * case.runs)))]
                found[case.name] = runs
                print(*row(case, runs), flush=True)
                if args.json:
                    write_json(args.json, [table(found)])
        finally:
            down(args.name)
    print(table(found))
    return 1 if any(run.doubled for runs in found.values() for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
