import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.lease.rules import FOREVER
from mmm.monitor.act import complaint, status_file
from mmm.monitor.act import saving as saving_of
from mmm.monitor.act.saving import Saving
from mmm.monitor.decide.found import Stored
from mmm.monitor.decide.move import phases
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode
from mmm.wire.status import LeaseOffer, Status
from tests.unit.worlds import (
    READER1,
    WRITER,
    cluster,
    with_agent,
    world,
)

LIMIT = 60.0


def test_what_is_written_is_read_back() -> None:
    text = status_file.encode(world({WRITER: "db1", READER1: "db2"}, states={"db3": State.HARD_OFFLINE}))
    assert text == "db1|ONLINE|writer(10.0.0.80)\ndb2|ONLINE|reader(10.0.0.91)\ndb3|HARD_OFFLINE||||used\n"
    stored, warnings = status_file.decode(text)
    assert stored == {
        "db1": Stored("ONLINE", (WRITER,)),
        "db2": Stored("ONLINE", (READER1,)),
        "db3": Stored("HARD_OFFLINE", (), used=True),
    }
    assert warnings == ()


def test_what_a_host_may_still_have_bound_is_written_too() -> None:
    failing_over = with_agent(world({WRITER: "db2"}), "db1", may_hold=frozenset({WRITER}))
    assert status_file.encode(failing_over).startswith("db1|ONLINE|writer(10.0.0.80)\n")


@pytest.mark.parametrize(
    ("text", "length", "covered"),
    [
        ("db1|ONLINE|writer(10.0.0.80)|finite\n", 10.0, True),
        ("db1|ONLINE|writer(10.0.0.80)|finite\n", FOREVER, False),
        ("db1|ONLINE|writer(10.0.0.80)|forever\n", 10.0, True),
        ("db1|ONLINE|writer(10.0.0.80)|forever\n", FOREVER, True),
        ("db1|ONLINE|writer(10.0.0.80)\n", 10.0, False),
        ("db1|ONLINE||finite\n", 10.0, False),
        ("db2|ONLINE|writer(10.0.0.80)|finite\n", 10.0, False),
        ("", 10.0, False),
    ],
)
def test_a_lease_is_granted_only_once_the_file_reckons_with_it(
    text: str, length: float, *, covered: bool
) -> None:
    order = Tell("db1", 1, Status("ONLINE", (WRITER,)), lease=LeaseOffer(length, "1.2"))
    assert status_file.covers(text, order) == covered


def test_the_lease_of_a_planned_moves_new_holder_is_recorded_while_the_old_one_lets_go() -> None:
    moving = phases.begin(world({WRITER: "db1"}), WRITER, "db1", "db2")
    moving = replace(moving, conf=replace(moving.conf, vip_lease=10.0))
    order = Tell("db2", 1, Status("ONLINE", (WRITER,)), lease=LeaseOffer(10.0, "1.2"))
    assert status_file.covers(status_file.encode(moving), order)


