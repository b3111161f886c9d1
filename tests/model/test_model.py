"""The rules of the lease in a small instance of the model, and what becomes of them when one is left out.

The larger instances are those of `make model`.
"""

from dataclasses import replace

import pytest

from mmm.lease.rules import (
    FOREVER,
    NEVER,
    Grant,
    Lease,
    Refusal,
)
from tests.model.explore import Explorer
from tests.model.master import Rules


class ObeysTwice(Lease):
    """Obeys a token again."""

    def refusal(self, grant: Grant, now: float, *, role: bool) -> Refusal | None:
        return Lease.refusal(self._replace(newest=self.newest - 0.001), grant, now, role=role)


class ForgetsPromises(Lease):
    """Does not keep a promise over its restart."""

    def restarted(self, now: float) -> "Lease":
        return self._replace(newest=now, heard=NEVER, promised=NEVER)


class StaysForGood(Lease):
    """Has left its VIP for good when its agent was stopped, without having been granted it for ever."""

    def restarted(self, now: float) -> "Lease":
        return self._replace(newest=now, heard=NEVER, until=FOREVER if self.holds(now) else self.until)


class ForgetsStays(Lease):
    """Does not keep on the disk whom it lets stay for good."""

    def rebooted(self, now: float, length: float, after: float | None = None) -> "Lease":
        return Lease.rebooted(self, now, length, after)._replace(stays=False)


STAYS = Rules(orders=1, faults=0, drift=False, forever=False, kept=False, stays=1)
TICKS = Rules(length=2, orders=1, faults=0, drift=False, forever=False, kept=False)


@pytest.mark.parametrize(
    "rules",
    [Rules(orders=1, faults=1, drift=False), TICKS, STAYS],
    ids=["a fault", "leases of two ticks", "a host stays for good"],
)
def test_no_two_hosts_hold_the_role_and_a_writer_comes_back(rules: Rules) -> None:
    result = Explorer(rules).explore()
    assert result.way == ()
    assert result.stuck == ()
    assert result.states > 100_000


@pytest.mark.parametrize(
    "rules",
    [
        Rules(lease=ObeysTwice, faults=0, drift=False),
        Rules(lease=ForgetsPromises, length=2, orders=1, drift=False, forever=False, kept=False),
        Rules(any_answer=True, faults=0, drift=False),
        Rules(lease=StaysForGood, orders=1, drift=False),
        Rules(margin=0, orders=1, faults=0),
        replace(TICKS, faults=1, confs=True, unasked=True),
        replace(STAYS, unheld=True),
        replace(STAYS, any_stay=True),
        replace(STAYS, unshown=True),
        replace(STAYS, faults=1, lease=ForgetsStays),
    ],
    ids=[
        "a token is obeyed twice",
        "a promise is forgotten in a restart",
        "an answer counts for another order",
        "an agent that is stopped leaves its VIP for good without the monitor's grant",
        "no margin for clocks that drift",
        "a host renews by the promises of fewer hosts than the monitor knows",
        "a host stays for good without being let",
        "a stay counts though an order was obeyed since",
        "a stay is void though it was not shown before the order",
        "whom a host lets stay is forgotten in a boot",
    ],
)
def test_without_a_rule_the_model_finds_two_holders(rules: Rules) -> None:
    result = Explorer(rules).explore()
    assert result.way
    assert len(result.way) <= 60
