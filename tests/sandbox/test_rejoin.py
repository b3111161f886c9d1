"""A host that has come apart from the others is brought back by one command, and nothing that only it had is lost."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from mmm.proving import small_disk
from mmm.proving.halting import Moment
from mmm.proving.rejoin_matrix import DISK, Cell, run
from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.rejoin import diverge, rebuild, rejoin
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import catch_up, settle
from mmm.tools.rejoin.journal import Step
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, Log, move_writer

pytestmark = pytest.mark.sandbox

TABLE = "sandbox.notes"
ALONE = ("alone", "alone too")


@pytest.fixture(scope="module")
def notes() -> Iterator[Kept]:
    top = {"allow_rebuild": "yes", "providers": "mariadb-backup"}  # a copy, unless a test says otherwise
    conf = Conf(top=top, monitor={"flap_count": 0, "failover_block": 0})
    with kept("rejoin", conf) as cluster:
        yield cluster


@pytest.fixture
def cluster(notes: Kept) -> Sandbox:
    """Give it healthy with an empty table of notes, db1 being the writer."""
    sandbox = notes.healthy()
    sandbox.sql(
        "db1", f"CREATE OR REPLACE TABLE {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20))"
    )
    catch_up(sandbox)
    return sandbox


def write(sandbox: Sandbox, host: str, *notes: str) -> None:
    """Write notes on a host, which may be read-only, a transaction each."""
    sql.execute(sandbox.machine(host), [f"INSERT INTO {TABLE} (what) VALUES ('{note}')" for note in notes])  # noqa: S608


def read(sandbox: Sandbox, host: str) -> list[str]:
    return [str(row["what"]) for row in sandbox.sql(host, f"SELECT what FROM {TABLE} ORDER BY what")]  # noqa: S608


def _reaches(sandbox: Sandbox, host: str, other: str) -> bool:
    """Tell whether the server of another host is reached: one that was cut off may ask for its address yet."""
    with sandbox.machine(host).socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(LIMIT)
        return sock.connect_ex((sandbox.layout.hosts[other].ip, sandbox.layout.hosts[other].mysql_port)) == 0


def diverged(sandbox: Sandbox, log: Log) -> None:
    """Have db1 lose the writer's role while it is cut off, and write what nobody gets."""
    write(sandbox, "db1", "both")
    catch_up(sandbox)
    agent = Log(sandbox, "db1", "mmm_agentd")
    inject(sandbox, "cut", "db1")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    agent.wait(r"fence: db1: read_only=1")  # it ends sessions of root too
    write(sandbox, "db1", *ALONE)
    write(sandbox, "db2", "newer")
    heal(sandbox)
    log.wait_change("db1", "AWAITING_RECOVERY")
    sandbox.wait_until(lambda: sandbox.refused("db1") == "extra_transactions", LIMIT, "db1 is compared")
    sandbox.wait_until(lambda: _reaches(sandbox, "db1", "db2"), LIMIT, "db1 reaches db2")


def test_the_active_master_is_never_rebuilt(cluster: Sandbox) -> None:
    with pytest.raises(SandboxError, match="db1 is the active master, whose data are never touched"):
        rejoin(cluster, "db1")
    assert cluster.writer() == "db1"


def test_a_writer_that_was_cut_off_with_transactions_of_its_own_is_back_in_one_command(
    cluster: Sandbox,
) -> None:
    log = Log(cluster)
    diverged(cluster, log)
    planned = rejoin(cluster, "db1", "--method", "rewind", "--dry-run")
    assert "db1 would rejoin db2 by rewind" in planned, planned
    said = rejoin(cluster, "db1", "--method", "rewind")
    assert "OK: db1 is back" in said
    assert "Its own 2 transactions are in " in said
    assert ": INSERT sandbox.notes 2. Its old binary log is in " in said
    back(cluster, log, "db1: rejoined by rewind in ")
    assert not surplus(cluster, "db1", "db2")
    saved = max(cluster.machine("db1").path("/var/lib/mysql-mmm/saved").iterdir())
    summary = (saved / "summary.txt").read_text()
    assert "2 transactions" in summary
    assert "INSERT sandbox.notes 2" in summary
    assert "were not compared" not in summary
    move_writer(cluster, "db1")
    cluster.wait_until(lambda: cluster.writer() == "db1", LIMIT, "db1 is the writer")
    write(cluster, "db1", "newest")
    catch_up(cluster)
    assert [read(cluster, host) for host in cluster.hosts] == [["both", "newer", "newest"]] * 3


