"""Which way a full copy comes, why each other one does not, and MySQL's own way on real servers."""

import dataclasses
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmm.config.model import Host
from mmm.mysql.backup import clone_plugin, dump
from mmm.mysql.flavour import detect
from mmm.process.started_as import started_as
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.private import running
from mmm.tools.fetch.stage import Login, Proved, prove
from mmm.tools.fetch.values import Cause, Failed, Fetched, Progress
from mmm.tools.provider import clone
from mmm.tools.provider import dump as provider_dump
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side, look
from mmm.tools.provider.table import choose
from tests.servers import Server, Servers, kind, own_series
from tests.unit import agents

LIMIT = 120.0
TOOLS = Login("mmm_tools", "t'o\"o\\l")
FULL = ("clone-plugin", "mariadb-backup")
PLUGIN = ("--plugin-load-add=mysql_clone.so", "--performance-schema=ON", "--log-replica-updates")


def side(name: str, version: str = "10.11.19-MariaDB", **changes: Any) -> Side:
    flavour = detect(version, "")
    known = Side(
        name, flavour, version, "/var/lib/mysql", 16384, 0, 1 << 30, clone_plugin=not flavour.mariadb
    )
    return dataclasses.replace(known, **changes)


def mysql(name: str, **changes: Any) -> Side:
    return side(name, "9.7.4", **changes)


@pytest.mark.parametrize(
    ("here", "donor", "way"),
    [
        (side("db1"), side("db2"), "mariadb-backup"),
        (None, side("db2"), "mariadb-backup"),
        (mysql("db1"), mysql("db2"), "clone-plugin"),
    ],
)
def test_the_first_way_that_is_fit_is_taken(here: Side | None, donor: Side, way: str) -> None:
    choice = choose(here, donor)
    assert choice.provider is not None
    assert choice.provider.name == way
    assert [provider.name for provider in choice.fit] == [way, "dump"]


@pytest.mark.parametrize(
    ("here", "donor", "words"),
    [
        (side("db1"), side("db2", "11.8.3-MariaDB"), ("10.11", "11.8", "series")),
        (side("db1"), mysql("db2"), ("MariaDB", "MySQL")),
        (side("db1", page_size=4096), side("db2"), ("innodb_page_size", "4096", "16384")),
        (side("db1", lower_case_table_names=1), side("db2"), ("lower_case_table_names",)),
        (side("db1"), side("db2", outside=("innodb_undo_directory=/undo",)), ("/undo", "db2")),
        (side("db1", backup_program="10.5.29"), side("db2"), ("10.5.29",)),
        (side("db1"), side("db2", keys="file_key_management"), ("db1", "file_key_management")),
        (mysql("db1"), mysql("db2", clone_plugin=False), ("db2", "plugin_load_add")),
        (mysql("db1"), mysql("db2", not_innodb=("shop.old",)), ("shop.old", "empty")),
    ],
)
def test_what_is_not_fit_is_told(here: Side | None, donor: Side, words: tuple[str, ...]) -> None:
    choice = choose(here, donor, FULL)
    assert choice.provider is None
    said = " ".join(why for _, why in choice.reasons)
    assert all(word in said for word in words), said


def test_the_conf_says_the_order_and_leaves_out() -> None:
    choice = choose(side("db1"), side("db2"), ("clone-plugin", "mariadb-backup", "carrier-pigeon"))
    assert [provider.name for provider in choice.fit] == ["mariadb-backup"]
    assert [name for name, _ in choice.reasons] == ["clone-plugin", "carrier-pigeon"]
    assert choose(side("db1"), side("db2"), ("clone-plugin",)).provider is None


@pytest.mark.parametrize(
    ("here", "donor", "words"),
    [
        (side("db1"), side("db2", size=6_000_000_000), ("6.0 GB", "providers")),
        (side("db1"), side("db2", "11.8.3-MariaDB"), ("10.11", "older")),
        (side("db1"), side("db2", logs_updates=False), ("log_slave_updates",)),
        (side("db1"), side("db2", dump_lacks=("GRANT EVENT ON *.* TO x",)), ("GRANT EVENT ON *.* TO x",)),
        (side("db1"), side("db2", prepared=True), ("XA RECOVER",)),
        (side("db1", page_size=4096), side("db2"), ("innodb_page_size",)),
    ],
)
def test_a_dump_is_for_small_data_and_servers_that_log_all(
    here: Side, donor: Side, words: tuple[str, ...]
) -> None:
    why = dict(choose(here, donor).reasons)["dump"]
    assert all(word in why for word in words), why


def test_a_dump_is_taken_for_any_size_where_the_conf_names_it() -> None:
    assert choose(side("db1"), side("db2", size=6_000_000_000), ("dump",)).provider is not None


