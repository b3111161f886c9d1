"""The port that answers load balancers, against clients of every kind."""

import asyncio
import ipaddress
import logging
import resource
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mmm.config.allow import Allowed
from mmm.network.http_port import HttpPort, Limits
from mmm.network.http_text import Answer
from mmm.network.listener import Faults
from mmm.process.tls import client_context, server_context
from tests.authority import Authority
from tests.namespaces import ip, own_network

IP = "127.0.0.1"
LIMITS = Limits(head=1024, clients=20, idle=30.0)
BODY = b'{"ok": true}\n'
LONG = b"x" * 8_000_000
"""More than the kernel takes at once."""


def answer(target: str) -> Answer:
    if target == "/fails":
        raise RuntimeError("an answer that fails")
    if target == "/long":
        return Answer(200, LONG)
    return Answer(200, BODY) if target == "/writer" else Answer(503, BODY)


def served(
    client: Callable[[int], Awaitable[None]], tls: ssl.SSLContext | None = None, limits: Limits = LIMITS
) -> None:
    async def run() -> None:
        port = HttpPort("health port", answer, Allowed, limits)
        async with asyncio.timeout(30), port.listen(IP, 0, tls) as number:
            await client(number)

    asyncio.run(run())


async def ask(port: int, *sent: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Everything that is answered to what is `sent` bit by bit, until the server ends the connection."""
    reader, writer = await asyncio.open_connection(IP, port, ssl=tls, server_hostname="db1" if tls else None)
    for piece in sent:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    received = await reader.read()
    writer.close()
    return received


async def status(port: int, *sent: bytes, tls: ssl.SSLContext | None = None) -> int:
    return int((await ask(port, *sent, tls=tls)).split()[1])


def test_what_load_balancers_send_is_answered() -> None:
    async def client(port: int) -> None:
        whole = await ask(port, b"GET /writer HTTP/1.1\r\nHost: db1\r\nConnection: close\r\n\r\n")
        head, _, body = whole.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: application/json" in head
        assert body == BODY
        head, _, body = (await ask(port, b"HEAD /writer HTTP/1.0\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert f"Content-Length: {len(BODY)}".encode() in head
        assert body == b""
        # HAProxy's `option httpchk`, where it is told nothing else.
        assert await status(port, b"OPTIONS / HTTP/1.0\r\n\r\n") == 503
        assert await status(port, b"GET /reader HTTP/1.0\r\n\r\n") == 503
        assert (await ask(port, b"GET /long HTTP/1.0\r\n\r\n")).endswith(LONG)

    served(client)


def test_a_request_may_come_in_pieces() -> None:
    async def client(port: int) -> None:
        whole = b"GET /writer HTTP/1.0\r\nUser-Agent: x\r\n\r\n"
        assert await status(port, *(whole[i : i + 1] for i in range(len(whole)))) == 200

    served(client)


def test_several_are_answered_on_one_connection() -> None:
    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection(IP, port)
        for expected in (b"200", b"503", b"200"):
            path = b"/writer" if expected == b"200" else b"/"
            writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: db1\r\n\r\n")
            assert (await reader.readline()).split()[1] == expected
            await reader.readuntil(BODY)
        writer.close()

    served(client)


def test_the_same_request_gets_another_answer_as_soon_as_there_is_one() -> None:
    now = Answer(200, BODY)

    async def run() -> None:
        nonlocal now
        port = HttpPort("health port", lambda _: now, Allowed, LIMITS)
        async with asyncio.timeout(30), port.listen(IP, 0) as number:
            reader, writer = await asyncio.open_connection(IP, number)
            for now in (Answer(200, BODY), Answer(503, BODY), Answer(200, b"x" + BODY)):
                for _ in range(2):
                    assert await status(number, b"GET /writer HTTP/1.0\r\n\r\n") == now.status
                    writer.write(b"GET /writer HTTP/1.1\r\nHost: db1\r\n\r\n")
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert int(head.split()[1]) == now.status
                    assert await reader.readexactly(len(now.body)) == now.body
            writer.close()

    asyncio.run(run())


def test_an_answer_goes_on_as_the_client_takes_it() -> None:
    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection(IP, port)
        for _ in range(2):
            writer.write(b"GET /long HTTP/1.1\r\nHost: db1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            # Others are answered while it is on its way.
            assert await status(port, b"GET /writer HTTP/1.0\r\n\r\n") == 200
            assert await reader.readexactly(len(LONG)) == LONG
        writer.close()

    served(client)


def test_an_answer_that_fails_ends_its_own_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def client(port: int) -> None:
        assert await ask(port, b"GET /fails HTTP/1.0\r\n\r\n") == b""
        assert await status(port, b"GET /writer HTTP/1.0\r\n\r\n") == 200

    served(client)
    assert "ended by an internal error" in caplog.text


def test_who_serves_ends_where_serving_has_failed() -> None:
    def allowed() -> Allowed:
        raise RuntimeError("nobody knows")

    async def run() -> None:
        async with HttpPort("health port", answer, allowed).listen(IP, 0) as port:
            with socket.create_connection((IP, port), 5) as connection:
                connection.sendall(b"GET /writer HTTP/1.0\r\n\r\n")
                await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(run())
    assert raised.group_contains(RuntimeError, match="nobody knows")


def test_where_no_more_files_can_be_open_clients_wait_until_some_are_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = threading.Event()
    monkeypatch.setattr(Faults, "say", lambda *_: said.set())

    async def client(port: int) -> None:
        with socket.create_connection((IP, port), 5) as connection:
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
            try:
                connection.sendall(b"GET /writer HTTP/1.0\r\n\r\n")
                assert await asyncio.to_thread(said.wait, 10)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            assert (await asyncio.to_thread(connection.recv, 100)).startswith(b"HTTP/1.1 200")

    served(client)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /writer HTTP/1.1\r\n\r\n", 400),  # no Host, which RFC 9112 demands
        (bytes(range(256)) + b"\n\n", 400),
        (b"\x16\x03\x01\x00\x05hello\n\n", 400),
        (b"POST /writer HTTP/1.0\r\n\r\n", 405),
        (b"DELETE / HTTP/1.1\r\nHost: db1\r\n\r\n", 405),
        (b"GET /writer HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET /" + b"x" * 2000 + b" HTTP/1.0\r\n\r\n", 431),
        (b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 400, 431),
    ],
)
def test_what_is_no_question_is_refused_and_ends_the_connection(sent: bytes, expected: int) -> None:
    async def client(port: int) -> None:
        assert await status(port, sent) == expected
        assert await status(port, b"GET /writer HTTP/1.0\r\n\r\n") == 200

    served(client)


def test_who_says_too_little_is_cut_off() -> None:
    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection(IP, port)
        writer.write(b"GET /wri")
        assert await reader.read() == b""
        writer.close()

    served(client, limits=Limits(head=1024, clients=20, idle=0.5))


def test_a_thousand_connections_keep_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    async def client(port: int) -> None:
        idle = []
        for number in range(1000):
            idle.append(socket.create_connection((IP, port), 5))
            idle[-1].sendall(b"GET /")
            if number % 10 == 0:
                await asyncio.sleep(0)
            if number % 200 == 199:
                assert await status(port, b"GET /writer HTTP/1.0\r\n\r\n") == 200
        for each in idle:
            each.close()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    served(client, limits=Limits(clients=20, idle=20.0))
    assert sum("20 connections are open" in record.message for record in caplog.records) == 1


def test_with_tls_only_who_has_a_certificate_of_the_cluster_is_answered(tmp_path: Path) -> None:
    ours, theirs = (Authority(tmp_path, name) for name in ("ours", "theirs"))
    mine, strange = client_context(ours.issue("lb")), client_context(theirs.issue("lb"))
    assert mine is not None
    assert strange is not None
    strange.verify_mode = ssl.CERT_NONE

    async def client(port: int) -> None:
        asks = b"GET /writer HTTP/1.0\r\n\r\n"
        with pytest.raises((OSError, AssertionError)):
            assert await ask(port, asks, tls=strange)
        reader, writer = await asyncio.open_connection(IP, port)
        writer.write(asks)
        with suppress(ConnectionResetError):
            assert b"200" not in await reader.read()
        writer.close()
        assert await status(port, asks, tls=mine) == 200

    served(client, server_context(ours.issue("db1")))


def test_over_tls_limits_hold_and_a_connection_may_stay(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    mine = client_context(ours.issue("lb"))

    async def client(port: int) -> None:
        silent, shut = await asyncio.open_connection(IP, port)
        shut.write(b"\x16")  # of a handshake
        reader, writer = await asyncio.open_connection(IP, port, ssl=mine, server_hostname="db1")
        for _ in range(2):
            writer.write(b"GET /long HTTP/1.1\r\nHost: db1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(LONG)) == LONG
        writer.write(b"GET /" + b"x" * 2000)
        assert (await reader.readline()).split()[1] == b"431"
        assert (await reader.read()).endswith(b"\r\n\r\n")
        writer.close()
        assert await silent.read() == b""
        shut.close()

    served(client, server_context(ours.issue("db1")), Limits(head=1024, clients=20, handshake=3.0))


@pytest.mark.netns
def test_strangers_are_told_nothing(caplog: pytest.LogCaptureFixture) -> None:
    who = Allowed((ipaddress.ip_network("10.9.0.0/24"),))
    later = Allowed((ipaddress.ip_network("10.8.0.0/24"),))

    async def run() -> None:
        nonlocal who
        asks = b"GET /writer HTTP/1.0\r\n\r\n"
        port = HttpPort("health port", answer, lambda: who)
        async with asyncio.timeout(30), port.listen("10.9.0.1", 0) as number:
            for own, let_in in (("10.9.0.7", True), ("10.8.0.7", False), ("10.8.0.7", True)):
                reader, writer = await asyncio.open_connection("10.9.0.1", number, local_addr=(own, 0))
                writer.write(asks)
                if let_in:
                    assert b"200" in await reader.read()
                else:
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                    who = later
                writer.close()

    with own_network():
        ip("link set lo up")
        for address in ("10.9.0.1", "10.9.0.7", "10.8.0.7"):
            ip(f"address add {address}/32 dev lo")
        asyncio.run(run())
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert "client 10.8.0.7: not let in" in said[0]
    assert "add it to health_from" in said[0]


@pytest.mark.netns
def test_a_machine_may_ask_itself_also_where_all_its_addresses_are_listened_on() -> None:
    who = Allowed((ipaddress.ip_network("10.7.0.0/24"),))

    async def run() -> None:
        port = HttpPort("health port", answer, lambda: who)
        async with asyncio.timeout(30), port.listen("0.0.0.0", 0) as number:  # noqa: S104
            for own, let_in in (("10.9.0.1", True), ("10.9.0.7", False), ("10.9.0.1", True)):
                reader, writer = await asyncio.open_connection("10.9.0.1", number, local_addr=(own, 0))
                writer.write(b"GET /writer HTTP/1.0\r\n\r\n")
                if let_in:
                    assert b"200" in await reader.read()
                else:
                    with pytest.raises(ConnectionResetError):
                        await reader.read()
                writer.close()

    with own_network():
        ip("link set lo up")
        for address in ("10.9.0.1", "10.9.0.7"):
            ip(f"address add {address}/32 dev lo")
        asyncio.run(run())
