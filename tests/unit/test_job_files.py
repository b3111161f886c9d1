"""What a job leaves on the disk tells others what it is at, that its process is dead, and how it ended."""

import os
import time
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmm.process import job_files
from mmm.process.job_files import Progress, Told, Watched
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.journal_file import BusyError, JobFolder
from mmm.wire.job import Ended, Job, Kind, Result

JOB = Journal("db1-20261129-041500", "db1", "db3", "db2", "/d", "/d.mmm-new", "/d.mmm-old")
AT_FETCH = JOB.begin(Step.FETCH)


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return JobFolder(tmp_path / "jobs")


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "jobs")


def test_a_host_without_jobs_has_nothing_to_tell(watched: Watched) -> None:
    assert watched.look() == Told()


def test_a_job_is_told_with_its_step_and_how_far_that_is(folder: JobFolder, watched: Watched) -> None:
    folder.lock()
    folder.keep(AT_FETCH)
    assert watched.look().job == Job("rejoin", "db3", "fetch")
    folder.note(AT_FETCH, Progress("", percent=58, rate=260.0, left=4.0, part="prepare"))
    assert watched.look().job == Job("rejoin", "db3", "prepare", 58, 4.0)
    folder.keep(AT_FETCH.finish(Step.FETCH).begin(Step.STOP))
    assert watched.look().job == Job("rejoin", "db3", "stop")


@pytest.mark.parametrize("kind", Kind)
def test_a_job_is_told_as_the_one_of_the_program_that_goes_on_with_it(
    folder: JobFolder, watched: Watched, kind: Kind
) -> None:
    journal = replace(AT_FETCH, kind=kind)
    folder.lock()
    folder.keep(journal)
    assert watched.look().job == Job(kind, "db3", "fetch")
    folder.note(journal, Progress("", percent=58, part="prepare"))
    assert watched.look().job == Job(kind, "db3", "prepare", 58)
    folder.unlock()
    assert watched.look().job == Job(kind, "db3", "fetch", broken_off=True)
    folder.lock()
    folder.end(journal, Result.TAKEN_BACK, 14.0)
    ended = watched.look().ended
    assert ended is not None
    assert ended.kind == kind


@pytest.mark.parametrize("kind", ['"kind": "other",', '"kind": ["rejoin"],', ""])
def test_a_job_of_no_known_kind_is_told_as_a_rejoin(
    folder: JobFolder, watched: Watched, tmp_path: Path, kind: str
) -> None:
    """A journal of an earlier release names none."""
    folder.lock()
    folder.keep(AT_FETCH)
    (tmp_path / "jobs" / f"{JOB.job}.json").write_text(f'{{{kind} "donor": "db3", "begun": "fetch"}}')
    assert watched.look().job == Job("rejoin", "db3", "fetch")


def test_progress_is_written_once_a_second_at_most(
    folder: JobFolder, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], time=time.time)
    monkeypatch.setattr("mmm.process.job_files.time", clock)
    folder.lock()
    folder.keep(AT_FETCH)
    for now[0], percent in ((101.0, 1), (101.9, 2)):
        folder.note(AT_FETCH, Progress("", percent=percent))
    assert watched.look().job == Job("rejoin", "db3", "fetch", 1)
    now[0] = 102.1
    folder.note(AT_FETCH, Progress("", percent=3))
    assert watched.look().job == Job("rejoin", "db3", "fetch", 3)


def _killed(folder: Path) -> None:
    tool = JobFolder(folder)
    tool.lock()
    tool.keep(AT_FETCH)
    os._exit(9)


def test_a_job_whose_process_is_dead_is_broken_off_and_can_be_gone_on_with(
    tmp_path: Path, folder: JobFolder, watched: Watched
) -> None:
    tool = get_context("fork").Process(target=_killed, args=(tmp_path / "jobs",))
    tool.start()
    tool.join()
    assert watched.look().job == Job("rejoin", "db3", "fetch", broken_off=True)
    folder.lock()
    assert watched.look().job == Job("rejoin", "db3", "fetch")


def test_who_looks_keeps_no_job_from_beginning_and_two_jobs_do_not_run(
    folder: JobFolder, watched: Watched, tmp_path: Path
) -> None:
    folder.lock()
    folder.keep(AT_FETCH)
    watched.look()
    with pytest.raises(BusyError, match=f"process {os.getpid()}"):
        JobFolder(tmp_path / "jobs").lock()


@pytest.mark.parametrize("result", Result)
def test_how_a_job_ended_is_told_for_a_while(
    folder: JobFolder, watched: Watched, result: Result, tmp_path: Path
) -> None:
    folder.lock()
    folder.keep(AT_FETCH)
    assert watched.look().job
    folder.end(replace(AT_FETCH, saved="/saved/db1-1", count=3), result, 14.0)
    assert watched.look() == Told(None, Ended(JOB.job, "rejoin", "db3", result, 14.0, 3, "/saved/db1-1"))
    long_ago = time.time() - 2 * job_files.TOLD
    os.utime(tmp_path / "jobs" / f"{JOB.job}.done", (long_ago, long_ago))
    assert Watched(tmp_path / "jobs").look() == Told()


def test_damaged_files_keep_the_host_out_all_the_same(
    folder: JobFolder, watched: Watched, tmp_path: Path
) -> None:
    folder.lock()
    folder.keep(AT_FETCH)
    (tmp_path / "jobs" / f"{JOB.job}.json").write_bytes(b"\xff{")
    (tmp_path / "jobs" / "progress").write_text("[]")
    assert watched.look().job == Job("rejoin", "", "")