@dataclasses.dataclass
class Pair:
    """A donor, and this host's server; both have the plugin."""

    donor: Server
    here: Server
    folder: Path
    reports: list[Progress]

    def job(self, **changes: Any) -> Job:
        conf = agents.conf(self.folder)
        hosts = {}
        for name, server in (("db1", self.here), ("db2", self.donor)):
            host = Host(name, "127.0.0.1", "master", mysql_port=server.port)
            hosts[name] = dataclasses.replace(host, tools_user=TOOLS.user, tools_password=TOOLS.password)
        conf = dataclasses.replace(conf, hosts=hosts, **changes)
        owner = Owner.of(self.here.directory / "data")
        staging = self.folder / "staging"
        return Job(conf, hosts["db1"], hosts["db2"], staging, owner, self.reports.append, "job")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    pool = Servers(tmp_path_factory.mktemp("servers"), kind("mysql:9.7"))
    yield pool
    pool.stop()


@pytest.fixture
def pair(servers: Servers, tmp_path: Path) -> Pair:
    donor, here = servers.start(*PLUGIN), servers.start(*PLUGIN)
    name = f"'{TOOLS.user}'@'127.0.0.1'"
    for server, rights in ((donor, clone_plugin.DONOR_PRIVILEGES), (here, clone_plugin.RECIPIENT_PRIVILEGES)):
        with server.client() as session, session.cursor() as cursor:
            cursor.execute("SET sql_log_bin=0")
            cursor.execute(f"CREATE USER {name} IDENTIFIED BY %s", (TOOLS.password,))
            cursor.execute(f"GRANT {', '.join(rights)} ON *.* TO {name}")
            if server is here:
                cursor.execute(f"GRANT SELECT ON performance_schema.clone_progress TO {name}")
    donor.run(
        "CREATE USER replica@'%' IDENTIFIED BY 'r'",
        "GRANT REPLICATION SLAVE ON *.* TO replica@'%'",
        "CREATE DATABASE shop",
        "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
        "INSERT INTO shop.orders (what) VALUES (REPEAT('x', 200)), (REPEAT('y', 200))",
        *["INSERT INTO shop.orders (what) SELECT what FROM shop.orders"] * 12,
    )
    return Pair(donor, here, tmp_path, [])


@pytest.mark.mysql
def test_mysqls_copy_comes_by_its_plugin_and_goes_on_behind_the_donor(pair: Pair) -> None:
    """This host's server stays as it is meanwhile, read-only for everybody; the donor's own channel is left behind."""
    donor, here, job = pair.donor, pair.here, pair.job()
    donor.run("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='replica'")
    here.run("SET GLOBAL super_read_only=1")
    with donor.connect() as two, here.connect() as one:
        choice = choose(one.ask(look(one, "db1")), two.ask(look(two, "db2")))
    assert choice.provider is not None, choice
    came = choice.provider.fetch(job)
    assert isinstance(came, Fetched), came
    assert (came.position.gtid, came.server_version) == (
        donor.value("@@gtid_executed"),
        donor.value("VERSION()"),
    )
    assert pair.reports
    found = prove(job.into, started_as(here.process.pid).argv, came.position, [Login("replica", "r")])
    assert isinstance(found, Proved), found
    assert (found.gtid, found.logged_in) == (came.position.gtid, ("replica",))
    assert found.came_along
    uuid = here.value("@@server_uuid")
    here.kill()
    shutil.rmtree(here.directory / "data")
    job.into.rename(here.directory / "data")
    here.restart()
    assert here.value("@@server_uuid") not in {uuid, donor.value("@@server_uuid")}
    assert here.value("(SELECT COUNT(*) FROM performance_schema.replication_connection_configuration)") == "0"
    source = f"SOURCE_HOST='127.0.0.1', SOURCE_PORT={donor.port}, SOURCE_USER='replica', SOURCE_PASSWORD='r'"
    here.run(
        f"CHANGE REPLICATION SOURCE TO {source}, SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
        "START REPLICA",
    )
    donor.run("INSERT INTO shop.orders (what) VALUES ('after the copy')")
    here.wait_for_rows("SELECT 1 FROM shop.orders WHERE what = 'after the copy'")


@pytest.mark.mysql
def test_a_donor_that_hangs_is_left_and_leaves_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clone, "SILENT", 3.0)
    pair.here.run("SET GLOBAL clone_max_data_bandwidth=1", "SET GLOBAL clone_max_network_bandwidth=1")
    came: list[Fetched | Failed] = []
    thread = threading.Thread(target=lambda: came.append(clone.fetch(pair.job())))
    thread.start()
    pair.here.wait_for_rows("SELECT 1 FROM performance_schema.clone_progress WHERE DATA > 0")
    with pair.donor.frozen():
        thread.join(LIMIT)
        assert isinstance(came[0], Failed)
        assert came[0].cause is Cause.SILENT
        assert "db2" in came[0].text
    assert not list(pair.folder.glob("staging*"))
    assert pair.here.value("1") == "1"


