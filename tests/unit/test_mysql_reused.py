"""A session that is used again: who notices what, on a real server, with TLS and without."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mmm.mysql.server.read_only import look_at_read_only
from mmm.mysql.session import async_session, text_protocol
from mmm.mysql.session.connection import Address, Connection, ErrorKind, MysqlError
from mmm.mysql.session.question import Question
from mmm.mysql.session.reused import Kept
from mmm.mysql.session.tls import Tls
from tests.authority import Authority
from tests.servers import Server, Servers
from tests.unit.gate import HELD, gate
from tests.unit.test_mysql_connection import listener, wait_for_the_client_to_leave

pytestmark = pytest.mark.mysql
LIMIT = 5.0


@dataclass
class Watched:
    """A kept session, and whether its end was seen."""

    kept: Kept
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, question: Callable[[Connection], Question[int]], limit: float = LIMIT) -> int:
        return await self.kept.ask(question, limit)


@asynccontextmanager
async def kept(address: Address, renewed: float = 100.0) -> AsyncIterator[Watched]:
    ended = asyncio.Event()
    with ThreadPoolExecutor(2) as threads:
        session = Kept(address, threads, renewed=renewed, ended=ended.set)
        try:
            yield Watched(session, ended)
        finally:
            session.close()


@pytest.fixture(params=["plain", "TLS"])
def encrypted(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "TLS")


@pytest.fixture(scope="module")
def secured(server_pool: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that speaks TLS to whoever asks for it."""
    ours = Authority(tmp_path_factory.mktemp("ca"), "ours")
    files = ours.issue("server", ip="127.0.0.1")
    with server_pool.lent() as lent:
        yield lent.start(
            f"--ssl-cert={files.cert_file}", f"--ssl-key={files.key_file}", f"--ssl-ca={ours.path}"
        )


@pytest.fixture
def address(secured: Server, encrypted: bool) -> Address:  # noqa: FBT001
    return replace(secured.address(), tls=Tls() if encrypted else None)


def session_id(_: Connection) -> Question[int]:
    return int((yield "SELECT CONNECTION_ID() AS id")[0]["id"] or 0)


def sessions(server: Server) -> set[int]:
    with server.connect() as other:
        rows = other.query("SELECT ID AS id FROM information_schema.PROCESSLIST")
    return {int(row["id"] or 0) for row in rows}


async def test_questions_go_over_one_session(secured: Server, address: Address) -> None:
    async with kept(address) as watched:
        first = await watched.ask(session_id)
        assert await watched.ask(session_id) == first
        assert first in sessions(secured)
    secured.wait_for_rows(f"SELECT 1 WHERE {first} NOT IN (SELECT ID FROM information_schema.PROCESSLIST)")  # noqa: S608
    assert not watched.ended.is_set()


async def test_a_session_is_replaced_when_its_time_is_over(address: Address) -> None:
    async with kept(address, renewed=0.0) as watched:
        assert await watched.ask(session_id) != await watched.ask(session_id)
        assert not watched.ended.is_set()


async def test_one_that_is_due_serves_on_while_the_server_lets_nobody_in(
    secured: Server, address: Address
) -> None:
    secured.run("CREATE USER kept@'%' IDENTIFIED BY 'secret'")
    try:
        async with kept(replace(address, user="kept", password="secret"), renewed=0.05) as watched:
            first = await watched.ask(session_id)
            secured.run("ALTER USER kept@'%' IDENTIFIED BY 'other'")
            await asyncio.sleep(0.06)
            with pytest.raises(MysqlError) as denied:
                await watched.ask(session_id)
            assert (denied.value.kind, denied.value.number) == (ErrorKind.DENIED, 1045)
            assert first in sessions(secured)
    finally:
        secured.run("DROP USER kept@'%'")


async def test_an_ended_session_is_seen_at_once_and_made_anew(secured: Server, address: Address) -> None:
    async with kept(address) as watched:
        first = await watched.ask(session_id)
        secured.run(f"KILL {first}")
        async with asyncio.timeout(LIMIT):
            await watched.ended.wait()
        assert not watched.kept.idle
        assert await watched.ask(session_id) != first


