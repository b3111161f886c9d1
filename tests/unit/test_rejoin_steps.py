"""The steps of a rejoin on real servers: whichever fails, old or new data run, and the same job ends well.

The copy is made here by the backup program on this machine, for two servers on loopback need no way between hosts.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mmm.config.model import Cluster, Host
from mmm.gtid import mariadb
from mmm.mysql.server.accounts import Account, grants, tools_grants
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import history, start_replica
from mmm.mysql.session.connection import MysqlError
from mmm.tools.rejoin import own_log, server_control, swap
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.job import Place, steps_of
from mmm.tools.rejoin.journal import COPYING, IN_PLACE, ORDER, Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.look import Look, Silent
from mmm.tools.rejoin.means import Means
from mmm.tools.rejoin.plan import copies
from mmm.tools.rejoin.run import Ended, Status, run
from mmm.tools.rejoin.server_control import ServerControl
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.rejoin.steps import Steps
from mmm.tools.rejoin.texts import STEPS
from mmm.tools.rejoin.undoing import Undoing
from mmm.tools.rewind import undo
from mmm.wire.job import Kind
from mmm.wire.rejoin import CLONE, REWIND
from tests.servers import Server, Servers, kind, other_series
from tests.unit.trio import AGENT, MONITOR, REPLICATION, insert, rows_of, source
from tests.unit.worlds import cluster

pytestmark = pytest.mark.mysql

LIMIT = 30.0
SCRIPT = """\
#!/bin/sh
case "$1" in
start) rm -f {home}/pid; setsid {argv} </dev/null >>{home}/error.log 2>&1 &
  # One that has not got as far as its data yet is not taken for one that has ended.
  until [ /proc/$!/cwd -ef {home}/data ] || ! readlink /proc/$!/exe >/dev/null; do sleep 0.02; done ;;
stop) pid=$(cat {home}/pid); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done ;;
esac
"""
TOOLS = Account("mmm_tools", "t't")
STANDBY = (
    "--read-only=ON",
    "--binlog-format=ROW",
    "--log-slave-updates=1",
    "--innodb-flush-log-at-trx-commit=1",
)


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

    def journal(self, way: str = CLONE, *, inside: bool = False) -> Journal:
        staging, old = swap.places(self.datadir, "db1-1", inside=inside)
        return Journal("db1-1", "db1", "db2", "db2", str(self.datadir), str(staging), str(old), way=way)

    def steps(self, **more: object) -> Steps:
        undoing = Undoing(self.conf, self.said.append)
        means = Means(
            self.conf, self.control, save=lambda journal, _: journal, copy=self.copy, rewind=undoing,
            say=self.said.append,
        )  # fmt: skip
        return Steps(replace(means, **more))  # type: ignore[arg-type]

    def copy(self, journal: Journal) -> Journal:
        """Copy db2's data, and have a server of this machine write down what they have."""
        staging = Path(journal.staging)
        staging.parent.mkdir(exist_ok=True)
        with self.db2.connect() as donor:
            logged = own_log.of_donor(donor)
        run_program("mariadb-backup", "--no-defaults", "--backup", f"--target-dir={staging}", f"--port={self.db2.port}",
                    "--host=127.0.0.1", "--user=root", f"--datadir={self.db2.directory / 'data'}")  # fmt: skip
        run_program("mariadb-backup", "--no-defaults", "--prepare", f"--target-dir={staging}")
        told = next(staging.glob("*_binlog_info")).read_text().split()
        self.set_place(staging, told[2])
        return replace(journal, position=told[2], logged=logged)

    def set_place(self, staging: Path, place: str) -> None:
        """Have a server on the copy that nobody reaches write down what the copy has."""
        socket = self.db1.directory / "private"  # the path of one has little room
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
    with pair_of(tmp_path) as found:
        yield found


