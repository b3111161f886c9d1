"""The steps of a rejoin on real servers: whichever fails, old or new data run, and the same job ends well.

The copy is made here by the backup program on this machine, for two servers on loopback need no way between hosts.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mmm.config.model import Cluster, Host
from mmm.gtid import mariadb
from mmm.mysql.server.accounts import Account, grants, tools_grants
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import history, start_replica
from mmm.mysql.session.connection import MysqlError
from mmm.tools.rejoin import swap
from mmm.tools.rejoin.journal import ORDER, Journal, Kind, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.run import Status, run
from mmm.tools.rejoin.server_control import ServerControl
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.rejoin.steps import Means, Steps
from tests.servers import Server, Servers
from tests.unit.trio import AGENT, MONITOR, REPLICATION, insert, rows_of, source
from tests.unit.worlds import cluster

pytestmark = pytest.mark.mysql

LIMIT = 30.0
SCRIPT = """\
#!/bin/sh
case "$1" in
start) rm -f {home}/pid; setsid {argv} </dev/null >>{home}/error.log 2>&1 & ;;
stop) pid=$(cat {home}/pid); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done ;;
esac
"""
TOOLS = Account("mmm_tools", "t't")
STANDBY = ("--read-only=ON",)


@dataclass
class Pair:
    """db1, which has come apart, and db2, the active master."""

    db1: Server
    db2: Server
    control: ServerControl
    folder: JobFolder
    said: list[str] = field(default_factory=list)

    @property
    def datadir(self) -> Path:
        return (self.db1.directory / "data").resolve()

    @property
    def conf(self) -> Cluster:
        hosts = {
            name: Host(
                name, "127.0.0.1", "master", mysql_port=server.port, tools_user=TOOLS.user,
                tools_password=TOOLS.password, replication_user=REPLICATION.user,
                replication_password=REPLICATION.password,
            )
            for name, server in {"db1": self.db1, "db2": self.db2}.items()
        }  # fmt: skip
        return replace(cluster(), hosts=hosts, this="db1")

    def journal(self) -> Journal:
        staging, old = swap.places(self.datadir, "db1-1")
        return Journal("db1-1", "db1", "db2", "db2", str(self.datadir), str(staging), str(old))

    def steps(self, **more: object) -> Steps:
        means = Means(
            self.conf, self.control, save=lambda journal, _: journal, copy=self.copy, say=self.said.append
        )
        return Steps(replace(means, **more))  # type: ignore[arg-type]

    def copy(self, journal: Journal) -> Journal:
        """Copy db2's data, and have a server of this machine write down what they have."""
        staging = Path(journal.staging)
        run_program("mariadb-backup", "--no-defaults", "--backup", f"--target-dir={staging}", f"--port={self.db2.port}",
                    "--host=127.0.0.1", "--user=root", f"--datadir={self.db2.directory / 'data'}")  # fmt: skip
        run_program("mariadb-backup", "--no-defaults", "--prepare", f"--target-dir={staging}")
        told = next(staging.glob("*_binlog_info")).read_text().split()
        self.set_place(staging, told[2])
        return replace(journal, position=told[2])

    def set_place(self, staging: Path, place: str) -> None:
        """Have a server on the copy that nobody reaches write down what the copy has."""
        socket = staging.parent / "private"
        argv = [str(self.db1.kind.binary), "--no-defaults", f"--datadir={staging}", f"--socket={socket}",
                "--skip-networking", "--user=root", f"--pid-file={socket}.pid"]  # fmt: skip
        client = ["mariadb", "--no-defaults", f"--socket={socket}", "-uroot", "-e"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            wait(lambda: not subprocess.run([*client, "DO 0"], capture_output=True, check=False).returncode)
            run_program(*client, f"SET GLOBAL gtid_slave_pos='{place}'; SHUTDOWN")
            server.wait(LIMIT)


def wait(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def run_program(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=LIMIT)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Give them with an order that both have, one that only db1 has, and newer ones of db2."""
    pool = Servers(tmp_path)
    try:
        db1, db2 = pool.start(*STANDBY), pool.start()
        for server in (db1, db2):
            server.run(
                *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
                *tools_grants(server.kind.flavour, TOOLS),
                "SET SESSION sql_log_bin=0",
                "CREATE DATABASE shop",
                "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
            )
        with db1.connect() as here:
            here.execute(*change_source(here.flavour, source(db2), None, {"CONNECT_RETRY": 1}))
            start_replica(here)
        insert(db2, "both")
        db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='both'")
        db1.run("STOP SLAVE")
        insert(db1, "alone", "alone too")
        insert(db2, "newer")
        yield Pair(db1, db2, by_script(db1), JobFolder(tmp_path / "jobs"))
    finally:
        for file in tmp_path.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        pool.stop()


def by_script(server: Server) -> ServerControl:
    """Return how the server is stopped and started by a script, as packages have one."""
    argv = " ".join(Path(f"/proc/{server.process.pid}/cmdline").read_text().rstrip("\0").split("\0"))
    script = server.directory / "rc"
    script.write_text(SCRIPT.format(argv=argv, home=server.directory))
    script.chmod(0o755)
    server.process.terminate()
    server.process.wait(LIMIT)
    run_program(str(script), "start")
    wait(lambda: answers(server))
    return ServerControl((str(script), "{}"), server.directory / "data")


def answers(server: Server) -> bool:
    try:
        server.connect().close()
    except MysqlError:
        return False
    return True


def test_a_host_that_has_come_apart_is_a_replica_again_and_its_old_data_are_kept(pair: Pair) -> None:
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()
    assert pair.folder.open_job() is None
    insert(pair.db2, "later")
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='later'")


class Broken:
    """A means of a job that does not work."""

    def __call__(self, *_: object) -> Journal:
        raise StepError("the disk is full")


@pytest.mark.parametrize("broken", ["save", "copy"])
def test_what_fails_before_the_swap_leaves_all_as_it_was(pair: Pair, broken: str) -> None:
    pair.folder.lock()
    steps = pair.steps(**{broken: Broken()})
    ended = run(steps, pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.why) == (Status.TAKEN_BACK, "the disk is full")
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]
    insert(pair.db1, "not locked")
    assert pair.folder.open_job() is None


def test_a_copy_on_which_the_server_does_not_start_gives_way_to_the_old_data(pair: Pair) -> None:
    def spoilt(journal: Journal) -> Journal:
        journal = pair.copy(journal)
        (Path(journal.staging) / "ibdata1").write_bytes(b"no server starts on that")
        return journal

    pair.folder.lock()
    steps = pair.steps(copy=spoilt, start_limit=3.0)
    ended = run(steps, pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.START)
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]


class Died(BaseException):
    """The program ended here."""


@pytest.mark.parametrize("last", ORDER)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_job_goes_on_wherever_the_program_died(
    pair: Pair, last: Step, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = Steps.do

    def do(self: Steps, step: Step, journal: Journal) -> Journal:
        if (step, when) == (last, "before"):
            raise Died
        journal = does(self, step, journal)
        if step is last:
            raise Died
        return journal

    pair.folder.lock()
    steps = pair.steps()
    with monkeypatch.context() as patched:
        patched.setattr(Steps, "do", do)
        with pytest.raises(Died):
            run(steps, pair.folder, pair.journal(), pair.said.append)
    steps.close()
    opened = pair.folder.open_job()
    assert opened is not None
    ended = run(pair.steps(), pair.folder, opened.again(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()


def test_numbers_that_were_thrown_away_are_not_used_again(pair: Pair) -> None:
    pair.folder.lock()
    journal = replace(pair.journal(), highest="0-1-103,5-1-7")
    assert run(pair.steps(), pair.folder, journal, pair.said.append).status is Status.DONE
    insert(pair.db2, "later")
    with pair.db2.connect() as there:
        newest = {gtid.domain: gtid.sequence for gtid in mariadb.newest_everywhere(history(there))}
    assert newest == {0: 105, 5: 8}
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='later'")


@pytest.mark.parametrize("way", ["done", "broken off"])
def test_a_new_server_that_knows_no_account_of_the_conf_is_cloned_or_left_as_it_was(
    pair: Pair, way: str
) -> None:
    pair.db1.run("SET SESSION sql_log_bin=0", f"DROP USER {TOOLS.user}")
    pair.folder.lock()
    journal = replace(pair.journal(), kind=Kind.CLONE, running=True)
    steps = pair.steps() if way == "done" else pair.steps(copy=spoilt_copy(pair), start_limit=3.0)
    ended = run(steps, pair.folder, journal, pair.said.append)
    wait(lambda: answers(pair.db1))
    if way == "done":
        assert (ended.status, rows_of(pair.db1)) == (Status.DONE, ["both", "newer"])
    else:
        assert (ended.status, rows_of(pair.db1)) == (Status.TAKEN_BACK, ["alone", "alone too", "both"])


def spoilt_copy(pair: Pair) -> Callable[[Journal], Journal]:
    """Make a copy on which no server starts."""

    def copy(journal: Journal) -> Journal:
        journal = pair.copy(journal)
        (Path(journal.staging) / "ibdata1").write_bytes(b"no server starts on that")
        return journal

    return copy
