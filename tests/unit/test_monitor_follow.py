"""Those who follow the monitor: they miss nothing, get nothing twice, and cost it nothing."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.monitor.act.following import MOST, Followers
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.command import leading
from mmm.monitor.command.texts import Verdict
from mmm.monitor.report import history
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.leadership import Place
from mmm.network.line_server import Limits, LineServer, Stream
from mmm.network.listener import Peer
from tests.status import fits
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, OTHER, of_several
from tests.unit.worlds import CLOCK, world

LIMIT = 30


def said(number: int) -> Happened:
    return Happened("rejoin_taken_back", {"host": f"db{number}", "donor": "db1"})


def started(path: Path, at: float = 1000.0, place: int = 0, monitors: int = 1) -> Chronicle:
    """A monitor's history, of one that starts at that time."""
    return Chronicle(path, Clock(lambda _: at, CLOCK.local), place, monitors)


async def followed(chronicle: Chronicle, *position: str) -> list[dict[str, Any]]:
    """What a follower is told until there is no more to say."""
    stream = Followers(chronicle, alive=0.01).follow(["follow", *position])
    assert isinstance(stream, Stream)
    lines: list[dict[str, Any]] = []
    async for line in stream.chunks:
        values = json.loads(line)
        if len(lines) < 10:
            fits(values, "line")
        if values["kind"] == "alive":
            return lines
        lines.append(values)
    raise AssertionError("it ended")


def told(lines: list[dict[str, Any]]) -> list[str]:
    """The hosts of the changes."""
    return [line["event"]["fields"]["host"] for line in lines if line["kind"] == "change"]


async def test_who_comes_back_after_the_monitor_was_restarted_misses_nothing_and_gets_nothing_twice(
    tmp_path: Path,
) -> None:
    first = started(tmp_path / "history")
    for number in (1, 2):
        first.noted(said(number))
    lines = await followed(first, "0")
    assert told(lines) == ["db1", "db2"]
    first.noted(said(3))
    second = started(tmp_path / "history", 1001.0)
    second.noted(said(4))
    lines = await followed(second, lines[-1]["position"])
    assert (told(lines), lines[0]["kind"]) == (["db3", "db4"], "begin")
    assert told(await followed(second, lines[-1]["position"])) == []


async def test_what_a_monitor_said_and_could_not_write_hides_nothing_of_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    first = started(folder / "history")
    first.noted(said(1))
    (folder / "history").rename(tmp_path / "kept")
    folder.rmdir()
    first.noted(said(2))
    lines = await followed(first, "0")
    assert told(lines) == ["db1", "db2"]
    second = started(tmp_path / "kept", 1001.0)
    second.noted(said(3))
    assert told(await followed(second, lines[-1]["position"])) == ["db3"], (
        "it has the number of what was lost"
    )
    folder.mkdir()
    first.noted(said(4))
    assert told(await followed(started(folder / "history"), "0")) == ["db1", "db2", "db4"], (
        "all of it is written"
    )


async def test_half_a_line_of_a_monitor_that_died_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "history"
    started(path).noted(said(1))
    with path.open("a") as file:
        file.write('{"half a li')
    started(path, 1001.0).noted(said(2))
    assert told(await followed(started(path, 1002.0), "0")) == ["db1", "db2"]


async def test_a_history_of_before_has_positions_too(tmp_path: Path) -> None:
    old = history.encode(replace(history.entry(1.0, said(1)), number=0))
    raw = {name: value for name, value in json.loads(old).items() if name not in ("epoch", "number")}
    (tmp_path / "history").write_text(2 * (json.dumps(raw) + "\n"))
    lines = await followed(started(tmp_path / "history"), "0")
    assert [line["position"] for line in lines] == ["0-0", "0-1", "0-2"]


async def test_a_position_of_which_the_next_change_is_not_kept_is_said_to_be_too_old(tmp_path: Path) -> None:
    chronicle = started(tmp_path / "history")
    chronicle.noted(said(1))
    asked = (await followed(chronicle, "0"))[-1]["position"]
    for number in range(2 * history.KEPT):
        chronicle.noted(said(number))
    begin, gap, first, *_ = await followed(chronicle, asked)
    assert (begin["kind"], gap["kind"], gap["code"], gap["asked"]) == ("begin", "gap", "too_old", asked)
    assert first["position"] == str(chronicle.entries[0].position)
    assert told(await followed(chronicle, "0")), "who asks for what there is has no gap"


@pytest.mark.parametrize("later", [0, 5], ids=["nothing since", "more than before since"])
async def test_a_history_that_was_lost_is_said(tmp_path: Path, later: int) -> None:
    first = started(tmp_path / "history")
    for number in range(3):
        first.noted(said(number))
    asked = (await followed(first, "0"))[-1]["position"]
    (tmp_path / "history").unlink()
    second = started(tmp_path / "history", 1001.0)
    for number in range(later):
        second.noted(said(number))
    lines = await followed(second, asked)
    assert (lines[1]["kind"], lines[1]["code"]) == ("gap", "unknown")
    assert len(told(lines)) == later