@pytest.mark.mysql
@pytest.mark.parametrize("here", ["runs", "runs on a link to its data", "is down"])
def test_where_the_server_cannot_clone_into_the_folder_an_empty_one_clones_itself(
    pair: Pair, here: str
) -> None:
    """It refuses folders in its data directory, as where that is a mount point; and it may be down."""
    argv, runs = started_as(pair.here.process.pid).argv, here != "is down"
    if here != "runs":
        pair.here.kill()
    data = pair.here.directory / "data"
    if here == "runs on a link to its data":
        data = data.rename(pair.here.directory / "disk")
        (pair.here.directory / "data").symlink_to(data)
        pair.here.restart()
    into = data / ".mmm-new-job" / "data"
    job = dataclasses.replace(pair.job(), into=into, argv=argv)
    came = clone.fetch(job)
    assert isinstance(came, Fetched), came
    assert came.position.gtid == pair.donor.value("@@gtid_executed")
    found = prove(into, argv, came.position, [Login("replica", "r")])
    assert isinstance(found, Proved), found
    assert found.gtid == came.position.gtid
    with running(into, argv) as private, private.connect() as session:
        rows = session.query("SELECT COUNT(*) AS n FROM shop.orders")[0]["n"]
    assert rows == pair.donor.value("(SELECT COUNT(*) FROM shop.orders)")
    if not runs:
        pair.here.restart()
    assert (
        pair.here.value("(SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME='shop')") == "0"
    )


