"""How long `mmm_control show` takes from start to exit, beside an interpreter that imports what it cannot do without.

python -m bench.start [--runs 40] [--json FILE]

Both find their modules compiled, as an installation leaves them: a first run of each is not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.tables import Table, write_json
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.up import down, up

_NAME = "bench_start"
_FLOOR = [sys.executable, "-c", "import socket, json"]
_COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    """Measure both in turn and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description="Measure how long mmm_control takes.")
    parser.add_argument("--runs", type=int, default=40, help="runs of each (default 40)")
    parser.add_argument("--json", type=Path, help="write the table to a file too")
    args = parser.parse_args()
    sandbox = up(_NAME, conf=Conf(slaves=0))
    try:
        show = [program("mmm_control"), "show"]
        took: dict[str, list[float]] = {"floor": [], "show": []}
        for run in range(args.runs + 1):
            for name, command in (("floor", _FLOOR), ("show", show)):
                inside = sandbox.monitor.enter(command)
                began = time.perf_counter()
                subprocess.run(inside, check=True, capture_output=True, timeout=60, env=_COMPILED)
                if run:
                    took[name].append(1000 * (time.perf_counter() - began))
    finally:
        down(_NAME)
    floor, shown = (statistics.median(took[name]) for name in ("floor", "show"))
    rows = [["python3 -c 'import socket, json'", round(floor, 1)], ["mmm_control show", round(shown, 1)]]
    ratio = shown / floor
    start = Table(
        "start",
        ["from start to exit", "median ms"],
        [*rows, ["ratio", round(ratio, 2)]],
        {"show / floor": ratio},
    )
    print(start)
    if args.json:
        write_json(args.json, [start])
    return 0


if __name__ == "__main__":
    sys.exit(main())
