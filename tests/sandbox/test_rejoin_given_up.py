"""All masters are lost while one of them is rebuilt: the job can be given up, and the admin has the say."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.own_module import own_module
from mmm.proving.halting import Moment
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.rejoin import diverge, is_out_of_use, knows_writer, rejoin
from mmm.sandbox.restore import make_equal
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import catch_up, settle
from mmm.tools.rejoin.journal import Step
from mmm.wire.rejoin import CLONE
from tests.clusters import kept
from tests.scenarios import LIMIT, Log

pytestmark = pytest.mark.sandbox


@pytest.fixture
def cluster() -> Iterator[Sandbox]:
    top = {"allow_rebuild": "yes", "providers": "mariadb-backup"}
    with kept("given_up", Conf(top=top, monitor={"flap_count": 0, "failover_block": 0})) as made:
        yield made.healthy()


def end_before(cluster: Sandbox, host: str, step: Step, log: Path) -> None:
    """Have a host rebuilt with a copy by a tool that is killed before the step."""
    machine = cluster.machine(host)
    argv = own_module("mmm.proving.halting", str(Moment.BEFORE), str(step), "--method", CLONE)

    def halted() -> list[Process]:
        return [
            each for each in machine.processes() if "mmm.proving.halting" in each.argv and each.state == "T"
        ]

    with machine.spawn(argv, log=log) as tool:
        cluster.wait_until(halted, LIMIT, f"the tool stands still before {step}")
        for process in halted():
            os.kill(process.pid, signal.SIGKILL)
        tool.send_signal(signal.SIGCONT)  # what has started it stops with it
        tool.wait(LIMIT)


def test_a_rebuild_is_given_up_when_the_only_writer_is_dead_and_nothing_is_promoted_unproved(
    cluster: Sandbox, tmp_path: Path
) -> None:
    cluster.sql("db1", f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    catch_up(cluster)
    diverge(cluster, "db1", 2)
    end_before(cluster, "db1", Step.FOLLOW, tmp_path / "out")
    inject(cluster, "power-off", "db2")
    cluster.wait_states(LIMIT, db2="HARD_OFFLINE")
    cluster.wait_until(lambda: not knows_writer(cluster, "db1"), LIMIT, "db1's agent knows no active master")
    with pytest.raises(SandboxError, match="knows no active master to follow"):
        rejoin(cluster, "db1")
    assert cluster.refused("db1") == "being_rebuilt"
    log = Log(cluster)
    said = rejoin(cluster, "db1", "--abort")
    assert "is given up: db1 stays as it is, on a copy of db3, has 0-" in said
    assert "what it had before is in " in said
    cluster.wait_until(
        lambda: cluster.refused("db1") != "being_rebuilt", LIMIT, "db1's agent tells of no job"
    )
    assert cluster.states()["db1"] != "ONLINE", "nothing proves that it has all that db2 has"
    assert "rejoin from db3 was given up" in cluster.control("history").stdout
    cluster.wait_until(
        lambda: cluster.ask("set_online --force db1", limit=LIMIT).startswith("OK"),
        LIMIT,
        "db1 is set online",
    )
    force = "move_role --force writer db1"
    cluster.wait_until(
        lambda: cluster.writer() == "db1" or cluster.ask(force, limit=LIMIT).startswith("OK"), LIMIT, force
    )
    cluster.wait_until(lambda: cluster.writer() == "db1", LIMIT, "db1 is the writer by force alone")
    assert not log.lines("has_everything")
    heal(cluster)
    cluster.bring_online(limit=LIMIT)
    settle(cluster)
    catch_up(cluster)


def test_a_job_whose_host_was_put_right_otherwise_is_taken_back_and_keeps_nobody_out(
    cluster: Sandbox, tmp_path: Path
) -> None:
    """set_online said to run mmm_rejoin, and that to order set_online."""
    diverge(cluster, "db3", 2)
    assert cluster.ask("set_offline db3").startswith("OK")
    cluster.wait_until(lambda: is_out_of_use(cluster, "db3"), LIMIT, "db3 is out of use")
    end_before(cluster, "db3", Step.FREEZE, tmp_path / "out")
    make_equal(cluster)  # as an admin may do by hand, who knows of no job
    jobs = cluster.machine("db3").path("/var/lib/mysql-mmm/jobs")
    cluster.wait_until(
        lambda: cluster.refused("db3") == "being_rebuilt",
        LIMIT,
        "the monitor knows of the job that was broken off",
    )
    with pytest.raises(SandboxError, match="db3 has nothing that db1 lacks"):
        rejoin(cluster, "db3", "--dry-run")
    assert list(jobs.glob("*.json"))
    assert re.search("job .* is taken back: db3 has nothing that db1 lacks", rejoin(cluster, "db3"))
    assert not list(jobs.glob("*.json"))
    cluster.wait_until(lambda: cluster.ask("set_online db3").startswith("OK"), LIMIT, "db3 may be online")
    cluster.wait_states(LIMIT, db3="ONLINE")
    settle(cluster)