@contextmanager
def pair_of(tmp_path: Path, *options: str) -> Iterator[Pair]:
    """Give them with an order that both have, one that only db1 has, and newer ones of db2; `options` are db1's."""
    pool = Servers(tmp_path)
    try:
        db1, db2 = pool.start(*STANDBY, *options), pool.start()
        for server in (db1, db2):
            furnish(server)
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


def furnish(server: Server) -> None:
    """Give it the accounts of MMM and an empty table of orders, which its binary log does not have."""
    server.run(
        *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
        *tools_grants(server.kind.flavour, TOOLS),
        "SET SESSION sql_log_bin=0",
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
    )


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


def test_the_data_stay_as_they_are_while_they_are_copied_though_the_server_ends_silent_sessions(
    pair: Pair,
) -> None:
    pair.db1.run("SET GLOBAL wait_timeout=1")

    def copy(journal: Journal) -> Journal:
        with pair.db1.connect() as silent:
            mine = silent.query("SELECT CONNECTION_ID() AS id")[0]["id"]
            there = f"EXISTS (SELECT 1 FROM information_schema.PROCESSLIST WHERE ID={mine})"  # noqa: S608
            wait(lambda: pair.db1.value(there) == "0")
        with pair.db1.connect(timeout=1.0) as late, pytest.raises(MysqlError):
            late.execute("INSERT INTO shop.orders (what) VALUES ('late')")
        return pair.copy(journal)

    pair.folder.lock()
    ended = run(pair.steps(copy=copy), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")


def test_the_conf_says_where_is_saved_and_how_long_catching_up_may_take(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is not equal in time is half done, and the same job goes on with it."""
    conf = replace(pair.conf, saved_dir=str(tmp_path / "kept here"), catch_up_limit=0.1)
    place = Place(conf, pair.folder, None, Look("db1", "127.0.0.1", here=True, agent=None, server=Silent("")))
    monkeypatch.setattr(server_control, "find", lambda *_: pair.control)
    pair.folder.lock()

    def say(text: str) -> None:
        if text == f"{STEPS[Step.CATCH_UP]} …" and not pair.said:
            pair.db1.run("STOP SLAVE SQL_THREAD")
            insert(pair.db2, "later")
            pair.said.append(text)

    def go(journal: Journal) -> Ended:
        steps = steps_of(place, journal, pair.copy, lose=False)
        try:
            return run(steps, pair.folder, journal, say)
        finally:
            steps.close()

    ended = go(pair.journal())
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.CATCH_UP)
    assert "db1 still lacks " in ended.why
    pair.db1.run("START SLAVE")
    opened = pair.folder.open_job()
    assert opened is not None
    assert Path(opened.saved).parent == tmp_path / "kept here"
    assert go(opened.again()).status == Status.DONE
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "later", "newer"]


def test_room_is_made_before_a_copy_and_not_for_a_rewind(pair: Pair) -> None:
    made: list[bool] = []
    pair.folder.lock()
    steps = pair.steps(make_room=lambda: made.append((pair.datadir / "ibdata1").is_file()))
    assert run(steps, pair.folder, pair.journal(way=""), pair.said.append).status == Status.DONE
    assert made == []
    assert run(steps, pair.folder, pair.journal(), pair.said.append).status == Status.DONE
    assert made == [True]


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


def test_a_copy_that_the_disk_has_no_room_for_is_not_begun(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(pair.datadir)._replace(free=1_000_000)
    monkeypatch.setattr("mmm.tools.provider.room.shutil.disk_usage", lambda _: full)
    assert "1 MB are free" in "\n".join(copies(pair.conf, pair.journal()))
    pair.folder.lock()
    copying = Copying(pair.conf, pair.said.append)
    ended = run(pair.steps(copy=copying), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.FETCH)
    assert "1 MB are free" in ended.why
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]


def test_a_copy_on_which_the_server_does_not_start_gives_way_to_the_old_data(pair: Pair) -> None:
    """That is said once the server has ended again, however long one may take to start."""
    pair.folder.lock()
    steps = pair.steps(copy=spoilt(pair), gone_limit=0.5)
    ended = run(steps, pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.START)
    assert "error log" in ended.why
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]


def test_a_copy_in_the_data_folder_gives_way_with_all_that_the_server_has_made_on_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its binary log among the old data would have them forget what only they have."""
    log = "CONCAT(@@gtid_binlog_state, @@gtid_binlog_pos)"
    before, start = pair.db1.value(log), Steps._start

    def breaks_off(steps: Steps, journal: Journal) -> Journal:
        start(steps, journal)
        raise StepError("broken off")

    monkeypatch.setattr(Steps, "_start", breaks_off)
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(inside=True), pair.said.append)
    assert (ended.status, ended.why) == (Status.TAKEN_BACK, "broken off")
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]
    assert pair.db1.value(log) == before
    assert not [entry.name for entry in pair.datadir.iterdir() if ".mmm-" in entry.name]


