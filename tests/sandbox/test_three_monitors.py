"""Three monitors, of which the one that is named gets the lead."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept, log
from tests.scenarios import LIMIT, PATIENCE

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def shared() -> Iterator[Kept]:
    with kept("three", Conf(slaves=0, monitors=3, witnesses=1)) as cluster:
        yield cluster


def seen_by_all(cluster: Sandbox) -> str:
    """Return the machine of the monitor that leads, once each of them knows it and it hears them all."""
    leaders: set[str] = set()

    def is_known() -> bool:
        leaders.clear()
        try:
            told = [asked(cluster, name) for name in cluster.layout.monitors]
        except OSError:  # one has just been started
            return False
        leaders.update(each["leader"] or "" for each in told)
        heard = all(each["answers"] for of in told if of["leads"] for each in of["monitors"])
        return heard and len(leaders) == 1 and "" not in leaders

    cluster.wait_until(is_known, LIMIT, "a monitor leads, and all know it")
    (leader,) = leaders
    return next(name for name, ip in cluster.layout.monitors.items() if ip == leader)


def asked(cluster: Sandbox, machine: str) -> dict[str, Any]:
    return dict(json.loads(cluster.ask_monitor(machine, "json monitors")))


def test_the_lead_goes_to_the_monitor_that_is_named_and_the_third_one_stays_back(shared: Kept) -> None:
    cluster = shared.healthy()
    leader = seen_by_all(cluster)
    with Probe(cluster, readers=False, limit=PATIENCE) as probe:
        for target in [name for name in tuple(cluster.layout.monitors)[::-1] if name != leader]:
            own, ip = cluster.layout.monitors[leader], cluster.layout.monitors[target]
            (third,) = cluster.layout.monitors.keys() - {leader, target}
            back = log(cluster, third, "mmm_mond")
            handed = cluster.control("hand_over", ip, limit=LIMIT)
            assert (
                handed.stdout == f"OK: The monitor at {own} has given up the lead: the one at {ip} leads.\n"
            )
            back.wait("hands the lead over: this one leaves it to another")
            assert seen_by_all(cluster) == target
            leader = target
    assert probe.report.outages == ()
