"""Each order of a turn ends in exactly one event, whatever goes wrong while it is carried out."""

import asyncio
import os
import resource
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from mmm.gtid.place import LogPlace
from mmm.lease.lead import Lead
from mmm.monitor.act import saving as saving_of
from mmm.monitor.act.orders import Means, Orders
from mmm.monitor.act.saving import Saving
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.move import phases
from mmm.monitor.world.events import (
    Answer,
    Answered,
    Event,
    Killed,
    LogRead,
    Opinions,
    RejoinAnswered,
    VipLooked,
)
from mmm.monitor.world.orders import AskOthers, GetAhead, KillHost, LookForVip, Order, ReadLog, Rejoin, Tell
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.wire.rejoin import Wanted
from tests.unit.worlds import NOW, WRITER, because, cluster, take_turn, with_agent, world

WHY = "of no account here"


class Broken:
    """Whatever is asked for, there is an internal error."""

    lead = None

    def __getattr__(self, name: str) -> Any:
        async def breaks(*_: object) -> None:
            raise RuntimeError(f"{name} is broken")

        return breaks


def before() -> World:
    conf = cluster()
    assert conf.monitor is not None
    return world(conf=replace(conf, monitor=replace(conf.monitor, kill_host_bin="no\0program")))


async def carried_out(order: Order, pinger: Any = None) -> list[Event]:
    events: list[Event] = []
    broken: Any = Broken()
    silent: Any = _Silent()
    means = Means(broken, broken, pinger, broken, silent)
    await Orders(means, before, events.append, lambda: None).carry_out(order)
    return events


class _Silent:
    """A history into which nothing is written."""

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


ORDERS: dict[Order, type[Event]] = {
    KillHost("db1", pings=False): Killed,
    AskOthers("db1", ("db2",)): Opinions,
    ReadLog("db1", LogPlace("log.000001", 4)): LogRead,
}


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_an_internal_error_is_an_answer_by_which_nothing_was_found(order: Order) -> None:
    (event,) = asyncio.run(carried_out(order))
    assert type(event) is ORDERS[order]
    if isinstance(event, Killed):
        assert "error of the monitor" in event.failure, "the host counts as one that could not be killed"
    if isinstance(event, LogRead):
        assert event.tail.unread is not None


class _Leads:
    """Agents of a monitor that leads, and by another epoch once the file is there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def lead(self) -> Lead:
        return Lead(2 if self._file.exists() else 1, "10.0.0.6:9988", "a1")


@pytest.mark.parametrize("anew", [False, True])
def test_a_kill_of_when_the_monitor_led_by_another_epoch_says_nothing_of_what_a_host_has_now(
    tmp_path: Path, *, anew: bool
) -> None:
    program, leads_anew = tmp_path / "monitor" / "kill_host", tmp_path / "anew"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{'touch' if anew else 'test ! -e'} {leads_anew}\n")
    program.chmod(0o755)
    conf = cluster()
    assert conf.monitor is not None
    conf = replace(conf, monitor=replace(conf.monitor, bin_path=str(tmp_path), kill_host_bin=program.name))
    events: list[Event] = []
    agents, other, silent = (cast("Any", each) for each in (_Leads(leads_anew), Broken(), _Silent()))
    orders = Orders(
        Means(agents, other, other, other, silent), lambda: world(conf=conf), events.append, lambda: None
    )
    asyncio.run(orders.carry_out(KillHost("db1", pings=False)))
    assert events == ([] if anew else [Killed("db1", "")])


def test_what_is_ordered_of_agents_ends_so_too() -> None:
    assert len(asyncio.run(carried_out(GetAhead("db2", "db1")))) == 1
    (event,) = asyncio.run(carried_out(Rejoin("db1", Wanted(), because(WHY))))
    assert isinstance(event, RejoinAnswered)
    assert not event.begun


@pytest.mark.netns
def test_a_look_for_a_vip_for_which_there_is_no_socket_is_made_again() -> None:
    """It was under way for ever, and a writer that had let go without a word was waited for."""

    async def look() -> list[Event]:
        async with Pinger() as pinger:
            with no_more_files():
                return await carried_out(LookForVip("db1", WRITER), pinger)

    (event,) = asyncio.run(look())
    assert event == VipLooked("db1", WRITER, absent=False)
    link = before().hosts["db1"].agent
    looking = with_agent(before(), "db1", search=replace(link.search, under_way=True))
    assert not apply(looking, event, NOW).hosts["db1"].agent.search.under_way


@contextmanager
def no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


FILE = "mmm_mond.status"


async def told_to_let_go(
    folder: Path, then: Callable[[], Coroutine[Any, Any, None]]
) -> tuple[list[Event], list[Tell]]:
    """Return what came of the order that begins a planned move, and what was sent, while something else happens."""
    now, _ = take_turn(phases.begin(world(), WRITER, "db1", "db2"))
    flight = now.hosts["db1"].agent.in_flight
    assert flight is not None
    order = Tell("db1", now.hosts["db1"].agent.orders.number, flight.status, clear=False)
    events, sent = list[Event](), list[Tell]()
    silent: Any = _Silent()
    agents: Any = Agents(sent)
    saving = Saving(folder / FILE, lambda: now)
    means = Means(agents, silent, silent, saving, silent)
    async with asyncio.timeout(30), asyncio.TaskGroup() as both:
        both.create_task(Orders(means, lambda: now, events.append, lambda: None).carry_out(order))
        both.create_task(then())
    return events, sent


class Agents:
    """Takes note of what is sent, and answers OK."""

    lead = None

    def __init__(self, sent: list[Tell]) -> None:
        self._sent = sent

    async def tell(self, _: object, order: Tell, **__: object) -> Spoken:
        self._sent.append(order)
        return Spoken(Answer.OK, "OK")


async def nothing() -> None:
    """Let the disk be as it is."""


async def test_a_planned_move_waits_for_the_status_file(tmp_path: Path) -> None:
    """What a monitor that starts would have to know is on the disk before anybody lets go."""
    os.mkfifo(fifo := tmp_path / f".{FILE}.new")

    async def read() -> None:
        await asyncio.to_thread(lambda: os.close(os.open(fifo, os.O_RDONLY)))

    events, sent = await told_to_let_go(tmp_path, read)
    assert [event.answer for event in events if isinstance(event, Answered)] == [Answer.OK]
    assert len(sent) == 1


async def test_a_planned_move_is_given_up_while_the_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited for ever, and its old holder's lease was not renewed meanwhile."""
    monkeypatch.setattr(saving_of, "PATIENCE", 0.2)
    os.mkfifo(fifo := tmp_path / f".{FILE}.new")
    try:
        events, sent = await told_to_let_go(tmp_path, nothing)
    finally:
        os.close(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    assert [(event.answer, event.text) for event in events if isinstance(event, Answered)] == [
        (Answer.UNSENT, f"the status file {tmp_path / FILE}")
    ]
    assert sent == []
