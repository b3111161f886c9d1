"""What a server had committed when it was killed gets into another one, whole, once, and with its own GTIDs.

The log comes from a real server that is dead, over a real connection, and is applied by the agent's account.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from mmm.agent.act.binlog_fetch import fetch
from mmm.agent.act.binlog_rest import MOST
from mmm.agent.act.catch_up import Patience, apply_received
from mmm.agent.act.salvage import Salvage
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.detach import detach, stop_receiving
from mmm.mysql.server.follow import Followed, follow
from mmm.mysql.server.half_received import end_waiting
from mmm.mysql.server.replication import start_replica, stop_replica
from mmm.mysql.session.connection import MysqlError
from mmm.wire import agent as wire
from mmm.wire.binlog import asked_binlog
from mmm.wire.salvaged import Cause
from tests.servers import MARIADB, OTHERS, Server, Servers
from tests.unit.lost_writer import (
    PLENTY,
    STATEMENTS,
    Pair,
    build,
    caught_up,
    conf,
    from_files,
    gtids,
    killed_after,
    passing,
    replicate,
    salvage,
)
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, source

pytestmark = pytest.mark.mysql


@pytest.fixture(autouse=True)
def _answers_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the agent of the old writer answer late: on a busy machine it does."""
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.ANSWER_LIMIT", 20.0)


@pytest.mark.parametrize("by_gtid", [True, False], ids=["gtid", "position"])
@pytest.mark.parametrize("servers", [MARIADB, *OTHERS], indirect=True)
def test_what_only_the_dead_servers_log_has_is_applied_and_replication_goes_on_behind_it(
    servers: Servers, *, by_gtid: bool
) -> None:
    options = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, by_gtid=by_gtid, options=options)
    pair.lack(
        "INSERT INTO orders (what) VALUES ('a'), ('b')",
        "UPDATE orders SET what=CONCAT(what, '\n/*!*/ # at 7') WHERE id > 1",
        "CREATE TABLE blobs (id INT PRIMARY KEY, b BLOB)",
        "SET binlog_format=ROW",
        "INSERT INTO blobs VALUES (1, UNHEX('00FF27220A5C0D1A')), (2, REPEAT('x', 60000)), (3, REPEAT('y', 60000))",
        "FLUSH BINARY LOGS",
        "DELETE FROM orders WHERE id = 1",
    )
    had = gtids(pair.old)
    pair.old.kill()
    done, said = salvage(pair)
    assert (done.cause, said, done.known) == (None, "", True)
    assert done.complete
    assert (done.count, done.left) == (5, 0)
    assert set(gtids(pair.new).split(",")) >= set(had.split(","))
    assert pair.new.value("@@global.read_only") == "1"
    if not servers.kind.flavour.mariadb:
        assert pair.new.value("@@global.super_read_only") == "1"
    pair.old.restart()
    with agent(pair.new) as here:
        start_replica(here)
    pair.old.run("INSERT INTO shop.orders (what) VALUES ('later')")
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
    one, other = pair.checksums("orders", "blobs")
    assert one == other


ROWS = ("SET binlog_format=ROW",)


def inserts(*what: str) -> list[str]:
    return [*ROWS, *(f"INSERT INTO orders (what) VALUES ('{one}')" for one in what)]  # noqa: S608


def orders(server: Server) -> list[str]:
    with server.connect() as connection:
        return [str(row["what"]) for row in connection.query("SELECT what FROM shop.orders ORDER BY id")]


def newest_log(pair: Pair) -> Path:
    return max((pair.old.directory / "data").glob("bin.??????"))


def test_one_that_was_cut_short_by_time_goes_on_where_it_was(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts(*map(str, range(20))))
    pair.old.kill()
    times = iter([PLENTY] * 60)
    first, said = salvage(pair, left=lambda: next(times, 0.0))
    assert (first.cause, said) == (Cause.LATE, "the time is over")
    assert 0 < first.count < 20
    assert first.left == 20 - first.count
    assert len(orders(pair.new)) == 1 + first.count
    second, _ = salvage(pair)
    assert second.complete
    assert second.count == first.left
    assert orders(pair.new) == ["first", *map(str, range(20))]


def test_what_came_by_replication_is_not_applied_again(servers: Servers) -> None:
    pair = build(servers, by_gtid=False)
    pair.lack(*inserts("a", "b"))
    with agent(pair.new) as here, agent(pair.old) as there:
        start_replica(here)
        caught_up(here, there)
    pair.old.kill()
    done, _ = salvage(pair)
    assert (done.count, done.complete) == (0, True)
    assert orders(pair.new) == ["first", "a", "b"]


