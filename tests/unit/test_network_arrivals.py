"""Connections that never end their TLS handshake: they cost a file each, and are counted for each address."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mmm.network.arrivals import Arrivals
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.process.tls import client_context, server_context
from tests.authority import Authority

LIMIT = 30.0
IP, MOST = "127.0.0.1", 3


async def echo(line: bytes, _: Peer) -> bytes:
    return line + b"!"


async def said(port: int, tls: ssl.SSLContext | None) -> bytes:
    """Return what the server answers, nothing where it resets the connection."""
    try:
        reader, writer = await asyncio.open_connection(IP, port, ssl=tls)
        writer.write(b"hello\n")
        writer.write_eof() if tls is None else None
        answer = await reader.readexactly(len(b"hello!"))
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return b""
    return answer


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    limits = Limits(line=100, handshake=LIMIT, arriving=MOST)
    async with asyncio.timeout(LIMIT), LineServer("test port", echo, limits).listen(IP, 0, tls) as port:
        yield port


async def test_one_address_has_so_many_handshakes_at_once_and_all_are_heard_when_they_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They ended only with the files of the agent: a neighbour kept the monitor out with a thousand of them."""
    caplog.set_level(logging.WARNING)
    settings = Authority(tmp_path, "ours").issue("db1")
    client = client_context(settings)
    async with serving(server_context(settings)) as port:
        halves = [await asyncio.open_connection(IP, port) for _ in range(MOST)]
        for _ in range(2):
            assert await said(port, client) == b""
        assert len([line for line in caplog.messages if "in their TLS handshake" in line]) == 1
        for reader, writer in halves:
            assert not reader.at_eof()
            writer.close()
        while not await said(port, client):
            continue  # the server has not seen the end of them yet


async def test_who_has_ended_its_handshake_is_a_client_and_counts_no_more(tmp_path: Path) -> None:
    settings = Authority(tmp_path, "ours").issue("db1")
    client = client_context(settings)
    async with serving(server_context(settings)) as port:
        streams = [await asyncio.open_connection(IP, port, ssl=client) for _ in range(3 * MOST)]
        for reader, writer in streams:
            writer.write(b"hello\n")
            assert await reader.readexactly(6) == b"hello!"
            writer.close()


async def test_without_tls_there_is_no_handshake_and_many_may_come_at_once() -> None:
    async with serving(None) as port:
        assert await asyncio.gather(*(said(port, None) for _ in range(4 * MOST))) == [b"hello!"] * 4 * MOST


def test_addresses_with_nothing_open_are_forgotten() -> None:
    arrivals, theirs = Arrivals(1), Peer("10.0.0.1", 1000, IP, 9989)
    ours, other = socket.socketpair()
    assert arrivals.takes(ours, theirs)
    for number in range(2000):
        with socket.socket() as short:
            assert arrivals.takes(short, theirs._replace(ip=f"10.1.{number // 250}.{number % 250}"))
    assert len(arrivals._open) < 1100
    assert not arrivals.takes(other, theirs._replace(port=1001))
    ours.close()
    assert arrivals.takes(other, theirs._replace(port=1001))
    other.close()