@pytest.mark.mysql
def test_a_clone_that_is_broken_off_does_not_go_on_in_the_server(pair: Pair) -> None:
    pair.here.run("SET GLOBAL clone_max_data_bandwidth=1", "SET GLOBAL clone_max_network_bandwidth=1")

    def interrupted(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone.fetch(dataclasses.replace(pair.job(), report=interrupted))
    cloning = "SELECT COUNT(*) FROM information_schema.processlist WHERE INFO LIKE 'CLONE INSTANCE%'"
    assert pair.here.value(f"({cloning})") == "0"
    assert not list(pair.folder.glob("staging*"))


@pytest.mark.mysql
def test_a_clone_that_the_donor_refuses_says_why(pair: Pair) -> None:
    pair.donor.run(f"REVOKE BACKUP_ADMIN ON *.* FROM '{TOOLS.user}'@'127.0.0.1'")
    came = clone.fetch(pair.job())
    assert isinstance(came, Failed)
    assert came.cause is Cause.PRODUCER
    assert "BACKUP_ADMIN" in came.text
    assert not list(pair.folder.glob("staging*"))


ONE, TWO = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4e11fa47-71ca-11e1-9e33-c80aa9429562"
BEGINNING, END = (f"-- GTID state at the {where} of the backup \n--\n\n" for where in ("beginning", "end"))
SET, SET_MORE = "SET @@GLOBAL.GTID_PURGED=", "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ "
MARIADB = "--\n-- GTID to start replication from\n--\n\n-- SET GLOBAL gtid_slave_pos="
BOTH, TAGGED = f"{ONE}:1-9,{TWO}:1-2", f"{ONE}:1-9:nightly_1:1-2,{TWO}:1"
DATABASE = "-- Current Database: `shop`\n\nCREATE DATABASE `shop`;\n"


@pytest.mark.parametrize(
    ("version", "beginning", "end", "place"),
    [
        ("9.7.4", f"{BEGINNING}{SET_MORE}'{TAGGED}';\n", "", TAGGED),
        ("8.0.36", f"{BEGINNING}{SET_MORE}'{BOTH}';\n", "", BOTH),
        ("5.7.26-log", f"{BEGINNING}{SET}'{BOTH}';\n", "", BOTH),
        ("5.7.44-log", "", f"{END}{SET}'{BOTH}';\n", BOTH),
        ("5.7.44-log", "", "", None),
        (
            "10.11.19-MariaDB",
            "-- CHANGE MASTER TO MASTER_USE_GTID=slave_pos;",
            f"{MARIADB}'0-1-3,1-2-9';\n",
            "0-1-3,1-2-9",
        ),
        ("10.5.29-MariaDB", f"{MARIADB}'0-1-3';\n", "", "0-1-3"),
    ],
)
def test_where_a_dump_stands_is_read_wherever_its_program_says_it(
    version: str, beginning: str, end: str, place: str | None
) -> None:
    """Real lines of both programs; text of users in front of them, as in a procedure, is not taken for one."""
    users = f"/*\nSET @@GLOBAL.GTID_PURGED='{TWO}:77';\n-- SET GLOBAL gtid_slave_pos='7-7-7';\n*/\n"
    wide = "," if "MariaDB" in version else ",\n"  # mysqldump has a line for each server
    broken = [text.replace(",", wide) for text in (beginning, end)]
    first, last = f"{broken[0]}\n{DATABASE}{users}".encode(), f"{users if end else ''}{broken[1]}".encode()
    found = dump.position(first, last, detect(version, ""))
    assert (found.gtid if found else None) == place


@pytest.mark.mysql
@pytest.mark.parametrize("name", ["mariadb", "mysql:9.7"])
def test_a_dump_is_a_copy_too(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts, routines and the place in the log come along, into a data directory that was empty."""
    sort = kind(name)
    if name != "mariadb":
        monkeypatch.setenv("PATH", f"{sort.binary.parent}:{os.environ['PATH']}")
    pool = Servers(tmp_path_factory.mktemp("servers"), sort)
    try:
        donor, here = pool.start(), pool.start()
        pair = Pair(donor, here, tmp_path, [])
        own = f"'{TOOLS.user}'@'127.0.0.1'"
        for server in (donor, here):
            with server.client() as session, session.cursor() as cursor:
                cursor.execute("SET sql_log_bin=0")
                cursor.execute(f"CREATE USER {own} IDENTIFIED BY %s", (TOOLS.password,))
                more = "BINLOG MONITOR" if sort.flavour.mariadb else "REPLICATION CLIENT"
                cursor.execute(f"GRANT {', '.join(dump.NEEDED)}, {more} ON *.* TO {own}")
        donor.run(
            "CREATE USER replica@'%' IDENTIFIED BY 'r'",
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARBINARY(200))",
            *([] if sort.flavour.mariadb else ["SET SESSION gtid_next='AUTOMATIC:nightly_1'"]),
            "INSERT INTO shop.orders (what) VALUES (0x00ff27), ('Größe')",
            *([] if sort.flavour.mariadb else ["SET SESSION gtid_next='AUTOMATIC'"]),
            "CREATE DATABASE large",  # more than the beginning or the end in which the dump says where it stands
            "CREATE TABLE large.t (id INT AUTO_INCREMENT PRIMARY KEY, what VARBINARY(1000))",
            "INSERT INTO large.t (what) VALUES (REPEAT('x', 1000))",
            *["INSERT INTO large.t (what) SELECT what FROM large.t"] * 10,
            "CREATE PROCEDURE shop.nothing() SELECT 1",
            "CREATE EVENT shop.purge ON SCHEDULE EVERY 1 HOUR DO DELETE FROM shop.orders",
        )
        job = pair.job(transfer="plain")
        with (
            donor.connect(TOOLS.user, TOOLS.password) as two,
            here.connect(TOOLS.user, TOOLS.password) as one,
        ):
            choice = choose(one.ask(look(one, "db1")), two.ask(look(two, "db2")), ("dump",))
        assert choice.provider is not None, choice
        came = choice.provider.fetch(job)
        assert isinstance(came, Fetched), came
        found = prove(job.into, started_as(here.process.pid).argv, came.position, [Login("replica", "r")])
        assert isinstance(found, Proved), found
        logged = "@@gtid_binlog_pos" if sort.flavour.mariadb else "@@gtid_executed"
        assert found.gtid == donor.value(logged)
        here.kill()
        shutil.rmtree(here.directory / "data")
        job.into.rename(here.directory / "data")
        here.restart()
        sums = [
            server.connect().query("CHECKSUM TABLE shop.orders EXTENDED")[0]["Checksum"]
            for server in (donor, here)
        ]
        assert sums[0] == sums[1]
        assert (
            here.value("(SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='shop')")
            == "nothing"
        )
        assert here.value("(SELECT EVENT_NAME FROM information_schema.EVENTS)") == "purge"
    finally:
        pool.stop()


@pytest.mark.mysql
def test_a_dump_into_files_of_another_series_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A server of 10.5 does not start on files that this machine's program makes."""
    pool = Servers(tmp_path_factory.mktemp("servers"), kind("mariadb:10.5"))
    try:
        donor, here = pool.start(), pool.start()
        donor.run(f"CREATE USER '{TOOLS.user}'@'127.0.0.1' IDENTIFIED BY 't\\'o\"o\\\\l'")
        came = provider_dump.fetch(Pair(donor, here, tmp_path, []).job(transfer="plain"))
        assert isinstance(came, Failed)
        assert came.cause is Cause.HERE
        assert all(word in came.text for word in ("mariadb-install-db", f"{own_series()}.", "10.5.")), (
            came.text
        )
        assert not list(tmp_path.glob("staging*"))
    finally:
        pool.stop()
