"""The disk of the writer's server is nearly full: that is said before its clients hang."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.servers import DATADIR
from tests.clusters import kept, monitor_away
from tests.scenarios import LIMIT

pytestmark = pytest.mark.sandbox

ROOM = 24
"""Megabytes that are left beside the data."""


@pytest.fixture
def small() -> Iterator[Sandbox]:
    """Give a cluster in which the data of db1, the writer, are on a small disk."""
    monitor = {"flap_count": 0, "failover_block": 0}
    with kept("full", Conf(monitor=monitor)) as cluster:
        sandbox = cluster.healthy()
        _move_data(sandbox, "db1")
        sandbox.bring_online()
        sandbox.wait_until(
            lambda: (
                sandbox.writer() == "db1" or sandbox.ask("move_role writer db1", limit=LIMIT).startswith("OK")
            ),
            LIMIT,
            "db1 is the writer",
        )
        yield sandbox


def _move_data(sandbox: Sandbox, host: str) -> None:
    machine = sandbox.machine(host)
    with monitor_away(sandbox):
        machine.run(["/etc/init.d/mysql", "stop"])
        size = int(machine.run(["du", "-sm", DATADIR]).stdout.split()[0]) + ROOM
        for argv in (
            ["mkdir", "-p", "/run/small"],
            ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", "/run/small"],
            ["cp", "-a", f"{DATADIR}/.", "/run/small/"],
            ["mount", "--bind", "/run/small", DATADIR],
        ):
            machine.run(argv)
        sandbox.start_server(host)


def test_a_disk_that_is_nearly_full_is_said_before_the_server_hangs(small: Sandbox) -> None:
    machine = small.machine("db1")

    def fill(megabytes: str) -> None:
        machine.run(["sh", "-c", f"head -c {megabytes} /dev/zero > {DATADIR}/filler || true"])

    free = int(machine.run(["df", "--output=avail", "-k", DATADIR]).stdout.split()[-1])
    fill(f"{free - 1200}k")
    small.wait_until(
        lambda: (
            f"db1: the disk of {DATADIR} (data, binary logs, relay logs) is 9" in small.control("show").stdout
        ),
        LIMIT,
        "show warns of the disk of db1",
    )
    assert small.writer() == "db1"
    assert small.ask("health", limit=LIMIT).startswith("MMM WARNING")
    assert "disk_low" in small.control("--format", "json", "show").stdout
