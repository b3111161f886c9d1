"""What is a host's own in its data folder stays with the host when a copy or a backup takes the place of its data."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import pytest

from mmm.config.model import Cluster
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.login import tools_at
from mmm.mysql.server.replication import start_replica
from mmm.mysql.session.connection import MysqlError, connect
from mmm.tools.fetch import own_files
from mmm.tools.fetch.own_files import KEYS, PERSISTED, carry
from mmm.tools.fetch.private import running
from mmm.tools.fetch.stage import server_of
from mmm.tools.kept import hashes
from mmm.tools.kept.facts import Facts
from mmm.tools.kept.shelf import OWN, Kept
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.run import Status, run
from mmm.tools.rejoin.server_control import ServerControl
from mmm.tools.restore.data_only import put
from tests.servers import Server, Servers, kind
from tests.unit.backing_up import SHOP, agent, machine
from tests.unit.test_rejoin_steps import LIMIT, Pair, answers, by_script, furnish, wait
from tests.unit.test_tools_restore import path_of, restore
from tests.unit.trio import insert, rows_of, source
from tests.unit.worlds import cluster

OURS = "ours"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Give a data folder with nothing of its own, and a copy that has brought another host's."""
    datadir, staging = tmp_path / "data", tmp_path / "staging"
    for folder in (datadir, staging):
        folder.mkdir()
    for name in ("ibdata1", PERSISTED, *KEYS):
        (staging / name).write_text("theirs")
    return datadir, staging


def test_the_host_s_own_files_come_with_owner_and_mode_and_another_host_s_go(
    folders: tuple[Path, Path],
) -> None:
    datadir, staging = folders
    for name, mode in ((PERSISTED, 0o640), ("ca.pem", 0o644), ("server-key.pem", 0o600), ("own.crt", 0o644)):
        (datadir / name).write_text(OURS)
        (datadir / name).chmod(mode)
        os.chown(datadir / name, 12, 34)
    carry(datadir, staging, more=("own.crt",))
    there = {path.name: path.read_text() for path in staging.iterdir()}
    assert there == {
        "ibdata1": "theirs",
        **dict.fromkeys((PERSISTED, "ca.pem", "server-key.pem", "own.crt"), OURS),
    }
    key = (staging / "server-key.pem").stat()
    assert (stat.S_IMODE(key.st_mode), key.st_uid, key.st_gid) == (0o600, 12, 34)


@pytest.mark.parametrize(("keep", "left"), [(False, {"ibdata1"}), (True, {"ibdata1", PERSISTED, *KEYS})])
def test_what_a_backup_has_stays_only_on_the_host_that_it_is_of(
    folders: tuple[Path, Path], *, keep: bool, left: set[str]
) -> None:
    datadir, staging = folders
    carry(datadir, staging, keep=keep)
    assert {path.name for path in staging.iterdir()} == left


def test_a_host_s_own_backup_gives_way_to_what_it_has_now(folders: tuple[Path, Path]) -> None:
    datadir, staging = folders
    (datadir / "ca.pem").write_text(OURS)
    carry(datadir, staging, keep=True)
    assert {path.name for path in staging.iterdir()} == {"ibdata1", PERSISTED, "ca.pem"}
    assert (staging / "ca.pem").read_text() == OURS


def test_a_link_to_a_key_stays_one(folders: tuple[Path, Path]) -> None:
    datadir, staging = folders
    (datadir / "ca.pem").symlink_to("/etc/ssl/ours.pem")
    carry(datadir, staging)
    assert (staging / "ca.pem").readlink() == Path("/etc/ssl/ours.pem")