def test_bad_lines_are_named_and_left_out() -> None:
    stored, warnings = status_file.decode(
        "db1|ONLINE\n\nnonsense\ndb2|SLEEPING|\ndb3|ONLINE|writer(\ndb4|ONLINE||x\n"
    )
    assert stored == {"db3": Stored("ONLINE", ()), "db4": Stored("ONLINE", ())}
    assert [warning.split(":")[0] for warning in warnings] == [
        "line 1",
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    status_file.decode(text)


def test_a_file_that_is_not_there_says_nothing_and_writing_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "mmm_mond.status"
    assert status_file.read(path) == ({}, ())
    status_file.write(path, "db1|ONLINE|\n")
    assert path.read_text() == "db1|ONLINE|\n"
    with pytest.raises(OSError, match="No such file"):
        status_file.write(tmp_path / "nowhere" / "file", "")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_monitor_left_that_was_killed_while_saving_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "mmm_mond.status"
    status_file.write(path, "db1|ONLINE|\n")

    def killed(fd: object) -> None:
        os._exit(9)

    if (child := os.fork()) == 0:
        try:
            os.fsync = killed
            status_file.write(path, "db1|HARD_OFFLINE|\n" * 9)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.read_text() == "db1|ONLINE|\n"
    assert len(list(tmp_path.iterdir())) == 2
    status_file.write(path, "db1|ONLINE|writer(192.168.100.250)\n")
    assert path.read_text() == "db1|ONLINE|writer(192.168.100.250)\n"
    assert list(tmp_path.iterdir()) == [path]


def test_that_the_new_file_has_taken_the_place_of_the_old_one_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a host that loses its power may come back with the leases of before."""
    path, settled, fsync = tmp_path / "mmm_mond.status", list[tuple[str, str]](), os.fsync

    def seen(fd: int) -> None:
        settled.append(
            (str(Path(f"/proc/self/fd/{fd}").readlink()), path.read_text() if path.exists() else "")
        )
        fsync(fd)

    monkeypatch.setattr(os, "fsync", seen)
    status_file.write(path, "db1|ONLINE|\n")
    assert settled == [(str(tmp_path / ".mmm_mond.status.new"), ""), (str(tmp_path), "db1|ONLINE|\n")]


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # to read it would take as long as nobody writes
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            status_file.read(path)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Path]:
    """Give the path of a status file, to write which takes as long as nobody reads."""
    path = tmp_path / "mmm_mond.status"
    os.mkfifo(fifo := tmp_path / ".mmm_mond.status.new")
    yield path
    with suppress(FileNotFoundError):
        os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))


async def test_an_order_waits_for_a_disk_that_hangs_no_longer_than_for_one_that_fails(
    hanging: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving_of, "PATIENCE", 0.2)
    now = [world({WRITER: "db1"})]
    saving = Saving(hanging, lambda: now[0])
    for _ in range(3):
        await saving.record_in_time()
    assert caplog.text.count("its disk hangs") == 1
    order = Tell("db1", 1, Status("ONLINE", (WRITER,)), lease=LeaseOffer(FOREVER, "1.2"))
    assert saving.as_recorded(order).lease == LeaseOffer(now[0].conf.vip_lease, "1.2"), "it is not recorded"
    saving.record_now()
    await asyncio.to_thread(go_on, hanging, "cannot be written", caplog)
    async with asyncio.timeout(LIMIT):
        await saving.record()
    assert await asyncio.to_thread(hanging.read_text) == status_file.encode(now[0])


def go_on(path: Path, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Read what is written until the log says something."""
    deadline = time.monotonic() + LIMIT
    with suppress(FileNotFoundError):
        while said not in caplog.text and time.monotonic() < deadline:
            os.close(os.open(path.with_name(f".{path.name}.new"), os.O_RDONLY | os.O_NONBLOCK))


async def test_a_world_that_says_the_same_is_not_handed_to_a_thread_again(tmp_path: Path) -> None:
    """Four turns a second find nothing to write: what they cost is most of what a monitor at rest does."""
    path, now = tmp_path / "mmm_mond.status", [world({WRITER: "db1"})]
    handed: list[object] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *what: Any, **more: Any) -> Any:
            handed.append(what)
            return super().submit(*what, **more)

    asyncio.get_running_loop().set_default_executor(Counting(1))
    saving = Saving(path, lambda: now[0])
    for _ in range(3):
        await saving.record()
    assert (len(handed), path.read_text()) == (1, status_file.encode(now[0]))
    now[0] = world({WRITER: "db2"})
    await saving.record()
    assert (len(handed), path.read_text()) == (2, status_file.encode(now[0]))


