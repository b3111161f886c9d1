"""What the daemons cost while nothing happens, in a healthy cluster of three hosts with the default conf.

python -m bench.idle [--seconds 60] [--json FILE]
"""

import argparse
import sys
import time
from pathlib import Path

from bench.tables import Table, write_json
from bench.usage import usage
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

_NAME = "bench_idle"
_AIMS = {"monitor": (1.0, 60), "agent, writer and reader VIP": (0.3, 60), "agent, reader VIP": (0.3, 60)}
_CLASSIC = {"monitor": (0.42, 128), "agent, writer and reader VIP": (4.0, 18), "agent, reader VIP": (1.3, 18)}


def main() -> int:
    """Measure the monitor and two agents side by side and print the table."""
    parser = argparse.ArgumentParser(description="Measure what the daemons cost while nothing happens.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch (default 60)")
    parser.add_argument("--json", type=Path, help="write the table to a file too")
    args = parser.parse_args()
    sandbox = up(_NAME, conf=Conf())
    try:
        restore(sandbox)
        watched = {
            "monitor": (sandbox.monitor, "mmm_mond"),
            "agent, writer and reader VIP": (sandbox.machine("db1"), "mmm_agentd"),
            "agent, reader VIP": (sandbox.machine("db3"), "mmm_agentd"),
        }
        before, began = {name: usage(*what)[0] for name, what in watched.items()}, time.monotonic()
        time.sleep(args.seconds)
        after, took = {name: usage(*what) for name, what in watched.items()}, time.monotonic() - began
    finally:
        down(_NAME)
    found = {name: (100 * (cpu - before[name]) / took, memory / 1e6) for name, (cpu, memory) in after.items()}
    idle = table(found)
    print(idle)
    if args.json:
        write_json(args.json, [idle])
    return 0


def table(found: dict[str, tuple[float, float]]) -> Table:
    """Return the table of CPU in percent of a core and memory in MB, beside what they should be at most."""
    rows = [
        [
            name,
            f"{cpu:.2f}",
            _AIMS[name][0],
            _CLASSIC[name][0],
            f"{memory:.0f}",
            _AIMS[name][1],
            _CLASSIC[name][1],
        ]
        for name, (cpu, memory) in found.items()
    ]
    ratios = {f"idle CPU, {name} / aim": cpu / _AIMS[name][0] for name, (cpu, _) in found.items()}
    ratios |= {f"idle memory, {name} / aim": memory / _AIMS[name][1] for name, (_, memory) in found.items()}
    columns = ["idle", "CPU % of a core", "at most", "classic", "memory MB", "at most", "classic"]
    return Table("idle", columns, rows, ratios)


if __name__ == "__main__":
    sys.exit(main())