def test_a_slave_that_somebody_has_written_to_is_brought_back(cluster: Sandbox) -> None:
    diverge(cluster, "db3", 2)
    with pytest.raises(SandboxError, match="there is no job to go on with"):
        rejoin(cluster, "db3", "--resume")
    rejoin(cluster, "db3")
    cluster.bring_online(force=False)
    settle(cluster)
    assert not surplus(cluster, "db3", "db1")


def test_old_data_go_once_their_time_is_over(cluster: Sandbox) -> None:
    db3 = cluster.machine("db3")
    jobs, datadir = db3.path("/var/lib/mysql-mmm/jobs"), db3.path(DATADIR)
    db3.run([program("mmm_rejoin"), "--expire", "--keep-days", "0"], limit=LIMIT)
    assert not list(datadir.parent.glob("*.mmm-old-*"))

    def again() -> Path:
        diverge(cluster, "db3", 1)
        assert f"{DATADIR}.mmm-old-" in rejoin(cluster, "db3", "--method", "clone")
        cluster.bring_online(force=False)
        return max(datadir.parent.glob("*.mmm-old-*"))

    first = again()
    ended = next(jobs.glob(f"{first.name.partition('.mmm-old-')[2]}.done"))
    week = ended.stat().st_mtime - 7 * 86_400 - 1
    os.utime(ended, (week, week))
    second = again()
    assert (first.exists(), (second / "ibdata1").exists()) == (False, True)  # its room was needed
    for job in jobs.glob("*.done"):
        os.utime(job, (week, week))
    db3.run(
        [program("mmm_rejoin"), "--expire", "--keep-days", "7"], limit=LIMIT
    )  # as its agent does each hour
    assert not second.exists()
    settle(cluster)


BACKUPS = "/var/lib/mysql-mmm/backups"


def test_a_host_gets_a_backup_back_follows_the_writer_and_keeps_what_only_it_had(cluster: Sandbox) -> None:
    write(cluster, "db1", "both")
    catch_up(cluster)
    db3 = cluster.machine("db3")
    db3.run([program("mmm_backup"), "--host", "db2", "--dest-dir", BACKUPS], limit=LIMIT)
    write(cluster, "db1", "newer")
    diverge(cluster, "db3", 2)
    made = next(db3.path(BACKUPS).glob("db2-*"))
    with pytest.raises(SandboxError, match="db1 is the active master, whose data are never touched"):
        rebuild(cluster, "db1", "mmm_restore", "--src-dir", str(made))
    said = rebuild(cluster, "db3", "mmm_restore", "--mode", "master-slave", "--src-dir", BACKUPS)
    assert "and follows db1" in said
    assert "Its own 2 transactions are in " in said
    cluster.bring_online(force=False)
    settle(cluster)
    catch_up(cluster)
    assert [read(cluster, host) for host in cluster.hosts] == [["both", "newer"]] * 3
    assert not surplus(cluster, "db3", "db1")


def test_a_host_is_cloned_where_its_tables_are_given_up(cluster: Sandbox) -> None:
    write(cluster, "db1", "both")
    catch_up(cluster)
    with pytest.raises(SandboxError, match=r"holds tables: .* With --yes it is renamed"):
        rebuild(cluster, "db3", "mmm_clone", "--host", "db2")
    with pytest.raises(SandboxError, match="db3 is a slave in the conf"):
        rebuild(cluster, "db3", "mmm_clone", "--host", "db2", "--clone-mode", "master-master")
    planned = rebuild(cluster, "db3", "mmm_clone", "--host", "db2", "--yes", "--dry-run")
    for said in ("get a copy\n", " would be kept as ", "\ndb2 has ", "\nmariadb-backup: fit\n"):
        assert said in planned
    said = rebuild(cluster, "db3", "mmm_clone", "--host", "db2", "--clone-mode", "master-slave", "--yes")
    assert "OK: db3 has a copy of db2" in said
    cluster.bring_online(force=False)
    settle(cluster)
    catch_up(cluster)
    assert [read(cluster, host) for host in cluster.hosts] == [["both"]] * 3