def spoilt(pair: Pair) -> Callable[[Journal], Journal]:
    """Return what makes a copy that no server starts on."""

    def copy(journal: Journal) -> Journal:
        journal = pair.copy(journal)
        (Path(journal.staging) / "ibdata1").write_bytes(b"no server starts on that")
        return journal

    return copy


@pytest.mark.parametrize("where", ["while it puts the old data back", "before the old data run"])
def test_the_same_job_goes_on_wherever_taking_back_ended(
    pair: Pair, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old data are never taken for the copy."""

    undo_all = swap.undo

    def half(moves: swap.Moves) -> None:
        undo_all(moves[-1:])
        raise swap.SwapError("the disk is full")

    pair.folder.lock()
    with monkeypatch.context() as patched:
        if where == "before the old data run":
            patched.setattr(Steps, "undo", Broken())
        else:
            patched.setattr(f"{Steps.__module__}.swap.undo", half)
        steps = pair.steps(copy=spoilt(pair), gone_limit=0.5)
        ended = run(steps, pair.folder, pair.journal(), pair.said.append)
        steps.close()
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.START)
    opened = pair.folder.open_job()
    assert opened is not None
    ended = run(pair.steps(gone_limit=0.5), pair.folder, opened.again(), pair.said.append)
    if where != "before the old data run":
        assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.START), "the copy is still spoilt"
        assert rows_of(pair.db1) == ["alone", "alone too", "both"]
        return
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]


def test_a_copy_of_a_log_whose_numbers_are_not_in_order_follows(pair: Pair) -> None:
    """As that of a master is that took over, wrote, and got some of the old one's only then."""
    pair.db2.run(
        "SET SESSION server_id=7, gtid_seq_no=5000",
        "INSERT INTO shop.orders (what) VALUES ('of db7')",
        "SET SESSION server_id=2, gtid_seq_no=4000",
        "INSERT INTO shop.orders (what) VALUES ('lower')",
    )
    insert(pair.db2, "last")
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "last", "lower", "newer", "of db7"]
    with pair.db1.connect() as here:
        assert history(here).proves(mariadb.Gtid(0, 7, 5000))


def test_a_copy_has_what_another_writer_wrote_into_its_donor_before_the_role_moved_amid_the_copy() -> None:
    """Its own log tells of that server never again, so that the host was waited for without an end."""
    before, after = "0-2-4,0-1-573,1-1-7", "0-1-917,0-2-1400,0-3-1350,1-1-9"
    logged = own_log.of_copy(before, after, "0-2-1304,1-1-8")
    assert set(mariadb.parse(logged)) == set(mariadb.parse("0-1-917,0-2-4,1-1-7"))
    assert own_log.of_copy("", "", "a-b:1-5") == ""


def test_the_log_of_a_copy_begins_once_behind_what_is_in_the_copy(pair: Pair) -> None:
    """Told so by a statement, the server would begin it anew, and wait for InnoDB for up to a second before that."""
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    with pair.db1.connect() as here:
        assert set(mariadb.parse(ended.journal.logged)) <= set(history(here).logged)
        assert [row["Log_name"] for row in here.query("SHOW BINARY LOGS")] == ["bin.000001"]


