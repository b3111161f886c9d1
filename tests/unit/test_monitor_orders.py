"""Each order of a turn ends in exactly one event, whatever goes wrong while it is carried out."""

import asyncio
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.gtid.place import LogPlace
from mmm.monitor.act.orders import Means, Orders
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.events import Event, Killed, LogRead, Opinions, RejoinAnswered, VipLooked
from mmm.monitor.world.orders import AskOthers, GetAhead, KillHost, LookForVip, Order, ReadLog, Rejoin
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.wire.rejoin import Wanted
from tests.unit.worlds import NOW, WRITER, because, cluster, with_agent, world

WHY = "of no account here"


class Broken:
    """Whatever is asked for, there is an internal error."""

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
