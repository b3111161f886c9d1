"""What the monitor makes of what comes from an agent's port: an answer or a sentence, never an exception."""

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.config.model import Host
from mmm.monitor.act import agents as module
from mmm.monitor.act import spoken as heard
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.apply.apply import apply
from mmm.monitor.world.events import Answer
from mmm.monitor.world.orders import Tell
from mmm.wire import agent as wire
from mmm.wire.agent import MAX_LINE
from mmm.wire.lead import differs
from mmm.wire.status import Status
from tests.unit.worlds import NOW, WRITER, settle, take_turn, told_at, with_agent, world


def answered(said: bytes) -> Spoken:
    """Return what asking an agent comes to that says these bytes and closes."""

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)
        writer.close()

    async def ask() -> Spoken:
        async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
            host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
            spoken = await Agents().ask(host, wire.Request(wire.PING, "db1"))
            assert await Agents().ping(host) == (spoken.answer is Answer.OK)
            await Agents().status(host)
            await Agents().system(host)
            return spoken

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("said", "answer", "text"),
    [
        (b"OK: Pinged!|UP:2710.61\n", Answer.OK, "OK: Pinged!"),
        (b"OK: Pinged!|UP:2710.61\nOK: again|UP:1.00\n", Answer.OK, "OK: Pinged!"),
        (b"ERROR: Invalid command 'ping'!|UP:2711.32\n", Answer.ERROR, "ERROR: Invalid command 'ping'!"),
        (b"", Answer.SILENT, "no answer to PING: connection closed"),
        (b"OK: Pinged!|UP:2710.61", Answer.SILENT, "no answer to PING: connection closed"),
        (b"x" * MAX_LINE * 3, Answer.SILENT, f"no answer to PING: a line longer than {MAX_LINE} bytes"),
        (
            b"220 mail\n",
            Answer.SILENT,
            "no answer to PING: answer '220 mail\\n' begins with neither OK nor ERROR",
        ),
    ],
)
def test_what_an_agent_says(said: bytes, answer: Answer, text: str) -> None:
    spoken = answered(said)
    assert (spoken.answer, spoken.text) == (answer, text)


async def test_a_reset_hints_at_allow_from_only_where_the_agent_has_never_answered() -> None:
    killed = False

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if killed:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(b"OK: Pinged!|UP:2710.61\n")
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
        ping, known = wire.Request(wire.PING, "db1"), Agents()
        assert (await known.ask(host, ping)).answer is Answer.OK
        killed = True
        of_known, of_stranger = await known.ask(host, ping), await Agents().ask(host, ping)
    assert of_known.answer is of_stranger.answer is Answer.SILENT
    assert "allow_from" in of_stranger.text
    assert "allow_from" not in of_known.text


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda said: b"OK|" + said + b"|UP:1.00\n"))
def test_whatever_an_agent_says(said: bytes) -> None:
    assert answered(said).text


def prepared(*, stays: bool) -> tuple[list[list[bytes]], Spoken]:
    """Return what each connection of an agent that is prepared, then told something, brought, and the last answer."""
    said: list[list[bytes]] = []

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        said.append(lines)
        while line := await reader.readline():
            lines.append(line)
            writer.write(b"OK: Done!|UP:2710.61\n")
            if not stays:
                break
        writer.close()

    async def ask() -> Spoken:
        async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
            host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
            agents = Agents()
            await agents.prepare(host)
            if not stays:
                await agents._kept["db1"][0].read()
            return await agents.ask(host, wire.Request(wire.PING, "db1"))

    spoken = asyncio.run(ask())
    return said, spoken


def test_an_order_goes_over_the_connection_of_the_agent_that_was_prepared_for_it() -> None:
    said, spoken = prepared(stays=True)
    assert said == [[b"PREPARE|1|db1\n", b"PING|1|db1\n"]]
    assert spoken.answer is Answer.OK


def test_an_agent_that_has_closed_that_connection_is_connected_anew() -> None:
    said, spoken = prepared(stays=False)
    assert said == [[b"PREPARE|1|db1\n"], [b"PING|1|db1\n"]]
    assert spoken.answer is Answer.OK