@pytest.mark.parametrize("series", other_series())
def test_the_log_of_other_versions_begins_behind_that_too(tmp_path: Path, series: str) -> None:
    pool, copied = Servers(tmp_path, kind(series)), mariadb.parse("0-7-3,0-2-9")
    try:
        server = pool.start()
        with server.connect() as session:
            name = own_log.state_file(session)
        server.kill()
        for path in (server.directory / "data").glob("bin.*"):
            path.unlink()
        own_log.prepare(server.directory / "data" / name, mariadb.text(copied), "0-2-9")
        server.restart()
        with server.connect() as session:
            assert history(session).logged == copied
    finally:
        pool.stop()


def test_the_active_master_follows_a_host_whose_copy_has_transactions_of_its_own_from_before(
    pair: Pair,
) -> None:
    """What the host's new log begins behind ends with the last transaction of all, whoever has the higher number."""
    pair.db2.run(
        "SET SESSION server_id=1",
        "INSERT INTO shop.orders (what) VALUES ('of db1, once')",
        "SET SESSION server_id=9",
        "INSERT INTO shop.orders (what) VALUES ('of db9, once')",
    )
    insert(pair.db2, "last")
    last = pair.db2.value("@@gtid_binlog_pos")
    pair.folder.lock()
    assert run(pair.steps(), pair.folder, pair.journal(), pair.said.append).status is Status.DONE
    assert pair.db1.value("@@gtid_binlog_pos") == last
    with pair.db2.connect() as here:
        here.execute("SET GLOBAL gtid_slave_pos=%s", (last,))
        here.execute(*change_source(here.flavour, source(pair.db1), None, {"CONNECT_RETRY": 1}))
        start_replica(here)
    insert(pair.db1, "from db1")
    pair.db2.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='from db1'")


class Died(BaseException):
    """The program ended here."""


OF_A_COPY = [step for step in ORDER if step not in {Step.PROVE, Step.UNDO, *IN_PLACE}]


