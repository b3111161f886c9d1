"""A backup is put back, over a server's data or into a folder; what was there is kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import CopyMethod, Host
from mmm.gtid import mariadb
from mmm.process.old_data import old_data, server_here
from mmm.process.started_as import started_as
from mmm.tools.clone.modes import CloneMode, contradiction, mode_of
from mmm.tools.fetch.private import running
from mmm.tools.kept import perl, shelf
from mmm.tools.kept.methods import MethodError, backup_commands, restore_commands
from mmm.tools.program import load_conf
from mmm.tools.rejoin.journal import IN_PLACE, ORDER, Journal, Step, decode, encode
from mmm.tools.rejoin.look import Look, ServerLook, Silent, Told
from mmm.tools.rejoin.user_tables import user_tables
from mmm.tools.restore.modes import Mode, refusals
from mmm.tools.restore.oldest_log import begins_after
from mmm.wire.job import Kind
from tests.servers import Servers, kind
from tests.unit.backing_up import LIMIT, SHOP, Machine, Ran, agent, checksums, machine
from tests.unit.test_rejoin_steps import answers, by_script, wait

HERE = (
    "import sys; from pathlib import Path; from mmm.tools.rejoin.journal_file import JobFolder;"
    " from mmm.tools.restore.command import restore;"
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a host that is out of use: its agent says so."""
    tmp_path = tmp_path_factory.mktemp("host")
    pool = Servers(tmp_path)
    try:
        server = pool.start("--read-only=ON")
        server.run("CREATE USER a IDENTIFIED BY 'a'", "CREATE USER r IDENTIFIED BY 'r'", *SHOP)
        by_script(server)
        with agent("ADMIN_OFFLINE") as port:
            yield machine(tmp_path, server, port)
    finally:
        for file in tmp_path.glob("server*/pid"):
            with suppress(OSError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        pool.stop()


@pytest.fixture(scope="module")
def made(host: Machine) -> Path:
    return host.backup("--host", "db2", "--compress", "zstd")


def argv(host: Machine, *options: str) -> list[str]:
    """Return the command that runs mmm_restore with a folder of jobs of the test."""
    jobs = str(host.folder / "jobs")
    code = f"{HERE} sys.exit(restore(sys.argv[1:], JobFolder(Path({jobs!r}))))"
    return [sys.executable, "-c", code, "--config", str(host.folder / "mmm_tools.conf"), *options]


def restore(host: Machine, *options: str) -> Ran:
    done = subprocess.run(argv(host, *options), capture_output=True, text=True, timeout=LIMIT, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def opened(host: Machine) -> dict[str, object]:
    """Return the job that has not ended."""
    found: dict[str, object] = json.loads(next((host.folder / "jobs").glob("*.json")).read_text())
    return found


@pytest.mark.mysql
def test_a_backup_is_put_back_though_the_tool_is_killed_and_what_was_there_is_kept(
    host: Machine, made: Path
) -> None:
    before = checksums(host.server)
    host.server.run("DROP TABLE shop.o", "CREATE TABLE shop.o (id INT)", "DELETE FROM shop.old")
    assert checksums(host.server) != before
    tool = subprocess.Popen(argv(host), stdout=subprocess.DEVNULL)
    staging = host.server.directory / "data"
    wait(lambda: list(staging.parent.glob("data.mmm-new-*/ibdata1*")))
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    assert opened(host)["begun"] == "fetch"
    assert checksums(host.server) != before
    ran = restore(host)
    assert ran.status == 0, ran
    wait(lambda: answers(host.server))
    assert checksums(host.server) == before
    assert host.server.value("@@gtid_slave_pos") == shelf.read(made).facts.gtid
    (old,) = staging.parent.glob("data.mmm-old-*")
    assert (old / "shop/o.frm").is_file()
    assert "kept for" not in ran.out
    assert "given out again: should db1 have data of before" in ran.out, ran
    conf = load_conf(host.conf, None)
    assert old_data(server_here(conf), host.folder / "jobs") == (), "all of them stay"
    assert not list(staging.parent.glob("data.mmm-new-*"))


@pytest.mark.mysql
def test_a_damaged_backup_is_not_put_back_and_the_server_runs_as_before(host: Machine, made: Path) -> None:
    spoilt = host.folder / "spoilt"
    shutil.copytree(made, spoilt)
    (spoilt / "data/shop/old.MYD.zst").write_bytes(b"other")
    folders = set(host.server.directory.glob("data*"))
    before = checksums(host.server)
    ran = restore(host, "--src-dir", str(spoilt))
    assert (ran.status, "old.MYD.zst is not what it was" in ran.err) == (1, True), ran
    assert checksums(host.server) == before
    assert set(host.server.directory.glob("data*")) == folders


@pytest.mark.mysql
def test_the_files_alone_go_into_a_folder_and_what_was_in_it_is_kept(host: Machine, made: Path) -> None:
    target = host.folder / "restored"
    target.mkdir()
    (target / "mine").write_text("mine")
    dry = restore(host, "--mode", "data-only", "--dry-run")
    assert f" Destination dir       : {target}" in dry.out
    assert [path.name for path in target.iterdir()] == ["mine"]
    ran = restore(host, "--mode", "data-only")
    assert ran.status == 0, ran
    there = (target / "shop/old.MYD").read_bytes()
    assert there == (host.server.directory / "data/shop/old.MYD").read_bytes()
    assert {path.stem for path in (made / "data/shop").iterdir()} == {
        path.name for path in (target / "shop").iterdir()
    }
    (old,) = host.folder.glob("restored.mmm-old-*")
    assert (old / "mine").read_text() == "mine"
    assert str(old) in ran.out
    ran = restore(host, "--mode", "data-only", "--dest-dir", str(host.server.directory / "data"))
    assert (ran.status, "open: stop that server" in ran.err) == (2, True), ran
    assert answers(host.server)


@pytest.mark.mysql
def test_a_clone_by_a_copy_method_is_refused_and_says_what_to_type(host: Machine) -> None:
    ran = host.run("clone", "--copy-method", "cp", "--yes")
    assert (ran.status, "mmm_restore --mode slave-slave" in ran.err) == (2, True), ran


@pytest.mark.mysql
def test_what_may_be_lost_is_named_by_this_host_alone(host: Machine, made: Path) -> None:
    for program in ("restore", "rejoin"):
        ran = host.run(program, "--lose-extra", "db1", "--dry-run")
        assert (ran.status, ran.err) == (2, "--lose-extra db1: this host is db2\n"), program


@pytest.mark.mysql
def test_each_tool_says_whether_its_conf_can_be_used(host: Machine) -> None:
    for program in ("backup", "clone", "rejoin", "restore"):
        ran = host.run(program, "--check")
        assert (ran.status, ran.out.endswith("mmm_tools.conf: OK\n")) == (0, True), (program, ran)


@pytest.mark.mysql
def test_which_backup_is_put_back_can_be_said(host: Machine, made: Path) -> None:
    shutil.copytree(made, made.with_name("db2-20260101-000000"))
    (host.backups / "db2-20260102-000000.part/_mmm").mkdir(parents=True)
    listed = restore(host, "--version", "list").out
    assert [line.split()[0] for line in listed.splitlines()] == ["db2-20260101-000000", made.name]
    dry = restore(host, "--version", "db2-20260101-000000", "--dry-run")
    assert f"Source dir            : {host.backups / 'db2-20260101-000000'}" in dry.out
    assert "  1. keep the data as they are\n" in dry.out
    assert f"{host.server.directory / 'data'} would be kept as " in dry.out
    ran = restore(host, "--src-dir", str(host.backups / "db2-20260102-000000.part"))
    assert (ran.status, "not finished" in ran.err) == (2, True)


@pytest.mark.mysql
def test_a_dump_of_mysql_is_a_backup_and_so_is_what_its_clone_plugin_copies(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sort = kind("mysql:9.7")
    pool = Servers(tmp_path_factory.mktemp("servers"), sort)
    try:
        server = pool.start()
        server.run(*SHOP)
        with path_of(sort.binary.parent):
            there = machine(tmp_path, server)
            made = there.backup("--provider", "dump")
            facts = shelf.read(made).facts
            assert (facts.family, facts.gtid) == ("MySQL", server.value("@@gtid_executed"))
            assert not (made / "data/auto.cnf").exists()
            assert there.run("backup", "--verify", str(made)).status == 0
        refused = there.run("backup", "--provider", "clone-plugin")
        assert (refused.status, "shop.old" in refused.err) == (2, True)
        server.run("ALTER TABLE shop.old ENGINE=InnoDB", "INSERT INTO shop.o (what) VALUES ('three')")
        made = there.backup("--provider", "clone-plugin")
        facts = shelf.read(made).facts
        assert (facts.provider, facts.gtid) == ("clone-plugin", server.value("@@gtid_executed"))
        with (
            running(made / "data", started_as(server.process.pid).argv) as private,
            private.connect() as session,
        ):
            rows = session.query("CHECKSUM TABLE shop.o, shop.old EXTENDED")
        assert [str(row["Checksum"]) for row in rows] == checksums(server)
    finally:
        pool.stop()


@contextmanager
def path_of(folder: Path) -> Iterator[None]:
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}:{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


@pytest.mark.mysql
def test_what_is_in_no_log_any_more_is_known_before_anything_is_copied(server_pool: Servers) -> None:
    with server_pool.lent() as pool:
        server = pool.start()
        server.run("CREATE TABLE test.t (id INT)", "INSERT INTO test.t VALUES (1)")
        old = server.value("@@gtid_binlog_pos")
        with server.connect() as session:
            assert session.ask(begins_after(session, old)) == ""
            server.run("INSERT INTO test.t VALUES (2)", "FLUSH BINARY LOGS")
            gone = server.value("@@gtid_binlog_pos")
            server.run("INSERT INTO test.t VALUES (3)")
            assert session.ask(begins_after(session, old)) == ""
            while len(session.query("SHOW BINARY LOGS")) > 1:  # a commit may still need the older one
                server.purge_logs()
            assert session.ask(begins_after(session, old)) == gone
            assert session.ask(begins_after(session, gone)) == ""


def look_of(told: Told | None, server: ServerLook | Silent) -> Look:
    return Look("db1", "10.0.0.1", here=True, agent=told, server=server, writer_role="writer")


OUT = Told("ADMIN_OFFLINE", (), "")
STANDBY = ServerLook(
    "MariaDB", (10, 11, 19), "/var/lib/mysql", writable=False, executed=mariadb.History((), ())
)


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (look_of(OUT, STANDBY), ""),
        (look_of(OUT, Silent("down")), ""),
        (look_of(replace(OUT, master="db1"), Silent("down")), "active_master"),
        (look_of(replace(OUT, state="ONLINE"), STANDBY), "online"),
        (look_of(None, STANDBY), "no_agent"),
        (look_of(OUT, replace(STANDBY, writable=True)), "writable"),
        (look_of(OUT, replace(STANDBY, replicas=("10.0.0.2",))), "has_replicas"),
    ],
)
def test_who_is_restored_without_replication(look: Look, code: str) -> None:
    """After the loss of all hosts none of them knows an active master, and one of them has to be the first."""
    assert [each.code for each in refusals(look, Mode.SINGLE_SINGLE)] == ([code] if code else [])


def test_who_is_to_follow_needs_an_active_master() -> None:
    assert [each.code for each in refusals(look_of(OUT, STANDBY), Mode.SLAVE_SLAVE)] == ["no_active_master"]


CLASSIC = """\
$VAR1 = {
          'slave' => {
                       'Master_Host' => '192.168.0.31',
                       'Last_Error' => 'it\\'s \\\\ broken',
                       'Exec_Master_Log_Pos' => '4711',
                       'Seconds_Behind_Master' => undef
                     },
          'host' => 'db1',
          'master' => {
                        'Position' => 340,
                        'File' => 'mysql-bin.000002'
                      }
        };
"""


def test_the_status_file_of_the_perl_tools_is_read_and_never_run(tmp_path: Path) -> None:
    found = perl.parse(CLASSIC)
    slave = found["slave"]
    assert isinstance(slave, dict)
    assert (slave["Last_Error"], slave["Seconds_Behind_Master"]) == ("it's \\ broken", None)
    assert found["master"] == {"Position": "340", "File": "mysql-bin.000002"}
    assert perl.parse(perl.dump(found)) == found
    for text in (
        "",
        "system('id')",
        "$VAR1 = `id`;",
        "$VAR1 = { 'host' => ",
        "$VAR1 = {" * 50,
        "$VAR1 = 'x';",
    ):
        with pytest.raises(perl.PerlError):
            perl.parse(text)
    (tmp_path / "_mmm").mkdir()
    (tmp_path / "_mmm/status.txt").write_text(CLASSIC)
    (tmp_path / "_mmm/copy_method.txt").write_text("rsync\n")
    facts = shelf.one(tmp_path).facts
    assert (facts.host, facts.copy_method, facts.log_file, facts.log_position) == (
        "db1",
        "rsync",
        "mysql-bin.000002",
        340,
    )
    assert time.strptime(facts.at, "%Y-%m-%d %H:%M:%S")


def perl_backup(host: Machine, folder: Path, method: str, data: str) -> str:
    """Make a backup as the Perl tools leave it, and return where it stands by GTID."""
    server, script = host.server, str(host.server.directory / "rc")
    row = server.connect().query("SHOW MASTER STATUS")[0]
    place = server.value("@@gtid_binlog_pos")
    subprocess.run([script, "stop"], check=True)
    shutil.copytree(server.directory / "data", folder / data)
    subprocess.run([script, "start"], check=True)
    wait(lambda: answers(server))
    (folder / "_mmm").mkdir()
    (folder / "_mmm/copy_method.txt").write_text(method)
    (folder / "_mmm/status.txt").write_text(
        perl.dump({"host": "db2", "master": {"File": row["File"], "Position": row["Position"]}, "slave": {}})
    )
    (folder / data / "master.info").write_text("of another time")
    return place


@pytest.mark.mysql
def test_a_backup_of_the_perl_tools_is_put_back(host: Machine) -> None:
    """What its binary log had at the place in the status file tells where it stands; the log itself stays behind."""
    folder = host.folder / "perl"
    host.server.run("INSERT INTO shop.o (what) VALUES ('logged')")
    place, before = perl_backup(host, folder, "cp", "data"), checksums(host.server)
    host.server.run("DROP TABLE shop.old")
    ran = restore(host, "--backup-dir", str(folder))
    assert ran.status == 0, ran
    wait(lambda: answers(host.server))
    assert checksums(host.server) == before
    assert host.server.value("@@gtid_slave_pos") == place
    (old,) = (
        Path(line.split(" are in ")[1].rstrip(".")) for line in ran.out.splitlines() if " are in " in line
    )
    assert not (old / "shop/old.frm").exists()
    assert not (host.server.directory / "data/master.info").exists()
    (folder / "_mmm/copy_method.txt").write_text("scp")
    ran = restore(host, "--src-dir", str(folder), "--dry-run")
    assert (ran.status, "add <copy_method scp> to the conf" in ran.err) == (2, True), ran


@pytest.mark.mysql
def test_a_version_of_an_incremental_backup_is_put_back(host: Machine) -> None:
    folder = host.folder / "increments"
    perl_backup(host, folder, "versions", "v/1/data")
    assert restore(host, "--src-dir", str(folder), "--version", "list").out == "1\n"
    ran = restore(host, "--src-dir", str(folder))
    assert (ran.status, "name one by --version" in ran.err) == (2, True), ran
    target = host.folder / "version"
    options = ("--mode", "data-only", "--dest-dir", str(target), "--version", "1")
    ran = restore(host, "--src-dir", str(folder), *options)
    assert ran.status == 0, ran
    assert (target / "data/ibdata1").is_file()
    assert not list(target.rglob("bin.*"))
    assert not (target / "data/master.info").exists()


def test_commands_of_copy_methods_are_filled_in_as_ever() -> None:
    host = Host("db1", "10.0.0.1", "master", ssh_user="root", lvm_mount_dir="/snap")
    scp = CopyMethod(
        "scp",
        "scp -c blowfish -r %ssh_user%@%IP%:%SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/",
        "cp %SRC_DIR% %DATA_DIR%",
    )
    assert backup_commands(scp, ("data", "a/b"), host, "/b") == (
        ("scp -r root@10.0.0.1:/snap/data /b/", "/b"),
        ("scp -r root@10.0.0.1:/snap/a/b /b/a/", "/b/a"),
    )
    assert restore_commands(scp, ("data",), "/b", "/d", "") == (("cp /b /d", "/d"),)
    rdiff = CopyMethod(
        "rdiff", "rdiff !--include %SNAPSHOT%/%CLONE_DIR%! %IP%::%SNAPSHOT% %BACKUP_DIR%", single_run=True
    )
    (command,) = backup_commands(rdiff, ("data", "log"), host, "/b")
    assert command.line == "rdiff --include /snap/data --include /snap/log 10.0.0.1::/snap /b"
    with pytest.raises(MethodError, match="one word"):
        restore_commands(scp, ("data",), "/b; reboot", "/d", "")


def test_a_new_host_is_one_without_tables_of_users(tmp_path: Path) -> None:
    for name in ("mysql/user.MAI", "mysql/user.frm", "sys/x.frm", "performance_schema/db.opt", "test/db.opt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "ibdata1").touch()
    assert user_tables(tmp_path) == ()
    (tmp_path / "shop").mkdir()
    for table in ("o.frm", "o.ibd", "p.ibd", "q.ibd", "r.ibd"):
        (tmp_path / "shop" / table).touch()
    assert user_tables(tmp_path) == ("shop.o", "shop.p", "shop.q")


def test_a_clone_mode_is_held_against_the_conf() -> None:
    db1, db3 = Host("db1", "10.0.0.1", "master"), Host("db3", "10.0.0.3", "slave")
    assert mode_of(db1, db3) is CloneMode.MASTER_SLAVE
    assert contradiction(CloneMode.MASTER_SLAVE, db1, db3) == ""
    assert "db3 is a slave in the conf" in contradiction(CloneMode.MASTER_MASTER, db1, db3)
    assert mode_of(db3, db1) is None


def test_a_job_is_gone_on_with_by_the_program_that_began_it() -> None:
    new = Journal("db1-1", "db1", "db2", "db2", "/d", "/n", "/o", kind=Kind.RESTORE, backup="/b")
    assert new.following == tuple(step for step in ORDER if step not in {Step.PROVE, Step.UNDO, *IN_PLACE})
    alone = replace(new, source="")
    assert alone.following == (Step.FREEZE, Step.FETCH, Step.STOP, Step.SWAP, Step.START)
    assert replace(alone, done=(Step.SWAP,)).following == (Step.START,)
    assert Step.FREEZE not in replace(new, kind=Kind.CLONE).following
    assert decode(encode(new)) == new
