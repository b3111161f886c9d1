"""A rejoin goes on where it was: anew before the swap, by its list in it, with what is left after it."""

import pytest

from mmm.tools.rejoin.journal import ORDER, Journal, JournalError, Step, decode, encode

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
    assert [step for step in ORDER if at(step).revocable] == list(ORDER[: ORDER.index(Step.NUMBERS)])


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", encode(JOB).replace('"format": 1', '"format": 2')])
def test_a_journal_that_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(JournalError):
        decode(text)
