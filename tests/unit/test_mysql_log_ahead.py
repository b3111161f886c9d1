"""A dead writer's log that was got in advance is used when it is needed, as far as it still stands there so.

Real servers, of which one is killed; what is got comes over a real connection.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from functools import partial

import pytest

from mmm.agent.act.binlog_known import Known
from mmm.agent.act.log_ahead import LogAhead
from mmm.mysql.server.replication import start_replica
from mmm.wire import agent as wire
from mmm.wire.salvaged import Cause
from tests.servers import MARIADB, OTHERS, Server, Servers
from tests.unit.lost_writer import (
    PLENTY,
    Pair,
    asked,
    build,
    caught_up,
    conf,
    from_files,
    gtids,
    in_advance,
    killed_after,
    salvage,
    served,
)
from tests.unit.trio import agent

pytestmark = pytest.mark.mysql

BLOBS = "CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB)"


@pytest.fixture(autouse=True)
def _answers_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the agent of the old writer answer late: on a busy machine it does."""
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.ANSWER_LIMIT", 20.0)
    monkeypatch.setattr("mmm.agent.act.log_ahead.LOGIN_LIMIT", 20.0)


def orders(server: Server) -> list[str]:
    with server.connect() as connection:
        return [str(row["what"]) for row in connection.query("SELECT what FROM shop.orders ORDER BY id")]


def inserts(*what: str) -> list[str]:
    rows = [f"INSERT INTO orders (what) VALUES ('{one}')" for one in what]  # noqa: S608
    return ["SET binlog_format=ROW", *rows]


def large(rows: int) -> tuple[str, ...]:
    """Return the statements of a transaction with so many rows of 8 kB."""
    row = "INSERT INTO blobs (b) VALUES (REPEAT('x', 8000))"
    return ("SET binlog_format=ROW", "BEGIN", *[row] * rows, "COMMIT")


class Counted:
    """The agent of the dead server, and how many bytes it was asked for."""

    def __init__(self, pair: Pair) -> None:
        self._whole = from_files(pair.files)
        self.sent = 0

    def __call__(self, request: wire.Request) -> bytes:
        reply = self._whole(request)
        self.sent += len(reply)
        return reply


def got(pair: Pair, answer: Callable[[wire.Request], bytes] | None = None, **most: int) -> Known:
    with served(answer or from_files(pair.files)) as port:
        return in_advance(pair, port, **most)


def options(servers: Servers) -> tuple[str, ...]:
    return () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")


@pytest.mark.parametrize("by_gtid", [True, False], ids=["gtid", "position"])
@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_what_was_got_in_advance_is_not_asked_for_again(servers: Servers, *, by_gtid: bool) -> None:
    pair = build(servers, by_gtid=by_gtid, options=options(servers))
    pair.lack(BLOBS, *inserts("a"), *large(400), "FLUSH BINARY LOGS", *inserts("b"))
    had = gtids(pair.old)
    pair.old.kill()
    known, answer = got(pair), Counted(pair)
    assert known.size > 3_200_000
    assert orders(pair.new) == ["first"], "nothing is applied in advance"
    done, said = salvage(pair, answer=answer, ahead=lambda _: known)
    assert (done.complete, done.count, done.left) == (True, 4, 0), said
    assert "is used" in said
    assert answer.sent < known.size / 10
    assert set(gtids(pair.new).split(",")) >= set(had.split(","))
    pair.old.restart()
    with agent(pair.new) as here:
        start_replica(here)
    one, other = pair.checksums("orders", "blobs")
    assert one == other


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_a_server_that_is_started_again_meanwhile_sends_it_by_replication_and_nothing_is_doubled(
    servers: Servers,
) -> None:
    """Though what was got was not forgotten, and the server dies once more."""
    pair = build(servers, options=options(servers))
    pair.lack(*inserts("a", "b"))
    pair.old.kill()
    known = got(pair)
    pair.old.restart()
    with agent(pair.new) as here, agent(pair.old) as there:
        start_replica(here)
        caught_up(here, there)
    assert orders(pair.new) == ["first", "a", "b"]
    pair.lack(*inserts("c"))
    pair.old.kill()
    done, said = salvage(pair, ahead=lambda _: known)
    assert (done.complete, done.count) == (True, 1), said
    assert orders(pair.new) == ["first", "a", "b", "c"]


