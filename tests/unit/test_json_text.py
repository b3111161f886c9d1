"""JSON of peers and files: whatever it says, it ends no daemon, and what is made of it can be written down."""

import json
from pathlib import Path

import pytest

from mmm.agent.decide.held_lease import begun
from mmm.doctor.look import LookError, decoded
from mmm.monitor.report import history
from mmm.process.job_files import ENDED, LOCK, OPEN, Told, Watched
from mmm.wire import agent as wire
from mmm.wire import memory
from mmm.wire.job import Job, ended_fields, job_fields, job_in
from mmm.wire.json_text import parsed
from tests.unit.worlds import CLOCK

DEEP = "[" * 100_000
HUGE = "1" + 400 * "0"
NOTHING = (DEEP, HUGE, "1e999", "-1e999", "NaN", "Infinity", "[1, -Infinity]", "", "{", "'a'")


@pytest.mark.parametrize("text", NOTHING)
def test_what_nobody_can_count_with_is_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parsed(text)


def test_half_a_character_can_be_written_down() -> None:
    assert parsed('{"\\ud800": ["a\\uDFFFb", 1, null, 1.5]}') == {"\ufffd": ["a\ufffdb", 1, None, 1.5]}
    assert parsed('["\\ud83d\\ude00", "\\u00e4"]') == ["\U0001f600", "\u00e4"]
    assert parsed(b'"a\xffb"') == "a\ufffdb"


@pytest.mark.parametrize("clock", [HUGE, "1e999", "NaN", '"1"', DEEP])
def test_a_look_of_another_host_that_makes_no_sense_is_none(clock: str) -> None:
    with pytest.raises(LookError):
        decoded(f'{{"clock": {clock}}}')


def test_what_another_host_tells_the_doctor_can_be_printed() -> None:
    assert decoded('{"unwritable": ["/run\\ud800"]}').unwritable == ("/run\ufffd",)


def test_what_another_monitor_remembers_can_be_counted_with_and_written_down() -> None:
    said = '{"epoch": "e\\ud800", "status": "s", "flaps": {%s}, "history": ["\\udfff"]}'
    assert memory.decoded(said % '"db1": [NaN, 1, false]') is None
    found = memory.decoded(said % "")
    assert found is not None
    assert (found.epoch, found.history) == ("e\ufffd", ("\ufffd",))


def test_a_history_with_half_a_character_is_shown() -> None:
    line = '{"at": 1.0, "text": "lost \\ud800", "cause": "", "steps": [], "took": null}\n'
    assert "lost \ufffd" in history.shown(history.decode(line), CLOCK).encode().decode()


def told(folder: Path, name: str, text: str) -> Told:
    (folder / LOCK).touch()
    (folder / name).write_text(text)
    return Watched(folder).look()


@pytest.mark.parametrize("donor", ["db|2", "db2\n", "\ud800", "d:b", "x" * 300, 17, None])
def test_a_job_whose_files_are_damaged_is_still_one_and_every_answer_can_be_given(
    tmp_path: Path, donor: object
) -> None:
    found = told(tmp_path, f"x{OPEN}", json.dumps({"begun": "copy", "donor": donor}))
    line = wire.encode_reply(wire.Reply("OK: Pinged!", job_fields(found.job)))
    job = job_in(wire.decode_reply(line))
    assert job is not None
    assert job.broken_off


@pytest.mark.parametrize("name", [f"x{OPEN}", f"x{ENDED}"])
@pytest.mark.parametrize("text", [DEEP, "[]", "NaN"])
def test_a_jobs_file_that_makes_no_sense_ends_nothing(tmp_path: Path, name: str, text: str) -> None:
    found = told(tmp_path, name, text)
    assert found.ended is None
    assert found.job is None or found.job == Job("rejoin", "", "", broken_off=True)


@pytest.mark.parametrize("seconds", ["1e999", HUGE, "NaN", "null"])
def test_the_end_of_a_job_that_took_no_time_that_can_be_is_not_told(tmp_path: Path, seconds: str) -> None:
    text = f'{{"job": "j", "donor": "db2", "result": "done", "seconds": {seconds}, "count": 1, "saved": ""}}'
    assert ended_fields(told(tmp_path, f"x{ENDED}", text).ended) == ()


@pytest.mark.parametrize(
    "kept",
    [
        DEEP,
        f'{{"boot": "b", "promised": {HUGE}}}',
        '{"boot": "b", "promised": NaN}',
        '{"boot": "b", "promised": 0, "to": {"db2": [NaN, ""]}}',
    ],
)
def test_promises_that_cannot_be_read_are_ones_that_may_have_been_given(kept: str) -> None:
    held = begun(10.0, "b", 1000.0, kept, ran='{"boot": "b", "at": 900.0, "length": 10.0}')
    assert held.bound(1010.0)
    assert not held.bound(1011.0)
