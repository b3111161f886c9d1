"""Runs seeds on several cores: `python -m tests.simulation SEEDS [--first N] [--processes N]` (see docs/simulation.md).

Ends with status 1 when a seed failed, after the shortest history of the first few that did.
"""

import argparse
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat

from tests.simulation.lead_faults import of_several
from tests.simulation.scenario import scenario
from tests.simulation.shrink import story
from tests.simulation.tally import Tally, run_seeds

_CHUNK = 50
_MOST_STORIES = 3


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--monitors", type=int, choices=(1, 2), default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds)
    made = scenario if asked.monitors == 1 else of_several
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    tally = Tally()
    began = time.monotonic()
    with ProcessPoolExecutor(asked.processes, initializer=partial(logging.disable, logging.CRITICAL)) as pool:
        for number, part in enumerate(pool.map(run_seeds, chunks, repeat(asked.monitors)), 1):
            tally.add(part)
            if sys.stderr.isatty():
                print(f"\r{min(number * _CHUNK, len(seeds))} seeds", end="", file=sys.stderr)
    print(f"seeds {seeds.start} to {seeds.stop - 1}, {time.monotonic() - began:.0f} s")
    print(tally)
    for result in tally.violations[:_MOST_STORIES]:
        print(f"\n{story(made(result.seed))}")
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
