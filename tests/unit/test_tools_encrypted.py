"""Data that are not as a server makes them by default: encrypted, in several files, in other pages."""

import asyncio
import errno
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmm.mysql.backup import copied_options
from mmm.mysql.backup.copied_options import cleared
from mmm.mysql.backup.mariadb_backup import telling
from mmm.mysql.server.accounts import grants, tools_grants
from mmm.process.started_as import started_as
from mmm.tools.fetch.private import running
from mmm.tools.fetch.stage import Proved, prove
from mmm.tools.fetch.values import Cause, Failed, Fetched
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.saving import Saving
from mmm.tools.rejoin.server_control import ServerControl
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.saved.through_server import scratch
from tests.servers import Server, Servers, kind, other_series
from tests.unit.backing_up import SHOP, Machine, agent, checksums, machine
from tests.unit.copying import donor_of, make_tools_user
from tests.unit.test_rejoin_steps import TOOLS, Pair, by_script
from tests.unit.test_tools_restore import path_of, restore
from tests.unit.trio import AGENT, MONITOR, REPLICATION
from tests.unit.worlds import cluster

GTID_SLAVE_POS = (
    "CREATE TABLE mysql.gtid_slave_pos (domain_id INT UNSIGNED NOT NULL, sub_id BIGINT UNSIGNED NOT NULL,"
    " server_id INT UNSIGNED NOT NULL, seq_no BIGINT UNSIGNED NOT NULL, PRIMARY KEY (domain_id, sub_id)) ENGINE=InnoDB"
)


def encrypting(folder: Path, sort: str) -> list[str]:
    """Return the options of a server that encrypts all that it can."""
    keys = folder / "keys"
    keys.write_text(f"1;{'ab' * 32}\n")
    plugins = kind(sort).binary.parent.parent / "usr/lib/mysql/plugin"
    return [
        f"--plugin-dir={plugins}", "--plugin-load-add=file_key_management", f"--file-key-management-filename={keys}",
        "--innodb-encrypt-tables=ON", "--innodb-encrypt-log=ON", "--encrypt-tmp-files=ON", "--encrypt-binlog=ON",
    ]  # fmt: skip


