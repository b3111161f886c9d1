"""What the daemons cost while nothing happens, in a healthy cluster of three hosts with the default conf.

python -m bench.idle [--seconds 60]
"""

import argparse
import sys
import time

from bench.usage import usage
from mmm.sandbox.conf import Conf
from mmm.sandbox.restore import restore
from mmm.sandbox.up import down, up

_NAME = "bench_idle"
_HEADER = f"{'idle':<34}{'CPU % of a core':>17}{'memory MB':>11}"


def main() -> int:
    """Measure the monitor and two agents side by side and print the table."""
    parser = argparse.ArgumentParser(description="Measure what the daemons cost while nothing happens.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch (default 60)")
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
        print(_HEADER)
        for name, (cpu, memory) in after.items():
            print(f"{name:<34}{100 * (cpu - before[name]) / took:>17.2f}{memory / 1e6:>11.0f}")
    finally:
        down(_NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
