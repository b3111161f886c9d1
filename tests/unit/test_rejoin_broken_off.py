"""A rejoin that is stopped in its tracks: what was stopped runs again, and nothing is copied that need not be."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mmm.tools.rejoin import steps as steps_module
from mmm.tools.rejoin.journal import Journal, Step
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.run import Status, run, take_back
from mmm.tools.rejoin.steps import Steps
from mmm.tools.rejoin.texts import STEPS
from mmm.wire.rejoin import REWIND
from tests.unit.test_rejoin_steps import Died, Pair, by_script, pair, wait
from tests.unit.trio import insert, rows_of

__all__ = ["pair"]

pytestmark = pytest.mark.mysql


def status_of(pair: Pair, column: str) -> str:
    with pair.db1.connect() as here:
        return str(here.query("SHOW SLAVE STATUS")[0][column])


def replicates(pair: Pair) -> bool:
    return (status_of(pair, "Slave_IO_Running"), status_of(pair, "Slave_SQL_Running")) == ("Yes", "Yes")


@pytest.fixture
def replicating(pair: Pair) -> Pair:
    pair.db1.run("DELETE FROM shop.orders WHERE what LIKE 'alone%'", "START SLAVE")
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='newer'")
    assert replicates(pair)
    pair.folder.lock()
    return pair


def test_a_freeze_that_fails_has_replication_run_as_before(
    replicating: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table is locked, which a lock on all tables waits for."""
    monkeypatch.setattr(steps_module, "FREEZE_LIMIT", 0.5)
    with replicating.db1.connect() as other:
        other.execute("LOCK TABLES shop.orders WRITE")
        ended = run(replicating.steps(), replicating.folder, replicating.journal(), replicating.said.append)
        assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.FREEZE)
        wait(lambda: replicates(replicating))


def test_a_freeze_in_which_the_program_died_is_taken_back_later(
    replicating: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(server: object) -> None:
        raise Died

    monkeypatch.setattr(Steps, "_stands_still", staticmethod(dies))
    steps = replicating.steps()
    with pytest.raises(Died):
        run(steps, replicating.folder, replicating.journal(), replicating.said.append)
    steps.close()
    opened = replicating.folder.open_job()
    assert opened is not None
    assert status_of(replicating, "Slave_SQL_Running") == "No"
    status = take_back(replicating.steps(), replicating.folder, opened, replicating.said.append)
    assert status is Status.TAKEN_BACK
    wait(lambda: replicates(replicating))


def test_a_server_whose_replication_was_stopped_stays_so(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps_module, "FREEZE_LIMIT", 0.5)
    pair.db1.run("STOP SLAVE")
    pair.folder.lock()
    with pair.db1.connect() as other:
        other.execute("LOCK TABLES shop.orders WRITE")
        ended = run(pair.steps(), pair.folder, pair.journal(), pair.said.append)
    assert ended.status is Status.TAKEN_BACK
    assert status_of(pair, "Slave_SQL_Running") == "No"


class Failing(JobFolder):
    """Has the disk full, or a signal come, when a journal is kept that is before or after a step; once or always."""

    def __init__(self, folder: JobFolder, step: Step, when: str, error: BaseException, *, once: bool) -> None:
        super().__init__(folder.path)
        self.step, self.when, self.error, self.once = step, when, error, once
        self.failed = 0

    def keep(self, journal: Journal) -> None:
        at = "after" if self.step in journal.done else "before"
        if journal.begun is self.step and at == self.when and not (self.once and self.failed):
            self.failed += 1
            raise self.error
        super().keep(journal)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/mmm/job.new")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL], ids=["a signal", "a full disk"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", [Step.FETCH, Step.STOP, Step.SWAP])
def test_a_journal_that_cannot_be_kept_before_the_server_has_started_has_all_taken_back(
    pair: Pair, step: Step, when: str, error: BaseException
) -> None:
    folder = Failing(pair.folder, step, when, error, once=True)
    folder.lock()
    ended = run(pair.steps(), folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, step)
    assert "\n" not in ended.why
    assert ("interrupted" in ended.why) == isinstance(error, KeyboardInterrupt)
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]
    assert folder.open_job() is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FULL], ids=["a signal", "a full disk"])
