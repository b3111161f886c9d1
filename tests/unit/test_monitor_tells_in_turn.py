"""Of several monitors one tells what happens: what one had not told that leads no more, the next one tells."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Notify
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.notifying import Notifier
from mmm.monitor.act.told import Told, encoded
from mmm.monitor.command.leading import leads_here
from mmm.monitor.world.leadership import Leadership, Place
from mmm.wire.follow import Position
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, OWN, of_several
from tests.unit.test_monitor_notifying import Hook, hook, logged, said, until
from tests.unit.test_monitor_told import LATE, LIMIT, hosts, running, take, that_waits, told_up_to
from tests.unit.worlds import CLOCK, cluster, world

__all__ = ["hook"]


@pytest.fixture
def chronicle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Chronicle:
    """The history of the first one of three monitors."""
    caplog.set_level(logging.INFO)
    return Chronicle(tmp_path / "history", CLOCK, 0, 3)


class Lead:
    """Who leads, as a monitor with that history knows it."""

    def __init__(self, chronicle: Chronicle, own: bool | None) -> None:  # noqa: FBT001
        self._chronicle = chronicle
        self._own = own

    def __call__(self) -> bool | None:
        return self._own

    def goes(self, own: bool | None) -> None:  # noqa: FBT001
        self._own = own
        self._chronicle.wake()


def other(tmp_path: Path, *numbers: int, place: int = 1) -> Chronicle:
    """Return the history of another monitor."""
    made = Chronicle(tmp_path / f"other{place}", CLOCK, place, 3)
    for number in numbers:
        made.noted(said(number))
    return made


@pytest.mark.parametrize(
    ("now", "leads"),
    [
        (LEADS, True),
        (FOLLOWS, False),
        ({**FOLLOWS, "leader": ""}, None),
        ({**FOLLOWS, "leader": OWN}, None),
        ({**LEADS, "place": Place.TAKES}, None),
    ],
)
def test_who_leads(now: dict[str, object], *, leads: bool | None) -> None:
    assert leads_here(of_several(**now)) is leads
    assert leads_here(replace(world(), leadership=Leadership())) is True


async def test_what_a_monitor_has_not_told_that_led_the_next_one_tells(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    chat, lead = Notify("chat", webhook=hook.url), Lead(chronicle, own=True)
    async with running(chronicle, tmp_path, replace(chat, after=LATE), leads=lead) as told:
        await told_up_to(tmp_path, chat=Position(0, 0))
        for number in (1, 2, 3):
            chronicle.noted(said(number))
        await asyncio.sleep(0)
        lead.goes(own=None)
        lead.goes(own=False)
        await logged(caplog, "notify chat: another monitor leads, and is to tell 3 changes")
        take(told, chat)
        chronicle.noted(said(8))
        assert await hosts(hook) == ["db8"], "what it has noted itself since"

        before = other(tmp_path)
        before.go_on(chronicle.entries[:2])  # what came last it has not copied
        before.noted(said(4))
        before.noted(said(5))
        chronicle.go_on(before.entries, {"chat": before.entries[2].position})
        lead.goes(own=True)
        assert await hosts(hook, 2) == ["db3", "db5"]
        await told_up_to(tmp_path, chat=chronicle.newest)


async def test_what_is_tried_again_when_another_one_leads_is_left_to_it(
    chronicle: Chronicle, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    section, told = Notify("chat", webhook=hook.url), Told()
    leads = lambda: "it is tried again" not in caplog.text  # noqa: E731
    notifier = Notifier(cluster(), section, chronicle, CLOCK, told, (0.0, 0.0), leads)
    hook.answers = [500]
    task = asyncio.ensure_future(notifier.run())
    async with asyncio.timeout(LIMIT):
        await until(lambda: told.positions)
        chronicle.noted(said(1))
        await logged(caplog, "is to tell 1 change")
        chronicle.noted(said(2))
        assert await hosts(hook) == ["db2"]
    first = chronicle.entries[0].position
    assert told.positions == {"chat": first._replace(number=0)}, (
        "should it lead again, nobody may have known of it"
    )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("own", "gets"), [(True, ["db1", "db9"]), (False, ["db9"])])
async def test_what_a_monitor_has_not_told_that_died_it_tells_only_if_no_other_leads(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, *, own: bool, gets: list[str]
) -> None:
    chronicle.noted(said(1))
    (tmp_path / "told").write_text(encoded({"chat": Position(0, 0)}))
    lead = Lead(chronicle, own=None)
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url), leads=lead):
        await asyncio.sleep(0)
        assert hook.received.empty()
        lead.goes(own)
        await asyncio.sleep(0)
        chronicle.noted(said(9))
        assert await hosts(hook, len(gets)) == gets


async def test_where_nobody_comes_to_lead_what_was_not_told_before_the_start_is_told_at_last(
    chronicle: Chronicle, tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmm.monitor.act.notifying.UNLED", 0.2)
    chronicle.noted(said(1))
    (tmp_path / "told").write_text(encoded({"chat": Position(0, 0)}))
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url), leads=lambda: None):
        assert await hosts(hook) == ["db1"]


async def test_a_section_that_is_busy_while_its_monitor_comes_to_lead_loses_and_repeats_nothing(
    chronicle: Chronicle, tmp_path: Path, hook: Hook
) -> None:
    """It leads twice while the section has one message under way."""
    begun, says, slow = that_waits(tmp_path)
    async with running(chronicle, tmp_path, Notify("chat", command=slow, timeout=LIMIT)) as told:
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.noted(said(8))
        await until(begun.exists)
        chronicle.noted(said(9))
        take(told, Notify("chat", webhook=hook.url))
        before = other(tmp_path, 1, 2, 3)
        chronicle.go_on(before.entries, {"chat": before.entries[0].position})
        assert told.told.positions == {"chat": before.entries[0].position}, (
            "as far as the one before had told it"
        )
        after = other(tmp_path, place=2)
        after.go_on(before.entries)
        after.noted(said(4))
        after.noted(said(5))
        chronicle.go_on(after.entries, {"chat": after.entries[-2].position})
        chronicle.noted(said(6))
        await asyncio.to_thread(says.write_text, "one\n")
        assert sorted(await hosts(hook, 3)) == ["db5", "db6", "db9"], "db2 to db4 the one before has told"
        await told_up_to(tmp_path, chat=chronicle.newest)
    assert (tmp_path / "out").read_text() == "one\n"


async def test_what_is_inherited_again_before_it_was_told_is_told_once(
    chronicle: Chronicle, tmp_path: Path, hook: Hook
) -> None:
    before = other(tmp_path, 1, 2)
    async with running(chronicle, tmp_path, Notify("chat", webhook=hook.url)):
        await told_up_to(tmp_path, chat=Position(0, 0))
        chronicle.go_on(before.entries, {"chat": before.entries[0].position})
        chronicle.go_on((), {})
        assert await hosts(hook) == ["db2"]
        chronicle.noted(said(3))
        assert await hosts(hook) == ["db3"]