@pytest.mark.parametrize("last", OF_A_COPY)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_job_goes_on_wherever_the_program_died(
    pair: Pair, last: Step, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.folder.lock()
    opened = died(pair, pair.journal(), last, when, monkeypatch)
    ended = run(pair.steps(), pair.folder, opened.again(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()


def died(pair: Pair, journal: Journal, last: Step, when: str, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Have the program end before or after a step; returns what the disk says of the job."""
    does = Steps.do

    def do(self: Steps, step: Step, journal: Journal) -> Journal:
        if (step, when) == (last, "before"):
            raise Died
        journal = does(self, step, journal)
        if step is last:
            raise Died
        return journal

    with monkeypatch.context() as patched:
        patched.setattr(Steps, "do", do)
        return until_it_died(pair, journal)


def until_it_died(pair: Pair, journal: Journal) -> Journal:
    """Have the job done by a program that ends in the middle; returns what the disk says of it."""
    steps = pair.steps()
    with pytest.raises(Died):
        run(steps, pair.folder, journal, pair.said.append)
    steps.close()
    opened = pair.folder.open_job()
    assert opened is not None
    return opened


def test_a_host_that_has_come_apart_is_wound_back_and_its_log_is_kept(pair: Pair) -> None:
    pair.db1.run("UPDATE shop.orders SET what='odd' WHERE what='both'")
    pair.folder.lock()
    process = pair.control.processes()
    ended = run(pair.steps(), pair.folder, pair.journal(way=""), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert pair.control.processes() == process
    assert b"alone too" in b"".join(path.read_bytes() for path in Path(ended.journal.old_log).iterdir())
    assert not Path(ended.journal.old).exists()
    assert any("3 of the rows that were touched are the same" in said for said in pair.said), pair.said


def test_both_go_on_from_each_other_after_a_rewind(pair: Pair) -> None:
    pair.folder.lock()
    assert run(pair.steps(), pair.folder, pair.journal(way=""), pair.said.append).status is Status.DONE
    insert(pair.db2, "later")
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='later'")
    with pair.db2.connect() as here:
        here.execute("SET GLOBAL gtid_slave_pos=@@global.gtid_current_pos")
        here.execute(*change_source(here.flavour, source(pair.db1), None, {"CONNECT_RETRY": 1}))
        start_replica(here)
    insert(pair.db1, "from db1")
    pair.db2.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='from db1'")


@pytest.mark.parametrize(
    ("last", "when"), [(Step.UNDO, "before"), *((step, "after") for step in ORDER if step not in COPYING)]
)
def test_a_rewind_goes_on_wherever_the_program_died_and_undoes_nothing_twice(
    pair: Pair, last: Step, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.folder.lock()
    opened = died(pair, pair.journal(way=""), last, when, monkeypatch)
    ended = run(pair.steps(), pair.folder, opened.again(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert Path(ended.journal.old).exists() == (last is Step.UNDO), "a copy was made"


@pytest.mark.parametrize("at", ["_turn_back", "_see_same_end", "_settled"])
def test_whoever_dies_while_it_undoes_gets_a_copy(
    pair: Pair, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    does = getattr(undo, at)

    def dies(*args: object, **more: object) -> None:
        does(*args, **more)
        raise Died

    pair.folder.lock()
    with monkeypatch.context() as patched:
        patched.setattr(undo, at, dies)
        steps = pair.steps()
        with pytest.raises(Died):
            run(steps, pair.folder, pair.journal(way=""), pair.said.append)
        steps.close()
    opened = pair.folder.open_job()
    assert opened is not None
    assert not opened.revocable
    ended = run(pair.steps(), pair.folder, opened.again(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()


def test_rows_that_differ_after_a_rewind_are_a_reason_for_a_copy(pair: Pair) -> None:
    pair.db1.run("UPDATE shop.orders SET what='odd' WHERE what='both'")
    pair.db2.run("SET SESSION sql_log_bin=0", "UPDATE shop.orders SET what='past the log' WHERE what='both'")
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(way=""), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["newer", "past the log"]
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()


def test_a_row_that_is_not_as_the_log_says_is_a_reason_for_a_copy_and_nothing_is_undone(pair: Pair) -> None:
    pair.db1.run("SET SESSION sql_log_bin=0", "DELETE FROM shop.orders WHERE what='alone'")
    pair.folder.lock()
    ended = run(pair.steps(), pair.folder, pair.journal(way=""), pair.said.append)
    assert (ended.status, ended.why, ended.journal.tainted) == (Status.DONE, "", False)
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert not ended.journal.old_log
    assert not list(pair.datadir.parent.glob("*-log"))


def test_what_cannot_be_undone_is_copied_unless_a_rewind_alone_is_wanted(pair: Pair) -> None:
    pair.db1.run("CREATE TABLE shop.more (id INT)")
    pair.folder.lock()
    only = replace(pair.journal(way=""), method=REWIND)
    refused = run(pair.steps(), pair.folder, only, pair.said.append)
    assert refused.status is Status.TAKEN_BACK
    assert "holds a statement" in refused.why
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]
    ended = run(pair.steps(), pair.folder, pair.journal(way=""), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == ["both", "newer"]


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


def test_a_server_that_a_boot_has_started_on_the_old_data_is_stopped_before_they_are_put_away(
    pair: Pair,
) -> None:
    """The machine lost power when the renames were about to begin."""
    pair.folder.lock()
    steps, journal = pair.steps(), pair.journal()
    for step in OF_A_COPY[: OF_A_COPY.index(Step.SWAP)]:
        journal = steps.do(step, journal.begin(step)).finish(step)
    pair.folder.keep(journal.begin(Step.SWAP))
    steps.close()
    pair.control.start()
    wait(lambda: answers(pair.db1))
    opened = pair.folder.open_job()
    assert opened is not None
    ended = run(pair.steps(), pair.folder, opened.again(), pair.said.append)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert pair.control.processes(), "it runs on the copy"
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
