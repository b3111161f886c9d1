"""Goes through every state of some instances of the model: `python -m tests.model` (`make model`; docs/safety.md).

First one monitor, then two of them. Ends with status 1 where two hosts can hold the role, or where no writer comes
back, and where it does not find two holders though a rule is left out.
"""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from tests.model import explore_voting, voting
from tests.model.explore import Explorer, Result
from tests.model.master import Rules
from tests.model.mistakes import MISTAKES

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
STAYS = Rules(orders=1, faults=1, drift=False, forever=False, kept=False, stays=1)
INSTANCES["a host stays for good, a fault"] = STAYS
INSTANCES["a host stays for good, clocks drift"] = replace(STAYS, faults=0, drift=True)
INSTANCES["a host stays for good twice"] = replace(STAYS, faults=0, stays=2)
INSTANCES["both hosts stay for good"] = replace(STAYS, faults=0, both_stay=True)
UNSAFE: dict[str, Rules] = {
    "a host stays for good without being let": replace(STAYS, unheld=True),
    "a stay counts though an order was obeyed since": replace(STAYS, faults=0, any_stay=True),
    "a stay is void though it was not shown before the order": replace(STAYS, unshown=True),
    "promises are given back by a host that still holds the role": replace(GIVEN_BACK, early=True),
    "a promise is given back by a word about an older one": replace(GIVEN_BACK, any_promise=True),
    "a host renews by the promises of fewer hosts than the monitor knows": replace(OTHER_CONFS, unasked=True),
}


_OWN = voting.Rules(own=True)
_MOST = 1_000_000
"""States of an instance with two monitors, where it has more; those on the shortest ways."""
LEADING: dict[str, voting.Rules] = {
    "two voters": _OWN,
    "two voters, who takes the lead does not wait": replace(_OWN, waits=False),
    "two voters, each monitor asks for the lead twice": replace(_OWN, epochs=2),
    "two voters, clocks drift": replace(_OWN, drift=True),
    "two voters, a fault": replace(_OWN, faults=1),
    "two voters, a host boots with an empty disk": replace(_OWN, faults=1, disks=True),
    "two voters, masters promise": replace(_OWN, promises=True),
    "two voters, leases without an end": replace(_OWN, forever=True),
    "two voters, a monitor leads on by the word of the other": replace(_OWN, others=True),
    "three voters, the same": replace(_OWN, voters=3, others=True),
    "three voters, the same, monitors release theirs": replace(
        _OWN, voters=3, others=True, releases=True, tells=False
    ),
    "two voters, a host stays for good": replace(_OWN, stays=True),
    "two voters, a host stays for good, a monitor leads on by the word of the other": replace(
        _OWN, stays=True, others=True
    ),
    "two voters, a host stays for good, both monitors order both masters": voting.Rules(stays=True),
    "two voters, both monitors order both masters": voting.Rules(),
    "three voters, monitors release theirs": replace(_OWN, voters=3, releases=True, tells=False),
    "three voters, who takes the lead does not wait": replace(_OWN, voters=3, waits=False, tells=False),
}


def main() -> int:
    """Run all instances, on several cores; returns the exit status."""
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        return 1 if _one_monitor(pool) + _two_monitors(pool) else 0


def _two_monitors(pool: ProcessPoolExecutor) -> int:
    wrong = 0
    for name, found in zip(LEADING, pool.map(_led, LEADING.values()), strict=True):
        end = "" if found.whole else ", not to the end"
        verdict = "ends with two holders" if found.way else "finds no writer" if found.stuck else "safe"
        print(
            f"{name}: {found.states} states, up to {found.depth} steps deep{end}, {found.seconds:.0f} s: {verdict}"
        )
        for step in found.way or found.stuck:
            print(f"    {step}")
        wrong += bool(found.way or found.stuck)
    for name, mistake in MISTAKES.items():
        explorer = explore_voting.Explorer(replace(mistake.rules, **mistake.without))
        barred = explorer.follow(mistake.way)
        print(
            f"left out that {name}: "
            + (f"not found, {barred}" if barred else f"two holders after {len(mistake.way)} steps")
        )
        wrong += bool(barred)
    return wrong


def _led(rules: voting.Rules) -> explore_voting.Result:
    # A voter without a disk may wait for an admin, and a host for word of one that this monitor does not order.
    lively = not (rules.disks or (rules.stays and rules.own))
    return explore_voting.Explorer(rules).explore(_MOST, lively=lively)


def _one_monitor(pool: ProcessPoolExecutor) -> int:
    wrong = 0
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
    return wrong


def _explored(rules: Rules) -> Result:
    return Explorer(rules).explore()


if __name__ == "__main__":
    sys.exit(main())