async def test_an_error_of_the_server_is_raised_where_the_question_can_take_it(address: Address) -> None:
    def question(_: Connection) -> Question[int]:
        try:
            yield "SELECT * FROM nowhere.nothing"
        except MysqlError as error:
            return error.number + int((yield "SELECT 7 AS seven")[0]["seven"] or 0)
        return 0

    async with kept(address) as watched:
        assert await watched.ask(question) - 7 in {1049, 1142, 1146}


async def test_an_answer_of_many_packets_and_null_comes_whole(address: Address) -> None:
    def question(_: Connection) -> Question[int]:
        rows = yield "SELECT NULL AS nothing, REPEAT('ä', 300000) AS much, '' AS empty UNION SELECT 'x', 'y', 'z'"
        assert rows[0]["nothing"] is None
        assert rows[0]["empty"] == ""
        assert tuple(rows[1].values()) == ("x", "y", "z")
        return len(rows[0]["much"] or "")

    async with kept(address) as watched:
        assert await watched.ask(question) == 300000


async def test_two_servers_are_asked_side_by_side_and_one_question_has_one_limit(
    secured: Server, address: Address
) -> None:
    def held(_: Connection) -> Question[int]:
        return int((yield f"SELECT {HELD} AS one")[0]["one"] or 0)

    def slow(_: Connection) -> Question[int]:
        yield "SELECT SLEEP(0.2)"
        yield "SELECT SLEEP(0.2)"
        return 0

    async with kept(address) as one, kept(address) as other:
        with gate(secured) as opened:
            waiting = asyncio.create_task(one.ask(held))
            asked = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT GET_LOCK%'"
            await asyncio.to_thread(secured.wait_for_rows, asked)
            assert await other.ask(session_id)
            assert not waiting.done()
            opened()
            assert await waiting == 1
        with pytest.raises(MysqlError) as late:
            await one.ask(slow, 0.3)
        assert late.value.kind is ErrorKind.TIMED_OUT
        assert not one.kept.idle


async def test_a_question_keeps_what_it_knows_when_a_later_statement_takes_too_long(address: Address) -> None:
    def question(_: Connection) -> Question[int]:
        known = int((yield "SELECT 7 AS seven")[0]["seven"] or 0)
        try:
            yield "SELECT SLEEP(20)"
        except MysqlError as error:
            assert error.kind is ErrorKind.TIMED_OUT  # noqa: PT017
            return known
        return 0

    async with kept(address) as watched:
        await watched.ask(session_id)
        assert await watched.ask(question, LIMIT) == 7
        assert not watched.kept.idle
        assert await watched.ask(session_id)


async def test_with_tls_files_that_are_none_nobody_is_connected_to(tmp_path: Path) -> None:
    came: list[socket.socket] = []
    with listener(came.append) as there:
        broken = replace(there, tls=Tls("verify_ca", str(tmp_path / "none.pem")))
        async with kept(broken) as watched:
            with pytest.raises(MysqlError) as told:
                await watched.ask(session_id, 2.0)
    assert (told.value.kind, told.value.server_alive, came) == (ErrorKind.FAILED, True, [])


async def test_a_server_that_died_refuses_and_one_that_froze_costs_one_limit(server_pool: Servers) -> None:
    with server_pool.lent() as lent:
        server = lent.start()
        async with kept(server.address()) as watched:
            await watched.kept.ask(look_at_read_only, LIMIT)
            for _ in range(2):  # on the session that stood, then while logging in
                with server.frozen(), pytest.raises(MysqlError) as frozen:
                    await watched.kept.ask(look_at_read_only, 0.3)
                assert (frozen.value.kind, watched.kept.idle) == (ErrorKind.TIMED_OUT, False)
            await watched.kept.ask(look_at_read_only, LIMIT)
            server.kill()
            async with asyncio.timeout(LIMIT):
                await watched.ended.wait()
            with pytest.raises(MysqlError) as dead:
                await watched.kept.ask(look_at_read_only, LIMIT)
            assert (dead.value.kind, watched.kept.idle) == (ErrorKind.REFUSED, False)