SENDER, TOOL, BY_AGENT = "mmm.agent.stream.serve", "mmm_rejoin", "mmm.tools.rejoin.command"


def begun(sandbox: Sandbox, host: str, log: Path, *options: str) -> Popen[bytes]:
    """Have mmm_rejoin begin on a host, and go on by itself."""
    return sandbox.machine(host).spawn([program(TOOL), *options], log=log)


@contextmanager
def held(sandbox: Sandbox, donor: str, host: str, log: Path, *options: str) -> Iterator[Popen[bytes]]:
    """Have a host rejoin with a copy whose sender stands still until the block ends, and give the tool."""
    with begun(sandbox, host, log, *options) as tool:
        sender = frozen_sender(sandbox, donor)
        try:
            yield tool
        finally:
            os.kill(sender, signal.SIGCONT)


def frozen_sender(sandbox: Sandbox, donor: str) -> int:
    """Stop what sends a copy of a host's data as soon as it is there; returns its process."""

    found: list[int] = []

    def sends() -> bool:
        found[:] = [each.pid for each in sandbox.machine(donor).processes() if SENDER in each.argv]
        return bool(found)

    sandbox.wait_until(sends, LIMIT, f"{donor} sends its data")
    os.kill(found[0], signal.SIGSTOP)
    return found[0]


def end_tool(sandbox: Sandbox, host: str) -> None:
    for process in sandbox.machine(host).processes():
        if process.runs(TOOL) or BY_AGENT in process.argv:
            os.kill(process.pid, signal.SIGKILL)


def told(sandbox: Sandbox, host: str) -> dict[str, Any]:
    """Return what `explain` says of the job of a host; empty where it says nothing."""
    done = sandbox.control("--format", "json", "explain", host)
    found = json.loads(done.stdout)["hosts"][0]["job"] or {}
    return dict(found)


def at_step(sandbox: Sandbox, host: str) -> str:
    return str(told(sandbox, host).get("fields", {}).get("step"))


def sentences(sandbox: Sandbox) -> str:
    return sandbox.control("show").stdout


def back(sandbox: Sandbox, log: Log, text: str) -> None:
    """Wait until db1 is in use again, and see that all have the same and the history tells of it."""
    log.wait_change("db1", "ONLINE")
    settle(sandbox)
    catch_up(sandbox)
    assert [read(sandbox, host) for host in sandbox.hosts] == [["both", "newer"]] * 3
    sandbox.wait_until(
        lambda: text in sandbox.control("history").stdout, LIMIT, f"the history tells {text!r}"
    )


def test_a_job_that_runs_is_shown_and_the_host_is_kept_out_of_use_until_it_is_over(
    cluster: Sandbox, tmp_path: Path
) -> None:
    diverged(cluster, Log(cluster))
    log = Log(cluster)
    with held(cluster, "db3", "db1", tmp_path / "out") as tool:
        cluster.wait_until(lambda: at_step(cluster, "db1") == "fetch", LIMIT, "the step is told")
        assert "db1 is being rebuilt from db3: copying" in sentences(cluster)
        refused = cluster.control("--format", "json", "set_online", "--force", "db1")
        assert json.loads(refused.stdout)["code"] == "being_rebuilt"
    assert tool.wait(LIMIT) == 0
    back(cluster, log, "db1: rejoined from db3 in ")
    assert "2 transactions saved in /var/lib/mysql-mmm/saved/db1-" in cluster.control("history").stdout
    assert "is being rebuilt" not in sentences(cluster)
    assert [change.after for change in log.changes("db1")] == ["ONLINE"], (
        "its server was stopped by the job alone"
    )
    assert not log.lines("kill_host")


