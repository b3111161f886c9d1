"""A copy that has no room beside the old data takes their place: with permission, once all that could stop it is known.

The disk is as large as a test says; the servers, their files and their removal are real.
"""

import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.mysql.session.connection import MysqlError
from mmm.process.old_data import GOING, is_of_a_job, taken
from mmm.tools.fetch.own_files import KEYS
from mmm.tools.provider import room
from mmm.tools.provider.sides import look
from mmm.tools.provider.table import Choice
from mmm.tools.rejoin import in_place, swap, ways
from mmm.tools.rejoin.copying import Copying
from mmm.tools.rejoin.journal import COPYING, IN_PLACE, ORDER, Journal, Step, decode, encode
from mmm.tools.rejoin.old_server import OldServer
from mmm.tools.rejoin.plan import copies, left
from mmm.tools.rejoin.remains import Remains, left_as_it_is
from mmm.tools.rejoin.run import Ended, Status, run
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.rejoin.steps import Steps
from mmm.wire.rejoin import CLONE
from tests.unit.test_rejoin_steps import Died, Pair, died, pair, pair_of, until_it_died, wait
from tests.unit.test_tools_provider import mysql, side
from tests.unit.trio import insert, rows_of

__all__ = ["pair"]

pytestmark = pytest.mark.mysql

JOB = Journal(
    "db1-1", "db1", "db3", "db2", "/d", "/d.mmm-new-db1-1", "/d.mmm-old-db1-1", running=True, way=CLONE
)
OLD = OldServer(
    ("/usr/sbin/mariadbd",), ("systemctl", "{}", "mariadb.service"), log_index="/var/log/mysql/bin.index"
)
STEPS = tuple(step for step in ORDER if step not in {Step.PROVE, Step.UNDO})


def at(step: Step) -> Journal:
    """Return a job in place, whose old data have to go, at the moment in which it does this step."""
    journal = replace(JOB, in_place=True)
    for each in STEPS[: STEPS.index(step) + 1]:
        if each is Step.EMPTY:
            journal = replace(journal, emptied=True)
        journal = journal.begin(each)
        if each is Step.ROOM:
            journal = replace(journal, old_server=OLD)
        if each is not step:
            journal = journal.finish(each)
    return journal


# --- what the journal says


def test_old_data_are_removed_where_that_is_permitted_and_they_are_in_the_way() -> None:
    assert not IN_PLACE & set(JOB.following)
    permitted = replace(JOB, in_place=True)
    assert IN_PLACE & set(permitted.following) == {Step.ROOM}
    assert permitted.begin(Step.ROOM).finish(Step.ROOM).following == permitted.following, "there is room"
    assert replace(permitted, old_server=OLD).following == STEPS
    assert not IN_PLACE & set(replace(JOB, old_server=OLD).following), (
        "an earlier run had permission, this one has not"
    )
    assert IN_PLACE < COPYING, "a rewind needs no room"


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_taken_back_once_the_old_data_are_being_removed(step: Step) -> None:
    journal = at(step)
    assert journal.revocable == (STEPS.index(step) < STEPS.index(Step.EMPTY))
    assert journal.leavable == (STEPS.index(step) > STEPS.index(Step.SWAP))
    assert decode(encode(journal)) == journal


@pytest.mark.parametrize(
    ("step", "first"),
    [
        (Step.ROOM, Step.FREEZE),
        (Step.EMPTY, Step.EMPTY),
        (Step.FETCH, Step.FETCH),
        (Step.STOP, Step.FETCH),
        (Step.SWAP, Step.SWAP),
        (Step.START, Step.START),
    ],
)
def test_it_goes_on_behind_what_was_saved_without_permission_too(step: Step, first: Step) -> None:
    """Whoever goes on with it may be the agent, by the monitor's order; nothing more is removed by that."""
    again = replace(at(step).again(), in_place=step is Step.ROOM)
    assert again.following == STEPS[STEPS.index(first) :]
    assert again.by_copy(clean=True).following == again.following or step in {Step.SWAP, Step.START}
    assert again.old_server == at(step).old_server