@pytest.mark.parametrize("step", [Step.START, Step.CATCH_UP])
def test_a_journal_that_cannot_be_kept_later_leaves_a_job_that_is_gone_on_with(
    pair: Pair, step: Step, error: BaseException
) -> None:
    folder = Failing(pair.folder, step, "after", error, once=False)
    folder.lock()
    ended = run(pair.steps(), folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.HALF_DONE, step)
    opened = pair.folder.open_job()
    assert opened is not None
    assert run(pair.steps(), pair.folder, opened.again(), pair.said.append).status is Status.DONE
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]


def test_a_signal_as_the_end_of_undoing_is_written_down_costs_no_copy(pair: Pair) -> None:
    folder = Failing(pair.folder, Step.UNDO, "after", KeyboardInterrupt(), once=True)
    folder.lock()
    ended = run(pair.steps(), folder, pair.journal(way=""), pair.said.append)
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.UNDO)
    opened = folder.open_job()
    assert opened is not None
    ended = run(pair.steps(), folder, opened.again(), pair.said.append)
    assert (ended.status, ended.journal.way, Step.FETCH in ended.journal.done) == (Status.DONE, REWIND, False)


def test_what_cannot_be_written_down_as_taken_back_is_half_done(pair: Pair) -> None:
    """The old data are where they were, or the journal says that they are put back: nobody takes them for the copy."""
    folder = Failing(pair.folder, Step.SWAP, "before", FULL, once=False)
    folder.lock()
    ended = run(pair.steps(), folder, pair.journal(), pair.said.append)
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.SWAP)
    assert "No space left on device" in pair.said[-1]
    opened = pair.folder.open_job()
    assert opened is not None
    assert take_back(pair.steps(), pair.folder, opened, pair.said.append) is Status.TAKEN_BACK
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]


def of_a_source_that_restarts(pair: Pair) -> Iterator[None]:
    """Have db2 stopped once db1 lacks some of it, and started again when the tool has looked at that."""
    pair.db1.run("STOP SLAVE SQL_THREAD")
    insert(pair.db2, "later")
    control = by_script(pair.db2)
    wait(lambda: status_of(pair, "Slave_IO_Running") == "Yes")
    yield
    control.stop()
    wait(lambda: status_of(pair, "Last_IO_Errno") != "0")
    yield
    yield
    control.start()
    pair.db1.run("START SLAVE SQL_THREAD")
    while True:
        yield


def told_on(story: Iterator[None]) -> Callable[[str], None]:
    """Return who hears what the tool says, and goes on with the story at each look of the host that catches up."""

    def say(text: str) -> None:
        if text.startswith((f"{STEPS[Step.CATCH_UP]} …", "catching up:")):
            next(story)

    return say


def test_a_source_that_restarts_while_a_host_catches_up_after_a_rewind_costs_no_copy(pair: Pair) -> None:
    pair.folder.lock()
    story = of_a_source_that_restarts(pair)

    say = told_on(story)
    ended = run(pair.steps(say=say), pair.folder, pair.journal(way=""), say)
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert (ended.journal.way, Step.FETCH in ended.journal.done) == (REWIND, False)
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "later", "newer"]


def test_a_source_that_stays_away_leaves_the_rewind_half_done_and_the_same_job_goes_on(pair: Pair) -> None:
    pair.folder.lock()
    story = of_a_source_that_restarts(pair)

    say = told_on(story)
    steps = pair.steps(say=say, reconnect_limit=-1.0)
    ended = run(steps, pair.folder, replace(pair.journal(way=""), method=REWIND), say)
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.CATCH_UP)
    assert "does not get on behind db2" in ended.why

    def hear(text: str) -> None:
        if text.startswith("waiting for db2: "):
            next(story)
            next(story)
        pair.said.append(text)

    opened = pair.folder.open_job()
    assert opened is not None
    ended = run(pair.steps(say=hear), pair.folder, opened.again(), hear)
    assert (ended.status, ended.journal.way) == (Status.DONE, REWIND)
    assert any(text.startswith("waiting for db2: ") for text in pair.said)