@pytest.mark.parametrize(("uptime", "ended"), [(0.1, True), (5000.0, False)])
async def test_what_is_waited_for_ends_when_a_younger_system_answers(
    monkeypatch: pytest.MonkeyPatch, uptime: float, *, ended: bool
) -> None:
    """An agent that never answers an order, for its host was switched off over it."""
    ordered, gone = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(module, "CLOCKS", -60.0)  # the order has been under way for a minute

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).startswith(b"SET_STATUS"):
            ordered.set()
            await gone.wait()
        else:
            writer.write(f"OK: Pinged!|UP:{uptime:.2f}\n".encode())
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
        agents = Agents()
        telling = asyncio.create_task(agents.tell(host, Tell("db1", 1, Status("ONLINE"))))
        await ordered.wait()
        assert await agents.ping(host)
        if not ended:
            gone.set()
        spoken = await telling
        gone.set()
    assert spoken.answer is Answer.SILENT
    assert ("has booted since" in spoken.text) is ended


@pytest.mark.parametrize("hangs", [True, False])
async def test_an_order_is_waited_for_as_long_as_the_agent_answers_others(
    monkeypatch: pytest.MonkeyPatch, *, hangs: bool
) -> None:
    """An agent that answers two PINGs over an order, and then nothing more, or the order."""
    monkeypatch.setattr(module, "QUESTION_TIMEOUT", 0.05)
    pings, done, closed = 0, asyncio.Event(), asyncio.Event()

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal pings
        if (await reader.readline()).startswith(b"SET_STATUS"):
            await (closed if hangs else done).wait()
        elif pings == 2:
            done.set()
            await closed.wait()
        pings += 1
        writer.write(b"OK: Done!|UP:2710.61\n")
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
        spoken = await Agents().tell(host, Tell("db1", 1, Status("ONLINE")), busy=True)
        closed.set()
    assert spoken.answer is (Answer.SILENT if hangs else Answer.OK)
    assert ("its agent hangs" in spoken.text) is hangs
    assert pings >= 2


async def test_the_kernel_watches_over_the_connection_to_an_agent() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
        connected = await Agents()._connect(host)
        assert not isinstance(connected, Spoken)
        sock = connected[1].get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * module.DEAD_AFTER
        connected[1].close()


async def test_what_an_agent_says_besides_is_not_lost_when_it_is_told_to_clear_too() -> None:
    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordered = (await reader.readline()).startswith(b"SET_STATUS")
        writer.write(
            b"OK: Done!|DIFFERS:hosts|T:b.1|UP:1.00\n" if ordered else b"OK: Removed!|T:b.2|UP:1.00\n"
        )
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as server:
        host = Host("db1", "127.0.0.1", "master", agent_port=server.sockets[0].getsockname()[1])
        spoken = await Agents().tell(host, Tell("db1", 1, Status("ONLINE"), clear=True))
    assert spoken.reply is not None
    assert (spoken.text, spoken.reply.token, differs(spoken.reply)) == ("OK: Removed!", "b.2", ("hosts",))


async def test_an_order_that_was_obeyed_counts_though_nobody_listens_any_more_for_what_follows() -> None:
    """The agent takes the writer's VIP, and is stopped before it is told to clear what is not its own."""
    before = with_agent(told_at(world({}), "db2", None).with_owner({WRITER: "db2"}), "db2", clear=True)
    before, orders = take_turn(before)
    order = next(each for each in orders if isinstance(each, Tell) and each.host == "db2")
    assert (order.clear, WRITER in order.status.vips) == (True, True)
    listening: asyncio.Server

    async def agent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        listening.close()
        writer.write(b"OK: Status applied successfully!|SALVAGED:x|T:b.7|UP:501.00\n")
        writer.close()

    async with await asyncio.start_server(agent, "127.0.0.1", 0) as listening:
        host = Host("db2", "127.0.0.1", "master", agent_port=listening.sockets[0].getsockname()[1])
        told = await Agents().tell(host, order)
    assert (told.answer, told.closed) == (Answer.SILENT, True)
    event = heard.answered(order, told)
    assert (event.token, event.uptime) == ("b.7", 501.0), "what the agent has said of itself counts"
    after = apply(before, event, NOW)
    assert WRITER in after.hosts["db2"].agent.may_hold
    assert after.hosts["db2"].agent.unreachable
    later = settle(after, NOW, {"db2": Answer.REFUSED})[1]
    assert not any(
        WRITER in each.status.vips for each in later if isinstance(each, Tell) and each.host != "db2"
    )