def test_what_is_said_of_it_at_the_end_names_no_folder_that_is_not_there() -> None:
    ended = replace(at(Step.CATCH_UP), old="", expires="10.0.0.1:3306", saved="/saved")
    assert left(ended, 7) == "Its old data were removed: there was no room beside them."
    assert "Its old binary log is in /log, kept for 7 days." in left(replace(ended, old_log="/log"), 7)
    lines = "\n".join(left_as_it_is(ended, Remains("0-2-7", "")))
    assert "what it had before is removed" in lines
    assert "mmm-old" not in lines


def test_only_ways_that_need_no_server_here_are_left_and_are_fit_for_the_one_that_was() -> None:
    def fit(choice: Choice) -> list[str]:
        return [provider.name for provider in choice.fit]

    assert fit(ways.without_server(side("db1"), side("db2"), ())) == ["mariadb-backup", "dump"]
    assert fit(ways.without_server(None, side("db2"), ())) == ["mariadb-backup", "dump"]
    other_pages = ways.without_server(side("db1", page_size=4096), side("db2"), ())
    assert fit(other_pages) == []
    assert {"mariadb-backup", "dump"} <= dict(other_pages.reasons).keys()
    assert fit(ways.without_server(mysql("db1"), mysql("db2"), ())) == ["clone-plugin", "dump"]


# --- on real servers


def small(pair: Pair, monkeypatch: pytest.MonkeyPatch, *, short: bool = False) -> None:
    """Have a disk that has room for the old data or for a copy; `short`: not even for a copy alone."""
    with pair.db2.connect() as there:
        size = there.ask(look(there, "db2")).size
    whole = room.needed(size) + (-1 if short else 1) * 10_000_000
    places = [pair.datadir, pair.datadir.with_name(f"data.mmm-old-db1-1{GOING}")]
    monkeypatch.setattr(room, "free", lambda _: max(0, whole - sum(map(taken, places))))
    monkeypatch.setattr(
        "mmm.tools.rejoin.in_place.taken", lambda path: min(taken(path), whole) if path.exists() else 0
    )