def test_what_the_server_has_written_since_is_got_besides(servers: Servers) -> None:
    """It was started again and died again, before the next writer received anything."""
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    known = got(pair)
    pair.old.restart()
    pair.old.run("USE shop", *inserts("b", "c"))
    pair.old.kill()
    done, said = salvage(pair, ahead=lambda _: known)
    assert (done.complete, done.count) == (True, 3), said
    assert "is used" in said
    assert orders(pair.new) == ["first", "a", "b", "c"]


def test_a_log_that_was_cut_off_since_is_got_anew(servers: Servers) -> None:
    """A server of MariaDB with semi-sync may do so when it starts after a kill; what it took away counts no more."""
    pair = build(servers)
    pair.lack(*inserts("a"))
    log = max((pair.old.directory / "data").glob("bin.??????"))
    size = log.stat().st_size
    pair.old.run("USE shop", *inserts("b"))
    pair.old.kill()
    known = got(pair)
    os.truncate(log, size)
    done, said = salvage(pair, ahead=lambda _: known)
    assert (done.complete, done.count) == (True, 1), said
    assert "is not used" in said
    assert orders(pair.new) == ["first", "a"]


def test_another_log_of_the_same_name_is_not_mistaken_for_it(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    log = max((pair.old.directory / "data").glob("bin.??????"))
    pair.old.run("USE shop", *inserts("YYYYY"))
    pair.old.kill()
    known, whole = got(pair), log.read_bytes()
    log.write_bytes(whole.replace(b"YYYYY", b"ZZZZZ"))
    _, said = salvage(pair, ahead=lambda _: known)
    assert "is another one" in said
    assert orders(pair.new) == ["first", "a"], (
        "its checksum is wrong now, as that of no log that a server wrote"
    )


def test_an_agent_that_dies_meanwhile_has_sent_what_came(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    letters = [letter * 100 for letter in "abcdefgh"]
    pair.lack(*inserts(*letters))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.LONGEST", 300)
    known = got(pair, killed_after(4, pair.files))
    assert 0 < known.size <= 900
    done, said = salvage(pair, ahead=lambda _: known)
    assert (done.complete, done.count) == (True, 8), said
    assert "is used" in said
    assert orders(pair.new) == ["first", *letters]


def test_where_no_agent_answers_any_more_nothing_is_applied_of_it(servers: Servers) -> None:
    """Nobody says then whether the log is as it was."""
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    known = got(pair)
    done, said = salvage(pair, answer=killed_after(0, pair.files), ahead=lambda _: known)
    assert (done.cause, done.count) == (Cause.AGENT, 0)
    assert "is not used" in said
    assert orders(pair.new) == ["first"]


def test_no_more_is_kept_than_may_be_and_the_rest_is_got_when_it_is_needed(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(200), *inserts("b"))
    pair.old.kill()
    known = got(pair, most=200_000)
    assert 200_000 <= known.size < 300_000
    done, said = salvage(pair, ahead=lambda _: known)
    assert (done.complete, done.count) == (True, 4), said
    assert orders(pair.new) == ["first", "a", "b"]


def test_one_that_is_too_large_is_named_as_ever(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(300), *inserts("b"))
    pair.old.kill()
    known = got(pair)
    done, said = salvage(pair, most=1 << 20, ahead=lambda _: known)
    assert (done.cause, done.known, done.count, done.left) == (Cause.TOO_LARGE, True, 2, 2), said
    assert done.at_size > 2_400_000


async def test_what_has_come_since_is_got_when_it_is_asked_for_again(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    answer = Counted(pair)
    with served(answer) as port:
        ahead = LogAhead(conf(pair, port))
        first = await asked(ahead)
        pair.old.restart()
        pair.old.run("USE shop", *inserts("b"))
        pair.old.kill()
        more = await asked(ahead)
        assert more.size > first.size
        assert [part.file for part in more.parts] == [first.parts[0].file, more.parts[-1].file]
        assert more.parts[0].data[: first.size] == first.parts[0].data
        assert await asked(ahead) == more
        ahead.close()
    done, said = await asyncio.to_thread(partial(salvage, pair, ahead=lambda _: more))
    assert (done.complete, done.count) == (True, 2), said


class Stuck:
    """The agent of the dead server, which answers so often and then waits for an event; tells that it does."""

    def __init__(self, pair: Pair, answers: int) -> None:
        self._whole = from_files(pair.files)
        self.answers = answers
        self.waits, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, request: wire.Request) -> bytes:
        self.answers -= 1
        if self.answers < 0:
            self.waits.set()
            assert self.goes_on.wait(PLENTY)
        return self._whole(request)


async def begun(pair: Pair, port: int, agent_: Stuck) -> LogAhead:
    """Have a log got, and return while its agent is stuck over it."""
    ahead = LogAhead(conf(pair, port))
    ahead.get("old")
    assert await wait_for(agent_.waits)
    return ahead


async def ended(ahead: LogAhead, stuck: Stuck) -> None:
    """Let the agent go on, and close what gets its log, once that is at its end."""
    work = ahead._work
    assert work is not None
    stuck.goes_on.set()
    await asyncio.wrap_future(work.known)
    ahead.close()


async def wait_for(event: threading.Event) -> bool:
    return await asyncio.to_thread(event.wait, PLENTY)


async def test_the_order_to_take_over_gets_what_is_here_and_ends_the_getting(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *large(100))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.log_ahead.HANDED_OVER", PLENTY)
    stuck = Stuck(pair, 3)
    with served(stuck) as port:
        ahead = await begun(pair, port, stuck)
        work = ahead._work
        assert work is not None
        threading.Timer(0.0, partial(_once, work.enough, stuck.goes_on)).start()
        known = ahead.known("old")
        ahead.close()
    assert 0 < known.size < 400_000, "it is as much as had come"
    done, said = await asyncio.to_thread(partial(salvage, pair, ahead=lambda _: known))
    assert done.complete, said


def _once(event: threading.Event, then: threading.Event) -> None:
    event.wait(PLENTY)
    then.set()


async def test_an_agent_that_hangs_over_it_is_not_waited_for(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    stuck = Stuck(pair, 1)
    with served(stuck) as port:
        ahead = await begun(pair, port, stuck)
        assert ahead.known("old") == Known()
        await ended(ahead, stuck)
    assert (await asyncio.to_thread(salvage, pair))[0].complete


async def test_where_the_agent_hangs_what_had_come_before_is_still_here(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    hangs = Stuck(pair, 10**6)
    with served(hangs) as port:
        ahead = LogAhead(conf(pair, port))
        first = await asked(ahead)
        hangs.answers = 0
        ahead.get("old")
        assert await wait_for(hangs.waits)
        assert ahead.known("old") == first
        await ended(ahead, hangs)


async def test_it_is_forgotten_when_it_is_not_asked_for_any_more(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    forgotten = threading.Event()
    monkeypatch.setattr("mmm.agent.act.log_ahead.KEPT", 0.0)
    with served(from_files(pair.files)) as port:
        ahead = LogAhead(conf(pair, port))

        def forget() -> None:
            LogAhead.forget(ahead)
            forgotten.set()

        monkeypatch.setattr(ahead, "forget", forget)
        ahead.get("old")
        assert await wait_for(forgotten)
        assert ahead.known("old") == Known()
        ahead.close()


async def test_the_log_of_one_host_is_not_used_for_another(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    with served(from_files(pair.files)) as port:
        ahead = LogAhead(conf(pair, port))
        assert (await asked(ahead)).size
        assert ahead.known("new") == Known()
        assert ahead.known("old").size
        ahead.forget()
        assert ahead.known("old") == Known()
        ahead.close()


async def test_an_internal_error_leaves_the_takeover_with_what_it_would_have_had(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    with served(from_files(pair.files)) as port:
        ahead = LogAhead(conf(pair, port))
        monkeypatch.setattr("mmm.agent.act.log_ahead.fetch", fails)
        assert await asked(ahead) == Known()
        assert ahead.known("old") == Known()
        ahead.close()
