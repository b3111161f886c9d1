"""A backup is brought up to a moment by the binary logs that are kept beside it, on real servers."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mmm.binlog.contents import Before, Logged
from mmm.gtid import mariadb, mysql
from mmm.gtid.mariadb import History
from mmm.mysql.session.connection import connect
from mmm.process.started_as import started_as
from mmm.tools.backup import logs
from mmm.tools.fetch.private import Private, running
from mmm.tools.program import load_conf
from mmm.tools.until.goal import Goal, UntilError, of_option, parse
from mmm.tools.until.logs import home_of, stamps
from mmm.tools.until.plan import Plan, planned
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.backing_up import LIMIT, SHOP, Machine, agent, machine
from tests.unit.test_rejoin_steps import answers, by_script, wait
from tests.unit.test_tools_restore import argv, opened, path_of, restore

ORIGIN = "3e11fa47-71ca-11e1-9e33-c80aa9429562"


def entry(gtid: str, when: int, begin: int) -> Logged:
    """Return a transaction of 100 bytes."""
    name = (ORIGIN, int(gtid)) if gtid.isdigit() else mariadb.parse(gtid)[0]
    return Logged(name, 1, when, begin, begin + 100)


def log(*gtids: str, before: str = "", when: int = 1000) -> list[Before | Logged]:
    """Return what a file holds, a transaction each second."""
    known = History((), mariadb.parse(before)) if "-" in gtids[0] else mysql.parse(before)
    return [Before(known), *(entry(gtid, when + at, 300 + 100 * at) for at, gtid in enumerate(gtids))]


def plan(
    files: Mapping[str, Iterable[Before | Logged]], has: str, goal: Goal, family: str = "MariaDB"
) -> Plan:
    return planned(list(files), lambda name: files[name], has, goal, family=family)


def goal(text: str, *, before: bool = False) -> Goal:
    found = parse(None, text) if before else parse(text, None)
    assert found is not None
    assert of_option(found.option) == found
    return found


FILES = {
    "bin.000007": log("0-1-1", "0-1-2", "0-1-3"),
    "bin.000008": log("0-1-4", "0-2-5", "0-1-6", before="0-1-3", when=1003),
}


@pytest.mark.parametrize(
    ("end", "last", "count"),
    [
        (goal("0-2-5"), "0-2-5", 3),
        (goal("0-2-5", before=True), "0-1-4", 2),
        (goal("bin.000008:500"), "0-2-5", 3),
        (goal("bin.000008:499"), "0-1-4", 2),
        (Goal("then", moment=1003.9), "0-1-4", 2),
        (Goal("later", moment=9000), "0-1-6", 4),
        (goal("0-1-2"), "", 0),
    ],
)
def test_what_comes_after_the_backup_is_applied_up_to_the_goal_and_nothing_else(
    end: Goal, last: str, count: int
) -> None:
    found = plan(FILES, "0-1-2", end)
    assert (found.last, found.count) == (last, count)
    assert found.position == (last or "0-1-2")
    assert found.size == 100 * count


def test_on_mysql_it_is_what_the_set_lacks() -> None:
    files = {"bin.000001": log("1", "3", "2", "4", before="")}
    found = plan(files, f"{ORIGIN}:1-2", goal(f"{ORIGIN}:4"), family="MySQL")
    assert [(each.begin, each.count) for each in found.stretches] == [(400, 1), (600, 1)]
    assert mysql.parse(found.position).minus(mysql.parse(f"{ORIGIN}:1-4")) == mysql.GtidSet()


@pytest.mark.parametrize(
    ("files", "has", "end", "code"),
    [
        ({}, "0-1-2", goal("0-1-3"), "no_logs"),
        ({"b.000001": log("0-1-1"), "b.000003": log("0-1-3")}, "0-1-1", goal("0-1-3"), "gap"),
        ({"b.000009": log("0-1-9", before="0-1-8")}, "0-1-2", goal("0-1-9"), "no_start"),
        ({"b.000009": log("0-1-9", before="0-1-8,5-1-1")}, "0-1-8", goal("0-1-9"), "no_start"),
        (FILES, "0-1-2", goal("0-1-99"), "not_there"),
        (FILES, "0-1-4", goal("0-1-2"), "before_backup"),
        (FILES, "0-1-4", Goal("early", moment=1000), "before_backup"),
        (FILES, "", goal("0-1-3"), "no_gtid"),
    ],
)
def test_what_the_logs_cannot_give_is_refused(
    files: Mapping[str, Iterable[Before | Logged]], has: str, end: Goal, code: str
) -> None:
    with pytest.raises(UntilError) as refused:
        plan(files, has, end)
    assert refused.value.code == code


def test_numbers_that_fall_are_followed_in_the_log_of_the_same_host_alone() -> None:
    """db2 went on by itself to 0-2-5 before it took over 0-1-3 and 0-1-4; db1 has them in the order of their numbers.

    A backup of either at its place has what stands behind that place in the other's log.
    """
    logs = {"b.000001": log("0-1-2", "0-2-5", "0-1-3", "0-1-4", "0-2-6")}
    own = planned(list(logs), lambda name: logs[name], "0-1-3", goal("0-2-6"), family="MariaDB", own=True)
    assert (own.first, own.last, own.count) == ("0-1-4", "0-2-6", 2)
    with pytest.raises(UntilError) as refused:
        plan(logs, "0-1-3", goal("0-2-6"))
    assert refused.value.code == "out_of_order"


def test_a_log_of_mysql_that_begins_too_late_is_refused() -> None:
    with pytest.raises(UntilError) as refused:
        plan(
            {"b.000002": log("5", before=f"{ORIGIN}:1-4")},
            f"{ORIGIN}:1-2",
            goal(f"{ORIGIN}:5"),
            family="MySQL",
        )
    assert refused.value.code == "no_start"


@pytest.mark.parametrize(
    ("until", "before"), [("yesterday", None), (None, "2026-11-29 14:03:00"), ("0-1-2", "0-1-3")]
)
def test_a_goal_that_is_none_is_said(until: str | None, before: str | None) -> None:
    with pytest.raises(UntilError, match=r"--until|--before"):
        parse(until, before)


@dataclass
class Shop:
    """A host whose backup and log are kept."""

    host: Machine
    server: Server
    made: Path

    def keep(self) -> str:
        """Keep the log, and return what is said."""
        ran = self.host.run("backup", "--logs", "--host", "db2")
        assert ran.status == 0, ran
        return ran.out + ran.err

    def last(self) -> str:
        """Return the GTID of what was written last."""
        if self.server.kind.flavour.mariadb:
            return self.server.value("@@gtid_binlog_pos")
        executed = mysql.parse(self.server.value("@@gtid_executed"))
        ((origin, intervals),) = executed.of.items()
        return f"{origin}:{intervals[-1][1]}"

    def rows(self, private: Private) -> list[str]:
        with private.connect() as session:
            return [str(row["what"]) for row in session.query("SELECT what FROM shop.o ORDER BY id")]


@contextmanager
def shop_of(name: str, folder: Path) -> Iterator[Shop]:
    """Give a shop with a backup, two rows in it, and more of them in a log of several files after it."""
    sort = kind(name)
    pool = Servers(folder / "servers", sort)
    (folder / "servers").mkdir()
    try:
        with path_of(sort.binary.parent), agent("ADMIN_OFFLINE") as port:
            server = pool.start("--read-only=ON")
            server.run(
                "CREATE USER a IDENTIFIED BY 'a'",
                "CREATE USER r IDENTIFIED BY 'r'",
                "GRANT REPLICATION SLAVE ON *.* TO r",
                *SHOP,
            )
            host = machine(folder, server, port)
            yield Shop(
                host,
                server,
                host.backup("--host", "db2", *(() if name == MARIADB else ("--provider", "dump"))),
            )
    finally:
        for file in folder.glob("servers/server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        pool.stop()


@pytest.fixture(scope="module", params=[MARIADB, "mysql:9.7"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with shop_of(request.param, tmp_path_factory.mktemp("shop")) as found:
        yield found


def insert(server: Server, what: str) -> None:
    server.run(f"INSERT INTO shop.o (what) VALUES ('{what}')")  # noqa: S608


@pytest.mark.mysql
def test_a_table_that_was_dropped_is_back_as_it_was_before(shop: Shop) -> None:
    """The files alone are put into a folder; the log comes in runs, one of them while it is written."""
    server = shop.server
    insert(server, "three")
    shop.keep()
    insert(server, "Größe 4")
    server.run(
        "FLUSH BINARY LOGS",
        "UPDATE shop.o SET what='uno' WHERE what='one'",
        "CREATE INDEX i ON shop.o (what)",
    )
    good = shop.last()
    server.run("DROP TABLE shop.o")
    drop = shop.last()
    server.run("CREATE TABLE shop.o (id INT PRIMARY KEY, what VARCHAR(9))")
    said = shop.keep()
    assert "2 files" in said, said
    assert " 0 files" in shop.keep(), "nothing is copied twice"
    for option, end in (("--before", drop), ("--until", good)):
        ran = restore(shop.host, "--mode", "data-only", option, end, "--src-dir", str(shop.made))
        assert ran.status == 0, ran
        target = shop.host.folder / "restored"
        with running(target, started_as(server.process.pid).argv) as private:
            assert shop.rows(private) == ["uno", "two", "three", "Größe 4"]
            with private.connect() as session:
                assert session.query("SHOW INDEX FROM shop.o WHERE Key_name='i'")
    refused = restore(
        shop.host, "--mode", "data-only", "--until", "2100-01-01 00:00:00", "--src-dir", str(shop.made)
    )
    assert (refused.status, "mmm_backup --logs" in refused.err) == (2, True), refused
    refused = restore(shop.host, "--mode", "slave-slave", "--until", good, "--src-dir", str(shop.made))
    assert (refused.status, "follows" in refused.err) == (2, True), refused


@pytest.mark.mysql
def test_what_is_loaded_from_a_file_and_xa_transactions_are_applied_too(shop: Shop) -> None:
    """LOAD DATA is logged as a statement, with the file; one of the XA transactions ends only after the goal."""
    server = shop.server
    server.run(
        "CREATE TABLE shop.loaded (what VARCHAR(20) CHARACTER SET utf8mb4)", "SET GLOBAL local_infile=ON"
    )
    file = shop.host.folder / "loaded"
    file.write_text("it's \\\\ one\nGröße 2\n")

    def xa(name: str) -> None:
        session.execute(f"XA START '{name}'")
        session.execute(f"INSERT INTO shop.loaded VALUES ('{name}')")  # noqa: S608
        session.execute(f"XA END '{name}'")
        session.execute(f"XA PREPARE '{name}'")

    with connect(replace(server.address(), sends_files=True), LIMIT) as session:
        session.execute("SET SESSION binlog_format=STATEMENT")
        session.send(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE shop.loaded CHARACTER SET utf8mb4".encode())
        session.execute("SET SESSION binlog_format=ROW")
        xa("one")
        session.execute("XA COMMIT 'one'")
        xa("two")
        session.execute("XA ROLLBACK 'two'")
        xa("open")
        server.run("INSERT INTO shop.loaded VALUES ('three')")
        server.run("CREATE EVENT shop.purge ON SCHEDULE EVERY 1 HOUR DO DELETE FROM shop.loaded")
        good = shop.last()
        session.execute("XA COMMIT 'open'")
    shop.keep()
    ran = restore(shop.host, "--mode", "data-only", "--until", good, "--src-dir", str(shop.made))
    assert (ran.status, "prepared then: open" in ran.out) == (0, True), ran
    with (
        running(shop.host.folder / "restored", started_as(server.process.pid).argv) as private,
        private.connect() as session,
    ):
        rows = session.query("SELECT what FROM shop.loaded")
        assert [row["what"] for row in rows] == ["it's \\ one", "Größe 2", "one", "three"]
        if server.kind.flavour.mariadb:
            assert session.query("SELECT name FROM mysql.event") == [{"name": "purge"}]
            assert session.query("SELECT User FROM mysql.global_priv WHERE User='mmm_private'") == []
        session.execute("XA COMMIT 'open'")
        assert len(session.query("SELECT what FROM shop.loaded")) == 5
        if server.kind.flavour.mariadb:
            assert session.query("SELECT @@gtid_slave_pos AS gtid")[0]["gtid"] == good


@pytest.mark.mysql
def test_the_same_command_goes_on_after_a_crash_and_no_other_one(tmp_path: Path) -> None:
    with shop_of(MARIADB, tmp_path) as shop:
        by_script(shop.server)
        insert(shop.server, "three")
        good = shop.last()
        insert(shop.server, "four")
        shop.keep()
        wanted = ("--until", good, "--src-dir", str(shop.made))
        tool = subprocess.Popen(argv(shop.host, *wanted), stdout=subprocess.DEVNULL)
        wait(lambda: list(shop.server.directory.glob("data.mmm-new-*/ibdata1")))
        tool.send_signal(signal.SIGKILL)
        tool.wait()
        assert opened(shop.host)["begun"] == "fetch"
        refused = restore(shop.host, "--src-dir", str(shop.made))
        assert (refused.status, f"begun --until {good}" in refused.err) == (2, True), refused
        ran = restore(shop.host, *wanted)
        assert ran.status == 0, ran
        wait(lambda: answers(shop.server))
        with shop.server.connect() as session:
            rows = session.query("SELECT what FROM shop.o ORDER BY id")
        assert [row["what"] for row in rows] == ["one", "two", "three"]
        assert shop.server.value("@@gtid_slave_pos") == good


def test_two_logs_that_were_begun_in_one_second_have_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    first, second = logs._made(tmp_path), logs._made(tmp_path)
    assert first != second
    assert stamps(tmp_path) == [first, second]


@pytest.mark.mysql
def test_a_log_that_has_not_grown_is_whole_up_to_when_its_size_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written while it is compared is not in it, and no moment behind that question is told to be."""
    with shop_of(MARIADB, tmp_path) as shop:
        shop.keep()
        (newest,) = (max(stamp.iterdir()) for stamp in stamps(home_of(shop.host.backups, "db2")))
        asked: list[float] = []

        def written_meanwhile(old: Path, new: Path) -> bool:
            asked.append(time.time())
            return goes_on(old, new)

        goes_on = logs._goes_on
        monkeypatch.setattr(logs, "_goes_on", written_meanwhile)
        conf = load_conf(shop.host.conf, None)
        logs.keep(conf, conf.hosts["db2"], shop.host.backups, 0)
        assert newest.stat().st_mtime < asked[0]


@pytest.mark.mysql
def test_a_log_that_was_begun_anew_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """What was copied before stays as it is, and is what an older backup is brought up by."""
    with shop_of(MARIADB, tmp_path) as shop:
        insert(shop.server, "three")
        good = shop.last()
        shop.keep()
        shop.server.run("RESET MASTER")
        insert(shop.server, "lost")
        assert "begun anew" in shop.keep()
        assert len(list((shop.host.backups / "db2-log").glob("*/bin.000001"))) == 2
        dry = restore(shop.host, "--mode", "data-only", "--dry-run", "--until", good)
        assert (dry.status, f"1 transaction ({good} of" in dry.out) == (0, True), dry
