"""Goes through every state of some instances of the model: `python -m tests.model` (`make model`; docs/safety.md).

Ends with status 1 where two hosts can hold the role, or where no writer comes back, and where it does not find two
holders though a rule about promises is left out.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from tests.model.explore import Explorer, Result
from tests.model.protocol import Rules

INSTANCES: dict[str, Rules] = {
    "two orders to a host at once, clocks drift": Rules(orders=2, faults=0),
    "two orders to a host at once, a fault": Rules(orders=2, faults=1, drift=False),
    "two faults": Rules(orders=1, faults=2, drift=False),
    "a fault, clocks drift": Rules(orders=1, faults=1),
    "leases of two ticks, a fault": Rules(length=2, orders=1, faults=1, drift=False, kept=False),
    "leases of two ticks, clocks drift": Rules(length=2, orders=1, faults=0, forever=False),
}

GIVEN_BACK = Rules(length=2, orders=1, faults=0, drift=False, forever=False, kept=False, returns=True)
INSTANCES["leases of two ticks, promises are given back"] = GIVEN_BACK
OTHER_CONFS = Rules(length=2, orders=1, faults=1, drift=False, forever=False, kept=False, confs=True)
INSTANCES["leases of two ticks, an agent is started with another conf"] = OTHER_CONFS
UNSAFE: dict[str, Rules] = {
    "promises are given back by a host that still holds the role": replace(GIVEN_BACK, early=True),
    "a promise is given back by a word about an older one": replace(GIVEN_BACK, any_promise=True),
    "a host renews by the promises of fewer hosts than the monitor knows": replace(OTHER_CONFS, unasked=True),
}


def main() -> int:
    """Run all instances, on several cores; returns the exit status."""
    wrong = 0
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(INSTANCES))) as pool:
        for name, result in zip(INSTANCES, pool.map(_explored, INSTANCES.values()), strict=True):
            verdict = "ends with two holders" if result.way else "finds no writer" if result.stuck else "safe"
            print(
                f"{name}: {result.states} states, up to {result.depth} steps deep, {result.seconds:.0f} s: {verdict}",
                flush=True,
            )
            for step in result.way or result.stuck:
                print(f"    {step}")
            wrong += bool(result.way or result.stuck)
        for name, result in zip(UNSAFE, pool.map(_explored, UNSAFE.values()), strict=True):
            verdict = f"two holders after {len(result.way)} steps" if result.way else "not found to be unsafe"
            print(f"{name}: {verdict}", flush=True)
            wrong += not result.way
    return 1 if wrong else 0


def _explored(rules: Rules) -> Result:
    return Explorer(rules).explore()


if __name__ == "__main__":
    sys.exit(main())
