"""Servers that have files outside of their data folder: what is taken along, and what is refused by its name."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mmm.gtid import mysql
from mmm.mysql.backup.outside import named
from mmm.mysql.server.log_home import LogHome
from mmm.process.old_data import LOG, OLD
from mmm.tools.rejoin import swap
from mmm.tools.rejoin.journal import Step
from mmm.tools.rejoin.outside_log import clear_way, moves
from mmm.tools.rejoin.run import Status, run
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.backing_up import SHOP, Machine, agent, checksums, machine
from tests.unit.test_rejoin_steps import Pair, by_script, pair_of, spoilt
from tests.unit.test_tools_restore import path_of, restore
from tests.unit.trio import rows_of


@contextmanager
def host_of(name: str, folder: Path, *options: str) -> Iterator[Machine]:
    """Give a host that is out of use, with a server of that kind and these options."""
    pool = Servers(folder, kind(name))
    try:
        with path_of(pool.kind.binary.parent), agent("ADMIN_OFFLINE") as port:
            server = pool.start("--read-only=ON", *options)
            server.run("CREATE USER a IDENTIFIED BY 'a'", "CREATE USER r IDENTIFIED BY 'r'", *SHOP)
            by_script(server)
            yield machine(folder, server, port)
    finally:
        for file in folder.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        pool.stop()


def executed(server: Server) -> str:
    """Return what the server says that it has."""
    if server.kind.flavour.mariadb:
        return server.value("CONCAT(@@gtid_slave_pos, ' ', @@gtid_binlog_state)").strip()
    return server.value("@@gtid_executed")


@pytest.mark.mysql
@pytest.mark.parametrize("name", [MARIADB, "mysql:9.7"])
def test_the_log_of_the_old_data_is_put_aside_where_it_is_not_in_the_data_folder(
    tmp_path: Path, name: str
) -> None:
    """Else the server would have what is not in the backup, by its own word, and leave it out for ever."""
    logs = tmp_path / "logs"
    logs.mkdir()
    other = logs / "somebody's"
    other.touch()
    with host_of(name, tmp_path, f"--log-bin={logs}/bin") as host:
        ways = () if name == MARIADB else ("--provider", "dump")
        made = host.backup("--host", "db2", *ways)
        before, has = checksums(host.server), executed(host.server)
        host.server.run("INSERT INTO shop.o (what) VALUES ('not in the backup')")
        ran = restore(host, "--src-dir", str(made))
        assert ran.status == 0, ran
        assert checksums(host.server) == before
        now = executed(host.server)
        if host.server.kind.flavour.mariadb:
            assert now == has.split(" ")[-1]
        else:
            assert mysql.parse(now) == mysql.parse(has)
        (kept,) = tmp_path.glob(f"logs{OLD}*{LOG}")
        assert str(kept) in ran.out
        assert {"bin.000001", "bin.index"} <= {path.name for path in kept.iterdir()}
        assert other.exists()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Pair]:
    (tmp_path / "logs").mkdir()
    with pair_of(tmp_path, f"--log-bin={tmp_path}/logs/bin") as pair:
        yield pair


@pytest.mark.mysql
def test_a_host_with_its_log_elsewhere_has_nothing_of_its_own_once_it_is_back(apart: Pair) -> None:
    apart.folder.lock()
    assert run(apart.steps(), apart.folder, apart.journal(), apart.said.append).status == Status.DONE
    alone = set(apart.db1.value("@@gtid_binlog_state").split(","))
    assert all(each in apart.db2.value("@@gtid_binlog_state").split(",") for each in alone), alone
    with apart.db1.connect() as here:
        assert here.query("SHOW BINARY LOGS")[0]["Log_name"] == "bin.000001"


@pytest.mark.mysql
def test_what_fails_gives_it_its_log_back(apart: Pair) -> None:
    before = apart.db1.value("@@gtid_binlog_state")
    apart.folder.lock()
    steps = apart.steps(copy=spoilt(apart), gone_limit=0.5)
    ended = run(steps, apart.folder, apart.journal(), apart.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.START)
    assert apart.db1.value("@@gtid_binlog_state") == before
    assert rows_of(apart.db1) == ["alone", "alone too", "both"]
    assert {path.suffix for path in Path(ended.journal.old_log).iterdir()} <= {".boot"}


def home_of(logs: Path, index: str, datadir: Path) -> LogHome:
    """Return a log of one file in a folder, which it makes."""
    for folder in (logs, datadir):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("bin.000001", "bin.state"):
        (logs / name).touch()
    (logs / index).write_text(f"{logs}/bin.000001\n")
    return LogHome(str(logs / index), str(datadir), 1, mariadb=True)


def test_the_state_of_a_log_goes_with_it_whatever_the_index_is_called(tmp_path: Path) -> None:
    """MariaDB calls it like the log; one that stays says that what only the old data have is there."""
    logs, data = tmp_path / "logs", tmp_path / "data"
    found = moves(home_of(logs, "files.index", data), data, "j", "")
    assert [Path(origin).name for origin, _ in found] == ["bin.000001", "bin.state", "files.index"]


def test_a_log_behind_a_link_is_put_beside_where_it_is(tmp_path: Path) -> None:
    logs, data, link = tmp_path / "disk" / "logs", tmp_path / "data", tmp_path / "link"
    home_of(logs, "bin.index", data)
    link.symlink_to(logs)
    (logs / "bin.index").write_text(f"{link}/bin.000001\n")
    found = moves(LogHome(str(link / "bin.index"), str(data), 1, mariadb=True), data, "j", "")
    assert found[0] == (f"{logs}/bin.000001", f"{logs}{OLD}j{LOG}/bin.000001")
    swap.perform(found)
    assert list(logs.iterdir()) == []


def test_the_log_of_another_server_s_data_stays_where_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert moves(home_of(tmp_path / "logs", "bin.index", tmp_path / "other"), data, "j", "") == ()


def test_a_log_that_a_boot_has_begun_in_between_is_in_nobodys_way(tmp_path: Path) -> None:
    logs, kept = tmp_path / "logs", tmp_path / "kept"
    data = (str(tmp_path / "data"), str(tmp_path / "old"))
    renames = [(str(logs / name), str(kept / name)) for name in ("bin.000001", "bin.index")]
    for folder in (logs, tmp_path / "data"):
        folder.mkdir()
    for name in ("bin.000001", "bin.index"):
        (logs / name).write_text("first")
    swap.perform(renames)
    (logs / "bin.000001").write_text("begun by a boot")
    clear_way([*renames, data], str(kept))
    swap.perform([*renames, data])
    assert list(logs.iterdir()) == []
    assert {path.name: path.read_text() for path in kept.iterdir()} == {
        "bin.000001": "first",
        "bin.index": "first",
        "bin.000001.boot": "begun by a boot",
    }
    swap.undo([*renames, data])
    assert {path.name: path.read_text() for path in logs.iterdir()} == {
        "bin.000001": "first",
        "bin.index": "first",
    }


@pytest.mark.mysql
@pytest.mark.parametrize("what", ["aria_log_dir_path", "innodb_data_file_path"])
def test_data_that_are_elsewhere_are_named_before_anything_is_copied(tmp_path: Path, what: str) -> None:
    place = tmp_path / "outside"
    place.mkdir()
    pool = Servers(tmp_path)
    try:
        if what == "aria_log_dir_path":
            server = pool.start(f"--aria-log-dir-path={place}")
        else:
            server = pool.start_anew(
                "--innodb-data-home-dir=", f"--innodb-data-file-path={place}/ibdata1:12M:autoextend"
            )
        ran = machine(tmp_path, server).run("backup", "--host", "db2", "--provider", "mariadb-backup")
        assert (ran.status, what in ran.err, str(place) in ran.err) == (2, True, True), ran
        assert not list((tmp_path / "backups").glob("db2-*"))
    finally:
        pool.stop()


def test_files_of_the_system_tablespace_are_looked_at_one_by_one() -> None:
    settings = {
        "innodb_data_file_path": "ibdata1:12M;/far/ibdata2:12M:autoextend",
        "aria_log_dir_path": "/var/lib/mysql/",
    }
    assert named(settings, "/var/lib/mysql/") == [
        "innodb_data_file_path=ibdata1:12M;/far/ibdata2:12M:autoextend"
    ]
    assert named({"innodb_data_file_path": "ibdata1:12M:autoextend"}, "/var/lib/mysql/") == []


@pytest.mark.mysql
def test_a_server_on_a_copy_leaves_alone_what_the_server_of_the_host_has_elsewhere(tmp_path: Path) -> None:
    """MySQL's temporary tablespaces would be removed under it, and its doublewrite files are locked."""
    temporary, doublewrite = tmp_path / "temporary", tmp_path / "doublewrite"
    for folder in (temporary, doublewrite):
        folder.mkdir()
    options = (f"--innodb-temp-tablespaces-dir={temporary}", f"--innodb-doublewrite-dir={doublewrite}")
    with host_of("mysql:9.7", tmp_path, *options) as host:
        before = [sorted(path.name for path in each.iterdir()) for each in (temporary, doublewrite)]
        host.backup("--host", "db2", "--provider", "dump")
        assert [sorted(path.name for path in each.iterdir()) for each in (temporary, doublewrite)] == before
        assert all(before)
