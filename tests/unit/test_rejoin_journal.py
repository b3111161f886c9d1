"""A rejoin goes on where it was: anew before the swap, by its list in it, with what is left after it."""

from dataclasses import replace

import pytest

from mmm.tools.rejoin import job
from mmm.tools.rejoin.journal import COPYING, IN_PLACE, Journal, JournalError, Step, decode, encode
from mmm.tools.rejoin.run import Ended, Status
from mmm.wire.rejoin import REWIND

ORDER = tuple(step for step in Step if step not in IN_PLACE)
"""Of a job that removes nothing."""
JOB = Journal("db1-20261129-041500", "db1", "db3", "db2", "/d", "/d.mmm-new", "/d.mmm-old", running=True)


def at(step: Step) -> Journal:
    """Return the job at the moment in which it does this step."""
    journal = JOB
    for done in ORDER[: ORDER.index(step)]:
        journal = journal.begin(done).finish(done)
    return journal.begin(step)


@pytest.mark.parametrize("step", ORDER)
def test_what_is_read_is_what_was_written(step: Step) -> None:
    journal = at(step)
    assert decode(encode(journal)) == journal


@pytest.mark.parametrize("step", [Step.FREEZE, Step.SAVE, Step.FETCH, Step.STOP])
def test_before_the_swap_it_begins_anew_since_nothing_has_changed(step: Step) -> None:
    again = at(step).again()
    assert again.following == ORDER
    assert (again.job, again.running) == (JOB.job, True)


def test_a_swap_is_finished_first() -> None:
    assert at(Step.SWAP).again().following == ORDER[ORDER.index(Step.SWAP) :]


@pytest.mark.parametrize("step", [Step.START, Step.FOLLOW, Step.CATCH_UP, Step.NUMBERS])
def test_after_the_swap_what_was_done_stays_done(step: Step) -> None:
    assert at(step).again().following == ORDER[ORDER.index(step) :]


def test_it_can_be_taken_back_until_the_server_has_started_on_the_copy() -> None:
    copied = [step for step in ORDER if step is not Step.UNDO]
    assert [step for step in ORDER if at(step).revocable] == copied[: copied.index(Step.NUMBERS)]


def rewound(step: Step) -> Journal:
    """Return a job that undoes what only the host has at the moment in which it does this step."""
    journal = replace(JOB, way=REWIND)
    for done in (each for each in ORDER[: ORDER.index(step)] if each not in COPYING):
        journal = journal.begin(done).finish(done)
    return journal.begin(step)


def test_a_rewind_that_was_broken_off_while_it_undid_is_followed_by_a_copy_that_is_not_taken_back() -> None:
    again = rewound(Step.UNDO).again()
    assert again.following == tuple(step for step in ORDER if step not in {Step.PROVE, Step.UNDO})
    assert not again.revocable
    assert again.again() == again
    assert decode(encode(again)) == again


@pytest.mark.parametrize("step", [Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP])
def test_after_a_rewind_it_goes_on_where_it_was_and_copies_nothing(step: Step) -> None:
    again = rewound(step).again()
    assert again.following == ORDER[ORDER.index(step) :]
    assert not again.revocable
    assert again.by_copy(clean=False).tainted


def test_a_rewind_that_has_undone_nothing_yet_begins_anew() -> None:
    assert rewound(Step.PROVE).again().following == ORDER


def test_who_has_begun_a_copy_never_undoes() -> None:
    again = JOB.by_copy(clean=True).begin(Step.FETCH).again()
    assert Step.UNDO not in again.following
    assert again.revocable


FIRST = """\
{"format": 1, "job": "db1-20261129-041500", "host": "db1", "donor": "db3", "source": "db2", "datadir": "/d",
 "staging": "/d.mmm-new", "old": "/d.mmm-old", "running": true, "replicated": false, "saved": "", "highest": "",
 "position": "0-2-7", "moves": [["/d", "/d.mmm-old"], ["/d.mmm-new", "/d"]], "begun": "swap",
 "done": ["freeze", "save", "fetch", "stop"]}
"""
"""As the first version of the tool wrote it."""


def test_a_job_that_an_older_version_has_begun_is_gone_on_with() -> None:
    opened = decode(FIRST)
    assert opened.swapping
    assert opened.following[:2] == (Step.SWAP, Step.START)
    assert opened.finish(Step.SWAP).following == (Step.START, Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP)
    assert decode(encode(opened)) == opened


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "[" * 100_000, *(
        encode(JOB).replace(one, other)
        for one, other in (
            ('"format": 1', '"format": 2'),
            ('"running": true', '"running": "true"'),
            ('"done": []', '"done": ["later"]'),
            ('"moves": []', '"moves": [["/a"]]'),
            ('"host":', '"hosts":'),
        )
    )],
)  # fmt: skip
def test_a_journal_that_cannot_be_read_is_said(text: str) -> None:
    assert text != encode(JOB)
    with pytest.raises(JournalError):
        decode(text)


@pytest.mark.parametrize(("old", "new"), [('"format": 1', '"format": 2'), ('"job":', '"later": 1, "job":')])
def test_a_journal_of_another_version_is_no_damaged_one(old: str, new: str) -> None:
    with pytest.raises(JournalError, match=r"^it was written by another version of MMM$"):
        decode(encode(JOB).replace(old, new))


@pytest.mark.parametrize(
    ("begun", "told"),
    [
        (JOB, "run mmm_rejoin again\n"),
        (replace(JOB, method=REWIND, way=REWIND), "run mmm_rejoin again\n"),
        (
            replace(JOB, method=REWIND).by_copy(clean=False),
            "run mmm_rejoin again without --method, for a copy\n",
        ),
    ],
)
def test_whoever_is_told_to_run_it_again_is_not_refused(
    begun: Journal, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rewind that did not do is not tried again, and `--method rewind` asks for one."""
    assert job.told(Ended(Status.HALF_DONE, begun, 1.0, Step.UNDO, "so it is"), "mmm_rejoin") == 4
    assert capsys.readouterr().err.endswith(told)


@pytest.mark.parametrize("step", [Step.START, Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP])
def test_what_was_done_towards_another_active_master_is_done_anew(step: Step) -> None:
    journal = at(step)
    assert journal.towards("db2") == journal
    towards = journal.again().towards("db3")
    assert (towards.source, towards.swapped) == ("db3", True)
    first = Step.START if step is Step.START else Step.NUMBERS
    assert towards.following == ORDER[ORDER.index(first) :]
    again = rewound(Step.CATCH_UP).towards("db3")
    assert again.following == (Step.NUMBERS, Step.FOLLOW, Step.CATCH_UP)


def test_it_can_be_given_up_once_it_cannot_be_taken_back_and_its_data_are_whole() -> None:
    last = ORDER[ORDER.index(Step.NUMBERS) :]
    assert [step for step in ORDER if at(step).leavable] == list(last)
    assert [step for step in ORDER if step not in COPYING and rewound(step).leavable] == list(last)
    half_undone = rewound(Step.UNDO).again()
    assert not half_undone.leavable
    for step in ORDER[: ORDER.index(Step.START)]:
        half_undone = half_undone.begin(step).finish(step)
        assert half_undone.leavable is (step is Step.SWAP), (
            "the copy is in place, and taking back is no way any more"
        )
