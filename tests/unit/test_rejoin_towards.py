"""The active master changes, or is lost, while a job runs: there is a way out, and no wrong server is written on."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mmm.config.model import Cluster
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import start_replica
from mmm.tools.rejoin import active_master
from mmm.tools.rejoin.journal import ORDER, Journal, Step
from mmm.tools.rejoin.run import Ended, Status, leave, run
from mmm.wire.job import Result
from mmm.wire.rejoin import REWIND
from tests.servers import Server, Servers
from tests.unit.test_rejoin_steps import Pair, answers, furnish, pair_of, wait
from tests.unit.trio import insert, rows_of, source

pytestmark = pytest.mark.mysql


@dataclass
class Trio(Pair):
    """db1, which has come apart, db2, the active master when the job began, and db3, which is it from some step on."""

    db3: Server = field(kw_only=True)

    @property
    def conf(self) -> Cluster:
        conf = super().conf
        return replace(
            conf,
            hosts={**conf.hosts, "db3": replace(conf.hosts["db2"], name="db3", mysql_port=self.db3.port)},
        )

    def go(self, journal: Journal, master: str | None = None, since: Step = Step.FREEZE) -> Ended:
        """Run the job; from a step on the agent says that `master` is the active master."""
        now: list[Step] = []

        def note(journal: Journal) -> None:
            now.append(journal.begun or Step.FREEZE)
            keep(journal)

        def ask() -> str | None:
            return master if now and ORDER.index(now[-1]) >= ORDER.index(since) else "db2"

        keep = self.folder.keep
        self.folder.keep = note  # type: ignore[method-assign]
        try:
            with closing(self.steps(master=ask)) as steps:
                return run(steps, self.folder, journal, self.said.append)
        finally:
            self.folder.keep = keep  # type: ignore[method-assign]

    def result(self) -> str:
        """Return how the last job ended, as its journal says."""
        (ended,) = self.folder.path.glob("*.done")
        return str(json.loads(ended.read_text())["result"])


@pytest.fixture
def trio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trio]:
    """Give them; db3 follows db2."""
    monkeypatch.setattr(active_master, "KNOWN_LIMIT", 0.2)
    (tmp_path / "third").mkdir()
    pool = Servers(tmp_path / "third")
    try:
        with pair_of(tmp_path) as pair:
            db3 = pool.start("--log-slave-updates=1", "--server-id=3")
            furnish(db3)
            with db3.connect() as here:
                here.execute(*change_source(here.flavour, source(pair.db2), None, {"CONNECT_RETRY": 1}))
                start_replica(here)
            pair.folder.lock()
            yield Trio(pair.db1, pair.db2, pair.control, pair.folder, pair.said, db3=db3)
    finally:
        pool.stop()


def lacks_newer(trio: Trio) -> None:
    """Have db3 lack the last transaction of db2, which the copy has."""
    trio.db3.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='newer'")
    trio.db3.run("STOP SLAVE")
    insert(trio.db2, "newest")


def has_all(trio: Trio) -> None:
    trio.db3.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='newer'")


def test_a_job_whose_copy_has_what_the_new_active_master_has_follows_that_one(trio: Trio) -> None:
    has_all(trio)
    ended = trio.go(trio.journal(), "db3", Step.STOP)
    assert (ended.status, ended.why, ended.journal.source) == (Status.DONE, "", "db3")
    insert(trio.db3, "of db3")
    trio.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='of db3'")


@pytest.mark.parametrize(
    ("master", "why"),
    [
        ("db3", "db3 is the active master now, not db2, and the copy has 1 transaction (0-2-"),
        ("", "there is no active master any more, as the agent of db1 says"),
        ("db9", "db9 is the active master now, not db2, which is not in the conf"),
    ],
)
def test_a_copy_that_does_not_fit_the_active_master_of_now_does_not_take_the_place_of_the_data(
    trio: Trio, master: str, why: str
) -> None:
    lacks_newer(trio)
    ended = trio.go(trio.journal(), master, Step.STOP)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.STOP)
    assert why in ended.why
    assert rows_of(trio.db1) == ["alone", "alone too", "both"]


def test_nothing_is_undone_where_the_active_master_has_changed(trio: Trio) -> None:
    has_all(trio)
    ended = trio.go(trio.journal(way=""), "db3", Step.PROVE)
    assert (ended.status, ended.failed, ended.journal.way) == (Status.TAKEN_BACK, Step.PROVE, "")
    assert rows_of(trio.db1) == ["alone", "alone too", "both"]


def test_an_agent_that_does_not_answer_does_not_end_the_job(trio: Trio) -> None:
    ended = trio.go(trio.journal(), None, Step.STOP)
    assert (ended.status, ended.why) == (Status.DONE, "")


def test_what_was_done_towards_the_old_active_master_is_done_towards_the_new_one(trio: Trio) -> None:
    has_all(trio)
    ended = trio.go(trio.journal(), "", Step.CATCH_UP)
    assert ended.status is Status.DONE, "the last step asks nobody: what db2 had at that moment is here"
    opened = replace(ended.journal, done=ended.journal.done[:-1], result="")
    trio.db2.kill()
    ended = trio.go(opened.again().towards("db3"), "db3")
    assert (ended.status, ended.why) == (Status.DONE, "")
    trio.db3.run("STOP SLAVE")
    insert(trio.db3, "of db3")
    trio.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='of db3'")


def test_no_number_is_passed_on_a_server_that_takes_no_writes(trio: Trio) -> None:
    trio.db2.run("SET GLOBAL read_only=1")
    state = trio.db2.value("@@global.gtid_binlog_state")
    ended = trio.go(replace(trio.journal(), highest="0-1-103"))
    assert (ended.status, ended.failed) == (Status.HALF_DONE, Step.NUMBERS)
    assert "db2 takes no writes" in ended.why
    assert trio.db2.value("@@global.gtid_binlog_state") == state
    trio.db2.run("SET GLOBAL read_only=0")
    opened = trio.folder.open_job()
    assert opened is not None
    assert trio.go(opened.again()).status is Status.DONE


@pytest.mark.parametrize("way", ["copy", REWIND])
def test_a_job_that_has_more_than_the_new_active_master_is_given_up_and_the_next_one_begins_anew(
    trio: Trio, way: str
) -> None:
    lacks_newer(trio)
    trio.db2.run("SET GLOBAL read_only=1")
    broken = trio.go(replace(trio.journal(*([""] if way == REWIND else [])), highest="0-1-103"))
    assert (broken.status, broken.journal.rewound) == (Status.HALF_DONE, way == REWIND)
    if way == REWIND:  # it has got what db3 lacks some other way
        insert(trio.db1, "alone again")
    opened = trio.folder.open_job()
    assert opened is not None
    ended = trio.go(opened.again().towards("db3"), "db3")
    assert (ended.status, ended.failed, ended.left) == (Status.HALF_DONE, Step.FOLLOW, True)
    assert "refuses to follow" in ended.why
    assert trio.folder.open_job() is None
    assert trio.result() == Result.LEFT


def test_a_job_past_the_start_is_given_up_without_any_active_master_and_the_host_stays_as_it_is(
    trio: Trio,
) -> None:
    with closing(trio.steps()) as steps:
        journal = trio.journal()
        for step in ORDER[: ORDER.index(Step.START) + 1]:
            if step in journal.following:
                journal = steps.do(step, journal.begin(step)).finish(step)
        trio.folder.keep(journal)
    trio.db2.kill()
    trio.control.stop()
    journal = replace(journal, saved="/saved/db1-1", highest="0-1-103")
    with closing(trio.steps()) as steps:
        assert leave(steps, trio.folder, journal, trio.said.append) is Status.DONE
    wait(lambda: answers(trio.db1))
    assert rows_of(trio.db1) == ["both", "newer"]
    assert trio.db1.value("@@global.read_only") == "1"
    assert trio.db1.value("@@global.gtid_binlog_state"), "its log says what it goes on behind"
    assert trio.folder.open_job() is None
    assert trio.result() == Result.LEFT
    said = "\n".join(trio.said)
    assert "job db1-1 is given up: db1 stays as it is, on a copy of db2, has 0-" in said
    assert "and does not replicate" in said
    assert f"what it had before is in {journal.old}, kept for good" in said
    assert "what only it had is in /saved/db1-1" in said
    assert "up to 0-1-103 was thrown away" in said
    assert (Path(journal.old) / "shop/orders.ibd").is_file()