@pytest.mark.parametrize("at", [1000.0, 1001.0, 1007.5])
async def test_a_position_of_another_monitor_is_never_taken_for_one_of_this(
    tmp_path: Path, at: float
) -> None:
    first, second = started(tmp_path / "1", 1000.0, 0, 2), started(tmp_path / "2", at, 1, 2)
    for number in (1, 2):
        first.noted(said(number))
    for number in (3, 4, 5):
        second.noted(said(number))
    for here, there, hosts in ((first, second, ["db3", "db4", "db5"]), (second, first, ["db1", "db2"])):
        for entry in here.entries:
            lines = await followed(there, str(entry.position))
            assert (lines[1]["kind"], lines[1]["code"]) == ("gap", "unknown")
            assert told(lines) == hosts


async def test_who_follows_a_monitor_that_comes_to_stand_by_is_sent_to_the_one_that_leads(
    tmp_path: Path,
) -> None:
    chronicle, leader = started(tmp_path / "history"), ""
    chronicle.noted(said(1))
    stream = Followers(chronicle, alive=LIMIT, elsewhere=lambda: leader).follow(["follow", "0"])
    assert isinstance(stream, Stream)
    async with asyncio.timeout(LIMIT):
        lines = [json.loads(await anext(stream.chunks)) for _ in range(2)]
        waiting = asyncio.ensure_future(anext(stream.chunks))
        await asyncio.sleep(0)
        leader = OTHER
        chronicle.between(of_several(**LEADS), of_several(**FOLLOWS))
        last = json.loads(await waiting)
        fits(last, "line")
        assert (last["kind"], last["code"], last["position"]) == (
            "cut_off",
            "stands_by",
            lines[1]["position"],
        )
        assert OTHER in last["text"]
        assert [each async for each in stream.chunks] == []


def test_only_a_monitor_that_stands_by_sends_its_followers_elsewhere() -> None:
    assert leading.elsewhere(of_several(**FOLLOWS)) == OTHER
    assert leading.elsewhere(of_several(**LEADS)) == ""
    assert leading.elsewhere(of_several(place=Place.STANDS_BY)) == "", "nobody leads"
    assert leading.elsewhere(world()) == ""


def test_who_waits_is_told_at_once_and_who_is_one_too_many_is_refused(tmp_path: Path) -> None:
    chronicle = started(tmp_path / "history")
    followers = Followers(chronicle, alive=LIMIT)

    async def run() -> None:
        streams = [followers.follow(["follow"]) for _ in range(MOST)]
        refused = followers.follow(["follow"])
        assert isinstance(refused, Verdict)
        assert refused.code == "too_many_followers"
        (one, *_) = streams
        assert isinstance(one, Stream)
        await anext(one.chunks)
        waiting = asyncio.ensure_future(anext(one.chunks))
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        async with asyncio.timeout(LIMIT):
            assert told([json.loads(await waiting)]) == ["db1"]
        one.ended()
        assert isinstance(followers.follow(["follow", "0"]), Stream)
        no_place = followers.follow(["follow", "yesterday"])
        assert isinstance(no_place, Verdict)
        assert no_place.code == "no_position"

    asyncio.run(run())


def served(chronicle: Chronicle, client: Callable[[int], Awaitable[None]]) -> None:
    followers = Followers(chronicle, alive=LIMIT)

    async def answer(line: bytes, _: Peer) -> bytes | Stream | None:
        if line == b"ping":
            return b"pong"
        stream = followers.follow(line.decode().split())
        return stream if isinstance(stream, Stream) else None

    async def run() -> None:
        server = LineServer("test port", answer, Limits(line=1024, write=0.3))
        async with asyncio.timeout(LIMIT), server.listen("127.0.0.1", 0) as port:
            await client(port)

    asyncio.run(run())


def test_a_slow_follower_is_cut_off_and_told_so_and_delays_nobody(tmp_path: Path) -> None:
    chronicle = started(tmp_path / "history")
    for number in range(history.KEPT - 1):
        chronicle.noted(said(number))

    async def client(port: int) -> None:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", port))
        await loop.sock_sendall(slow, b"follow 0\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"ping\n")
        assert await reader.readexactly(4) == b"pong"
        writer.close()
        await asyncio.sleep(0.6)  # twice the time that it has to take a line
        received = b""
        with suppress(ConnectionResetError):
            while data := await loop.sock_recv(slow, 65536):
                received += data
        slow.close()
        lines = [json.loads(line) for line in received.splitlines()]
        *_, before, last = lines
        assert (last["kind"], last["code"]) == ("cut_off", "slow")
        assert last["position"] == before["position"], "it knows where to go on"
        assert len(told(lines)) < history.KEPT - 1, "it did not get all of it"

    served(chronicle, client)