async def test_a_question_that_is_given_up_ends_the_session(server: Server) -> None:
    async with kept(server.address()) as watched:
        await watched.ask(session_id)

        def slow(_: Connection) -> Question[int]:
            yield "SELECT SLEEP(20)"
            return 0

        waiting = asyncio.create_task(watched.ask(slow))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not watched.kept.idle
        assert await watched.ask(session_id)


class Held:
    """A question that is held up in its thread, as by a server that hangs."""

    def __init__(self) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> Question[int]:
        self.begun.set()
        self.goes_on.wait(LIMIT)
        return (yield from session_id(connection))


async def asked_on(watched: Watched, held: Held) -> tuple[int, asyncio.Task[int]]:
    """Return the number of the session, and the question that is held up in its thread."""
    first = await watched.ask(session_id)
    waiting = asyncio.create_task(watched.ask(held))
    await asyncio.to_thread(held.begun.wait, LIMIT)
    return first, waiting


async def ended(server: Server, session: int) -> None:
    """Wait until the server has no session of that number."""
    listed = "(SELECT ID FROM information_schema.PROCESSLIST)"
    await asyncio.to_thread(server.wait_for_rows, f"SELECT 1 WHERE {session} NOT IN {listed}")


@pytest.mark.parametrize("encrypted", ["TLS"], indirect=True)
async def test_a_session_whose_question_was_given_up_is_its_threads_alone_and_ends_with_it(
    secured: Server, address: Address
) -> None:
    held = Held()
    async with kept(address) as watched:
        first, waiting = await asked_on(watched, held)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not watched.kept.idle
        assert await watched.ask(session_id) != first
        held.goes_on.set()
        await ended(secured, first)
        assert not watched.ended.is_set()


@pytest.mark.parametrize("encrypted", ["TLS"], indirect=True)
async def test_a_session_that_is_closed_while_a_thread_asks_on_it_ends_after_the_answer(
    secured: Server, address: Address
) -> None:
    held = Held()
    async with kept(address) as watched:
        first, waiting = await asked_on(watched, held)
        watched.kept.close()
        assert not watched.kept.idle
        held.goes_on.set()
        assert await waiting == first
        await ended(secured, first)


async def test_what_is_no_server_and_what_is_silent_are_told_apart() -> None:
    def nonsense(client: socket.socket) -> None:
        client.sendall(b"SSH-2.0-nonsense\r\n")
        wait_for_the_client_to_leave(client)

    with listener(nonsense) as wrong:
        async with kept(wrong) as watched:
            with pytest.raises(MysqlError) as told:
                await watched.ask(session_id, 2.0)
            assert told.value.kind is ErrorKind.UNREACHABLE
    with listener(wait_for_the_client_to_leave) as silent:
        async with kept(silent) as watched:
            with pytest.raises(MysqlError) as late:
                await watched.ask(session_id, 0.2)
            assert late.value.kind is ErrorKind.TIMED_OUT


async def test_a_server_that_goes_astray_in_its_answers_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(server.address()) as watched:
        await watched.ask(session_id)

        def astray(*_: object) -> None:
            raise text_protocol.NotMysqlError("nonsense")

        with monkeypatch.context() as patched:
            patched.setattr(text_protocol.Exchange, "take_in", astray)
            with pytest.raises(MysqlError) as failed:
                await watched.ask(session_id)
        assert (failed.value.kind, watched.kept.idle) == (ErrorKind.UNREACHABLE, False)
        monkeypatch.setattr(async_session, "MAX_ANSWER", 1000)

        def much(_: Connection) -> Question[int]:
            yield "SELECT REPEAT('x', 5000)"
            return 0

        with pytest.raises(MysqlError, match="longer than"):
            await watched.ask(much)