@pytest.fixture(params=other_series())
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Give a host that is out of use, with all of its data encrypted."""
    pool = Servers(tmp_path, kind(request.param))
    try:
        with path_of(pool.kind.binary.parent), agent("ADMIN_OFFLINE") as port:
            server = pool.start("--read-only=ON", *encrypting(tmp_path, request.param))
            accounts = ("CREATE USER a IDENTIFIED BY 'a'", "CREATE USER r IDENTIFIED BY 'r'")
            server.run(*accounts, "GRANT REPLICATION SLAVE ON *.* TO r", *SHOP)
            by_script(server)
            yield machine(tmp_path, server, port)
    finally:
        for file in tmp_path.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        pool.stop()


@pytest.mark.mysql
def test_encrypted_data_are_backed_up_put_back_and_brought_up_to_a_moment(host: Machine) -> None:
    """Preparing takes the keys, and what a server sends of an encrypted log is not encrypted."""
    server = host.server
    made = host.backup("--host", "db2")
    assert not list(made.rglob(copied_options.NAME))
    assert host.run("backup", "--verify", str(made)).status == 0
    _nowhere_else(host)
    before = checksums(server)
    server.run("INSERT INTO shop.o (what) VALUES ('three')", "FLUSH BINARY LOGS")
    server.run("INSERT INTO shop.o (what) VALUES ('four')")
    good = server.value("@@gtid_binlog_pos")
    server.run("DROP TABLE shop.o")
    kept = host.run("backup", "--logs", "--host", "db2")
    assert kept.status == 0, kept
    ran = restore(host, "--mode", "data-only", "--until", good)
    assert ran.status == 0, ran
    process = int((server.directory / "pid").read_text())
    with running(host.folder / "restored", started_as(process).argv) as private, private.connect() as session:
        rows = [row["what"] for row in session.query("SELECT what FROM shop.o ORDER BY id")]
    assert rows == ["one", "two", "three", "four"]
    ran = restore(host)
    assert ran.status == 0, ran
    assert checksums(server) == before


def _nowhere_else(host: Machine) -> None:
    """On a machine without the keys nothing is begun."""
    elsewhere = host.folder / "elsewhere.conf"
    elsewhere.write_text(host.conf.read_text().replace("this db2\n", ""))
    elsewhere.chmod(0o600)
    for options in ((), ("--dry-run",)):
        ran = Machine(host.folder, host.server, elsewhere).run("backup", "--host", "db2", *options)
        assert (ran.status, "file_key_management" in ran.err) == (2, True), ran


@pytest.mark.mysql
@pytest.mark.parametrize("name", other_series())
def test_what_only_a_host_has_is_saved_from_a_log_that_it_encrypts(tmp_path: Path, name: str) -> None:
    """Its server sends the files in clear, the newest first: it takes two of four."""
    pool = Servers(tmp_path, kind(name))
    try:
        with path_of(pool.kind.binary.parent):
            row = "--binlog-format=ROW"
            db1, db2 = pool.start(row, *encrypting(tmp_path, name)), pool.start()
            flavour = pool.kind.flavour
            for server in (db1, db2):
                accounts = (*grants(flavour, MONITOR, AGENT, REPLICATION), *tools_grants(flavour, TOOLS))
                table = "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))"
                server.run(*accounts, "SET sql_log_bin=0", "RESET MASTER", "CREATE DATABASE shop", table)
            both, alone = (f"INSERT INTO shop.orders (what) VALUES ('{what}')" for what in ("both", "alone"))  # noqa: S608
            db1.run(both, "FLUSH BINARY LOGS")
            db2.run("SET gtid_domain_id=0, server_id=1, gtid_seq_no=1", both)
            db1.run("FLUSH BINARY LOGS", alone, alone, "FLUSH BINARY LOGS")
            pair = Pair(db1, db2, ServerControl((), tmp_path), JobFolder(tmp_path / "jobs"), [])
            with db1.connect() as here:
                journal = Saving(pair.conf, tmp_path / "saved")(pair.journal(), here)
        assert journal.count == 2
        assert [path.name for path in (tmp_path / "saved").iterdir()] == [Path(journal.saved).name]
        assert "INSERT INTO `shop`.`orders`" in (Path(journal.saved) / "transactions.sql").read_text()
        assert [path.name for path in (Path(journal.saved) / "raw").iterdir()] == ["bin.000003"]
    finally:
        pool.stop()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Server]:
    """Give a server with pages of its own size, and a system tablespace in two files.

    The programs of 10.11 and 11.8 do not copy other pages than those of 16 KB themselves.
    """
    pool = Servers(tmp_path, kind("mariadb:10.5"))
    two_files = "--innodb-data-file-path=ibdata1:12M;ibdata2:12M:autoextend"
    try:
        with path_of(pool.kind.binary.parent):
            server = pool.start_anew("--innodb-page-size=8k", two_files)
            server.run("SET SESSION sql_log_bin=0", GTID_SLAVE_POS)
            server.run(*SHOP)
            make_tools_user(server)
            yield server
    finally:
        pool.stop()


@pytest.mark.mysql
async def test_data_in_other_pages_and_several_files_are_copied(tmp_path: Path, apart: Server) -> None:
    async with donor_of(tmp_path, apart) as copying:
        came = await copying.fetch()
    assert isinstance(came, Fetched), came
    assert not (copying.staging / copied_options.NAME).exists()
    argv = started_as(apart.process.pid).argv
    found = await asyncio.to_thread(prove, copying.staging, argv, came.position, [])
    assert isinstance(found, Proved), found


@pytest.mark.mysql
async def test_why_a_copy_cannot_be_prepared_is_said(
    tmp_path: Path, apart: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copied_options, "_PLAIN", frozenset[str]())
    async with donor_of(tmp_path, apart) as copying:
        failed = await copying.fetch()
    assert isinstance(failed, Failed)
    assert (failed.cause, "page size" in failed.text) == (Cause.PREPARE, True), failed


SENT = """\
# This options file was generated by innobackupex.
[mysqld]
innodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend
innodb_page_size=8192
innodb_undo_directory=./
innodb_log_group_home_dir=/etc

