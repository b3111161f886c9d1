"""mmm_web in front of two monitors, of which now one leads, now the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.config.model import Web
from tests.ports import kept_port
from tests.unit.test_monitor_leading import FOLLOWS, of_several
from tests.unit.worlds import READER1, WRITER, cluster, world

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("prometheus_client")

from mmm.web.serving import serving  # noqa: E402
from tests.unit.test_web import LIMIT, Monitor, event, until  # noqa: E402

HERE, THERE = "127.0.0.1", "127.7.0.2"
MOVES = ("mmm_moves_total", "failover", "writer")


class Pair:
    """Two monitors at the same port of two addresses."""

    def __init__(self, folder: Path, port: int) -> None:
        self.both = []
        for ip in (HERE, THERE):
            (folder / ip).mkdir()
            self.both.append(Monitor(folder / ip, port, ip))

    def lead(self, place: int) -> Monitor:
        """Have that one lead, and the other stand by."""
        leader, other = self.both[place], self.both[1 - place]
        leader.world, other.world = world({WRITER: "db1", READER1: "db2"}), of_several(**FOLLOWS)
        leader.elsewhere, other.elsewhere = "", leader.ip
        other.chronicle.wake()
        return leader


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Pair, Any]]:
    """Give two monitors, the first of which leads, and a session with mmm_web."""
    with kept_port() as port:
        made = Pair(folder, port)
        made.lead(0)
        made.both[0].moves()
        made.both[1].moves()  # long ago each of them has led
        for each in made.both:
            await each.start()
        conf = cluster()
        assert conf.monitor is not None
        conf = replace(
            conf, monitor=replace(conf.monitor, ip=HERE, port=port), monitors=(HERE, THERE), web=Web(port=0)
        )
        async with (
            asyncio.timeout(LIMIT),
            serving(conf) as own,
            aiohttp.ClientSession(f"http://127.0.0.1:{own}") as session,
        ):
            yield made, session
        for each in made.both:
            await each.stop()


async def test_failovers_are_counted_once_whichever_monitor_leads(tmp_path: Path) -> None:
    async with pair(tmp_path) as (monitors, session):
        async with session.get("/api/follow", params={"position": "0"}) as stream:
            await event(stream)  # it is followed
            now = time.time()
            for count, place in enumerate((0, 1, 1, 0), 1):
                monitors.lead(place).moves(now + 60.0 * count)
                found = await until(session, MOVES, count)
                assert found["mmm_state_changes_total", "db1", "HARD_OFFLINE"] == count
        async with session.get("/api/follow", params={"position": "0"}) as stream:
            told = [await event(stream) for _ in range(6)]
        assert [each["kind"] for each in told] == ["change"] * 6, "of the one that leads all is told"


async def test_who_has_the_page_open_is_told_of_what_happens_under_another_leader(tmp_path: Path) -> None:
    async with pair(tmp_path) as (monitors, session):
        async with session.get("/api/follow", params={"position": "0"}) as stream:
            await event(stream)
            last = (await event(stream))["position"]
            monitors.lead(1).moves(time.time())
            told = [await event(stream) for _ in range(5)]
        assert [each["kind"] for each in told] == ["gap", "change", "change", "change", "change"]
        assert told[-1]["event"]["code"] == "moved"
        assert last not in [each["position"] for each in told[1:]]


async def test_while_the_leader_does_not_answer_the_word_of_a_standby_is_no_health(tmp_path: Path) -> None:
    """It said OK of states of long before."""
    async with pair(tmp_path) as (monitors, session):
        await until(session, ("mmm_up",), 1)
        await monitors.both[0].stop()
        monitors.both[1].world = of_several(**{**FOLLOWS, "leader": HERE})
        await until(session, ("mmm_up",), 0)
        async with session.get("/health") as answer:
            told = await answer.json()
        assert (answer.status, told["status"]) == (503, "UNKNOWN")
        assert (
            told["why"]
            == f"the monitor at {HERE} leads and does not answer; {THERE}, which stands by, answers"
        )
        async with session.get("/api/status") as answer:
            page = await answer.json()
        assert (answer.status, page["away"]) == (503, told["why"])