@pytest.mark.parametrize(("this", "found"), [("db1", True), ("db2", False)])
def test_the_files_of_a_backup_alone_have_them_only_on_the_host_that_it_is_of(
    tmp_path: Path, this: str, *, found: bool
) -> None:
    backup, target = tmp_path / "backup", tmp_path / "restored"
    (backup / "data").mkdir(parents=True)
    (backup / OWN).mkdir()
    for name in ("ibdata1", PERSISTED, "ca.pem"):
        (backup / "data" / name).write_text("db1's")
    sums = backup / OWN / hashes.SUMS
    sums.write_text(hashes.listed(backup, sums))
    kept = Kept(backup, Facts("db1", "2026-11-29 03:15:00", provider="snapshot, cp"))
    put(replace(cluster(), this=this), kept, target, "")
    assert [(target / name).exists() for name in (PERSISTED, "ca.pem")] == [found, found]


class MySqlPair(Pair):
    """db1, which has come apart, and db2, the active master; the tools ask each for a certificate of its own CA."""

    def ca_of(self, host: str) -> Path:
        """Return the file with that host's CA, as it was collected."""
        return self.folder.path.with_name(f"{host}-ca.pem")

    @property
    def conf(self) -> Cluster:
        """Return the conf, with all that a copy asks for."""
        known = super().conf
        hosts = {
            name: replace(
                host, mysql_ssl_mode="verify_ca", mysql_ssl_ca=str(self.ca_of(name)), agent_user="",
                mysql_pidfile=str(server.directory / "pid"),
            )
            for (name, host), server in zip(known.hosts.items(), (self.db1, self.db2), strict=True)
        }  # fmt: skip
        return replace(known, hosts=hosts)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[MySqlPair]:
    """Give the two, each with a setting of its own by SET PERSIST, and an order that only db1 has."""
    sort = kind("mysql:9.7")
    pool = Servers(tmp_path, sort)
    try:
        db1 = pool.start("--read-only=ON", "--performance-schema=ON")
        db2 = pool.start("--performance-schema=ON")
        for number, server in ((71, db1), (72, db2)):
            furnish(server)
            server.run(f"SET PERSIST max_connect_errors={number}")
        with db1.connect() as here:
            here.execute(*change_source(here.flavour, source(db2), None, {"CONNECT_RETRY": 1}))
            start_replica(here)
        insert(db2, "both")
        db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='both'")
        db1.run("STOP REPLICA")
        insert(db1, "alone")
        insert(db2, "newer")
        found = MySqlPair(db1, db2, as_packaged(db1), JobFolder(tmp_path / "jobs"))
        for name, server in {"db1": db1, "db2": db2}.items():
            shutil.copy(server.directory / "data/ca.pem", found.ca_of(name))
        with path_of(sort.binary.parent):
            yield found
    finally:
        for file in tmp_path.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), SIGKILL)
        pool.stop()


def as_packaged(server: Server) -> ServerControl:
    """Start the server anew with keys of its own, and an option file: else it does not read what was persisted.

    The keys that it had are those of all servers of a test.
    """
    control = by_script(server)
    control.stop()
    conf, script = server.directory / "my.cnf", server.directory / "rc"
    conf.write_text("[mysqld]\n")
    for name in KEYS:
        (server.directory / "data" / name).unlink()
    script.write_text(script.read_text().replace("--no-defaults", f"--defaults-file={conf}"))
    control.start()
    wait(lambda: answers(server))
    return control


def own_of(server: Server) -> dict[str, bytes]:
    return {name: (server.directory / "data" / name).read_bytes() for name in (PERSISTED, *KEYS)}


