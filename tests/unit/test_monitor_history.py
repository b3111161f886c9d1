import asyncio
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.clock import local_time
from mmm.monitor.act import history_file
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.decide.turn import Assigned, ModeEnded
from mmm.monitor.report import answers, history
from mmm.monitor.report.history import Entry, Ledger
from mmm.monitor.states.table import Change
from mmm.monitor.world.happened import Why
from mmm.monitor.world.host import State
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import World
from mmm.wire.status import Status
from tests.unit.worlds import (
    CLOCK,
    READER1,
    WRITER,
    because,
    with_agent,
    world,
)

LIMIT = 60.0
DEAD = Change("db1", State.ONLINE, State.HARD_OFFLINE, because("host_failed", "mysql: refused"))


TAKEN = Status("ONLINE", (WRITER,))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a turn wait for the file however slow the disk is."""
    monkeypatch.setattr(history_file, "PATIENCE", LIMIT)


def moving() -> tuple[Ledger, World]:
    """Return a ledger that knows of a move which is under way, and the world with it."""
    ledger, amid = Ledger(), with_agent(world({WRITER: "db2"}), "db2", told=Status("ONLINE"))
    ledger.assigned(amid, Assigned(WRITER, "db1", "db2"), Why("admin"), now=10.0, at=0.0)
    return ledger, amid


def test_a_failover_is_an_entry_with_its_cause_its_steps_and_how_long_it_took() -> None:
    ledger = Ledger()
    cause = history.cause_of({"db1": DEAD}, Assigned(WRITER, "db1", "db2"))
    assert ledger.assigned(world(), Assigned(WRITER, "db1", "db2"), cause, now=10.0, at=0.0) is None
    before = with_agent(world({WRITER: "db2"}), "db2", told=Status("ONLINE"))
    assert ledger.told(before, "db1", "OK", 0.012, now=10.012) == ()
    after = with_agent(before, "db2", told=Status("ONLINE", (WRITER,)))
    (entry,) = ledger.told(
        after, "db2", "OK", 0.02, now=10.04, parts=(("catch up", 0.0012), ("bind", 0.0004))
    )
    assert entry.said(CLOCK) == (
        f"{local_time(0.0)}  writer(10.0.0.80): db1 -> db2, 40 ms: db1 HARD_OFFLINE by host_failed: mysql: refused"
        " [db1 OK after 12 ms; db2 OK after 20 ms (catch up 1.2, bind 0.4)]"
    )
    assert entry.event == {"code": "moved", "fields": {"vip": str(WRITER), "source": "db1", "target": "db2"}}
    assert entry.why == {
        "code": "state",
        "fields": {
            "host": "db1",
            "state": "HARD_OFFLINE",
            "rule": "host_failed",
            "why": {"code": "host_failed", "fields": {"words": "mysql: refused"}, "text": "mysql: refused"},
        },
    }
    assert entry.orders[1] == {
        "host": "db2",
        "answer": "OK",
        "seconds": 0.02,
        "parts": {"catch up": 0.0012, "bind": 0.0004},
    }
    assert history.decode(history.encode(entry)) == (entry,)
    assert ledger.told(after, "db2", "OK", 0.02, now=11.0) == ()


def test_a_move_that_is_taken_back_says_that_the_role_stays() -> None:
    ledger, amid = moving()
    ledger.told(amid, "db1", "ERROR", 0.5, now=10.5)
    entry = ledger.assigned(world(), Assigned(WRITER, "db2", "db1"), None, now=10.6, at=0.6)
    assert entry is not None
    assert entry.text == "writer(10.0.0.80): stays with db1"
    assert entry.steps == ("db1 ERROR after 500 ms",)


def without_host(amid: World) -> World:
    return replace(amid, hosts=Hosts({name: host for name, host in amid.hosts.items() if name != "db2"}))


def without_vip(amid: World) -> World:
    return replace(amid, owner=Owners({vip: owner for vip, owner in amid.owner.items() if vip != WRITER}))


@pytest.mark.parametrize(
    "changed",
    [without_host, without_vip, lambda amid: amid.with_owner({WRITER: "db1"})],
    ids=["no host", "no VIP", "another owner"],
)
def test_a_move_that_is_none_any_more_is_forgotten(changed: Callable[[World], World]) -> None:
    """A conf was taken meanwhile: the answer to each order after that ended in an internal error."""
    ledger, amid = moving()
    assert ledger.told(changed(amid), "db3", "OK", 0.01, now=11.0) == ()
    later = with_agent(amid, "db2", told=TAKEN)
    assert ledger.told(later, "db2", "OK", 0.01, now=3600.0) == (), "it is of nothing that began then"


def test_a_monitor_that_leads_again_says_nothing_of_a_move_of_when_it_led_before(tmp_path: Path) -> None:
    """It was a move of weeks, and the history went on naming its new holder as the one who wrote last."""
    chronicle = Chronicle(tmp_path / "history", CLOCK)
    before = world()
    begun = with_agent(before.with_owner({WRITER: "db2"}), "db2", told=Status("ONLINE"))
    chronicle.commanded(before, begun)
    chronicle.go_on(())
    order = Tell("db2", 1, TAKEN, clear=False)
    chronicle.told(begun, with_agent(begun, "db2", told=TAKEN), order, 0.01, "OK")
    assert chronicle.entries == ()


def test_a_writer_that_is_lost_is_an_entry_at_once_and_readers_are_none() -> None:
    ledger = Ledger()
    lost = ledger.assigned(world(), Assigned(WRITER, "db1", None), None, now=1.0, at=1.0)
    assert lost is not None
    assert lost.text == "writer(10.0.0.80): db1 -> nobody"
    assert ledger.assigned(world(), Assigned(READER1, "db1", "db2"), None, now=1.0, at=1.0) is None


@pytest.mark.usefixtures("patient")
def test_history_survives_the_monitor_and_bad_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "status.history"
    Chronicle(path, CLOCK).turn(world(), [DEAD])
    with path.open("a") as file:
        file.write('{"half a li')
    entries = Chronicle(path, CLOCK).entries
    assert [entry.text for entry in entries] == ["db1: ONLINE -> HARD_OFFLINE"]
    assert "db1: ONLINE -> HARD_OFFLINE (host_failed): mysql: refused" in caplog.text


@pytest.mark.usefixtures("patient")
def test_a_history_that_cannot_be_written_is_said_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chronicle = Chronicle(tmp_path / "nowhere" / "history", CLOCK)
    chronicle.turn(world(), [DEAD, DEAD])
    assert len(chronicle.entries) == 2
    assert caplog.text.count("cannot be written") == 1


def test_a_history_that_could_be_written_and_cannot_any_more_is_said_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "nowhere"
    chronicle = Chronicle(folder / "history", CLOCK)
    chronicle.turn(world(), [DEAD])
    wait_until_said(caplog, "cannot be written", 1)
    folder.mkdir()
    chronicle.turn(world(), [DEAD])
    wait_until_said(caplog, "is written again", 1)
    assert len(history.decode((folder / "history").read_text())) == 2
    shutil.rmtree(folder)
    chronicle.turn(world(), [DEAD])
    wait_until_said(caplog, "cannot be written", 2)


def wait_until_said(caplog: pytest.LogCaptureFixture, what: str, times: int) -> None:
    """Wait for the thread that writes, for which a turn waits a tenth of a second only."""
    deadline = time.monotonic() + LIMIT
    while caplog.text.count(what) < times and time.monotonic() < deadline:
        time.sleep(0.01)
    assert caplog.text.count(what) == times


async def test_nobody_waits_for_a_history_whose_disk_hangs_and_nothing_of_it_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.history"
    chronicle = Chronicle(path, CLOCK)
    os.mkfifo(path)  # to open it takes as long as nobody reads
    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(chronicle.turn, world(), [DEAD, DEAD, DEAD])
    assert len(chronicle.entries) == 3
    assert caplog.text.count("its disk hangs") == 1
    said = await asyncio.to_thread(read_until, path, "its disk goes on", caplog)
    assert history.decode(said) == chronicle.entries


def read_until(fifo: Path, said: str, caplog: pytest.LogCaptureFixture) -> str:
    """Return all that is written into a fifo until the log says something."""
    text, deadline = b"", time.monotonic() + LIMIT
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        over = False
        while not over:  # once more after it was said
            over = said in caplog.text or time.monotonic() > deadline
            with suppress(BlockingIOError):
                text += os.read(reader, 65536)
        return text.decode()
    finally:
        os.close(reader)


@pytest.mark.usefixtures("patient")
def test_a_history_that_is_no_file_is_not_read_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "status.history"
    os.mkfifo(path)
    chronicle = Chronicle(path, CLOCK)
    assert "is no regular file" in caplog.text
    chronicle.turn(world(), [DEAD])
    assert Chronicle(path, CLOCK).entries == chronicle.entries


def test_the_last_entries_are_shown_the_newest_last() -> None:
    entries = tuple(Entry(float(number), f"event {number}") for number in range(30))
    assert history.shown(entries, CLOCK, 2) == f"{local_time(28.0)}  event 28\n{local_time(29.0)}  event 29\n"
    assert history.shown((), CLOCK) == "Nothing has happened yet.\n"


@given(st.text())
def test_any_file_is_read(text: str) -> None:
    history.decode(text)


@pytest.mark.parametrize("at", ["1e999", "NaN", "-Infinity", "1e17", "1" + 400 * "0"])
def test_a_line_with_a_moment_that_never_comes_is_left_out(at: str) -> None:
    line = f'{{"at": {at}, "text": "x", "cause": "", "steps": [], "took": null}}\n'
    kept = Entry(1.0, "kept")
    assert history.decode(line + history.encode(kept) + "[" * 100_000) == (kept,)


@pytest.mark.parametrize("count", ["0", "-1", "x", pytest.param("9" * 5000, id="endless")])
def test_a_number_of_entries_that_is_none_is_said(count: str) -> None:
    answer = answers.answer(world(), ["history", count], 0.0, CLOCK)
    assert answer is not None
    assert answer.startswith("ERROR: ")


def test_the_end_of_wait_mode_is_kept_too(tmp_path: Path) -> None:
    chronicle = Chronicle(tmp_path / "history", CLOCK)
    chronicle.turn(world(), [ModeEnded("both_online")])
    assert [entry.text for entry in chronicle.entries] == ["mode: WAIT -> ACTIVE"]
    assert chronicle.entries[0].event == {"code": "mode", "fields": {"before": "WAIT", "after": "ACTIVE"}}
