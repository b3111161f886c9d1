"""What jobs have replaced is removed once its time is over: that and nothing else, and never beside an open job."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act import old_data as watching
from mmm.config.load import load
from mmm.config.model import Cluster
from mmm.process.old_data import DAY, OldData, is_time, old_data, over, server_here, taken
from mmm.tools.rejoin import expiry, swap
from mmm.tools.rejoin.command import rejoin
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.wire.job import Result
from tests.unit.agents import conf as agent_conf
from tests.unit.test_config_dialect2 import COMMON

NOW = 2_000_000_000.0
HERE = "10.0.0.1:3306"
"""The server of db1."""


def write_tools_conf(folder: Path, top: str = "", host: str = "") -> Path:
    path = folder / "mmm_tools.conf"
    tools = f"<host default>\n    tools_user t\n    tools_password t\n    {host}"
    path.write_text(f"this db1\n{top}\n{COMMON.replace('<host default>', tools, 1)}")
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "jobs")


def filled(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "ibdata1").write_bytes(b"x" * 5_000_000)
    return path


def kept_by(
    folder: JobFolder,
    job: str,
    days: float,
    expires: str = HERE,
    result: Result = Result.DONE,
    log: str = "",
) -> Path:
    """Have a job that ended so many days ago, and return the old data folder that it has left."""
    datadir = folder.path.parent / "mysql"
    staging, old = swap.places(datadir, job)
    folder.lock()
    folder.end(
        Journal(job, "db1", "db3", "db2", str(datadir), str(staging), str(old), old_log=log, expires=expires),
        result,
    )
    folder.unlock()
    ended = folder.path / f"{job}.done"
    at = ended.stat().st_mtime - days * DAY
    os.utime(ended, (at, at))
    return filled(old)


@pytest.fixture
def expire(
    folder: JobFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return what runs mmm_rejoin --expire with more arguments, and returns its status and what it said."""

    def run(*more: str, top: str = "", host: str = "") -> tuple[int, str]:
        argv = ["--config", str(write_tools_conf(tmp_path, top, host)), "--expire", *more]
        try:
            status = rejoin(argv, folder)
        except SystemExit as error:
            status = int(str(error.code))
        folder.unlock()
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


# --- which folders


def test_what_has_been_kept_for_its_days_is_over() -> None:
    found = [OldData(Path(f"/d.mmm-old-{age}"), NOW - age * DAY, Path("/d")) for age in (0, 6.99, 7, 30)]
    assert over(found, 7, NOW) == tuple(found[2:])
    assert over(found, 0, NOW) == tuple(found)


def test_only_what_the_journal_of_a_job_of_this_host_names_is_known(
    folder: JobFolder, tmp_path: Path
) -> None:
    known = kept_by(folder, "db1-1", 8)
    kept_by(folder, "db1-7", 8, expires="192.0.2.1:3307")  # of another cluster
    kept_by(folder, "db1-8", 8, expires="")  # for good
    kept_by(folder, "db1-2", 8, result=Result.TAKEN_BACK)
    renamed = kept_by(folder, "db1-3", 8)
    renamed.rename(tmp_path / "mine")
    linked = kept_by(folder, "db1-4", 8)
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    filled(tmp_path / "mysql.mmm-old-20260101-000000")  # of mmm_restore --mode data-only
    (folder.path / "db1-5.done").write_text("{")
    (folder.path / "db1-6.done").write_text(
        '{"job": "db1-6", "host": "db1", "result": "done", "old": "/etc"}'
    )
    assert [each.path for each in old_data(HERE, folder.path)] == [known]


def test_the_old_log_of_a_rewind_is_known_and_so_is_what_a_removal_has_left(
    folder: JobFolder, tmp_path: Path
) -> None:
    log = filled(tmp_path / "mysql.mmm-old-db1-1-log")
    old = kept_by(folder, "db1-1", 8, log=str(log))
    going = old.rename(f"{old}.going")
    assert {each.path for each in old_data(HERE, folder.path)} == {going, log}


def test_nothing_is_ever_over_where_all_is_kept_for_good(folder: JobFolder) -> None:
    kept_by(folder, "db1-1", 1000)
    assert (is_time(HERE, 7, folder.path), is_time(HERE, 0, folder.path)) == (True, False)


