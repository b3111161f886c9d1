"""A host whose disk has no room for a copy beside its data is brought back in their place, by its admin's word."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.proving.halting import Moment
from mmm.proving.rejoin_matrix import Cell, Trial, run
from mmm.proving.small_disk import HOST, PLACE, crowd, give_room, put_on
from mmm.proving.thrown_away import Saves
from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.witness.health import catch_up, settle
from mmm.tools.rejoin.journal import Step
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT

pytestmark = pytest.mark.sandbox

IN_THE_MIDDLE = Cell(Step.EMPTY, Moment.WITHIN, "kill-tool")


@pytest.fixture(scope="module")
def notes() -> Iterator[Kept]:
    top = {"allow_rebuild": "yes", "providers": "mariadb-backup"}
    with kept("in_place", Conf(top=top, monitor={"flap_count": 0, "failover_block": 0})) as cluster:
        yield cluster


@pytest.fixture
def cluster(notes: Kept) -> Iterator[Sandbox]:
    """Give it healthy, with a small disk on one host."""
    sandbox = notes.healthy()
    if sandbox.machine(HOST).run(["test", "-d", PLACE], check=False).returncode:
        put_on(sandbox)
    sandbox.sql("db1", f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    catch_up(sandbox)
    yield sandbox
    give_room(sandbox)


def is_back(sandbox: Sandbox) -> None:
    """See that the host has what all have, that what only it had is saved, and that nothing of its old data is left."""
    give_room(sandbox)
    sandbox.bring_online(force=False)
    settle(sandbox)
    catch_up(sandbox)
    assert not surplus(sandbox, HOST, "db1")
    assert sandbox.writer() == "db1"
    assert ".mmm-" not in sandbox.machine(HOST).run(["ls", "-A", str(Path(DATADIR).parent)]).stdout


def test_a_host_is_brought_back_in_place_of_its_old_data_where_its_admin_says_so(cluster: Sandbox) -> None:
    saves = Saves(cluster)
    diverge(cluster, HOST, 2)
    crowd(cluster)
    with pytest.raises(SandboxError, match=rf"MB are free, .*`mmm_rejoin --in-place {HOST}` removes the old"):
        rejoin(cluster, HOST, "--method", "clone")
    with pytest.raises(SandboxError, match=f"--in-place db1: this host is {HOST}"):
        rejoin(cluster, HOST, "--in-place", "db1")
    assert surplus(cluster, HOST, "db1"), "its own data run"
    planned = rejoin(cluster, HOST, "--in-place", HOST, "--dry-run", "--method", "clone")
    assert f"{DATADIR} would be emptied first, and nothing of it kept" in planned, planned
    assert surplus(cluster, HOST, "db1")
    said = rejoin(cluster, HOST, "--in-place", HOST, "--method", "clone")
    assert "Its old data were removed: there was no room beside them." in said
    assert "Its own 2 transactions are in " in said
    is_back(cluster)
    assert [each.count for each in saves.read()] == [2]
    kept_here = rejoin(cluster, HOST, "--expire", "--dry-run", "--keep-days", "0")
    assert kept_here == ""
    cluster.bring_online(force=False)


def test_whoever_is_killed_while_it_removes_brings_the_host_back_by_the_same_command(
    cluster: Sandbox,
) -> None:
    came = run(cluster, IN_THE_MIDDLE)
    assert not came.bad
    assert came.runs >= 2


def test_a_removal_that_was_broken_off_is_told_and_cannot_be_taken_back_and_the_monitor_may_go_on_with_it(
    cluster: Sandbox,
) -> None:
    diverge(cluster, HOST, 1)
    assert cluster.control("set_offline", HOST).stdout.startswith("OK")
    crowd(cluster)
    trial = Trial(cluster, IN_THE_MIDDLE)
    trial.begin()
    trial.send(signal.SIGKILL)
    assert trial.wait(LIMIT)
    told = f"broken off while removing its old data: run mmm_rejoin on {HOST} again"
    cluster.wait_until(lambda: told in cluster.control("explain", HOST).stdout, LIMIT, "its end is told")
    refused = json.loads(cluster.control("--format", "json", "rejoin", "--abort", HOST).stdout)
    assert refused["fields"]["reasons"] == ["not_revocable"]
    assert cluster.states()[HOST] == "ADMIN_OFFLINE"
    done = cluster.control("rejoin", HOST)
    assert done.stdout.startswith(f"OK: {HOST}: rejoins db1 with a copy of db2"), done
    cluster.wait_until(
        lambda: f"{HOST}: rejoined from db2 in " in cluster.control("history").stdout, LIMIT, "it is whole"
    )
    is_back(cluster)