def test_a_host_is_whole_whose_donor_became_the_writer_amid_its_copy(
    cluster: Sandbox, tmp_path: Path
) -> None:
    diverge(cluster, "db3", 1)
    assert cluster.control("set_offline", "db3").stdout.startswith("OK")
    with held(cluster, "db2", "db3", tmp_path / "out", "--from", "db2") as tool:
        write(cluster, "db1", "both")
        move_writer(cluster, "db2")
        write(cluster, "db2", "newer")
    assert tool.wait(LIMIT) == 0, (tmp_path / "out").read_text()
    cluster.bring_online(force=False)
    settle(cluster)
    catch_up(cluster)
    assert [read(cluster, host) for host in cluster.hosts] == [["both", "newer"]] * 3


def test_a_job_whose_process_was_killed_is_said_and_the_same_command_goes_on_with_it(
    cluster: Sandbox, tmp_path: Path
) -> None:
    log = Log(cluster)
    diverged(cluster, log)
    with held(cluster, "db3", "db1", tmp_path / "out") as tool:
        cluster.wait_until(lambda: told(cluster, "db1").get("code") == "runs", LIMIT, "the job is told")
        end_tool(cluster, "db1")
        tool.wait(LIMIT)
    cluster.wait_until(lambda: told(cluster, "db1").get("code") == "broken_off", LIMIT, "its end is told")
    explained = cluster.control("explain", "db1").stdout
    assert "broken off while copying: run mmm_rejoin on db1 again" in explained
    assert cluster.states()["db1"] == "AWAITING_RECOVERY"
    assert "is gone on with" in rejoin(cluster, "db1", "--resume")
    back(cluster, log, "db1: rejoined from db3 in ")


def test_a_job_that_was_broken_off_is_taken_back_from_the_monitor(cluster: Sandbox, tmp_path: Path) -> None:
    diverge(cluster, "db3", 1)
    assert cluster.control("set_offline", "db3").stdout.startswith("OK")
    nothing = json.loads(cluster.control("--format", "json", "rejoin", "--abort", "db3").stdout)
    assert nothing["fields"]["reasons"] == ["no_job"]
    with held(cluster, "db1", "db3", tmp_path / "out") as tool:
        end_tool(cluster, "db3")
        tool.wait(LIMIT)
    taken_back = cluster.control("rejoin", "--abort", "db3").stdout
    assert taken_back.startswith("OK: db3: job db3-"), taken_back
    told_so = "db3: its rejoin from db1 was taken back"
    cluster.wait_until(lambda: told_so in cluster.control("history").stdout, LIMIT, "its end is told")
    assert surplus(cluster, "db3", "db1"), "the old data run again"
    log = Log(cluster)
    assert cluster.control("rejoin", "--stay-offline", "db3").stdout.startswith("OK: db3: rejoins db1")
    log.wait("db3: rejoined from db1 in ")
    assert cluster.states()["db3"] == "ADMIN_OFFLINE"
    assert cluster.control("set_online", "db3").stdout.startswith("OK")
    settle(cluster)


def test_a_host_is_brought_back_from_the_monitor_and_the_job_outlives_the_agent_that_began_it(
    cluster: Sandbox,
) -> None:
    diverged(cluster, Log(cluster))
    log = Log(cluster)
    refused = cluster.control("--format", "json", "rejoin", "db2")
    answer = json.loads(refused.stdout)
    assert (answer["code"], answer["fields"]["reasons"][0]) == ("not_rebuilt", "active_master")
    planned = cluster.control("rejoin", "--dry-run", "--from", "db3", "db1")
    assert "db1 would rejoin db2 with a copy of db3" in planned.stdout, planned
    done = cluster.control("rejoin", "db1")
    assert done.stdout.startswith("OK: db1: rejoins db2 with a copy of db3"), done
    sender = frozen_sender(cluster, "db3")
    try:
        assert not cluster.init("db1", "mysql-mmm-agent", "restart").returncode
        cluster.wait_until(lambda: at_step(cluster, "db1") == "fetch", LIMIT, "the job is told")
        assert told(cluster, "db1")["code"] == "runs"
        again = json.loads(cluster.control("--format", "json", "rejoin", "db1").stdout)
        assert again["fields"]["reasons"] == ["busy"]
    finally:
        os.kill(sender, signal.SIGCONT)
    back(cluster, log, "db1: rejoined from db3 in ")


