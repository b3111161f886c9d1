"""A full copy of a real server's data comes whole over the real port of its agent, or not at all."""

import asyncio
import errno
import hashlib
import itertools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.agent.act.streams import Streams
from mmm.agent.stream.bucket import Bucket
from mmm.agent.stream.order import Order
from mmm.agent.stream.producers import Producer
from mmm.agent.stream.running import Running
from mmm.config.model import Cluster, Host, Socket
from mmm.mysql.backup import mariadb_backup
from mmm.process.to_disk import settle
from mmm.tools.fetch import connect as connecting
from mmm.tools.fetch import fetch as fetching
from mmm.tools.fetch import files
from mmm.tools.fetch import receive as receiving
from mmm.tools.fetch.connect import open_stream
from mmm.tools.fetch.fetch import PROVIDER
from mmm.tools.fetch.stream import Stream as Coming
from mmm.tools.fetch.unpack import Unpacking
from mmm.tools.fetch.values import Cause, Failed, Fetched
from mmm.wire.stream import FRAME, Frames, Head, Tail, framed, head_frame, tail_frames
from tests.authority import Authority
from tests.servers import Server, Servers, kind, own_series
from tests.unit import agents
from tests.unit.copying import TOOLS, donor_of, gone, make_tools_user, until

pytestmark = pytest.mark.mysql

LIMIT = 60.0
SLOW: dict[str, Any] = {"compress": "no", "transfer_rate": 1}
"""The copy takes far longer than what is done meanwhile."""


@pytest.fixture(scope="module")
def donor(server_pool: Servers) -> Iterator[Server]:
    with server_pool.lent() as pool:
        server = pool.start()
        make_tools_user(server)
        server.run(
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
            "INSERT INTO shop.orders (what) SELECT REPEAT(MD5(seq), 6) FROM test.seq_1_to_3000",
            "CREATE TABLE shop.notes (what VARCHAR(200)) ENGINE=Aria",
            "INSERT INTO shop.notes VALUES ('a note')",
        )
        yield server


def refused(came: Fetched | Failed | None, cause: Cause, *words: str) -> None:
    assert isinstance(came, Failed)
    assert came.cause is cause, came
    assert all(word in came.text for word in words), came.text


async def test_a_copy_is_what_the_donor_has(tmp_path: Path, donor: Server) -> None:
    async with donor_of(tmp_path, donor) as copying:
        came = await copying.fetch()
    assert isinstance(came, Fetched), came
    assert came.position.gtid == donor.value("@@gtid_binlog_pos")
    assert came.server_version == donor.value("VERSION()")
    assert (copying.staging / "shop/orders.ibd").is_file()
    assert came.bytes > came.sent > 0