# --- mmm_rejoin --expire


def test_what_is_over_is_removed_and_the_rest_stays(
    folder: JobFolder, expire: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    old, newer = kept_by(folder, "db1-1", 7.1), kept_by(folder, "db1-2", 6.5)
    (tmp_path / "mysql").mkdir()
    said = f"{old}, 5 MB, would be removed\n{newer}, 5 MB, stays for less than a day\n"
    assert expire("--dry-run") == (0, said)
    assert old.exists()
    assert expire() == (0, f"{old}, 5 MB, is removed: its time is over\n")
    assert (old.exists(), newer.exists(), (tmp_path / "mysql").exists()) == (False, True, True)
    assert list(tmp_path.glob("*.going")) == []
    assert expire("--keep-days", "0") == (0, f"{newer}, 5 MB, is removed: its time is over\n")
    assert expire() == (0, "")


def test_the_conf_says_for_how_long_it_is_kept(
    folder: JobFolder, expire: Callable[..., tuple[int, str]]
) -> None:
    old = kept_by(folder, "db1-1", 8)
    status, said = expire(top="keep_old_data 0")
    assert (status, "name --keep-days" in said, old.exists()) == (2, True, True)
    assert expire(top="keep_old_data 9") == (0, "")
    assert expire(top="keep_old_data 8")[0] == 0
    assert not old.exists()


@pytest.mark.parametrize("words", [("--keep-days", "-1"), ("--keep-days", "week")])
def test_days_are_a_number(expire: Callable[..., tuple[int, str]], words: tuple[str, ...]) -> None:
    assert expire(*words)[0] == 2


def test_days_without_expire_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        rejoin(["--keep-days", "3"])
    assert "--keep-days goes with --expire" in capsys.readouterr().err


def test_nothing_is_removed_while_a_job_runs_but_where_it_was_broken_off(
    folder: JobFolder, expire: Callable[..., tuple[int, str]]
) -> None:
    old = kept_by(folder, "db1-1", 8)
    other = JobFolder(folder.path)
    other.lock()
    status, said = expire()
    assert (status, f"process {os.getpid()}" in said, old.exists()) == (3, True, True)
    other.keep(Journal("db1-2", "db1", "db3", "db2", "/d", "/d.mmm-new-db1-2", "/d.mmm-old-db1-2"))
    other.unlock()
    assert expire() == (0, f"{old}, 5 MB, is removed: its time is over\n")  # it may need the room to go on


def test_a_folder_that_became_a_data_folder_again_stays_though_no_server_runs(
    folder: JobFolder, expire: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    old = kept_by(folder, "db1-1", 8)
    (tmp_path / "mysql").symlink_to(old)
    status, said = expire("--keep-days", "0")
    assert (status, f"stays: the server's data folder {tmp_path}/mysql is in it" in said) == (1, True)
    (tmp_path / "mysql").unlink()
    (tmp_path / "my.cnf").write_text(f"[mysqld]\ndatadir = {old}/data\n")
    status, said = expire("--dry-run", host=f"mysql_cnf {tmp_path}/my.cnf")
    assert (status, f"would stay: the server's data folder {old}/data is in it" in said) == (1, True)
    folder.lock()
    folder.keep(Journal("db1-2", "db1", "db3", "db2", str(old), "/d.mmm-new-db1-2", "/d.mmm-old-db1-2"))
    folder.unlock()
    assert expire()[0] == 1
    assert old.exists()


def test_where_nobody_knows_the_data_folder_all_stays(
    folder: JobFolder, expire: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = kept_by(folder, "db1-1", 8)
    monkeypatch.setenv("PATH", "/nowhere")  # the server's packages are not there
    status, said = expire()
    assert (status, "nobody knows which data folder is in use" in said, old.exists()) == (1, True, True)


@pytest.mark.parametrize("words", [("--abort",), ("--resume",), ("--method", "clone"), ("--from", "db3")])
def test_expire_goes_with_nothing_else(
    expire: Callable[..., tuple[int, str]], words: tuple[str, ...]
) -> None:
    status, said = expire(*words)
    assert (status, "--expire goes with --dry-run and --keep-days alone" in said) == (2, True)


def test_what_somebody_works_in_stays(folder: JobFolder, expire: Callable[..., tuple[int, str]]) -> None:
    old = kept_by(folder, "db1-1", 8)
    with (old / "ibdata1").open():
        why = f"process {os.getpid()} works in it"
        assert expire("--dry-run") == (1, f"{old}, 5 MB, would stay: {why}\n")
        assert expire() == (1, f"{old}, 5 MB, stays: {why}\n")
    assert (old / "ibdata1").exists()
    assert expire()[0] == 0


def test_what_an_earlier_job_has_kept_within_a_data_folder_stays_with_it(
    folder: JobFolder, expire: Callable[..., tuple[int, str]]
) -> None:
    """AppArmor may have kept the server to its data folder when that one ran, and does not now."""
    old = kept_by(folder, "db1-2", 8)
    earlier = filled(old / "#sql.mmm-old-db1-1")
    status, said = expire()
    assert (status, f"stays: {earlier.name}, which an earlier job has kept, is in it\n" in said) == (1, True)
    assert (earlier / "ibdata1").exists()


MOUNTED = """
import subprocess, sys
from pathlib import Path
from mmm.process.mounts import mounted_below, mounted_in
old, other = Path(sys.argv[1]), Path(sys.argv[2])
inside = old / "a b"
inside.mkdir()
subprocess.run(["mount", "--bind", str(other), str(inside)], check=True)
print(mounted_in(old), mounted_below(old), mounted_in(inside), mounted_below(inside))
"""


def test_what_is_mounted_in_it_is_not_removed_with_it(tmp_path: Path) -> None:
    old, other = filled(tmp_path / "old"), filled(tmp_path / "other")
    argv = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-c",
        MOUNTED,
        str(old),
        str(other),
    ]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said == f"{old}/a b {old}/a b {old}/a b \n"


def test_a_removal_that_was_broken_off_is_gone_on_with(
    folder: JobFolder, expire: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = kept_by(folder, "db1-1", 8)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("mmm.tools.rejoin.expiry.shutil.rmtree", killed)
        status, said = expire()
    assert (status, "the next --expire goes on with it" in said) == (1, True)
    assert (old.exists(), Path(f"{old}.going").exists()) == (False, True)
    assert expire()[0] == 0
    assert not Path(f"{old}.going").exists()


def test_files_that_have_another_name_are_not_counted(tmp_path: Path) -> None:
    log = filled(tmp_path / "mysql.mmm-old-db1-1-log")
    assert taken(log) >= 5_000_000
    os.link(log / "ibdata1", tmp_path / "bin.000001")
    assert taken(log) == 0


def test_where_there_is_no_room_old_data_are_said(folder: JobFolder, tmp_path: Path) -> None:
    conf = load(write_tools_conf(tmp_path), "REJOIN", name="mmm_tools")
    assert expiry.kept_hint(conf, folder.path) == ""
    kept_by(folder, "db1-1", 1)
    hint = expiry.kept_hint(conf, folder.path)
    assert "kept 5 MB of old data here: `mmm_rejoin --expire --keep-days 0`" in hint


# --- the agent


async def test_an_agent_has_removed_what_is_over(
    folder: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf: Cluster = agent_conf(tmp_path)
    old = kept_by(folder, "db1-1", 8, expires=server_here(conf))
    told = tmp_path / "told"
    os.mkfifo(told)
    program = f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))"
    monkeypatch.setattr(watching, "own_module", lambda _module, *args: [sys.executable, "-c", program, *args])
    once = iter([True])
    monkeypatch.setattr(
        watching, "is_time", lambda server, days: is_time(server, days, folder.path) and next(once, False)
    )
    watching.remove(replace(conf, keep_old_data=0))
    watching.remove(replace(conf, keep_old_data=9))
    tools = write_tools_conf(tmp_path)
    task = asyncio.create_task(watching.watch(conf, every=0.0))
    assert await asyncio.to_thread(told.read_text) == f"--expire --keep-days 7 --config {tools}"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert old.exists()
