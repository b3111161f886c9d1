"""What an agent tells of the jobs of its host is read as it was meant, and disturbs nobody who does not know of it."""

from dataclasses import replace

import pytest

from mmm.config.model import Vip
from mmm.wire.agent import Reply, decode_reply, encode_reply
from mmm.wire.job import Ended, Job, Result, ended_fields, ended_in, job_fields, job_in
from mmm.wire.status import (
    Status,
    SystemStatus,
    agent_status,
    agent_status_fields,
    system_status,
    system_status_fields,
)

RUNS = Job("rejoin", "db3", "fetch", 58, 4.0)
DONE = Ended("db1-20261129-041500", "rejoin", "db3", Result.DONE, 14.05, 3, "/var/lib/mysql-mmm/saved/db1-1")


def sent(*fields: str, text: str = "OK: Returning status!", why: str = "") -> Reply:
    """Return the answer as it arrives."""
    return decode_reply(encode_reply(Reply(text, fields, 9.5, "aa.7.3", why)))


@pytest.mark.parametrize(
    "job",
    [
        RUNS,
        Job("rejoin", "db3", "freeze"),
        Job("rejoin", "", ""),
        Job("rejoin", "db-3.example", "catch_up", 0, 0.0),
        Job("rejoin", "db3", "swap", broken_off=True),
        None,
    ],
)
def test_a_job_is_read_as_it_was_told(job: Job | None) -> None:
    assert job_in(sent(*job_fields(job))) == job


@pytest.mark.parametrize(
    "ended",
    [
        DONE,
        replace(DONE, result=Result.LEFT),
        replace(DONE, result=Result.TAKEN_BACK, count=0, folder=""),
        None,
    ],
)
def test_the_end_of_a_job_is_read_as_it_was_told(ended: Ended | None) -> None:
    assert ended_in(sent(*ended_fields(ended))) == ended


def test_it_stands_before_the_token_and_the_code_of_an_error() -> None:
    line = encode_reply(Reply("ERROR: no", job_fields(RUNS), 9.5, "aa.7.3", "being_rebuilt"))
    assert line == b"ERROR: no|JOB:rejoin:db3:fetch:58:4|WHY:being_rebuilt|T:aa.7.3|UP:9.50\n"


def test_who_reads_a_status_by_the_place_of_its_fields_finds_them_where_they_were() -> None:
    told = (*job_fields(RUNS), *ended_fields(DONE))
    status = Status("AWAITING_RECOVERY", (), "db2")
    assert agent_status(sent(*agent_status_fields(status), *told)) == status
    system = SystemStatus(writable=False, vips=(Vip("reader", "10.0.0.90"),), source_ip="10.0.0.2")
    assert system_status(sent(*system_status_fields(system), *told)) == system


@pytest.mark.parametrize(
    "field", ["JOB:rejoin", "JOB:rejoin:db3:fetch:999999:4", "JOB:a|b", "ENDED:x:rejoin:db3:eaten:1:1:"]
)
def test_what_another_version_may_say_is_passed_over(field: str) -> None:
    reply = Reply("OK", (field,))
    assert (job_in(reply), ended_in(reply)) == (None, None)
