"""Certificates that are renewed while daemons run: files that are read again, between real sockets, with real CAs."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mmm.config.allow import Allowed
from mmm.config.model import Socket
from mmm.control.connection import tls
from mmm.network.http_port import HttpPort
from mmm.network.http_text import Answer
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.process import renewal
from mmm.process.renewal import ClusterTls
from mmm.process.tls import TlsError
from tests.authority import Authority

LIMIT = 30
IP = "127.0.0.1"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


async def echo(line: bytes, _: Peer) -> bytes:
    return line + b"\n"


@asynccontextmanager
async def served(its: ClusterTls) -> AsyncIterator[int]:
    server = LineServer("port", echo, Limits(line=100))
    async with asyncio.timeout(LIMIT), server.listen(IP, 0, its.server) as port:
        yield port


async def connected(port: int, its: ClusterTls) -> Ends:
    return await asyncio.open_connection(IP, port, ssl=its.client, server_hostname=IP)


async def says(ends: Ends, line: bytes = b"hello\n") -> bool:
    ends[1].write(line)
    return await ends[0].readline() == line


def shown(ends: Ends) -> bytes:
    """Return the certificate that the server has shown."""
    shown = ends[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert isinstance(shown, bytes)
    return shown


def in_file(settings: Socket) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(settings.cert_file).read_text())


def write(path: str, *sources: str | Path) -> None:
    Path(path).write_bytes(b"".join(Path(source).read_bytes() for source in sources))


def spoil(settings: Socket, how: str, key_of_another: str) -> None:
    match how:
        case "half":
            Path(settings.cert_file).write_bytes(Path(settings.cert_file).read_bytes()[:200])
        case "key of another":
            write(settings.key_file, key_of_another)
        case _:
            Path(settings.cert_file).unlink()


async def is_served(port: int, its: ClusterTls) -> bool:
    try:
        ends = await connected(port, its)
        try:
            return await says(ends)
        finally:
            ends[1].close()
    except OSError:
        return False


async def test_a_new_certificate_is_shown_to_new_connections_and_the_others_live_on(ours: Authority) -> None:
    settings = ours.issue("db1")
    db1, monitor = ClusterTls(settings), ClusterTls(ours.issue("monitor"))
    async with served(db1) as port:
        stands, old = await connected(port, monitor), in_file(settings)
        assert await says(stands)
        assert shown(stands) == old
        ours.issue("db1", days=20)
        assert shown(await connected(port, monitor)) == old, "nobody has read them yet"
        assert "new files are taken" in db1.renewal.look(whole=True)
        new = await connected(port, monitor)
        assert await says(new)
        assert shown(new) == in_file(settings) != old
        assert await says(stands), "a connection that stands is left"


async def test_a_new_certificate_is_shown_on_the_port_for_load_balancers(ours: Authority) -> None:
    settings = ours.issue("db1")
    db1, balancer = ClusterTls(settings), ClusterTls(ours.issue("lb"))
    port = HttpPort("health port", lambda _: Answer(200, b"{}\n"), Allowed)
    async with asyncio.timeout(LIMIT), port.listen(IP, 0, db1.server) as number:
        old = in_file(settings)
        assert shown(await connected(number, balancer)) == old
        ours.issue("db1")
        db1.renewal.look(whole=True)
        ends = await connected(number, balancer)
        assert shown(ends) == in_file(settings) != old
        ends[1].write(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 200 " in await ends[0].readline()


async def test_what_a_client_shows_is_renewed_too(ours: Authority, theirs: Authority) -> None:
    """The CA is another one: who shows the old certificate is turned away, who has read the new one is served."""
    new = theirs.issue("new")
    both = ours.folder / "both.pem"
    write(str(both), ours.path, theirs.path)
    settings = replace(ours.issue("monitor"), ca_file=str(both))
    monitor, db1 = ClusterTls(settings), ClusterTls(theirs.issue("db1"))
    async with served(db1) as port:
        assert not await is_served(port, monitor)
        write(settings.cert_file, new.cert_file)
        write(settings.key_file, new.key_file)
        monitor.renewal.look(whole=True)
        assert await is_served(port, monitor)


async def test_a_ca_that_is_taken_out_of_its_file_is_good_no_more(ours: Authority, theirs: Authority) -> None:
    own, both = ours.issue("db1"), ours.folder / "both.pem"
    both.write_bytes(ours.path.read_bytes() + theirs.path.read_bytes())
    db1 = ClusterTls(replace(own, ca_file=str(both)))
    monitor = ClusterTls(replace(theirs.issue("monitor"), ca_file=str(both)))
    async with served(db1) as port:
        assert await is_served(port, monitor)
        both.write_bytes(ours.path.read_bytes())
        db1.renewal.look(whole=True)
        assert not await is_served(port, monitor)


async def test_another_ca_comes_in_three_steps_and_nobody_is_turned_away(
    ours: Authority, theirs: Authority
) -> None:
    names, bundle = ("db1", "db2", "monitor"), ours.folder / "ca.pem"
    bundle.write_bytes(ours.path.read_bytes())
    files = {name: replace(ours.issue(name), ca_file=str(bundle)) for name in names}
    all_of_them = {name: ClusterTls(settings) for name, settings in files.items()}

    async def look(name: str, ports: dict[str, int]) -> None:
        assert "new files are taken" in all_of_them[name].renewal.look(whole=True)
        for client in all_of_them.values():
            assert [await is_served(port, client) for port in ports.values()] == [True, True], name

    async with served(all_of_them["db1"]) as db1, served(all_of_them["db2"]) as db2:
        ports = {"db1": db1, "db2": db2}
        bundle.write_bytes(ours.path.read_bytes() + theirs.path.read_bytes())
        for name in names:
            await look(name, ports)
        for name in names:
            theirs.issue(name)  # in the same folder
            await look(name, ports)
        bundle.write_bytes(theirs.path.read_bytes())
        for name in names:
            await look(name, ports)


@pytest.mark.parametrize("broken", ["half", "key of another", "missing"])
async def test_files_that_cannot_be_used_leave_the_old_ones_in_use(
    ours: Authority, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    settings = ours.issue("db1")
    db1, monitor, old = ClusterTls(settings), ClusterTls(ours.issue("monitor")), in_file(settings)
    spoil(settings, broken, ours.issue("db2").key_file)
    async with served(db1) as port:
        for _ in range(4):
            db1.renewal.look()
        (line,) = caplog.records
        assert line.levelno == logging.WARNING
        assert settings.cert_file in line.getMessage()
        assert "connections are made by what was read before" in line.getMessage()
        assert shown(await connected(port, monitor)) == old
        assert "not taken" in db1.renewal.look(whole=True), "an admin who asks is told each time"
        ours.issue("db1")
        assert "new files are taken" in db1.renewal.look(whole=True)
        assert shown(await connected(port, monitor)) == in_file(settings) != old


def test_files_are_taken_once_they_are_at_rest(ours: Authority) -> None:
    """Programs that renew certificates write one file after the other."""
    settings = ours.issue("db1")
    own = ClusterTls(settings)
    assert own.renewal.look() == ""
    cert = Path(settings.cert_file).read_bytes()
    ours.issue("db1")
    assert own.renewal.look() == "", "they have changed since the last look"
    Path(settings.cert_file).write_bytes(Path(settings.cert_file).read_bytes() + b"\n")
    assert own.renewal.look() == "", "and again"
    assert "new files are taken" in own.renewal.look()
    assert own.renewal.look(whole=True) == "", "they are in use"
    Path(settings.cert_file).write_bytes(cert)
    assert own.renewal.look() == ""
    assert "no usable pair" in own.renewal.look()


def test_until_when_it_is_good_is_said(ours: Authority) -> None:
    settings = ours.issue("db1")
    own = ClusterTls(settings)
    ours.issue("db1", days=1000)
    assert "; the certificate is good until 20" in own.renewal.look(whole=True)


async def test_they_are_looked_at_by_themselves_and_when_somebody_asks(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ours.issue("db1")
    db1, monitor = ClusterTls(settings), ClusterTls(ours.issue("monitor"))

    async def new_is_shown(port: int) -> None:
        ours.issue("db1")
        db1.renewal.ask()
        while shown(await connected(port, monitor)) != in_file(settings):
            pass

    async with served(db1) as port, db1.renewal.watched():
        await new_is_shown(port)
    monkeypatch.setattr(renewal, "PERIOD", 0.01)
    monkeypatch.setattr(db1.renewal, "ask", lambda: None)
    async with served(db1) as port, db1.renewal.watched():
        await new_is_shown(port)


async def test_who_follows_a_monitor_reads_the_files_for_each_connection(
    ours: Authority, theirs: Authority
) -> None:
    """As `mmm_control watch` and mmm_web do, for years; half a file leaves what was read before in use."""
    settings, monitor = ours.issue("admin"), ClusterTls(theirs.issue("monitor"))
    wrap = tls(asdict(settings))

    def follows(port: int) -> bool:
        try:
            with wrap(socket.create_connection((IP, port), LIMIT)) as talk:
                talk.sendall(b"hello\n")
                return talk.recv(100) == b"hello\n"
        except OSError:
            return False

    async with served(monitor) as port:
        assert not await asyncio.to_thread(follows, port)
        new = theirs.issue("new")
        for name in ("cert_file", "key_file", "ca_file"):
            write(getattr(settings, name), getattr(new, name))
        assert await asyncio.to_thread(follows, port)
        spoil(settings, "half", "")
        assert await asyncio.to_thread(follows, port)


async def test_plain_tcp_has_nothing_to_renew() -> None:
    plain = ClusterTls(Socket())
    assert (plain.server, plain.client, plain.renewal.look(whole=True)) == (None, None, "")
    async with plain.renewal.watched():
        plain.renewal.ask()


def test_files_that_cannot_be_used_at_the_start_are_named(ours: Authority) -> None:
    settings = replace(ours.issue("db1"), key_file="/no/such/file")
    with pytest.raises(TlsError, match="key_file /no/such/file"):
        ClusterTls(settings)
