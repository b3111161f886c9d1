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
from mmm.config.model import Cluster
from mmm.process.old_data import DAY, OldData, is_time, old_data, over, taken
from mmm.tools.rejoin import expiry, swap
from mmm.tools.rejoin.command import rejoin
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.wire.job import Result
from tests.unit.agents import conf as agent_conf
from tests.unit.test_config_dialect2 import COMMON

NOW = 2_000_000_000.0


def write_tools_conf(folder: Path, top: str = "") -> Path:
    path = folder / "mmm_tools.conf"
    tools = "<host default>\n    tools_user t\n    tools_password t"
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
    folder: JobFolder, job: str, days: float, host: str = "db1", result: Result = Result.DONE, log: str = ""
) -> Path:
    """Have a job that ended so many days ago, and return the old data folder that it has left."""
    datadir = folder.path.parent / "mysql"
    staging, old = swap.places(datadir, job)
    folder.lock()
    folder.end(Journal(job, host, "db3", "db2", str(datadir), str(staging), str(old), old_log=log), result)
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

    def run(*more: str, top: str = "") -> tuple[int, str]:
        argv = ["--config", str(write_tools_conf(tmp_path, top)), "--expire", *more]
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
    found = [OldData(Path(f"/d.mmm-old-{age}"), NOW - age * DAY) for age in (0, 6.99, 7, 30)]
    assert over(found, 7, NOW) == tuple(found[2:])
    assert over(found, 0, NOW) == tuple(found)


def test_only_what_the_journal_of_a_job_of_this_host_names_is_known(
    folder: JobFolder, tmp_path: Path
) -> None:
    known = kept_by(folder, "db1-1", 8)
    kept_by(folder, "db2-1", 8, host="db2")
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
    assert [each.path for each in old_data("db1", folder.path)] == [known]


def test_the_old_log_of_a_rewind_is_known_and_so_is_what_a_removal_has_left(
    folder: JobFolder, tmp_path: Path
) -> None:
    log = filled(tmp_path / "mysql.mmm-old-db1-1-log")
    old = kept_by(folder, "db1-1", 8, log=str(log))
    going = old.rename(f"{old}.going")
    assert {each.path for each in old_data("db1", folder.path)} == {going, log}


def test_nothing_is_ever_over_where_all_is_kept_for_good(folder: JobFolder) -> None:
    kept_by(folder, "db1-1", 1000)
    assert (is_time("db1", 7, folder.path), is_time("db1", 0, folder.path)) == (True, False)


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


def test_nothing_is_removed_while_a_job_runs_or_is_open(
    folder: JobFolder, expire: Callable[..., tuple[int, str]]
) -> None:
    old = kept_by(folder, "db1-1", 8)
    other = JobFolder(folder.path)
    other.lock()
    status, said = expire()
    assert (status, f"process {os.getpid()}" in said) == (3, True)
    other.keep(Journal("db1-2", "db1", "db3", "db2", "/d", "/d.mmm-new-db1-2", "/d.mmm-old-db1-2"))
    other.unlock()
    status, said = expire("--keep-days", "0")
    assert (status, "job db1-2 is open: run mmm_rejoin again" in said, old.exists()) == (2, True, True)


def test_what_somebody_works_in_stays(folder: JobFolder, expire: Callable[..., tuple[int, str]]) -> None:
    old = kept_by(folder, "db1-1", 8)
    with (old / "ibdata1").open():
        why = f"process {os.getpid()} works in it"
        assert expire("--dry-run") == (1, f"{old}, 5 MB, would stay: {why}\n")
        assert expire() == (1, f"{old}, 5 MB, stays: {why}\n")
    assert (old / "ibdata1").exists()
    assert expire()[0] == 0


MOUNTED = """
import subprocess, sys
from pathlib import Path
from mmm.tools.rejoin import expiry
old, other = Path(sys.argv[1]), Path(sys.argv[2])
inside = old / "a b"
inside.mkdir()
subprocess.run(["mount", "--bind", str(other), str(inside)], check=True)
print(expiry._needed(old))
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
    assert said == f"{old}/a b is mounted in it\n"


def test_a_removal_that_was_broken_off_is_gone_on_with(
    folder: JobFolder, expire: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = kept_by(folder, "db1-1", 8)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("mmm.tools.rejoin.expiry.shutil.rmtree", killed)
        expire()
    assert (old.exists(), Path(f"{old}.going").exists()) == (False, True)
    assert expire()[0] == 0
    assert not Path(f"{old}.going").exists()


def test_files_that_have_another_name_are_not_counted(tmp_path: Path) -> None:
    log = filled(tmp_path / "mysql.mmm-old-db1-1-log")
    assert taken(log) >= 5_000_000
    os.link(log / "ibdata1", tmp_path / "bin.000001")
    assert taken(log) == 0


def test_where_there_is_no_room_old_data_are_said(folder: JobFolder) -> None:
    assert expiry.kept_hint("db1", folder.path) == ""
    kept_by(folder, "db1-1", 1)
    assert "kept 5 MB of old data here: `mmm_rejoin --expire --keep-days 0`" in expiry.kept_hint(
        "db1", folder.path
    )


# --- the agent


async def test_an_agent_has_removed_what_is_over(
    folder: JobFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf: Cluster = agent_conf(tmp_path)
    old = kept_by(folder, "db1-1", 8)
    told = tmp_path / "told"
    os.mkfifo(told)
    program = f"import sys; open({str(told)!r}, 'w').write(' '.join(sys.argv[1:]))"
    monkeypatch.setattr(watching, "own_module", lambda _module, *args: [sys.executable, "-c", program, *args])
    monkeypatch.setattr(watching, "is_time", lambda host, days: is_time(host, days, folder.path))
    watching.remove(conf)  # no tools were ever set up here
    tools = write_tools_conf(tmp_path)
    watching.remove(replace(conf, keep_old_data=0))
    watching.remove(replace(conf, keep_old_data=9))
    task = asyncio.create_task(watching.watch(conf))
    assert await asyncio.to_thread(told.read_text) == f"--expire --config {tools}"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert old.exists()
