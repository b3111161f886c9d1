"""Backups of a real server: made whole or not at all, tried by a server that runs on them, kept as long as told."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmm.config.model import Host
from mmm.gtid import mariadb
from mmm.gtid.transactions import Executed
from mmm.tools.backup import logs
from mmm.tools.backup.donor import Chosen, NoDonor, choose
from mmm.tools.backup.planned import seconds
from mmm.tools.kept import hashes, perl, shelf
from mmm.tools.kept.facts import Facts, encode
from mmm.tools.kept.shelf import Kept, going
from mmm.tools.rejoin.look import ServerLook, Silent
from tests.servers import Server, Servers
from tests.unit.backing_up import LIMIT, SHOP, Machine, machine

DAY = 86_400.0


@pytest.fixture(scope="module")
def server(server_pool: Servers) -> Iterator[Server]:
    with server_pool.lent() as pool:
        server = pool.start()
        server.run(*SHOP)
        yield server


@pytest.fixture(scope="module")
def host(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return machine(tmp_path_factory.mktemp("host"), server)


@pytest.fixture(scope="module")
def made(host: Machine) -> Path:
    return host.backup("--host", "db2", "--compress", "zstd")


@pytest.mark.mysql
def test_a_backup_is_whole_says_what_it_is_and_is_found_damaged_later(
    host: Machine, made: Path, server: Server
) -> None:
    facts = shelf.read(made).facts
    assert (facts.host, facts.provider, facts.gtid) == (
        "db2",
        "mariadb-backup",
        server.value("@@gtid_binlog_pos"),
    )
    classic = perl.parse((made / "_mmm/status.txt").read_text())
    assert classic["host"] == "db2"
    place = server.connect().query("SHOW MASTER STATUS")[0]
    assert classic["master"] == {"File": place["File"], "Position": str(place["Position"])}
    assert f"port = {server.port}" in (made / "_mmm/my.cnf").read_text()
    assert made.stat().st_mode & 0o77 == 0
    summed = subprocess.run(["sha256sum", "--quiet", "-c", "_mmm/SHA256"], cwd=made, check=False)
    assert summed.returncode == 0
    assert not (made / "data/shop/o.ibd").exists()
    assert sum(path.stat().st_size for path in made.rglob("*")) < facts.bytes / 4
    assert str(made) in host.run("backup", "--list").out
    assert host.run("backup", "--verify", str(made)).status == 0
    spoilt = host.folder / "spoilt/db2-20260101-000000"
    shutil.copytree(made, spoilt)
    with (spoilt / "data/shop/o.ibd.zst").open("r+b") as file:
        file.write(b"x")
    ran = host.run("backup", "--verify", str(spoilt))
    assert (ran.status, "shop/o.ibd.zst" in ran.err) == (1, True)
    assert "damaged" in host.run("backup", "--list", "--dest-dir", str(spoilt.parent)).out
    assert shelf.read(spoilt).damaged
    (spoilt / "data/shop/o.ibd.zst").write_bytes((made / "data/shop/o.ibd.zst").read_bytes())
    assert host.run("backup", "--verify", str(spoilt)).status == 0
    assert not shelf.read(spoilt).damaged
    assert [path.name for path in spoilt.parent.iterdir() if path.is_dir()] == [spoilt.name]


def wait_for_data(backups: Path) -> list[Path]:
    """Return the first files of a backup that is being made."""
    deadline = time.monotonic() + LIMIT
    while not (found := list(backups.glob("*.part/data/*"))):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


@pytest.mark.mysql
def test_a_tool_that_is_ended_leaves_no_backup_and_the_next_one_clears_up(host: Machine) -> None:
    """By SIGTERM it takes back what it has begun; by SIGKILL it cannot."""
    backups = host.folder / "killed"
    argv = host.argv("backup", "--dest-dir", str(backups))
    tool = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_data(backups)
    tool.terminate()
    _, said = tool.communicate()
    assert (tool.returncode, "interrupted" in said) == (1, True)
    assert folders(backups) == []
    tool = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    parts = wait_for_data(backups)
    tool.send_signal(signal.SIGSTOP)
    busy = host.run("backup", "--dest-dir", str(backups))
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    assert busy.status == 3, busy
    assert str(tool.pid) in busy.err
    assert [name.endswith(".part") for name in folders(backups)] == [True]
    ran = host.run("backup", "--dest-dir", str(backups))
    assert ran.status == 0, ran
    assert not parts[0].exists()
    assert [name.endswith(".part") for name in folders(backups)] == [False]


@pytest.mark.mysql
def test_what_a_server_still_runs_on_is_not_removed_under_it(host: Machine) -> None:
    part = host.folder / "held/db2-20260101-000000.part"
    (part / "data").mkdir(parents=True)
    with (part / "data/ibdata1").open("wb"):
        ran = host.run("backup", "--dest-dir", str(part.parent))
    assert (ran.status, f"process {os.getpid()}" in ran.err) == (3, True), ran
    assert part.is_dir()


def folders(place: Path) -> list[str]:
    return [path.name for path in place.iterdir() if path.is_dir()]


@pytest.mark.mysql
def test_a_disk_that_fills_up_leaves_no_backup(host: Machine, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "none", small], check=True)
    try:
        ran = host.run("backup", "--dest-dir", str(small))
        assert ran.status == 2, ran
        assert f"{small}: 63 MB are free" in ran.err
        dry = host.run("backup", "--dest-dir", str(small / "new"), "--dry-run")
        assert (dry.status, "63 MB are free" in dry.err, dry.out) == (2, True, ""), "it would not be begun"
        assert folders(small) == []
        subprocess.run(["mount", "-o", "remount,size=300m", small], check=True)
        tool = subprocess.Popen(
            host.argv("backup", "--dest-dir", str(small)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with (small / "other").open("wb", 0) as other:  # what nobody could know beforehand
            wait_for_data(small)
            for piece in (4_000_000, 100_000):  # at once: written byte by byte the backup may be done before
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(other.fileno(), os.fstat(other.fileno()).st_size, piece)
        assert tool.wait(LIMIT) == 1
        assert folders(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.mysql
def test_a_server_that_does_not_answer_is_said_and_no_other_one_is_taken_for_it(host: Machine) -> None:
    ran = host.run("backup", "--host", "db1")
    assert (ran.status, "the server of db1 does not answer" in ran.err) == (3, True)
    ran = host.run("backup", "--host", "db9")
    assert (ran.status, "it knows db1, db2" in ran.err) == (2, True)


@pytest.mark.mysql
def test_old_backups_go_when_a_new_one_is_whole(host: Machine, made: Path) -> None:
    for day in (1, 2, 3, 4):
        shutil.copytree(made, made.with_name(f"db2-2026010{day}-000000"))
    (host.backups / "not-ours").mkdir()
    ran = host.run("backup", "--expire", "--dry-run", "--keep", "2")
    assert ran.out.count("would be removed") == 3
    assert len(host.whole()) == 5
    last = host.backup("--keep", "2")
    assert host.whole() == sorted([made, last])
    assert (host.backups / "not-ours").is_dir()


@pytest.mark.mysql
def test_without_options_the_conf_says_what_is_kept(host: Machine, made: Path) -> None:
    for day in (1, 2, 3, 4):
        shutil.copytree(made, made.with_name(f"db2-2020010{day}-000000"))
    expire = ("backup", "--expire", "--dry-run")
    assert host.run(*expire).out.count("would be removed") == len(host.whole()) - 3
    text = host.conf.read_text()
    host.conf.write_text(text.replace("backup_keep 3", "backup_keep_days 7"))
    try:
        assert host.run(*expire).out.count("would be removed") == 4
        host.conf.write_text(text.replace("backup_keep 3", ""))
        ran = host.run(*expire)
        assert (ran.status, "by which rule?" in ran.err) == (2, True)
    finally:
        host.conf.write_text(text)
        for old in made.parent.glob("db2-2020*"):
            shutil.rmtree(old)


@pytest.mark.mysql
def test_a_dry_run_says_how_it_would_be_made_and_what_would_go(host: Machine, made: Path) -> None:
    before = host.whole()
    ran = host.run("backup", "--host", "db2", "--keep", "1", "--dry-run")
    assert ran.status == 0, ran
    assert re.search(rf"^db2 would be backed up into {host.backups}/db2-\d+-\d+$", ran.out, re.MULTILINE)
    assert re.search(r"^  [1-9]\d* MB of data", ran.out, re.MULTILINE)
    assert "  mariadb-backup: fit\n" in ran.out
    assert "  clone-plugin: not fit: " in ran.out
    assert ran.out.count(" would be removed") == len(before)
    assert host.whole() == before
    unfit = host.run("backup", "--host", "db2", "--provider", "clone-plugin", "--dry-run")
    assert (unfit.status, "clone-plugin: " in unfit.err) == (2, True), "such a backup would be refused"


def test_how_long_it_will_take_is_told_by_the_rate_of_the_newest_backup_that_has_one() -> None:
    def took(size: int, seconds: float, provider: str = "dump") -> Kept:
        return Kept(Path("b"), Facts("db1", "", provider, tool_version="3", bytes=size, seconds=seconds))

    assert seconds((took(100, 10.0), took(300, 10.0)), 600) == 20.0
    assert seconds((took(100, 10.0), took(300, 0.5), took(300, 10.0, "")), 600) == 60.0, (
        "too short, no server ran"
    )
    assert seconds((), 600) is None


def test_a_backup_whose_name_has_digits_that_are_no_time_is_as_old_as_its_status_file(tmp_path: Path) -> None:
    path = tmp_path / "db1-20260230-000000"
    (path / shelf.OWN).mkdir(parents=True)
    (path / shelf.OWN / "status.txt").touch()
    assert abs(Kept(path, Facts("db1", "")).made - time.time()) < DAY


def kept(host: str, age: float, provider: str = "dump") -> Kept:
    return Kept(
        Path(shelf.name(host, time.time() - age * DAY)),
        Facts(host, "", provider, tool_version="3" if provider else ""),
    )


def test_what_goes_by_number_and_by_age() -> None:
    old, mid, new = (kept("db1", age) for age in (9.0, 5.0, 1.0))
    now = time.time()
    assert going((old, mid, new), now) == ()
    assert going((old, mid, new), now, keep=2) == (old,)
    assert going((old, mid, new), now, days=4) == (old, mid)
    assert going((old, mid), now, days=1) == (old,)
    classic = kept("db1", 20.0, "")
    assert going((classic, old, new), now, keep=1, days=1) == (old,)


def test_what_is_damaged_or_was_never_tried_takes_no_good_backup_s_place() -> None:
    """By number and by age: the last one that can be put back stays."""
    old, mid, new = (kept("db1", age) for age in (9.0, 5.0, 1.0))
    now = time.time()
    damaged = dataclasses.replace(new, damaged=True)
    archive = dataclasses.replace(new, facts=dataclasses.replace(new.facts, provider="", copy_method="tar"))
    for useless in (damaged, archive):
        assert going((old, mid, useless), now, keep=1, days=2) == (old,)
    assert going((old, mid, damaged), now, keep=2) == ()
    assert going((dataclasses.replace(old, damaged=True), mid, new), now, keep=2)[0].path == old.path
    assert going((dataclasses.replace(new, damaged=True),), now, keep=1, days=1) == ()


def put_on_the_shelf(folder: Path, days: float, facts: Facts) -> Path:
    """Return the status file of a backup that was made so many days ago."""
    status = folder / shelf.name("db1", time.time() - days * DAY) / shelf.OWN / shelf.STATUS
    status.parent.mkdir(parents=True)
    status.write_text(encode(facts))
    return status


def test_logs_behind_the_newest_usable_backup_stay_however_old_they_are(tmp_path: Path) -> None:
    """Backups have failed for weeks: the last one can be brought up to a moment all the same.

    One by a copy method, or without a GTID, goes on with no log.
    """
    now = time.time()
    facts = Facts("db1", "2026-01-01 00:00:00", "dump", tool_version="3", gtid="0-1-7")
    status = put_on_the_shelf(tmp_path, 20, facts)
    put_on_the_shelf(tmp_path, 1, dataclasses.replace(facts, provider="", copy_method="rsync"))
    put_on_the_shelf(tmp_path, 0.5, dataclasses.replace(facts, gtid=""))
    stamp = tmp_path / "db1-log/20260101-000000"
    stamp.mkdir(parents=True)
    for number, days in enumerate((30, 21, 19, 16, 0), 1):
        path = stamp / f"bin.{number:06}"
        path.touch()
        os.utime(path, (now - days * DAY, now - days * DAY))
    logs._expire(stamp.parent, 14)
    assert [path.name for path in sorted(stamp.iterdir())] == ["bin.000003", "bin.000004", "bin.000005"]
    status.with_name(hashes.DAMAGED).touch()
    logs._expire(stamp.parent, 14)
    assert [path.name for path in sorted(stamp.iterdir())] == ["bin.000005"]


@pytest.mark.mysql
def test_a_backup_is_not_tried_where_there_is_no_room_for_a_copy_of_it(host: Machine, made: Path) -> None:
    large = host.folder / "large" / made.name
    shutil.copytree(made, large)
    status = large / "_mmm/status.json"
    status.write_text(status.read_text().replace('"bytes": ', '"bytes": 999999999'))
    ran = host.run("backup", "--verify", str(large))
    assert (ran.status, "MB are free" in ran.err) == (2, True), ran
    assert not shelf.read(large).damaged


def test_a_line_of_cron_for_somebody_who_may_not_is_answered_once(tmp_path: Path) -> None:
    conf = tmp_path / "mmm_tools.conf"
    conf.write_text("this db2\n")
    conf.chmod(0o600)
    code = (  # what says the errors is loaded first: the tree may be in a folder that root alone may enter
        "import os, sys; from pathlib import Path; from mmm.tools.backup.command import backup;"
        " import mmm.config.sentences;"
        " os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        " sys.exit(backup(['--config', sys.argv[1]], Path('/root/no/mmm_tools.log')))"
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(conf)], capture_output=True, text=True, check=False
    )
    lines = done.stderr.splitlines()
    assert (done.returncode, len([line for line in lines if "sudo" in line])) == (2, 1), lines
    assert "no log is kept" in lines[0]


HOSTS = {
    name: Host(name, f"10.0.0.{number}", "slave" if number > 2 else "master")
    for number, name in enumerate(("db1", "db2", "db3"), 1)
}


def at(place: str) -> Executed:
    return mariadb.History(mariadb.parse(place), mariadb.parse(place))


def look(place: str = "0-1-9", *, writes: bool = False, follows: bool = True) -> ServerLook:
    return ServerLook(
        "MariaDB", (10, 11, 19), "/var/lib/mysql", writes, at(place), follows=follows and not writes
    )


def test_a_slave_is_backed_up_unless_it_is_not_fit() -> None:
    writer, standby, slave = look(writes=True), look("0-1-8"), look("0-1-7")
    assert choose(HOSTS, {"db1": writer, "db2": standby, "db3": slave}, None) == Chosen("db3")
    for unfit in (Silent("gone"), look("0-1-9,1-3-1"), look(follows=False)):
        assert choose(HOSTS, {"db1": writer, "db2": standby, "db3": unfit}, None) == Chosen("db2")
    found = choose(HOSTS, {"db1": writer, "db2": Silent("gone"), "db3": Silent("gone")}, None)
    assert isinstance(found, Chosen)
    assert (found.host, "20 ms" in found.remark) == ("db1", True)
    assert isinstance(choose(HOSTS, dict.fromkeys(HOSTS, Silent("gone")), None), NoDonor)
    named = choose(HOSTS, {"db1": writer, "db2": standby, "db3": look("0-1-9,1-3-1")}, "db3")
    assert isinstance(named, Chosen)
    assert "1-3-1" in named.remark