@pytest.fixture(scope="module")
def whole() -> Iterator[Kept]:
    conf = Conf(
        top={"allow_rebuild": "yes"}, monitor={"flap_count": 0, "failover_block": 0, "auto_rejoin": "clone"}
    )
    with kept("rejoin_auto", conf) as cluster:
        yield cluster


def test_with_auto_rejoin_the_cluster_makes_itself_whole_whatever_ends_in_between(whole: Kept) -> None:
    cluster = whole.healthy()
    cluster.sql(
        "db1", f"CREATE OR REPLACE TABLE {TABLE} (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20))"
    )
    catch_up(cluster)
    log = Log(cluster)
    diverged(cluster, log)
    assert "db1 would be rebuilt by itself, but it may yet join by itself" in sentences(cluster)
    sender = frozen_sender(cluster, "db3")
    try:
        cluster.wait_until(lambda: told(cluster, "db1").get("code") == "runs", LIMIT, "the job is told")
        assert not cluster.init("monitor", "mysql-mmm-monitor", "restart").returncode
        cluster.wait_until(lambda: at_step(cluster, "db1") == "fetch", LIMIT, "the new monitor sees it")
        end_tool(cluster, "db1")
        cluster.wait_until(lambda: told(cluster, "db1").get("code") == "broken_off", LIMIT, "its end is told")
    finally:
        os.kill(sender, signal.SIGCONT)
    back(cluster, log, "db1: rejoined from db3 in ")
    history = cluster.control("history").stdout
    assert "db1: is rebuilt by itself: it has " in history
    assert "db1: is rebuilt by itself: a job that rebuilds it was broken off" in history


@pytest.fixture(scope="module")
def mysql() -> Iterator[Kept]:
    conf = Conf(slaves=0, monitor={"flap_count": 0, "failover_block": 0})
    with kept("rejoin_mysql", conf, server="mysql:9.7") as cluster:
        yield cluster


def test_a_mysql_master_gets_its_data_by_the_clone_plugin(mysql: Kept) -> None:
    cluster = mysql.healthy()
    before = cluster.sql("db1", "SELECT @@global.server_uuid AS uuid")[0]["uuid"]
    diverge(cluster, "db1", 3)
    with pytest.raises(SandboxError, match="db2 is the active master, whose data are never touched"):
        rejoin(cluster, "db2")
    with pytest.raises(SandboxError, match=r"no rewind: MySQL 9\.7"):
        rejoin(cluster, "db1", "--method", "rewind")
    assert "by clone-plugin" in rejoin(cluster, "db1")
    cluster.bring_online(force=False)
    settle(cluster)
    catch_up(cluster)
    assert not surplus(cluster, "db1", "db2")
    assert cluster.sql("db1", "SELECT @@global.server_uuid AS uuid")[0]["uuid"] != before


@pytest.mark.parametrize(
    "cell",
    [
        Cell(Step.FREEZE, Moment.AFTER, "kill-tool"),
        Cell(Step.SAVE, Moment.AFTER, "kill-tool"),
        Cell(Step.FETCH, Moment.BEFORE, "kill-donor"),
        Cell(Step.FETCH, Moment.WITHIN, "kill-tool"),
        Cell(Step.STOP, Moment.AFTER, "kill-tool"),
        Cell(Step.SWAP, Moment.WITHIN, "kill-tool"),
        Cell(Step.SWAP, Moment.WITHIN, "power-off"),
        Cell(Step.START, Moment.BEFORE, "kill-tool"),
        Cell(Step.START, Moment.AFTER, "power-off"),
        Cell(Step.FOLLOW, Moment.BEFORE, "kill-tool"),
        Cell(Step.CATCH_UP, Moment.BEFORE, "blink"),
        Cell(Step.FETCH, Moment.BEFORE, DISK),
    ],
    ids=str,
)
def test_whatever_breaks_beside_a_step_the_same_command_brings_the_host_back(notes: Kept, cell: Cell) -> None:
    """All cells: make rejoin-matrix."""
    sandbox = notes.healthy()
    if cell.fault == DISK:
        small_disk.put_on(sandbox)
    came = run(sandbox, cell)
    assert not came.bad
    assert came.runs >= 2 or (cell.fault, came.runs) == ("blink", 1), (
        "it has ended the tool, which was run again"
    )