plugin_load=file_key_management=file_key_management
plugin_dir="/usr/lib/mysql/plugin/"
file_key_management_filename=/etc/mysql/keys
tmpdir=/etc
!include /etc/passwd
[mariadb-backup]
target-dir=/etc
"""
PLAIN = "[mysqld]\ninnodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend\ninnodb_page_size=8192\n"
KEYS = "plugin_load=file_key_management=file_key_management\n{folder}file_key_management_filename=/etc/mysql/keys\n"


@pytest.mark.parametrize("may", [True, False])
def test_of_the_options_that_come_with_a_copy_only_what_preparing_takes_is_left(*, may: bool) -> None:
    """Root reads them here: they may not say where anything is written, nor from where anybody's program is loaded."""
    folder = 'plugin_dir="/usr/lib/mysql/plugin/"\n' if may else ""
    assert cleared(SENT, lambda named: may and named == "/usr/lib/mysql/plugin/") == PLAIN + KEYS.format(
        folder=folder
    )


@pytest.mark.parametrize(
    "text",
    [
        "plugin_load=innodb=ha\ninnodb_data_home_dir=/etc\ninnodb_log_group_home_dir=/etc\n",
        "plugin_load=plugin=evil\nplugin_dir=/staging\nplugin_maturity=unknown\n",
        "plugin_load=aria=ha\naria_log_dir_path=/etc\n",
    ],
)
def test_no_option_of_the_server_s_comes_in_by_the_name_of_a_plugin(text: str) -> None:
    assert cleared(text, lambda _: False) == "[mysqld]\n"


def test_a_plugin_comes_from_a_folder_of_root_s_outside_of_the_copy(tmp_path: Path) -> None:
    ours, theirs, copy = (tmp_path / name for name in ("ours", "theirs", "copy"))
    for folder in (ours, theirs, copy, copy / "plugin"):
        folder.mkdir(mode=0o755)
    theirs.chmod(0o777)
    for folder, loaded in (
        (ours, True),
        (theirs, False),
        (copy / "plugin", False),
        (tmp_path / "none", False),
    ):
        text = f'plugin_load=key_management=keys\nplugin_dir="{folder}"\n'
        (copy / copied_options.NAME).write_text(text)
        assert ("plugin_dir" in copied_options.clear(copy).read_text()) is loaded, folder


def test_the_folder_of_what_is_saved_is_root_s_alone_though_a_log_is_got_into_it_first(
    tmp_path: Path,
) -> None:
    saved = tmp_path / "saved"
    with scratch(saved, "db1") as folder:
        assert [stat.S_IMODE(each.stat().st_mode) for each in (saved, folder)] == [0o700, 0o700]
    assert list(saved.iterdir()) == []


@pytest.mark.parametrize("lose", [True, False])
def test_what_cannot_be_got_for_lack_of_room_keeps_nobody_from_losing_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, lose: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(Saving, "_saved", full)
    journal = Journal("j", "db1", "db2", "db2", "/d", "/new", "/old")
    saving = Saving(cluster(), tmp_path, lose=lose)
    if lose:
        assert saving(journal, None) is journal
    else:
        with pytest.raises(StepError, match=r"No space left.*; --lose-extra db1 goes on without"):
            saving(journal, None)


def test_the_line_that_says_why_is_not_always_the_last_one() -> None:
    first = "2026-11-30 [ERROR] InnoDB: Obtaining redo log encryption key version 1 failed"
    assert telling(["copying", first, "srv_start() returned 11", "Error in my_thread_global_end()"]) == first
    assert telling(["gone", ""]) == "gone"
    assert telling([]) == "it said nothing"
