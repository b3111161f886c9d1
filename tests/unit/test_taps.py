"""What a scenario takes the kernels of several hosts to have said, where it reads it all at once."""

import pytest

from mmm.sandbox.machines.addresses import Moved
from tests.taps import removals_first

VIP = "10.77.0.80"


def moved(text: str) -> Moved:
    """Return what `+db1` or `-db1` says."""
    return Moved(text[1:], VIP, text[0] == "+")


@pytest.mark.parametrize(
    ("read", "taken"),
    [
        (("+db2", "-db1"), ("-db1", "+db2")),
        (("+db1", "-db1"), ("+db1", "-db1")),
        (("-db1", "+db1"), ("-db1", "+db1")),
        (("+db2", "+db1", "-db1"), ("+db1", "-db1", "+db2")),
        (("+db1", "-db1", "-db2"), ("-db2", "+db1", "-db1")),
        (("+db1", "+db2"), ("+db1", "+db2")),
    ],
)
def test_removals_come_before_additions_of_other_hosts_and_stay_behind_those_of_their_own(
    read: tuple[str, ...], taken: tuple[str, ...]
) -> None:
    assert list(removals_first(list(map(moved, read)))) == list(map(moved, taken))
