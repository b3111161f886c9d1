"""Two monitors with a `<notify>` section: what the one before had not told the next one tells, or knows to be over."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import fast
from mmm.sandbox.trouble.faults import heal, inject
from tests.clusters import Kept, kept
from tests.sandbox.test_monitors import CONF, MONITORS, leads, places, write
from tests.scenarios import LIMIT

pytestmark = pytest.mark.sandbox

LATE = 600
"""Seconds that a section waits: for as long as the test."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Kept]:
    with kept("monitors_tell", CONF) as cluster:
        yield cluster


def has_told(cluster: Sandbox, folder: Path, after: int) -> None:
    """Have both monitors tell changes of states; each runs a program that keeps them in a file of its own."""
    for name in MONITORS:
        program = folder / name
        program.write_text(f"#!/bin/sh\n(cat; echo) >> {folder}/{name}.told\n")
        program.chmod(0o755)
        section = f"\n<notify file>\n    command {program}\n    events state\n    after {after}\n</notify>\n"
        common = fast(CONF).files()["mmm_common.conf"]
        (cluster.machine(name).etc / "mmm_common.conf").write_text(common + section)
        assert cluster.ask_monitor(name, "reload").startswith("OK: The conf is taken.")


def wait_copied(cluster: Sandbox, standby: str, state: str) -> None:
    """Wait until the one that stands by has the leader's status file, and so its history, since db2 is in a state."""
    path = cluster.machine(standby).path("/var/lib/misc/mmm_mond.status")
    cluster.wait_until(lambda: f"db2|{state}" in path.read_text(), LIMIT, f"{standby} has copied {state}")


def told(folder: Path, name: str) -> list[tuple[Any, Any]]:
    path = folder / f"{name}.told"
    lines = path.read_text().splitlines() if path.exists() else []
    events = [event["event"]["fields"] for line in lines if line for event in json.loads(line)["events"]]
    return [(fields["host"], fields["after"]) for fields in events]


@pytest.mark.parametrize("dies", [False, True], ids=["handed over", "died"])
def test_what_has_healed_under_another_leader_is_not_told_by_the_one_before(
    shared: Kept, tmp_path: Path, *, dies: bool
) -> None:
    cluster = shared.healthy()
    leader, other = places(cluster)
    tmp_path.chmod(0o755)
    try:
        has_told(cluster, tmp_path, LATE)
        wait_copied(cluster, other, "ONLINE")
        assert cluster.ask("set_offline db2").startswith("OK")
        wait_copied(cluster, other, "ADMIN_OFFLINE")
        if dies:
            inject(cluster, "kill-monitor", leader, angel=True)
        else:
            assert cluster.ask("hand_over").startswith("OK")
        leads(cluster, other)
        assert cluster.ask("set_online db2").startswith("OK")
        cluster.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")
        if dies:
            heal(cluster)
        assert places(cluster) == (other, leader)
        has_told(cluster, tmp_path, 0)
        assert cluster.ask("set_offline db2").startswith("OK")
        cluster.wait_until(lambda: told(tmp_path, other), LIMIT, "it is told")
        assert (told(tmp_path, other), told(tmp_path, leader)) == ([("db2", "ADMIN_OFFLINE")], [])
        assert cluster.ask("set_online db2").startswith("OK")
        cluster.wait_states(LIMIT, db1="ONLINE", db2="ONLINE")
    finally:
        write(cluster, CONF)
        for name in MONITORS:
            cluster.ask_monitor(name, "reload")
