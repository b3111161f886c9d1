"""What several monitors are worth, and what they cost.

python -m bench.monitors [--runs 3] [--hosts 3,30,1000] [--seconds 10] [--period 1] [--only lead|cost] [--json FILE]

    lead       in a sandbox of three real hosts and two monitors with leases of 2 s (checks 1/1/1): from the moment at
               which the leader is killed, frozen or cut off until another one says that it leads, which should be
               `lead_lease`, its margin and 1 s at most
    writes     the leader and the writer's server are killed at the same moment: how long a client cannot write; that,
               and what a dead server takes with one monitor, at most
    cost       a leader and a monitor that stands by, real ones, each in a machine of its own; the hosts are stand-ins
               (`bench.stand_ins`), which vote too: processor time, memory, and how many questions agents are asked
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.failover import FAST
from bench.scale import bench
from bench.tables import Table, write_json
from mmm.lease.rules import margin
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.restore import restore
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.up import down, up
from mmm.sandbox.witness.probe_run import Probe

_NAME = "bench_monitors"
_LIMIT = 60.0
_LEASE, _PERIOD, _TRAP = 2.0, 1.0, 1.0
_LEADS = _LEASE + margin(_LEASE) + 1.0
_WRITES = _LEADS + _PERIOD + _TRAP + 0.5
_LOST = {"leader killed": "kill-monitor", "leader frozen": "freeze-monitor", "leader cut off": "cut-monitor"}
_BOTH = "leader and writer's server killed, until writes"
_COST = ["hosts", "monitor", "CPU %", "memory MB", "messages/s", "of them LEAD"]


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description="Measure what several monitors are worth and cost.")
    parser.add_argument("--runs", type=int, default=3, help="how often each failure (default 3)")
    parser.add_argument("--hosts", default="3,30,1000", help="numbers of stand-ins")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch those (default 10)")
    parser.add_argument("--period", type=float, default=1.0, help="seconds between two checks (default 1)")
    parser.add_argument("--only", choices=("lead", "cost"), help="this part alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables there too")
    args = parser.parse_args()
    numbers = [int(number) for number in args.hosts.split(",")]
    tables: list[Table] = []
    parts = {"lead": partial(lost, args.runs), "cost": partial(costs, numbers, args.seconds, args.period)}
    for measure in (part for name, part in parts.items() if args.only in {None, name}):
        tables.append(measure())
        print(tables[-1], flush=True)
        if args.json is not None:
            write_json(args.json, tables)
    return 0


def lost(runs: int) -> Table:
    """Return how long it takes until another monitor leads, and until writes go on."""
    sandbox = up(_NAME, conf=replace(FAST, monitors=2))
    try:
        found = {name: _repeated(sandbox, runs, _until_led(fault)) for name, fault in _LOST.items()}
        found[_BOTH] = _repeated(sandbox, runs, _until_written)
    finally:
        down(_NAME)
    most = {name: _WRITES if name == _BOTH else _LEADS for name in found}
    rows = [
        [
            name,
            len(each),
            f"{min(each):.2f}",
            f"{statistics.median(each):.2f}",
            f"{max(each):.2f}",
            most[name],
        ]
        for name, each in found.items()
    ]
    ratios = {f"{name} / aim": round(statistics.median(each) / most[name], 3) for name, each in found.items()}
    return Table("monitors", ["seconds", "runs", "min", "median", "max", "at most"], rows, ratios)


def _repeated(sandbox: Sandbox, runs: int, measure: Callable[[Sandbox, str], float]) -> list[float]:
    found = []
    for _ in range(runs):
        restore(sandbox)
        sandbox.wait_until(lambda: _leader(sandbox), _LIMIT, "a monitor leads, and the other stands by")
        found.append(measure(sandbox, _leader(sandbox)))
        print(f"{found[-1]:.2f} s", file=sys.stderr, flush=True)
    return found


def _leader(sandbox: Sandbox) -> str:
    """Return the monitor that leads, empty unless the other one is there to follow it."""
    leader = sandbox.leader()
    stands = [name for name in sandbox.layout.monitors if name != leader]
    return leader if leader and _answers(sandbox, stands[0]) else ""


def _answers(sandbox: Sandbox, name: str) -> bool:
    try:
        return sandbox.ask_monitor(name, "ping").startswith("OK")
    except OSError:
        return False


def _leads(sandbox: Sandbox, name: str) -> bool:
    """Tell whether this monitor leads; a frozen one beside it, which is not asked, would hold the question up."""
    try:
        return bool(json.loads(sandbox.ask_monitor(name, "json monitors"))["leads"])
    except OSError:
        return False


def _until_led(fault: str) -> Callable[[Sandbox, str], float]:
    def measure(sandbox: Sandbox, leader: str) -> float:
        other = next(name for name in sandbox.layout.monitors if name != leader)
        began = time.monotonic()
        inject(sandbox, fault, leader, angel=fault == "kill-monitor")
        sandbox.wait_until(lambda: _leads(sandbox, other), _LIMIT, "another monitor leads")
        return time.monotonic() - began

    return measure


def _until_written(sandbox: Sandbox, leader: str) -> float:
    with Probe(sandbox, readers=False) as probe:
        probe.wait_writes(_LIMIT)
        inject(sandbox, "kill-monitor", leader, angel=True)
        inject(sandbox, "kill-mysqld", sandbox.writer())
        return probe.wait_outage(_LIMIT).ms / 1000


def costs(numbers: Sequence[int], seconds: float, period: float = 1.0) -> Table:
    """Return what a leader and a monitor that stands by cost, with so many stand-ins."""
    rows: list[list[object]] = []
    memory: dict[str, float] = {}
    for hosts in numbers:
        with bench(hosts, monitors=2, period=period) as cluster:
            cluster.wait_online(hosts)
            cluster.tally()
            before, began = cluster.usages(), time.monotonic()
            time.sleep(seconds)
            after, took, told = cluster.usages(), time.monotonic() - began, cluster.tally()
        leader = max(after, key=lambda ip: told.get(f"{ip} SET_STATUS", 0))
        for ip, now in after.items():
            what = "leads" if ip == leader else "stands by"
            asked = {name: number for name, number in told.items() if name.startswith(f"{ip} ")}
            cpu = 100 * (now.cpu - before[ip].cpu) / took
            lead = asked.get(f"{ip} LEAD", 0) / took
            memory[what] = now.memory
            rows.append(
                [
                    hosts,
                    what,
                    f"{cpu:.1f}",
                    round(now.memory / 1e6),
                    f"{sum(asked.values()) / took:.1f}",
                    f"{lead:.1f}",
                ]
            )
    ratio = {
        f"memory with {numbers[-1]} hosts, stands by / leads": round(memory["stands by"] / memory["leads"], 3)
    }
    return Table("monitors' cost", _COST, rows, ratio)


if __name__ == "__main__":
    sys.exit(main())
