"""A standby is set up anew from the active master by the words of docs/install.md: both follow each other again."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import data
from mmm.sandbox.machines.servers import DATADIR, TMPDIR
from mmm.sandbox.rejoin import rejoin
from mmm.sandbox.trouble.faults import server_process
from mmm.sandbox.witness.health import catch_up, settle
from tests.scenarios import ALL_ONLINE, LIMIT, Log, move_writer, replicates, wait_failed

pytestmark = pytest.mark.sandbox

PAGE = Path(__file__).parents[2] / "docs/install.md"
BACKUPS = "/var/backups"


def said(what: str) -> str:
    """Return a command of the page, with the machine's private folder in the place of the one that all share."""
    lines = re.findall(rf"^    (.*{re.escape(what)}.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(lines) == 1, f"{what!r} is in {len(lines)} commands of {PAGE.name}"
    return str(lines[0]).replace(BACKUPS, TMPDIR).replace("all.sql", f"{TMPDIR}/all.sql")


def run(sandbox: Sandbox, host: str, command: str) -> None:
    for program in ("mariadb-dump", "mariadb-backup"):
        if program in command and shutil.which(program) is None:
            pytest.skip(f"NO PROGRAM: {program}: apt-get install mariadb-client mariadb-backup")
    where = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    sandbox.machine(host).run(["env", f"PATH={where}", "sh", "-ec", command], limit=LIMIT)


def hand_over(sandbox: Sandbox, name: str) -> None:
    origin, target = (sandbox.machine(host).path(TMPDIR) / name for host in ("db1", "db2"))
    shutil.move(origin, target)


def by_dump(sandbox: Sandbox) -> None:
    run(sandbox, "db1", said("mariadb-dump --all"))
    hand_over(sandbox, "all.sql")
    run(sandbox, "db2", said("echo 'RESET MASTER"))


def by_backup(sandbox: Sandbox) -> None:
    run(sandbox, "db1", said("--backup"))
    hand_over(sandbox, "copy")
    process = server_process(sandbox, "db2")
    assert process is not None
    assert process.end(signal.SIGTERM, LIMIT)
    datadir = sandbox.machine("db2").path(DATADIR)
    for path in datadir.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run(sandbox, "db2", said("--prepare"))
    run(
        sandbox, "db2", said("--copy-back")
    )  # the servers of the sandbox are root's, so nothing is left to chown
    sandbox.start_server("db2")
    run(sandbox, "db2", said("SET GLOBAL gtid_slave_pos='$place"))
    shutil.rmtree(sandbox.machine("db2").path(TMPDIR) / "copy")


def by_rejoin(sandbox: Sandbox) -> None:
    rejoin(sandbox, "db2", "--method", "clone")


def move(sandbox: Sandbox, host: str) -> None:
    sandbox.wait_until(
        lambda: "ERROR" not in sandbox.ask("checks"), LIMIT, "the monitor finds every check good"
    )
    move_writer(sandbox, host)
    sandbox.wait_until(lambda: sandbox.writer() == host, LIMIT, f"{host} is the writer")
    settle(sandbox)  # the slave follows it, and nobody the host that is set up anew


@pytest.mark.parametrize("set_up", [by_dump, by_backup, by_rejoin])
def test_the_active_master_follows_the_standby_again(
    sandbox: Sandbox, set_up: Callable[[Sandbox], None]
) -> None:
    """It once got a transaction from it, and asks for what comes after that, which is in no log any more."""
    sandbox.sql("db1", "CREATE OR REPLACE TABLE sandbox.notes (what VARCHAR(20))")
    catch_up(sandbox)
    move(sandbox, "db2")
    sandbox.sql("db2", "INSERT INTO sandbox.notes VALUES ('db2')")
    catch_up(sandbox)
    move(sandbox, "db1")
    run(sandbox, "db2", said("STOP SLAVE'"))
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('db1')")
    sandbox.sql(
        "db1", "STOP SLAVE"
    )  # one that is connected all the time may be let in while db2's log is empty
    log = Log(sandbox, "db1", "mmm_agentd")
    set_up(sandbox)
    data.replicate(sandbox.machine("db2"), sandbox.layout, sandbox.server, "db1")
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('later')")
    sandbox.wait_until(lambda: not surplus(sandbox, "db1", "db2"), LIMIT, "db2 has logged what db1 wrote")
    sandbox.sql("db1", "START SLAVE")
    sandbox.bring_online(limit=LIMIT, force=False)
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    # Where db2 was down for long enough, db1 was detached from it meanwhile, and attached again.
    log.wait("(go on in the log of db2: db1: goes on|attach to the source: db1: replicates from it again)")
    sandbox.wait_until(lambda: replicates(sandbox, "db1"), LIMIT, "db1 replicates from db2 again")
    move(sandbox, "db2")
    sandbox.sql("db2", "INSERT INTO sandbox.notes VALUES ('back')")
    settle(sandbox)
    catch_up(sandbox)
    told = [sandbox.sql(host, "SELECT what FROM sandbox.notes ORDER BY what") for host in sandbox.hosts]
    assert [row["what"] for row in told[0]] == ["back", "db1", "db2", "later"]
    assert told[0] == told[1] == told[2]
    sandbox.sql("db2", "DROP TABLE sandbox.notes")


def test_a_rebuilt_host_is_set_online_though_the_writer_cannot_follow_it_before(sandbox: Sandbox) -> None:
    """The writer meets that its place is in no log once the rebuilt host gets nothing any more, and writes on."""
    sandbox.sql("db1", "CREATE OR REPLACE TABLE sandbox.notes (what VARCHAR(20))")
    catch_up(sandbox)
    move(sandbox, "db2")
    sandbox.sql("db2", "INSERT INTO sandbox.notes VALUES ('db2')")
    catch_up(sandbox)
    (known,) = sandbox.sql("db1", "SELECT @@global.gtid_slave_pos AS place")
    move(sandbox, "db1")
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('db1')")
    log, agent = Log(sandbox), Log(sandbox, "db1", "mmm_agentd")
    by_rejoin(sandbox)
    stopped = "the agent of db2, which is ADMIN_OFFLINE, has stopped its replication"
    sandbox.wait_until(lambda: not runs(sandbox, "db2"), LIMIT, stopped)
    sandbox.wait_until(
        lambda: runs(sandbox, "db1"), LIMIT, "db1 is attached again, should it have been detached"
    )
    sandbox.sql("db1", "STOP SLAVE")
    sandbox.sql("db2", "RESET MASTER")  # as that of a server that was set up anew by whatever else
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('logged')")
    sandbox.wait_until(lambda: gets(sandbox, "db2", "logged"), LIMIT, "db2 has logged what db1 wrote")
    sandbox.wait_until(lambda: not runs(sandbox, "db2"), LIMIT, stopped)
    sandbox.sql("db1", "INSERT INTO sandbox.notes VALUES ('later')")
    sandbox.sql(
        "db1", f"SET GLOBAL gtid_slave_pos='{known['place']}'"
    )  # as if it had not met the new log before
    sandbox.sql("db1", "START SLAVE")
    agent.wait("has not applied .* yet")
    wait_failed(log, "db1", "rep_threads")
    sandbox.wait_until(lambda: sandbox.refused("db2") is None, LIMIT, "set_online db2 is not refused")
    assert sandbox.states()["db2"] == "ADMIN_OFFLINE"
    assert sandbox.ask("set_online db2", limit=LIMIT).startswith("OK")
    sandbox.wait_states(LIMIT, **ALL_ONLINE)
    sandbox.wait_until(lambda: replicates(sandbox, "db1"), LIMIT, "db1 replicates from db2 again")
    assert sandbox.writer() == "db1"
    catch_up(sandbox)
    assert [
        sandbox.sql(host, "SELECT COUNT(*) AS n FROM sandbox.notes")[0]["n"] for host in sandbox.hosts
    ] == [4] * 3
    sandbox.sql("db1", "DROP TABLE sandbox.notes")


def gets(sandbox: Sandbox, host: str, note: str) -> bool:
    """Have its replication run, which its agent stops again, and tell whether it has got the note."""
    sandbox.sql(host, "START SLAVE")
    return bool(sandbox.sql(host, f"SELECT 1 FROM sandbox.notes WHERE what='{note}'"))  # noqa: S608


def runs(sandbox: Sandbox, host: str) -> bool:
    """Tell whether a thread of its replication runs."""
    (status,) = sandbox.sql(host, "SHOW SLAVE STATUS")
    return "Yes" in {status["Slave_IO_Running"], status["Slave_SQL_Running"]}