async def test_whether_a_copy_could_be_begun_is_tried_and_leaves_nothing(
    tmp_path: Path, donor: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with donor_of(tmp_path, donor) as copying:

        async def tried(conf: Cluster, by: Host) -> Failed | None:
            return await asyncio.to_thread(fetching.tried, conf, by, copying.staging, "db1-1")

        assert await tried(copying.conf, copying.donor) is None
        assert not copying.staging.exists()
        sent = await copying.fetch()
        assert isinstance(sent, Fetched), "the donor is free for it again"
        shutil.rmtree(copying.staging)
        plain = replace(copying.conf, socket=Socket())
        refused(await tried(plain, copying.donor), Cause.HERE, "transfer plain")
        stranger = replace(copying.donor, agent_port=1)
        refused(await tried(copying.conf, stranger), Cause.UNREACHABLE, "db2")
        monkeypatch.setattr(mariadb_backup, "unfit", lambda *_: "of another series")
        refused(await tried(copying.conf, copying.donor), Cause.HERE, "series")
        assert not copying.staging.exists()


async def test_the_copying_program_logs_in_by_the_socket_that_the_conf_names(
    tmp_path: Path, donor: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered, socket = Streams._order, str(donor.directory / "s")

    def by_socket(*args: Any) -> Order:
        order = ordered(*args)
        return replace(order, here=replace(order.here, tools_socket=socket))

    monkeypatch.setattr(Streams, "_order", by_socket)
    local = f"'{TOOLS.user}'@'localhost'"  # whoever comes by TCP is '127.0.0.1' here
    async with donor_of(tmp_path, donor) as copying:
        refused(await copying.fetch(), Cause.PRODUCER, local)
        make_tools_user(donor, host="localhost")
        try:
            assert isinstance(await copying.fetch(), Fetched)
        finally:
            donor.run(f"DROP USER {local}")


async def test_without_tls_nothing_is_sent_unless_both_say_so(
    tmp_path: Path, donor: Server, caplog: pytest.LogCaptureFixture
) -> None:
    plain = Socket()
    async with donor_of(tmp_path, donor, socket=plain) as copying:
        refused(await copying.fetch(), Cause.HERE, "transfer plain")
        refused(await copying.fetch(transfer="plain"), Cause.REFUSED, "db2 sends its data over TLS only")
    async with donor_of(tmp_path, donor, socket=plain, transfer="plain") as copying:
        came = await copying.fetch()
    assert isinstance(came, Fetched), came
    assert any("transfer plain" in each.message and each.levelname == "WARNING" for each in caplog.records)


async def test_a_certificate_of_another_ca_gets_nothing(tmp_path: Path, donor: Server) -> None:
    stranger = Authority(tmp_path, "theirs").issue("stranger")
    async with donor_of(tmp_path, donor) as copying:
        came = await copying.fetch(socket=replace(stranger, ca_file=copying.conf.socket.ca_file))
        refused(came, Cause.UNREACHABLE, "db2")
        assert not copying.staging.exists()


async def test_one_copy_at_a_time(tmp_path: Path, donor: Server) -> None:
    async with donor_of(tmp_path, donor, **SLOW) as copying:
        first = asyncio.create_task(copying.fetch())
        await copying.begun()
        other = replace(copying, folder=tmp_path / "other")
        other.folder.mkdir()
        refused(await other.fetch(), Cause.REFUSED, "one at a time", "127.0.0.1")
        assert copying.staging.exists()
        copying.sender().kill()
        await first


@pytest.mark.parametrize(
    ("whom", "cause", "words"),
    [("sender", Cause.CUT, ("db2",)), ("producer", Cause.PRODUCER, ("db2", "ended with -9"))],
)
async def test_who_is_killed_in_the_middle_leaves_nothing(
    tmp_path: Path, donor: Server, whom: str, cause: Cause, words: tuple[str, ...]
) -> None:
    async with donor_of(tmp_path, donor, **SLOW) as copying:
        copy = asyncio.create_task(copying.fetch())
        await copying.begun()
        producer = copying.producer()
        os.kill(copying.sender().pid if whom == "sender" else producer, signal.SIGKILL)
        refused(await copy, cause, *words)
        assert not copying.staging.exists()
        await gone(producer)


async def test_a_recipient_that_goes_away_ends_the_producer(tmp_path: Path, donor: Server) -> None:
    """At once, though it has nothing to send just then: it waits for a lock."""
    waits = "SELECT 1 FROM information_schema.processlist WHERE user = %s AND state LIKE '%%backup lock%%'"
    with donor.client() as session, session.cursor() as cursor:
        cursor.execute("BACKUP STAGE START")
        async with donor_of(tmp_path, donor) as copying:
            stream = await asyncio.to_thread(open_stream, copying.conf, copying.donor, PROVIDER, "job")
            await asyncio.to_thread(donor.wait_for_rows, waits, TOOLS.user)
            producer = copying.producer()
            with stream:
                pass
            await gone(producer)
            assert await asyncio.to_thread(donor.value, "1") == "1"


@dataclass
class Hanging:
    """A recipient that hangs at what is copied while commits wait, which is more than fits into pipes and sockets."""

    hangs: threading.Event
    goes_on: threading.Event

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.hangs.wait, LIMIT)


@pytest.fixture
def hanging(donor: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    hanging = Hanging(threading.Event(), threading.Event())
    write = Unpacking.write

    def written(self: Unpacking, data: bytes) -> None:
        if b"mysql/table_stats.MA" in data:
            hanging.hangs.set()
            hanging.goes_on.wait(LIMIT)
        write(self, data)

    monkeypatch.setattr(Unpacking, "write", written)
    connected = connecting._connected

    def narrow(sock: socket.socket, *args: Any) -> socket.socket:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        return connected(sock, *args)

    monkeypatch.setattr(connecting, "_connected", narrow)
    names = [f"('shop', '{number:08}{'x' * 50}', 1)" for number in range(120_000)]
    with donor.connect(timeout=LIMIT) as session:
        for at in range(0, len(names), 30_000):
            session.execute(f"INSERT INTO mysql.table_stats VALUES {','.join(names[at : at + 30_000])}")  # noqa: S608
    yield hanging
    hanging.goes_on.set()
    donor.run("TRUNCATE mysql.table_stats")


async def test_a_recipient_that_hangs_does_not_stop_the_donors_writers(
    tmp_path: Path,
    donor: Server,
    hanging: Hanging,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where there is no room for the rest of the copy, the copy ends."""
    ordered = Streams._order
    monkeypatch.setattr(Streams, "_order", lambda *args: replace(ordered(*args), room=0))
    async with donor_of(tmp_path, donor, compress="no") as copying:
        copy = asyncio.create_task(copying.fetch())
        await hanging.begun()
        await asyncio.to_thread(donor.run, "INSERT INTO shop.notes VALUES ('written meanwhile')")
        await asyncio.to_thread(donor.run, "INSERT INTO shop.orders (what) VALUES ('written meanwhile')")
        assert not copy.done()
        hanging.goes_on.set()
        refused(await copy, Cause.BLOCKED_WRITES, "db2", "commits")
        assert not copying.staging.exists()
    assert any("commits" in each.message and each.levelname == "WARNING" for each in caplog.records)


async def test_a_recipient_that_is_late_when_commits_wait_gets_its_copy_all_the_same(
    tmp_path: Path, donor: Server, hanging: Hanging
) -> None:
    """The rest is kept for it: the producer has ended, and writers go on, while it still hangs."""
    async with donor_of(tmp_path, donor, compress="no") as copying:
        copy = asyncio.create_task(copying.fetch())
        await hanging.begun()
        await until(lambda: not copying.producers())
        await asyncio.to_thread(donor.run, "INSERT INTO shop.orders (what) VALUES ('written meanwhile')")
        assert not copy.done()
        hanging.goes_on.set()
        came = await copy
    assert isinstance(came, Fetched), came


def test_how_long_commits_waited_is_counted() -> None:
    """From before the lock is got to its end."""
    said = ["BLOCK_DDL", "BLOCK_COMMIT", "END"]
    lines = [f"{verb} BACKUP STAGE {stage}" for stage in said for verb in ("Starting", "Executing")]
    argv = ("sh", "-c", f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} >&2")
    producer = Producer(argv, "", 0, mariadb_backup.stops_commits, lambda _: True)
    running = Running(producer, compress=False, clock=itertools.count().__next__)
    assert running.status() == 0
    assert running.waited == 2


async def test_a_tool_of_another_series_reads_nothing(
    tmp_path: Path, donor: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "mariadb-backup"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\necho 'mariadb-backup based on MariaDB server 12.9.3-MariaDB Linux (x86_64)'\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    async with donor_of(tmp_path, donor) as copying:
        refused(await copying.fetch(), Cause.REFUSED, "12.9.3", own_series())


async def test_files_that_are_not_the_servers_own_are_not_copied(
    tmp_path: Path, server_pool: Servers
) -> None:
    with server_pool.lent() as pool:
        server = pool.start()
        make_tools_user(server)
        data = server.directory / "data"
        data.rename(server.directory / "moved")
        shutil.copytree(server.directory / "moved", data)
        async with donor_of(tmp_path, server) as copying:
            refused(await copying.fetch(), Cause.REFUSED, "works in another folder")


@pytest.mark.parametrize("what", ["table", "schema"])
async def test_data_outside_of_the_data_directory_is_named(tmp_path: Path, donor: Server, what: str) -> None:
    """A server on the copy would take the other server's own file for its own."""
    outside, inside = tmp_path / "outside", donor.directory / "data" / "apart"
    outside.mkdir()
    if what == "table":
        donor.run(f"CREATE TABLE shop.apart (id INT) DATA DIRECTORY='{outside}'")
    else:
        inside.symlink_to(outside)
    try:
        async with donor_of(tmp_path, donor) as copying:
            refused(await copying.fetch(), Cause.REFUSED, "outside of its data directory", "apart")
    finally:
        donor.run("DROP TABLE IF EXISTS shop.apart")
        inside.unlink(missing_ok=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", small], check=True)
    yield small
    subprocess.run(["umount", "-l", small], check=True)


async def test_a_full_disk_is_named_and_left_empty(tmp_path: Path, small_disk: Path, donor: Server) -> None:
    async with donor_of(tmp_path, donor) as copying:
        refused(await replace(copying, folder=small_disk).fetch(), Cause.UNPACK, "MB are free")
    assert not any(Path(small_disk).iterdir())  # noqa: ASYNC240


@dataclass
class Stream:
    """A stream as a donor would send it, made of a real copy of its data."""

    data: bytes
    version: str

    def sent(self, data: bytes, tail: Tail | None) -> socket.socket:
        """Return the recipient's end of a connection on which so much is sent."""
        here, there = socket.socketpair()

        def send() -> None:
            with there, suppress(OSError):
                there.sendall(head_frame(Head(self.version)))
                for at in range(0, len(data), FRAME):
                    there.sendall(framed(data[at : at + FRAME]))
                if tail is not None:
                    there.sendall(tail_frames(tail))

        threading.Thread(target=send, daemon=True).start()
        return here

    def tail(self, data: bytes) -> Tail:
        return Tail(len(data), hashlib.blake2b(data, digest_size=32).hexdigest(), 0)


@pytest.fixture(scope="module")
def stream(donor: Server, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    scratch = tmp_path_factory.mktemp("scratch")
    argv = [
        "mariadb-backup",
        "--no-defaults",
        "--backup",
        "--stream=mbstream",
        "--host=127.0.0.1",
        "--user=root",
    ]
    argv += [f"--port={donor.port}", f"--datadir={donor.directory}/data", f"--target-dir={scratch}"]
    made = subprocess.run(argv, capture_output=True, check=True)
    return Stream(made.stdout, donor.value("VERSION()"))


def received(
    stream: Stream, sock: socket.socket, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Fetched | Failed:
    monkeypatch.setattr(fetching, "open_stream", lambda *_: Coming(sock))
    conf = agents.conf(folder)
    return fetching.fetch(conf, conf.hosts["db1"], folder / "staging", lambda _: None)


def test_a_stream_that_is_cut_where_it_looks_whole_is_no_copy(
    tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the border of a chunk the unpacking program finds nothing wrong, and files are missing."""
    cut = stream.data[: stream.data.rindex(b"XBSTCK01")]
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["mbstream", "-x", "-C", unpacked], input=cut, check=True)
    refused(received(stream, stream.sent(cut, None), tmp_path, monkeypatch), Cause.CUT, "cut after")
    sock = stream.sent(cut, stream.tail(stream.data))
    refused(received(stream, sock, tmp_path, monkeypatch), Cause.DAMAGED, f"{len(cut)} bytes")
    assert not (tmp_path / "staging").exists()


def test_the_disk_writes_a_copy_while_it_comes_and_is_asked_how_that_went(
    tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks at the end is told nothing of what failed before."""
    asked = threading.Event()

    def full_once(path: Path, *, follow: bool = True) -> None:
        if not asked.is_set():
            asked.set()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        settle(path, follow=follow)

    monkeypatch.setattr(files, "settle", full_once)
    monkeypatch.setattr(files, "BETWEEN", 0.01)
    here, there = socket.socketpair()

    def send() -> None:
        with there, suppress(OSError):
            there.sendall(head_frame(Head(stream.version)))
            for at in range(0, len(stream.data), FRAME):
                there.sendall(framed(stream.data[at : at + FRAME]))
            if asked.wait(LIMIT):
                there.sendall(tail_frames(stream.tail(stream.data)))

    threading.Thread(target=send, daemon=True).start()
    refused(received(stream, here, tmp_path, monkeypatch), Cause.HERE, "No space left")
    assert not (tmp_path / "staging").exists()


def test_a_changed_byte_is_noticed(tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    at = stream.data.index(b"InnoDB") if b"InnoDB" in stream.data else len(stream.data) // 2
    changed = stream.data[:at] + b"?" + stream.data[at + 1 :]
    sock = stream.sent(changed, stream.tail(stream.data))
    came = received(stream, sock, tmp_path, monkeypatch)
    assert isinstance(came, Failed)
    assert came.cause in {Cause.DAMAGED, Cause.UNPACK}
    assert not (tmp_path / "staging").exists()


def test_a_donor_that_says_nothing_is_left(
    tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "SILENT", 0.2)
    here, there = socket.socketpair()
    with there:
        there.sendall(head_frame(Head(stream.version)))
        refused(received(stream, here, tmp_path, monkeypatch), Cause.SILENT, "no byte came from db1")


def test_what_is_there_already_stays(tmp_path: Path, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "precious").touch()
    sock = stream.sent(stream.data, stream.tail(stream.data))
    with sock:
        refused(received(stream, sock, tmp_path, monkeypatch), Cause.HERE, "staging")
    assert (tmp_path / "staging" / "precious").exists()


@given(st.lists(st.binary(min_size=1, max_size=200)), st.integers(1, 50))
def test_frames_come_apart_as_they_were_put_together(data: list[bytes], step: int) -> None:
    head, tail = Head("10.11", 7, compressed=True), Tail(3, "0" * 64, -9, "blocked", ("a", "b|c"))
    whole = head_frame(head) + b"".join(map(framed, data)) + tail_frames(tail)
    frames = Frames()
    pieces = [piece for at in range(0, len(whole), step) for piece in frames.feed(whole[at : at + step])]
    assert pieces == [head, *data, tail]
    assert frames.ended


def test_a_rate_is_kept_to_in_the_long_run() -> None:
    bucket, now = Bucket(1000), 0.0
    for _ in range(50):
        now += bucket.wait(now, 100)
    assert 4.5 < now < 5.5
    assert not Bucket(0).wait(0.0, 1 << 30)


OWN = "the series of this machine's own server"


@pytest.mark.parametrize(
    ("name", "words"), [("mariadb:10.5", ("10.5.", OWN)), ("mysql:9.7", ("db2", "no MariaDB"))]
)
async def test_a_server_that_the_program_is_not_for_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str, words: tuple[str, ...]
) -> None:
    pool = Servers(tmp_path_factory.mktemp("other"), kind(name))
    try:
        server = pool.start()
        make_tools_user(server, ("PROCESS",))
        async with donor_of(tmp_path, server) as copying:
            refused(
                await copying.fetch(),
                Cause.REFUSED,
                *(own_series() if word is OWN else word for word in words),
            )
    finally:
        pool.stop()