async def test_a_file_that_cannot_be_written_is_said_once_and_again_after_a_minute_or_a_success(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four turns a second tried, and each was an ERROR in the log."""
    folder, now = tmp_path / "nowhere", [world({WRITER: "db1"})]
    saving = Saving(folder / "mmm_mond.status", lambda: now[0])

    async def said() -> list[str]:
        caplog.clear()
        for _ in range(3):
            await saving.record()
        return [f"{line.levelname} {line.getMessage().rpartition('status ')[2]}" for line in caplog.records]

    cannot = "ERROR cannot be written: No such file or directory"
    assert await said() == [cannot]
    assert await said() == []
    with monkeypatch.context() as later:
        later.setattr(complaint, "AGAIN", 0.0)
        assert await said() == [cannot] * 3
    folder.write_text("")
    assert await said() == ["ERROR cannot be written: Not a directory"]
    folder.unlink()
    folder.mkdir()
    assert await said() == ["WARNING is written again"]
    now[0] = world({WRITER: "db2"})
    assert await said() == [], "of what is well nothing is said"
    shutil.rmtree(folder)
    now[0] = world({WRITER: "db1"})
    assert await said() == [cannot]


def test_of_two_lines_about_a_host_the_later_one_is_taken_and_that_is_said_once() -> None:
    text = "db1|ONLINE|writer(192.168.100.250)\ndb2|ONLINE|\ndb1|ADMIN_OFFLINE|\n"
    stored, warnings = status_file.decode(text)
    assert stored == {"db1": Stored("ADMIN_OFFLINE"), "db2": Stored("ONLINE")}
    assert warnings == ("line 3: line 1 is about 'db1' too: line 3 is taken, the other left out",)


async def test_who_takes_the_lead_knows_what_it_copied_without_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = {"db3": Stored("ONLINE", epoch="3.10.0.0.8:9988.a1")}
    several = world({WRITER: "db1"})
    several = replace(several, conf=replace(several.conf, monitors=("10.0.0.6", "10.0.0.8")))
    saving = Saving(tmp_path / "nowhere" / "mmm_mond.status", lambda: several, found)
    assert {line.epoch for line in saving.stored.values()} == {"3.10.0.0.8:9988.a1"}, "of who led before"
    saving.copy("db2|ONLINE|\nnonsense\n")
    assert saving.stored == {"db2": Stored("ONLINE")}
    assert "line 2" in caplog.text
    passive = Saving(tmp_path / "mmm_mond.status", lambda: replace(several, mode=Mode.PASSIVE), found)
    assert passive.stored == found, "in passive mode the file stays as it was found"


def test_the_file_is_written_before_an_agent_without_leases_gets_the_role() -> None:
    """It holds the VIP for good: a monitor that died meanwhile would not have known that."""
    leased = replace(cluster(), vip_lease=10.0)
    before = world({WRITER: "db1"}, conf=leased)
    order = Tell("db2", 3, Status("ONLINE", (WRITER,), "db2"))
    text = f"db1|ONLINE|{WRITER}\ndb2|ONLINE|\n"
    assert status_file.is_due_before(text, before, order)
    assert not status_file.is_due_before(text.replace("db2|ONLINE|", f"db2|ONLINE|{WRITER}"), before, order)
    assert not status_file.is_due_before(text, before, replace(order, greet=True))
    assert not status_file.is_due_before(text, before, replace(order, status=Status("ONLINE", (), "db1")))
    assert not status_file.is_due_before(text, world({WRITER: "db1"}), order)


def test_what_changed_right_before_passive_mode_is_in_the_file_though_it_was_not_written_yet(
    tmp_path: Path,
) -> None:
    now = world()
    saving = Saving(tmp_path / "mmm_mond.status", lambda: now)
    saving.want()
    saving.record_now()
    now = now.with_host("db1", replace(now.hosts["db1"], state=State.HARD_OFFLINE))
    saving.want()
    now = replace(now, mode=Mode.PASSIVE)
    saving.want()
    assert saving.stored["db1"].state == "HARD_OFFLINE"
    now = now.with_host("db2", replace(now.hosts["db2"], state=State.HARD_OFFLINE))
    saving.want()
    assert saving.stored["db2"].state == "ONLINE", "in passive mode it is left alone"