def test_a_transaction_that_is_cut_off_at_the_end_was_told_to_nobody(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a", "b"))
    pair.old.kill()
    log = newest_log(pair)
    os.truncate(log, log.stat().st_size - 10)
    done, _ = salvage(pair)
    assert (done.count, done.complete) == (1, True)
    assert orders(pair.new) == ["first", "a"]


def test_what_is_damaged_is_not_applied_and_what_stands_before_it_is(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a", "ZZZZZ", "c"))
    pair.old.kill()
    log = newest_log(pair)
    log.write_bytes(log.read_bytes().replace(b"ZZZZZ", b"ZZYZZ"))
    done, said = salvage(pair)
    assert (done.cause, done.known, done.count) == (Cause.DAMAGED, False, 1)
    assert "checksum" in said
    assert orders(pair.new) == ["first", "a"]


def test_a_transaction_that_the_server_does_not_take_leaves_no_part_of_itself(servers: Servers) -> None:
    pair = build(servers)
    pair.new.run("SET SESSION sql_log_bin=0", "DELETE FROM shop.orders")
    pair.lack(
        *inserts("a"),
        "BEGIN",
        "INSERT INTO orders (what) VALUES ('b')",
        "DELETE FROM orders WHERE id=1",
        "COMMIT",
    )
    pair.old.kill()
    done, said = salvage(pair)
    assert (done.cause, done.known, done.count, done.left) == (Cause.NOT_APPLIED, True, 1, 1)
    assert "1032" in said
    assert orders(pair.new) == ["a"]


@pytest.mark.parametrize("servers", [MARIADB, "mysql:9.7"], indirect=True)
def test_what_the_account_may_not_do_is_left_with_all_behind_it(servers: Servers) -> None:
    """Rows it may apply with the grants of the README alone."""
    options = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=options)
    sealed = "read_only" if servers.kind.flavour.mariadb else "super_read_only"
    revoke = f"REVOKE {STATEMENTS} ON *.* FROM '{AGENT.user}'@'%'"
    given = grants(servers.kind.flavour, MONITOR, AGENT, REPLICATION)
    pair.new.run(
        f"SET GLOBAL {sealed}=0", "SET SESSION sql_log_bin=0", revoke, *given, f"SET GLOBAL {sealed}=1"
    )
    pair.lack(*inserts("a"), "CREATE TABLE more (id INT)", *inserts("b"))
    pair.old.kill()
    done, _ = salvage(pair)
    assert (done.cause, done.known, done.count, done.left) == (Cause.DENIED, True, 1, 2)


@pytest.mark.parametrize("servers", ["mysql:9.7"], indirect=True)
def test_a_database_is_made_by_an_account_that_may_not_say_whether_it_is_encrypted(servers: Servers) -> None:
    """mysqlbinlog sets that before each; MySQL asks for TABLE_ENCRYPTION_ADMIN only where it is another value."""
    pair = build(servers, options=("--gtid-mode=ON", "--enforce-gtid-consistency=ON"))
    pair.lack(
        "CREATE DATABASE more",
        "CREATE TABLE more.t (id INT PRIMARY KEY)",
        "ALTER DATABASE more CHARACTER SET latin1",
        *inserts("a"),
        "SET SESSION default_table_encryption=ON",
        "CREATE DATABASE secret",
        "SET SESSION default_table_encryption=OFF",
        "CREATE DATABASE last",
    )
    had = gtids(pair.old)
    pair.old.kill()
    done, said = salvage(pair)
    assert (done.cause, done.count, done.left) == (Cause.DENIED, 4, 2), said
    assert "TABLE_ENCRYPTION_ADMIN" in said
    pair.new.run("SET GLOBAL super_read_only=0", "SET SESSION sql_log_bin=0", MAY_ENCRYPT)
    done, said = salvage(pair)
    assert done.complete, said
    assert gtids(pair.new) == had
    with pair.new.connect() as server:
        made = {
            str(name): server.query(f"SHOW CREATE DATABASE {name}")[0] for name in ("more", "secret", "last")
        }
    encrypted = [name for name, row in made.items() if "ENCRYPTION='Y'" in str(row["Create Database"])]
    assert encrypted == ["secret"]


MAY_ENCRYPT = f"GRANT TABLE_ENCRYPTION_ADMIN ON *.* TO '{AGENT.user}'@'%'"


def test_a_lock_that_stays_holds_it_up_no_longer_than_it_may(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    with pair.new.connect() as holder:
        holder.execute("LOCK TABLES shop.orders READ")
        done, said = salvage(pair)
        assert done.count == 0, said
        assert done.cause in {Cause.LATE, Cause.NOT_APPLIED}
    assert orders(pair.new) == ["first"]


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_settings_and_character_sets_of_statements_are_theirs(servers: Servers) -> None:
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=gtid)
    pair.lack(
        "SET binlog_format=STATEMENT, NAMES latin1, sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES', time_zone='+03:00'",
        "INSERT INTO \"orders\" (what) VALUES ('a\\')",
        'INSERT INTO "orders" (what) VALUES (FROM_UNIXTIME(1))',
        "SET NAMES utf8mb4",
        "INSERT INTO orders (what) VALUES ('\u00e9\u00df')",
    )
    pair.old.kill()
    done, said = salvage(pair)
    assert done.complete, said
    assert orders(pair.new) == ["first", "a\\", "1970-01-01 03:00:01", "\u00e9\u00df"]


def test_a_temporary_table_from_before_is_missing(servers: Servers) -> None:
    pair = build(servers)
    with pair.old.connect() as client:
        client.execute("SET SESSION binlog_format=STATEMENT")
        client.execute("CREATE TEMPORARY TABLE shop.t (what VARCHAR(9))")
        client.execute("INSERT INTO shop.t VALUES ('x')")
        with agent(pair.new) as here, agent(pair.old) as there:
            caught_up(here, there)
        pair.lack(*inserts("a"))
        client.execute("INSERT INTO shop.orders (what) SELECT what FROM shop.t")
    pair.old.kill()
    done, said = salvage(pair)
    assert (done.cause, done.count) == (Cause.NOT_APPLIED, 1)
    assert "1146" in said


def test_a_temporary_table_that_is_all_in_the_log_is_none_in_the_way(servers: Servers) -> None:
    """It is made, used and dropped in one session, as there; the account may do so only where it is let."""
    pair = build(servers)
    more = f"GRANT CREATE TEMPORARY TABLES ON *.* TO '{AGENT.user}'@'%'"
    pair.new.run("SET SESSION sql_log_bin=0", more)
    pair.lack(
        "SET binlog_format=STATEMENT",
        "CREATE TEMPORARY TABLE t (what VARCHAR(9))",
        "INSERT INTO t VALUES ('x')",
        "INSERT INTO orders (what) SELECT what FROM t",
        "DROP TEMPORARY TABLE t",
        *inserts("a"),
    )
    had = gtids(pair.old)
    pair.old.kill()
    done, said = salvage(pair)
    assert done.complete, said
    assert (orders(pair.new), gtids(pair.new)) == (["first", "x", "a"], had)


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_an_xa_transaction_is_in_the_way(servers: Servers) -> None:
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=gtid)
    pair.lack(
        *inserts("a"),
        "XA START 'x'",
        "INSERT INTO orders (what) VALUES ('b')",
        "XA END 'x'",
        "XA PREPARE 'x'",
    )
    at = gtids(pair.old).replace(":1-", ":")
    pair.old.kill()
    done, _ = salvage(pair)
    assert (done.cause, done.known, done.count, done.at) == (Cause.XA, False, 1, at)
    assert orders(pair.new) == ["first", "a"]