def prepared(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk small, and dumps allowed, which need no agent."""
    pair.folder.lock()
    small(pair, monkeypatch)
    conf = replace(pair.conf, transfer="plain", providers=("dump",))
    monkeypatch.setattr(Pair, "conf", property(lambda _: conf))


def permitted(pair: Pair) -> Journal:
    return replace(pair.journal(), in_place=True)


def job(pair: Pair, journal: Journal, **more: object) -> Ended:
    steps = pair.steps(**more)
    try:
        return run(steps, pair.folder, journal, pair.said.append)
    finally:
        steps.close()


def is_whole(pair: Pair, ended: Ended) -> None:
    """See that the host is back, and that nothing of its old data is left."""
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert rows_of(pair.db1) == rows_of(pair.db2) == ["both", "newer"]
    assert not ended.journal.old
    kept = {path.name for path in pair.datadir.parent.glob("*.mmm-*")}
    assert kept <= {Path(ended.journal.old_log).name}
    assert [entry for entry in pair.datadir.iterdir() if is_of_a_job(entry.name)] == []


def test_without_permission_it_is_refused_and_the_permission_is_named(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    copying = Copying(pair.conf, pair.said.append)
    ended = job(pair, pair.journal(), copy=copying)
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.FETCH)
    assert " are free, the data of db2 need " in ended.why
    assert "`mmm_rejoin --in-place db1` removes the old data before it makes the copy" in ended.why
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]
    assert "mmm_rejoin --in-place db1" in "\n".join(copies(pair.conf, pair.journal()))
    small(pair, monkeypatch, short=True)
    ended = job(pair, pair.journal(), copy=copying)
    assert "--in-place" not in ended.why
    assert "without the old data " in ended.why


def test_the_old_data_go_and_the_copy_comes_in_their_place(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    pair.datadir.chmod(0o750)
    (pair.datadir / KEYS[0]).write_bytes(b"of this host")
    free: list[bool] = []

    def copy(journal: Journal) -> Journal:
        free.append(not in_place.lack(journal, ways.giving(pair.conf, "db2").size))
        assert [path.name for path in pair.datadir.iterdir()] == [KEYS[0]]
        assert (pair.datadir / KEYS[0]).read_bytes() == b"of this host"
        assert stat.S_IMODE(pair.datadir.stat().st_mode) == 0o750
        return pair.copy(journal)

    ended = job(pair, permitted(pair), copy=copy)
    is_whole(pair, ended)
    assert free == [True]
    assert set(STEPS) <= set(ended.journal.done)
    insert(pair.db2, "later")
    pair.db1.wait_for_rows("SELECT 1 FROM shop.orders WHERE what='later'")


def test_where_there_is_room_the_old_data_are_kept(pair: Pair) -> None:
    pair.folder.lock()
    ended = job(pair, permitted(pair))
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert Step.EMPTY not in ended.journal.done
    assert (Path(ended.journal.old) / "shop/orders.ibd").is_file()


AFTER = STEPS[STEPS.index(Step.ROOM) : STEPS.index(Step.NUMBERS)]


@pytest.mark.parametrize("last", AFTER)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_same_job_goes_on_wherever_the_program_died(
    pair: Pair, last: Step, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    opened = died(pair, permitted(pair), last, when, monkeypatch)
    again = opened.again()
    assert again.emptied == (last is not Step.ROOM)
    is_whole(pair, job(pair, replace(again, in_place=last is Step.ROOM)))


@pytest.mark.parametrize("word", ["permitted", "not permitted"])
def test_who_died_once_the_server_was_stopped_has_removed_nothing(
    pair: Pair, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)

    def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(in_place, "log_moves", dies)
        steps = pair.steps()
        with pytest.raises(Died):
            run(steps, pair.folder, permitted(pair), pair.said.append)
        steps.close()
    assert not pair.control.processes()
    opened = pair.folder.open_job()
    assert opened is not None
    known, again = opened.old_server, opened.again()
    assert known is not None
    assert again.revocable
    if word == "permitted":
        ended = job(pair, again)
        is_whole(pair, ended)
        assert ended.journal.old_server == known, "what the server said while it ran"
        return
    ended = job(pair, replace(again, in_place=False), copy=Copying(pair.conf, pair.said.append))
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.FETCH)
    wait(lambda: rows_of(pair.db1) == ["alone", "alone too", "both"])


def inside(pair: Pair) -> Journal:
    """Return a job whose copy is made in the data folder, as in one that is a mount point."""
    staging, old = swap.places(pair.datadir, "db1-1", inside=True)
    return replace(permitted(pair), staging=str(staging), old=str(old))


def in_the_middle(pair: Pair, monkeypatch: pytest.MonkeyPatch, where: str, journal: Journal) -> Journal:
    """Have the program end in the middle of the removal, and return what the disk says of the job."""
    removes, renames = shutil.rmtree, swap.perform

    def half_removed(folder: Path) -> None:
        if str(folder).endswith(GOING):
            for path in sorted(folder.rglob("*.ibd")):
                path.unlink()
            raise Died
        removes(folder)

    def half_moved(moves: swap.Moves) -> None:
        if len(moves) > 1:
            renames(moves[: len(moves) // 2])
            raise Died
        renames(moves)

    def moved(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        match where:
            case "half removed":
                patched.setattr("mmm.tools.rejoin.in_place.shutil.rmtree", half_removed)
            case "half moved":
                patched.setattr("mmm.tools.rejoin.in_place.swap.perform", half_moved)
            case "no folder yet":
                patched.setattr(in_place, "_make_like", moved)
        opened = until_it_died(pair, journal)
    assert opened.begun is Step.EMPTY
    assert not opened.revocable
    return opened


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("half removed", "beside"),
        ("no folder yet", "beside"),
        ("half removed", "inside"),
        ("half moved", "inside"),
    ],
)
def test_no_server_starts_on_half_of_the_data_and_the_same_job_goes_on(
    pair: Pair, where: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    (pair.datadir / KEYS[0]).write_bytes(b"of this host")
    opened = in_the_middle(pair, monkeypatch, where, inside(pair) if place == "inside" else permitted(pair))
    if pair.datadir.exists():
        pair.control.start()
        wait(lambda: not pair.control.processes())
        with pytest.raises(MysqlError):
            pair.db1.connect()

    def copy(journal: Journal) -> Journal:
        assert (pair.datadir / KEYS[0]).read_bytes() == b"of this host"
        Path(journal.staging).parent.mkdir(exist_ok=True)
        return pair.copy(journal)

    is_whole(pair, job(pair, replace(opened.again(), in_place=False), copy=copy))


def test_tables_that_somebody_has_put_into_the_empty_folder_are_kept(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    opened = died(pair, permitted(pair), Step.FETCH, "before", monkeypatch)
    (pair.datadir / "shop").mkdir()
    (pair.datadir / "shop/restored.ibd").write_bytes(b"by hand")
    opened = died(pair, opened.again(), Step.FETCH, "after", monkeypatch)
    ended = job(pair, opened.again())
    assert (ended.status, ended.why) == (Status.DONE, "")
    assert (Path(ended.journal.old) / "shop/restored.ibd").read_bytes() == b"by hand"


def test_a_copy_that_fails_leaves_the_job_half_done(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(pair, monkeypatch)

    def fails(_: Journal) -> Journal:
        raise StepError("db2 is gone")

    ended = job(pair, permitted(pair), copy=fails)
    assert (ended.status, ended.failed, ended.why) == (Status.HALF_DONE, Step.FETCH, "db2 is gone")
    opened = pair.folder.open_job()
    assert opened is not None
    assert not opened.revocable
    assert not opened.leavable
    is_whole(pair, job(pair, opened.again()))


def _saved_inside(pair: Pair, patched: pytest.MonkeyPatch) -> None:
    conf = replace(pair.conf, saved_dir=str(pair.datadir / "saved"))
    patched.setattr(Pair, "conf", property(lambda _: conf))


def _no_way(pair: Pair, patched: pytest.MonkeyPatch) -> None:
    conf = replace(pair.conf, transfer="auto")
    patched.setattr(Pair, "conf", property(lambda _: conf))


def _donor_asks_for_more(pair: Pair, patched: pytest.MonkeyPatch) -> None:
    small(pair, patched, short=True)


def _mounted(_: Pair, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(in_place, "mounted_below", lambda folder: f"{folder}/shop")


@pytest.mark.parametrize(
    ("against", "why"),
    [
        (_saved_inside, "is in it, and would be removed, too"),
        (_no_way, "no copy could be made once the old data are gone: dump: a dump would come without TLS"),
        (_donor_asks_for_more, "too little as well for the "),
        (_mounted, "data/shop is mounted in it"),
    ],
)
def test_what_is_against_it_is_found_before_anything_is_removed(
    pair: Pair, against: Callable[[Pair, pytest.MonkeyPatch], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(pair, monkeypatch)
    against(pair, monkeypatch)
    ended = job(pair, permitted(pair))
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.ROOM)
    assert why in ended.why
    assert rows_of(pair.db1) == ["alone", "alone too", "both"]


def test_a_server_that_has_come_up_since_it_was_saved_keeps_its_data(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was down, and may have got more than its log had then."""
    prepared(pair, monkeypatch)
    pair.control.stop()
    room_of = Steps._room

    def started(self: Steps, journal: Journal) -> Journal:
        journal = room_of(self, journal)
        pair.control.start()
        return journal

    monkeypatch.setattr(Steps, "_room", started)
    monkeypatch.setattr("mmm.tools.rejoin.in_place.stage.server_of", lambda _: (str(pair.db1.kind.binary),))
    ended = job(pair, permitted(pair))
    assert (ended.status, ended.failed) == (Status.TAKEN_BACK, Step.EMPTY)
    assert "has started meanwhile" in ended.why
    assert (pair.datadir / "shop/orders.ibd").is_file()


def test_a_log_that_is_elsewhere_is_put_aside_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with pair_of(tmp_path, f"--log-bin={logs}/bin") as pair:
        prepared(pair, monkeypatch)
        ended = job(pair, permitted(pair))
        is_whole(pair, ended)
        kept = Path(ended.journal.old_log)
        assert kept.parent == tmp_path
        assert b"alone too" in b"".join(path.read_bytes() for path in kept.iterdir())
