"""The question that stays open at each agent: who is asked, and what an answer comes to."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from mmm.config.model import Host
from mmm.monitor.act import server_watch
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.server_watch import ServerWatch
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.events import Answer, Answered, Event, ServerExited, ServerWatched
from mmm.monitor.world.link import Kind, Ordered
from mmm.monitor.world.world import World
from tests.unit.worlds import NOW, with_agent, world

LIMIT = 30.0
MOMENT = 0.1
"""Seconds in which a question would come that none may."""
MINE = "t1.5"


def heard(token: str) -> World:
    """The world after an OK of db1's agent, which gave a token or, as one of MMM 2.x, none."""
    before = world()
    told = before.hosts["db1"].agent.told
    assert told is not None
    before = with_agent(before, "db1", in_flight=Ordered(told, NOW), number=1)
    return apply(before, Answered("db1", 1, Answer.OK, "OK", 100.0, token), NOW)


class Heard:
    """What the watch said: the questions that an agent got, and what was posted."""

    def __init__(self, known: World, *answers: bytes) -> None:
        self.known = known
        self.answers = list(answers)
        self.questions: list[bytes] = []
        self.answering: list[asyncio.Task[None]] = []
        self.asked = asyncio.Event()
        self.told = asyncio.Event()
        self.posted: list[Event] = []
        self.checked: list[str] = []

    def post(self, event: Event) -> None:
        self.posted.append(event)
        self.known = apply(self.known, event, NOW)

    def exited(self, host: Host) -> None:
        self.checked.append(host.name)
        self.told.set()

    async def agent(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.answering.append(task)
        self.questions.append(await reader.readline())
        self.asked.set()
        if self.answers:
            writer.write(self.answers.pop(0))
        if not self.answers:
            await reader.read()
        writer.close()

    async def watch(self, until: asyncio.Event | None, more: float = 0.0) -> None:
        """Have db1 watched until that has come, if anything is to, and for some seconds more."""
        async with await asyncio.start_server(self.agent, "127.0.0.1", 0) as server:
            host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
            watch = ServerWatch(Agents(), lambda: self.known, self.post, self.exited)
            task = asyncio.create_task(watch.run(host))
            try:
                async with asyncio.timeout(LIMIT):
                    if until is not None:
                        await until.wait()
                    await asyncio.sleep(more)
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await asyncio.gather(*self.answering)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOONEST", "AGAIN"):
        monkeypatch.setattr(server_watch, name, 0.01)


async def test_the_news_are_posted_and_the_server_is_checked_at_once() -> None:
    seen = Heard(heard(MINE), b"OK|RUNS:4711|T:t1.6|UP:100.00\n", b"OK|EXITED:4711|T:t1.6|UP:100.00\n", b"")
    await seen.watch(seen.told)
    assert seen.questions[:2] == [b"WATCH|1|db1\n"] * 2
    watched, event = seen.posted
    assert watched == ServerWatched("db1")
    assert isinstance(event, ServerExited)
    assert (event.host, event.pid) == ("db1", 4711)
    assert seen.checked == ["db1"]


async def test_an_agent_that_cannot_watch_is_asked_again_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    no = b"ERROR: processes 1, 7 have its socket|WHY:not_watched|T:t1.6|UP:100.00\n"
    runs, ends = b"OK|RUNS:7|T:t1.6|UP:100.00\n", b"OK|EXITED:7|T:t1.6|UP:100.00\n"
    seen = Heard(heard(MINE), no, no, runs, ends, b"")
    await seen.watch(seen.told)
    assert seen.posted[:-1] == [
        ServerWatched("db1", "ERROR: processes 1, 7 have its socket"),
        ServerWatched("db1"),
    ]
    assert caplog.text.count("db1: the end of its server's process will not be told at once") == 1


async def test_an_agent_that_does_not_know_the_question_is_left_alone() -> None:
    seen = Heard(heard(MINE), b"ERROR: Invalid command 'WATCH'!|UP:100.00\n", b"")
    await seen.watch(seen.asked, MOMENT)
    assert len(seen.questions) == 1
    assert seen.posted == []


@pytest.mark.parametrize(
    "known",
    [world(), heard(""), with_agent(heard(MINE), "db1", kind=Kind.MMM2)],
    ids=["not heard yet", "MMM 2.x", "turned into one"],
)
async def test_nothing_stays_open_at_an_agent_that_may_serve_one_client_only(known: World) -> None:
    seen = Heard(known, b"")
    await seen.watch(None, MOMENT)
    assert seen.questions == []


async def test_a_server_that_does_not_answer_is_not_watched() -> None:
    known = heard(MINE)
    host = known.hosts["db1"]
    failing = replace(host.checks["mysql"], error_since=NOW)
    seen = Heard(known.with_host("db1", replace(host, checks={**host.checks, "mysql": failing})), b"")
    await seen.watch(None, MOMENT)
    assert seen.questions == []


async def test_a_server_that_has_ended_is_watched_again_once_it_answers() -> None:
    ends = b"OK|EXITED:4711|T:t1.6|UP:100.00\n"
    seen = Heard(heard(MINE), ends, b"")
    await seen.watch(seen.told, MOMENT)
    assert len(seen.questions) == 1
    host = seen.known.hosts["db1"]
    assert host.checks["mysql"].error_since is None
    seen.known = seen.known.with_host(
        "db1", replace(host, checks={**host.checks, "mysql": replace(host.checks["mysql"], exited=None)})
    )
    seen.asked.clear()
    await seen.watch(seen.asked, MOMENT)
    assert len(seen.questions) == 2