@pytest.mark.parametrize(
    ("other", "own"),
    [
        ("SET gtid_domain_id=7", "SET gtid_domain_id=0"),
        ("SET gtid_domain_id=7, server_id=50", "SET gtid_domain_id=0, server_id=1"),
    ],
    ids=["by the writer itself", "by a third server"],
)
def test_several_domains_go_each_their_way(servers: Servers, other: str, own: str) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"), other, *inserts("b", "c"), own, *inserts("d"))
    had = gtids(pair.old)
    pair.old.kill()
    done, said = salvage(pair)
    assert done.complete, said
    assert gtids(pair.new) == had == pair.new.value("@@global.gtid_slave_pos")


def test_what_this_host_has_written_in_its_place_keeps_it_out(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.new.run("INSERT INTO shop.orders (what) VALUES ('own')")
    pair.old.kill()
    done, _ = salvage(pair)
    assert (done.cause, done.count, done.left) == (Cause.DIVERGED, 0, 1)


def test_a_log_that_does_not_reach_back_is_no_use(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"), "FLUSH BINARY LOGS", *inserts("b"))
    pair.old.kill()
    index = pair.old.directory / "data/bin.index"
    index.write_text(index.read_text().partition("\n")[2])
    done, _ = salvage(pair)
    assert (done.cause, done.known, done.count) == (Cause.PURGED, False, 0)


@pytest.mark.parametrize("servers", ["mariadb:11.8"], indirect=True)
def test_an_encrypted_log_is_known_for_one(servers: Servers, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1;" + "a1" * 32 + "\n")
    options = (
        "--plugin-load-add=file_key_management",
        f"--file-key-management-filename={keys}",
        "--encrypt-binlog=1",
    )
    pair = build(servers, options=options)
    pair.lack(*inserts("a"))
    pair.old.kill()
    done, _ = salvage(pair)
    assert (done.cause, done.known, done.count) == (Cause.ENCRYPTED, False, 0)


def test_another_servers_log_is_not_taken(servers: Servers) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    stranger = servers.start("--server-id=77")
    with stranger.connect() as connection:
        pair.files.learn(connection)
    done, _ = salvage(pair)
    assert (done.cause, done.count) == (Cause.WRONG_SERVER, 0)


def test_an_agent_that_dies_in_the_middle_leaves_what_came_whole(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(*inserts(*(letter * 100 for letter in "abcdef")))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.LONGEST", 500)
    done, _ = salvage(pair, answer=killed_after(3, pair.files))
    assert (done.cause, done.known) == (Cause.AGENT, False)
    assert 0 < done.count < 6
    rest, _ = salvage(pair)
    assert rest.complete
    assert orders(pair.new) == ["first", *(letter * 100 for letter in "abcdef")]


def test_an_agent_that_hangs_is_not_waited_for(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = build(servers)
    pair.lack(*inserts("a"))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.ANSWER_LIMIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hangs, agent(pair.new) as server:
        silent = conf(pair, hangs.getsockname()[1])
        done = Salvage(silent, pair.new.address(AGENT.user, AGENT.password)).get(
            "old", server, lambda: PLENTY
        )
    assert (done.cause, done.known, done.count) == (Cause.AGENT, False, 0)
    assert done.seconds < PLENTY / 2


def large(rows: int) -> tuple[str, ...]:
    """Return the statements of a transaction with so many rows of 8 kB."""
    row = "INSERT INTO blobs (b) VALUES (REPEAT('x', 8000))"
    return ("SET binlog_format=ROW", "BEGIN", *[row] * rows, "COMMIT")


BLOBS = "CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB)"


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_one_that_is_too_long_costs_no_time_and_is_named_with_its_size(servers: Servers) -> None:
    """What stands before it is got; what stands behind it is counted."""
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=gtid)
    pair.lack(BLOBS, *inserts("a"))
    before = newest_log(pair).stat().st_size
    pair.old.run("USE shop", *large(300))
    size = newest_log(pair).stat().st_size - before
    at = gtids(pair.old)
    pair.old.run("USE shop", *inserts("b"), "FLUSH BINARY LOGS", *inserts("c"))
    pair.old.kill()
    asked: list[int] = []
    whole = from_files(pair.files)

    def answer(request: wire.Request) -> bytes:
        asked.append(asked_binlog(request).length)
        return whole(request)

    done, said = salvage(pair, answer=answer, most=1 << 20)
    assert (done.cause, done.known, done.count, done.left) == (Cause.TOO_LARGE, True, 2, 3)
    assert done.at == (at if servers.kind.flavour.mariadb else at.replace(":1-", ":"))
    assert done.at_size == size
    assert "a transaction of 2 MB" in said
    assert sum(asked) < size, "it is not got to no avail"
    assert orders(pair.new) == ["first", "a"]


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_a_log_that_is_longer_than_what_is_got_at_once_is_got_in_stages(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=gtid)
    pair.lack(
        BLOBS, *inserts(*map(str, range(20))), *large(40), *inserts("a"), *large(5), "FLUSH BINARY LOGS"
    )
    pair.old.run("USE shop", *inserts("b"), *large(60))
    had = gtids(pair.old)
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    done, said = salvage(pair)
    assert done.complete, said
    assert (done.count, done.left) == (26, 0)
    assert set(gtids(pair.new).split(",")) >= set(had.split(","))
    pair.old.restart()
    with agent(pair.new) as here:
        start_replica(here)
    one, other = pair.checksums("orders", "blobs")
    assert one == other


def test_what_comes_slowly_is_applied_before_more_is_got(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that sends no more after a while has sent what is here; what is not was counted before."""
    pair = build(servers, by_gtid=False)
    pair.lack(*inserts(*(letter * 150 for letter in "abcdefgh")))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.LONGEST", 1000)
    monkeypatch.setattr("mmm.agent.act.binlog_rest.fetch", partial(fetch, soon=0.0))
    done, _ = salvage(pair, answer=killed_after(5, pair.files))
    assert (done.cause, done.known, done.count + done.left) == (Cause.AGENT, True, 8)
    assert 0 < done.count < 8
    rest, _ = salvage(pair)
    assert rest.complete
    assert orders(pair.new) == ["first", *(letter * 150 for letter in "abcdefgh")]


def test_a_long_one_that_comes_too_slowly_is_given_up_and_what_stood_before_it_is_here(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(300))
    at = gtids(pair.old)
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    monkeypatch.setattr("mmm.agent.act.binlog_fetch._SURE", 0.0)
    whole, pieces = from_files(pair.files), -1

    def answer(request: wire.Request) -> bytes:
        nonlocal pieces
        length = asked_binlog(request).length
        pieces = pieces + 1 if length and pieces >= 0 else -1 if length else 0
        return whole(request)

    done, said = salvage(pair, answer=answer, left=lambda: 0.0 if pieces > 4 else PLENTY)
    assert (done.cause, done.known, done.count, done.left) == (Cause.LATE, True, 2, 1), said
    assert "too slowly" in said
    assert done.at == at
    assert done.at_size > 2_400_000
    assert orders(pair.new) == ["first", "a"]


def test_a_long_one_for_which_the_time_does_not_suffice_is_not_begun(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(40))
    at = gtids(pair.old)
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    monkeypatch.setattr("mmm.agent.act.binlog_rest.FASTEST", 1000)
    done, said = salvage(pair)
    assert (done.cause, done.known, done.left, done.at) == (Cause.TOO_LARGE, True, 1, at), said
    assert "do not suffice" in said


def test_a_long_one_that_is_here_is_passed_over(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = build(servers, by_gtid=False)
    pair.lack(BLOBS, *large(40), *inserts("a"))
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    assert salvage(pair)[0].complete
    monkeypatch.setattr("mmm.agent.act.salvage.go_on_behind", lambda *_: None)
    done, said = salvage(pair, most=200_000)
    assert (done.complete, done.count) == (True, 0), said


def test_a_long_one_that_is_cut_off_at_the_end_was_told_to_nobody(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(40))
    pair.old.kill()
    log = newest_log(pair)
    os.truncate(log, log.stat().st_size - 10)
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    done, said = salvage(pair)
    assert (done.complete, done.count, done.at) == (True, 2, ""), said


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
@pytest.mark.parametrize("enough", [True, False], ids=["got", "too large"])
def test_one_that_was_half_received_is_got_whole_or_not_at_all(servers: Servers, *, enough: bool) -> None:
    """MySQL waits for the rest of it for a minute before it stops replication, unless that is ended."""
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=gtid)
    pair.old.run("USE shop", BLOBS)
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
    with passing(pair.old, pair.new, 1 << 20) as full:
        pair.old.run("USE shop", *large(300), *inserts("b"))
        assert full.wait(PLENTY)
        pair.old.kill()
        with agent(pair.new) as here:
            stop_receiving(here)
        with agent(pair.new) as here:
            apply_received(here, Patience(PLENTY))
        ends = time.monotonic() + PLENTY / 2
        done, said = salvage(pair, left=lambda: ends - time.monotonic(), most=MOST if enough else 1 << 20)
        assert done.complete is enough, said
        with agent(pair.new) as here:
            assert detach(here) == ""
    if enough:
        pair.old.restart()
        replicate(pair.new, pair.old, by_gtid=True)
        one, other = pair.checksums("orders", "blobs")
        assert one == other
    else:
        assert (done.cause, done.known, done.count, done.left) == (Cause.TOO_LARGE, True, 0, 2), said
        assert done.at_size > 2_400_000
        assert pair.new.value("(SELECT COUNT(*) FROM shop.blobs)") == "0"


@pytest.mark.parametrize("servers", [OTHERS[-1]], indirect=True)
def test_a_slave_that_has_half_of_one_follows_the_next_writer_at_once(servers: Servers) -> None:
    pair = build(servers, options=("--gtid-mode=ON", "--enforce-gtid-consistency=ON"))
    third = servers.start(*pair.old.options[1:])
    third.run(*grants(servers.kind.flavour, MONITOR, AGENT, REPLICATION))
    replicate(third, pair.old, by_gtid=True)
    pair.old.run("USE shop", BLOBS)
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
    with passing(pair.old, pair.new, 1 << 20) as full:
        pair.old.run("USE shop", *large(300))
        with agent(third) as here, agent(pair.old) as there:
            caught_up(here, there)
        assert full.wait(PLENTY)
        pair.old.kill()
        with third.connect() as there, agent(pair.new) as here:
            assert follow(here, source(third), there, PLENTY / 2) is Followed.SWITCHED
            caught_up(here, there)
    assert pair.new.value("(SELECT COUNT(*) FROM shop.blobs)") == "300"


@pytest.mark.parametrize("servers", [OTHERS[-1]], indirect=True)
def test_the_thread_that_waits_is_told_from_those_of_other_channels(servers: Servers) -> None:
    options = ("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--performance-schema=ON")
    pair = build(servers, options=options)
    third = servers.start(*pair.old.options[1:])
    third.run(*grants(servers.kind.flavour, MONITOR, AGENT, REPLICATION))
    with pair.new.connect() as root:
        statement, arguments = change_source(root.flavour, source(third), None, {"CONNECT_RETRY": 1}, "other")
        root.execute(statement, arguments)
        start_replica(root, "other")
    pair.old.run("USE shop", BLOBS)
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
    with passing(pair.old, pair.new, 1 << 20) as full:
        pair.old.run("USE shop", *large(300))
        assert full.wait(PLENTY)
        pair.old.kill()
        with agent(pair.new) as here:
            stop_receiving(here)
            with pytest.raises(MysqlError):
                stop_replica(here, 0.5)
        unlogged = ("SET GLOBAL super_read_only=0", "SET SESSION sql_log_bin=0")
        pair.new.run(*unlogged, f"REVOKE SELECT ON *.* FROM '{AGENT.user}'@'%'")  # noqa: S608
        with agent(pair.new) as here:
            assert not end_waiting(here, ""), "nothing tells whose thread it is"
        pair.new.run(*unlogged, f"GRANT SELECT ON performance_schema.* TO '{AGENT.user}'@'%'")
        with agent(pair.new) as here:
            assert end_waiting(here, "")
            stop_replica(here)
            status = here.query(here.flavour.replica_status)
    assert {row["Channel_Name"]: row["Replica_SQL_Running"] for row in status} == {"": "No", "other": "Yes"}


def test_an_agent_that_does_not_tell_how_long_one_is_costs_no_time_either(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(BLOBS, *inserts("a"), *large(40))
    at = gtids(pair.old)
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_rest.AT_ONCE", 100_000)
    monkeypatch.setattr("mmm.agent.act.binlog_rest.measure", lambda *_: None)
    done, said = salvage(pair)
    assert (done.cause, done.known, done.count, done.at) == (Cause.TOO_LARGE, False, 2, at), said


@pytest.mark.parametrize("servers", [MARIADB, OTHERS[-1]], indirect=True)
def test_rows_that_are_too_many_for_one_packet_are_applied_in_one_transaction(servers: Servers) -> None:
    """The program prints them as one statement, which a server would end the session for."""
    gtid = () if servers.kind.flavour.mariadb else ("--gtid-mode=ON", "--enforce-gtid-consistency=ON")
    pair = build(servers, options=(*gtid, "--max-allowed-packet=1M"))
    more = "INSERT INTO orders (what) SELECT o.what FROM orders o, orders p LIMIT 4000"
    pair.lack(
        *inserts(*("x" * 190 for _ in range(70))),
        more,
        "BEGIN",
        "UPDATE orders SET what=REPEAT('y', 180)",
        "DELETE FROM orders WHERE id % 3 = 0",
        "COMMIT",
    )
    had = gtids(pair.old)
    pair.old.kill()
    done, said = salvage(pair)
    assert done.complete, said
    assert set(gtids(pair.new).split(",")) >= set(had.split(","))
    pair.old.restart()
    one, other = pair.checksums("orders")
    assert one == other


def test_a_server_that_comes_back_in_the_middle_changes_nothing(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on in another file, and the transactions that it had are those that are got of it."""
    pair = build(servers)
    pair.lack(*inserts(*(letter * 100 for letter in "abcdef")))
    had = gtids(pair.old)
    pair.old.kill()
    monkeypatch.setattr("mmm.agent.act.binlog_fetch.LONGEST", 500)
    whole, asked = from_files(pair.files), 0

    def answer(request: wire.Request) -> bytes:
        nonlocal asked
        asked += 1
        if asked == 3:
            pair.old.restart()
        return whole(request)

    done, said = salvage(pair, answer=answer)
    assert (done.complete, done.count) == (True, 6), said
    assert gtids(pair.new) == gtids(pair.old) == had
    with agent(pair.new) as here:
        start_replica(here)
    pair.old.run("INSERT INTO shop.orders (what) VALUES ('later')")
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
    assert orders(pair.new) == orders(pair.old)


@contextmanager
def small_disk(server: Server, room: int) -> Iterator[None]:
    """Have a server, which is started anew, with its data on a disk that has `room` bytes left."""
    server.kill()
    data, away = server.directory / "data", server.directory / "away"
    used = sum(each.stat().st_blocks * 512 for each in data.rglob("*"))
    data.rename(away)
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={used + room}", "none", data], check=True)
    try:
        shutil.copytree(away, data, dirs_exist_ok=True)
        server.restart()
        yield
    finally:
        server.kill()
        subprocess.run(["umount", data], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
@pytest.mark.parametrize("filled", [False, True], ids=["table", "log"])
def test_a_full_disk_costs_no_more_than_the_time_there_is_and_leaves_no_half_of_anything(
    servers: Servers, *, filled: bool
) -> None:
    """A table that does not fit is refused at once; for a binary log that does not fit, MariaDB waits."""
    pair = build(servers)
    pair.lack(
        *inserts("a"),
        f"INSERT INTO orders (what) SELECT REPEAT('x', 190) FROM seq_1_to_{40 if filled else 60_000}",  # noqa: S608
    )
    pair.old.kill()
    with small_disk(pair.new, 8 << 20):
        if filled:
            with (pair.new.directory / "data/filler").open("wb") as filler, suppress(OSError):
                while True:
                    os.write(filler.fileno(), bytes(4096))
        ends = time.monotonic() + 5.0
        done, said = salvage(pair, left=lambda: ends - time.monotonic())
        assert done.cause in {Cause.LATE, Cause.NOT_APPLIED, Cause.SERVER}, said
        assert (done.known, done.count + done.left) == (True, 2)
        assert done.seconds < PLENTY / 2
        assert orders(pair.new) == ["first", "a"][: 1 + done.count]


def test_without_the_program_nothing_is_applied_and_what_is_missing_is_known(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = build(servers)
    pair.lack(*inserts("a", "b"))
    pair.old.kill()
    nowhere = replace(conf(pair, 0).hosts["new"], mysqlbinlog="/nowhere/mariadb-binlog")
    monkeypatch.setattr(
        "tests.unit.lost_writer.conf",
        lambda pair, port, conf=conf: replace(
            conf(pair, port), hosts={**conf(pair, port).hosts, "new": nowhere}
        ),
    )
    done, said = salvage(pair)
    assert (done.cause, done.known, done.count, done.left) == (Cause.PROGRAM, True, 0, 2)
    assert "/nowhere/mariadb-binlog" in said


@pytest.mark.parametrize("before", [False, True], ids=["all of it", "its end"])
def test_a_disk_that_cannot_be_read_costs_what_stands_there_and_nothing_before_it(
    servers: Servers, *, before: bool
) -> None:
    """A file that the kernel does not read: where it begins, nothing is got; what other files have is."""
    pair = build(servers)
    pair.lack(*inserts("a"), "FLUSH BINARY LOGS", *inserts("b"))
    pair.old.kill()
    logs = sorted((pair.old.directory / "data").glob("bin.??????"))
    bad = logs[-1] if before else logs[-2]
    bad.unlink()
    bad.symlink_to("/proc/self/mem")
    done, said = salvage(pair)
    assert (done.cause, done.known, done.count) == (Cause.NO_LOG, False, int(before)), said
    assert "the binary log cannot be read" in said
    assert orders(pair.new) == ["first", "a"][: 1 + before]