@pytest.mark.mysql
@pytest.mark.parametrize("provider", ["clone-plugin", "dump"])
def test_a_copy_of_mysql_keeps_what_was_persisted_and_the_certificates(
    pair: MySqlPair, provider: str
) -> None:
    """It had a new CA, which nobody knows, and the settings of its my.cnf alone."""
    before, theirs = own_of(pair.db1), own_of(pair.db2)
    assert not set(before.values()) & set(theirs.values())
    conf = replace(pair.conf, providers=(provider,))
    pair.folder.lock()
    ended = run(
        pair.steps(copy=Copying(conf, pair.said.append)), pair.folder, pair.journal(), pair.said.append
    )
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert own_of(pair.db1) == before
    assert own_of(pair.db2) == theirs
    assert [server.value("@@max_connect_errors") for server in (pair.db1, pair.db2)] == ["71", "72"]
    assert pair.db1.value("@@server_uuid") != pair.db2.value("@@server_uuid")
    insert(pair.db2, "later")
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='later'")
    argv = server_of(conf.hosts["db1"])
    pair.control.stop()
    with running(pair.datadir, argv) as private, private.connect() as session:  # as a copy is tried
        assert session.query("SELECT @@max_connect_errors AS most") == [{"most": "100"}]


@pytest.mark.mysql
def test_a_server_that_turns_the_tools_away_is_not_waited_for(pair: MySqlPair) -> None:
    """What it was trusted by is gone: no waiting brings that back, so the old data are back at once."""
    copying = Copying(replace(pair.conf, providers=("clone-plugin",)), pair.said.append)

    def copy(journal: Journal) -> Journal:
        journal = copying(journal)
        for name in KEYS:
            Path(journal.staging, name).unlink()
        return journal

    pair.folder.lock()
    ended = run(pair.steps(copy=copy, start_limit=60.0), pair.folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.START)
    assert "turns the tools away" in ended.why
    assert "2026" in ended.why
    assert rows_of(pair.db1) == ["alone", "both"]


@pytest.mark.mysql
def test_of_two_cas_that_mysql_has_made_one_file_may_hold_no_more_than_one(pair: MySqlPair) -> None:
    """They have the same name, and only the first is tried."""
    both, conf = pair.ca_of("both"), pair.conf
    both.write_text("".join(pair.ca_of(name).read_text() for name in conf.hosts))
    connect(tools_at(replace(conf.hosts["db1"], mysql_ssl_ca=str(both))), LIMIT).close()
    with pytest.raises(
        MysqlError, match=r"another CA has that name, .* give each host a mysql_ssl_ca of its own"
    ):
        connect(tools_at(replace(conf.hosts["db2"], mysql_ssl_ca=str(both))), LIMIT)
    for host in conf.hosts.values():
        connect(tools_at(host), LIMIT).close()


@pytest.mark.mysql
def test_keys_that_the_server_names_otherwise_are_known(pair: MySqlPair) -> None:
    data = pair.db1.directory / "data"
    (data / "server-cert.pem").rename(data / "own.crt")
    pair.db1.run(f"SET GLOBAL ssl_cert='{data}/own.crt'", "ALTER INSTANCE RELOAD TLS")
    assert "own.crt" in own_files.named(pair.conf.hosts["db1"])


@pytest.mark.mysql
def test_a_restore_of_mysql_keeps_what_was_persisted_and_the_certificates(tmp_path: Path) -> None:
    sort = kind("mysql:9.7")
    pool = Servers(tmp_path, sort)
    try:
        server = pool.start("--read-only=ON")
        server.run("CREATE USER a IDENTIFIED BY 'a'", "CREATE USER r IDENTIFIED BY 'r'", *SHOP)
        server.run("SET PERSIST max_connect_errors=72")
        as_packaged(server)
        before = own_of(server)
        with agent("ADMIN_OFFLINE") as port, path_of(sort.binary.parent):
            here = machine(tmp_path, server, port)
            made = here.backup("--host", "db2", "--provider", "dump")
            assert not {PERSISTED, *KEYS} & {path.name for path in (made / "data").iterdir()}
            server.run("DROP TABLE shop.o")
            ran = restore(here)
        assert ran.status == 0, ran
        wait(lambda: answers(server))
        assert own_of(server) == before
        assert (server.value("@@max_connect_errors"), server.value("(SELECT COUNT(*) FROM shop.o)")) == (
            "72",
            "2",
        )
    finally:
        for file in tmp_path.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), SIGKILL)
        pool.stop()
