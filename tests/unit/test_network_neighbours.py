"""Who answers for an address, by the kernel's table of neighbours on a real cable."""

import asyncio
from collections.abc import Iterator

import pytest

from mmm.network.icmp import Pinger
from mmm.network.neighbours import is_absent
from tests.namespaces import Neighbour, cable, ip, neighbour, own_network

pytestmark = pytest.mark.netns

NEAR, FAR, THERE, NOBODY, BEYOND = "near0", "far0", "10.88.0.5", "10.88.0.9", "192.0.2.1"
FAR_MAC = "02:00:00:00:00:99"


@pytest.fixture
def far() -> Iterator[Neighbour]:
    with own_network(), neighbour() as other:
        cable(NEAR, FAR)
        ip(f"link set {FAR} address {FAR_MAC} netns {other.pid}")
        ip(f"addr add 10.88.0.4/24 dev {NEAR}")
        other.ip(f"addr add {THERE}/24 dev {FAR}")
        other.ip(f"link set {FAR} up")
        yield other


def absent(*ips: str) -> list[bool]:
    async def run() -> list[bool]:
        async with asyncio.timeout(20), Pinger() as pinger:
            return await asyncio.gather(*(is_absent(pinger, each) for each in ips))

    return asyncio.run(run())


def test_only_what_was_asked_for_and_not_answered_is_absent(far: Neighbour) -> None:
    ip(f"route add {BEYOND}/32 via {THERE}")
    assert absent(THERE, NOBODY, BEYOND) == [False, True, False]


def test_who_answers_arp_is_there_though_it_takes_no_pings(far: Neighbour) -> None:
    far.ip("route add blackhole 10.88.0.4/32 table 7")
    far.ip("rule add to 10.88.0.4/32 table 7 priority 1")
    assert absent(THERE) == [False]


def test_what_the_kernel_remembers_of_one_that_has_gone_is_not_believed(far: Neighbour) -> None:
    ip(f"neigh replace {NOBODY} lladdr {FAR_MAC} dev {NEAR} nud reachable")
    assert absent(NOBODY) == [True]


def test_what_an_admin_has_entered_is_believed(far: Neighbour) -> None:
    ip(f"neigh replace {NOBODY} lladdr {FAR_MAC} dev {NEAR} nud permanent")
    assert absent(NOBODY) == [False]
    assert f"{NOBODY} dev {NEAR} lladdr {FAR_MAC} PERMANENT" in ip("neigh show")
