"""The server behind the agent's port and the control port, against clients that mean it ill."""

import asyncio
import ipaddress
import logging
import resource
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from mmm.config.allow import Allowed
from mmm.network.line_server import GarbageError, Limits, LineServer
from mmm.network.listener import Peer
from tests.namespaces import ip, own_network

IP = "127.0.0.1"
LIMITS = Limits(line=1024, clients=20, idle=5.0, write=0.5)


async def echo(line: bytes, _: Peer) -> bytes | None:
    return None if line == b"quit" else line + b"!"


def served(
    client: Callable[[int], Awaitable[None]],
    answer: Callable[[bytes, Peer], Awaitable[bytes | None]] = echo,
    limits: Limits = LIMITS,
) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), LineServer("test port", answer, limits).listen(IP, 0) as port:
            await client(port)

    asyncio.run(run())


async def ask(port: int, sent: bytes) -> bytes:
    """Everything the server says until it ends the connection, or we do after half a line's time."""
    reader, writer = await asyncio.open_connection(IP, port)
    writer.write(sent)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    return received


async def assert_serving(port: int) -> None:
    assert await ask(port, b"hello\nquit\n") == b"hello!"


def test_several_lines_on_a_connection_are_answered_in_order() -> None:
    async def client(port: int) -> None:
        assert await ask(port, b"one\ntwo\nquit\nthree\n") == b"one!two!"

    served(client)


def test_a_line_without_an_end_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    async def client(port: int) -> None:
        assert await ask(port, b"one\nSET_STATUS|1|db1|ONL") == b"one!"
        await assert_serving(port)

    served(client)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "test port: client 127.0.0.1: connection ended after 20 bytes without a line end"
    ]


def test_half_a_line_is_answered_apart_and_an_answer_that_nobody_takes_harms_nobody() -> None:
    async def half(line: bytes, _: Peer) -> bytes:
        return b"half " + line

    async def run() -> None:
        server = LineServer("test port", echo, LIMITS, unfinished=half)
        async with asyncio.timeout(30), server.listen(IP, 0) as port:
            assert await ask(port, b"one\nSET_STATUS|1|db1|ONL") == b"one!half SET_STATUS|1|db1|ONL"
            _, gone = await asyncio.open_connection(IP, port)
            gone.write(b"half")
            gone.close()
            await assert_serving(port)

    asyncio.run(run())


def test_a_line_of_10_mb_and_garbage_end_only_their_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def client(port: int) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(5):
            _, writer = await asyncio.open_connection(IP, port)
            with suppress(OSError):
                for _ in range(10):
                    writer.write(b"x" * 1_000_000)
                    await writer.drain()
            writer.transport.abort()
            assert (
                await ask(port, bytes(range(256)) + b"\n")
                == bytes(range(10)) + b"!" + bytes(range(11, 256)) + b"!"
            )
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000, "KiB more than before"
        await assert_serving(port)

    served(client)
    assert sum("line longer than 1024 bytes" in record.message for record in caplog.records) == 1


def test_a_thousand_idle_connections_keep_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    async def client(port: int) -> None:
        idle = []
        for number in range(1000):
            sock = socket.create_connection((IP, port), 5)
            idle.append(sock)
            if number % 10 == 0:
                await asyncio.sleep(0)
            if number % 200 == 199:
                await assert_serving(port)
        await assert_serving(port)
        for sock in idle:
            sock.close()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    served(client)
    assert sum("20 connections are open" in record.message for record in caplog.records) == 1


def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async def talk(_: bytes, __: Peer) -> bytes:
        return b"x" * 4_000_000

    async def client(port: int) -> None:
        deaf = socket.create_connection((IP, port))
        deaf.sendall(b"more\n" * 20)
        reader, writer = await asyncio.open_connection(IP, port)
        writer.write(b"more\n")
        assert len(await reader.readexactly(4_000_000)) == 4_000_000
        writer.close()
        cut_off = select.poll()
        cut_off.register(deaf, 0)  # nothing but the end of the connection
        assert await asyncio.to_thread(cut_off.poll, 20_000)
        deaf.close()

    served(client, talk)


