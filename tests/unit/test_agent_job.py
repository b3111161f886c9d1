"""An agent on whose host a job is open tells of it, and does not become the writer."""

from pathlib import Path

import pytest

from mmm.process import job_files
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.wire.agent import decode_reply
from mmm.wire.job import Job, Result, ended_in, job_in
from tests.unit.agents import MONITOR, READER, ROLE, WRITER, Rig, running

JOB = Journal("db1-20261129-041500", "db1", "db3", "db2", "/d", "/d.mmm-new", "/d.mmm-old").begin(Step.FETCH)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    where = tmp_path / "jobs"
    monkeypatch.setattr(job_files.Watched.__init__, "__defaults__", (where,))
    return JobFolder(where)


async def ping(rig: Rig) -> Job | None:
    return job_in(decode_reply(await rig.agent.answer(b"PING|1|db1", MONITOR)))


async def test_the_writer_role_is_refused_by_a_code_until_the_job_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: JobFolder
) -> None:
    folder.lock()
    folder.keep(JOB)
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert await ping(rig) == Job("rejoin", "db3", "fetch")
        refused = await rig.order(f"{ROLE},reader({READER})")
        assert (refused.ok, refused.why, job_in(refused)) == (False, "being_rebuilt", await ping(rig))
        assert (rig.machine.addresses, rig.machine.writable) == ({READER}, False)
        folder.end(JOB, Result.DONE, 14.0)
        taken = await rig.order(ROLE)
        assert (taken.ok, job_in(taken)) == (True, None)
        assert (WRITER in rig.machine.addresses, rig.machine.writable) == (True, True)
        ended = ended_in(taken)
        assert ended is not None
        assert (ended.name, ended.result, ended.seconds) == (JOB.job, Result.DONE, 14.0)


async def test_a_job_that_begins_while_the_host_is_the_writer_takes_nothing_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: JobFolder
) -> None:
    async with running(tmp_path, monkeypatch, stands_still=True) as rig:
        assert (await rig.order(ROLE)).ok
        folder.lock()
        folder.keep(JOB)
        kept = await rig.order(ROLE)
        assert (kept.ok, job_in(kept)) == (True, Job("rejoin", "db3", "fetch"))
        assert (rig.machine.addresses, rig.machine.writable) == ({WRITER}, True)
