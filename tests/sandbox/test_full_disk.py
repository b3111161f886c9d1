"""The disk of the writer's server is nearly full, which is said, or full: the role leaves with disk_full_failover."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import kept, monitor_away
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox

WAITS = 4
LOOKS_AGAIN = 60.0
"""Seconds after which MariaDB looks again whether there is space."""
ROOM = 24
"""Megabytes that are left beside the data."""


@pytest.fixture(scope="module")
def small() -> Iterator[Sandbox]:
    """Give a cluster in which the data of db1, the writer, are on a small disk; the last test fills it for good."""
    monitor = {"flap_count": 0, "failover_block": 0, "disk_full_failover": WAITS}
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


def fill(sandbox: Sandbox, size: str) -> None:
    sandbox.machine("db1").run(["sh", "-c", f"head -c {size} /dev/zero > {DATADIR}/filler || true"])


def empty(sandbox: Sandbox) -> None:
    sandbox.machine("db1").run(["rm", f"{DATADIR}/filler"])


def test_a_disk_that_is_nearly_full_is_said_before_the_server_hangs(small: Sandbox) -> None:
    machine = small.machine("db1")
    free = int(machine.run(["df", "--output=avail", "-k", DATADIR]).stdout.split()[-1])
    fill(small, f"{free - 1200}k")
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
    empty(small)


def test_the_role_leaves_a_writer_whose_disk_is_full_and_it_is_back_once_there_is_room(
    small: Sandbox,
) -> None:
    """Its clients hang, and every check is good; what hangs is in its log, so what it has the new writer cannot get."""
    log, agent = Log(small), Log(small, "db2", "mmm_agentd")
    with Probe(small, readers=False) as probe:
        probe.wait_writes(LIMIT)
        fill(small, "1G")
        assert log.wait_change("db1", "HARD_OFFLINE").rule == "disk_full"
        small.wait_until(lambda: small.writer() == "db2", LIMIT, "db2 is the writer")
        probe.wait_writes(LIMIT)
    agent.wait("sync as far as possible: db2: (applied|forced to go on)")
    assert "free some" in small.ask("explain db1")
    log.wait("lost with db1 when db2 took over: ")
    empty(small)
    back = "db1: HARD_OFFLINE -> AWAITING_RECOVERY"
    small.wait_until(
        lambda: log.lines(back), LOOKS_AGAIN + LIMIT, "db1 is back once its server has seen the room"
    )