def test_a_silent_client_is_let_go() -> None:
    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection(IP, port)
        assert await reader.read() == b""
        writer.close()

    served(client, limits=Limits(line=1024, idle=0.05))


def test_others_are_answered_while_one_waits_for_its_answer() -> None:
    async def client(port: int) -> None:
        release = asyncio.Event()

        async def slow(line: bytes, _: Peer) -> bytes:
            if line == b"slow":
                await release.wait()
            return line

        async with LineServer("test port", slow, LIMITS).listen(IP, 0) as other:
            waiting = asyncio.create_task(ask(other, b"slow\n"))
            assert await ask(other, b"fast\n") == b"fast"
            assert not waiting.done()
            release.set()
            assert await waiting == b"slow"
        assert port

    served(client)


def test_who_comes_while_all_wait_for_answers_is_turned_away() -> None:
    async def client(_unused: int) -> None:
        release, begun = asyncio.Event(), asyncio.Semaphore(0)

        async def slow(line: bytes, _: Peer) -> bytes:
            begun.release()
            await release.wait()
            return line

        async with LineServer("test port", slow, Limits(line=1024, clients=2)).listen(IP, 0) as port:
            waiting = [asyncio.create_task(ask(port, b"one\n")) for _ in range(2)]
            for _ in waiting:
                await begun.acquire()
            with pytest.raises(ConnectionError):
                await ask(port, b"three\n")
            release.set()
            assert await asyncio.gather(*waiting) == [b"one", b"one"]

    served(client)


def test_garbage_is_answered_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def strict(line: bytes, peer: Peer) -> bytes | None:
        if line.startswith(b"\xff"):
            raise GarbageError(b"what?")
        return await echo(line, peer)

    async def client(port: int) -> None:
        assert await ask(port, b"\xff\xfe\n\xff\none\nquit\n") == b"what?what?one!"

    served(client, strict)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [
        "test port: client 127.0.0.1: not understood: b'\\xff\\xfe'"
    ]


def test_an_answer_that_fails_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(line: bytes, _: Peer) -> bytes:
        if line == b"bad":
            raise ValueError("no")
        return line

    async def client(port: int) -> None:
        assert await ask(port, b"bad\n") == b""
        assert await ask(port, b"good\n") == b"good"

    served(client, fails)
    assert any("internal error" in record.message for record in caplog.records)


@pytest.mark.netns
def test_a_stranger_is_reset_before_anything_is_read_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    allowed = Allowed((ipaddress.ip_network("10.88.0.4"),))

    async def run() -> None:
        server = LineServer("test port", echo, LIMITS, allowed=allowed)
        async with asyncio.timeout(30), server.listen("10.88.0.1", 0) as port:
            for _ in range(3):
                with pytest.raises(ConnectionError):
                    await ask_from("10.88.0.5", port)
            assert await ask_from("10.88.0.4", port) == b"hello!"
            assert await ask_from("10.88.0.1", port) == b"hello!"

    async def ask_from(source: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection("10.88.0.1", port, local_addr=(source, 0))
        writer.write(b"hello\nquit\n")
        try:
            return await reader.read()
        finally:
            writer.close()

    with own_network():
        for number in (1, 4, 5):
            ip(f"addr add 10.88.0.{number}/32 dev lo")
        asyncio.run(run())
    assert caplog.text.count("client 10.88.0.5: not let in") == 1
    assert "allow_from" in caplog.text


def test_nothing_of_a_connection_is_left_once_the_server_has_ended() -> None:
    """What is left runs into the end of its loop: a transport that nobody has closed."""

    async def run() -> None:
        answering = asyncio.Event()

        async def hangs(_: bytes, __: Peer) -> bytes:
            answering.set()
            await asyncio.Event().wait()
            return b""

        async with asyncio.timeout(30):
            async with LineServer("test port", hangs, LIMITS).listen(IP, 0) as port:
                silent = await asyncio.open_connection(IP, port)
                asks = await asyncio.open_connection(IP, port)
                asks[1].write(b"hello\n")
                await answering.wait()
            serving = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert serving == []
            for reader, writer in (silent, asks):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()

    asyncio.run(run())
