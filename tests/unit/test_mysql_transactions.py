"""What the monitor's user is told of a server's transactions, on real servers."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmm.config.model import Host
from mmm.gtid.mariadb import History, parse
from mmm.gtid.place import NOWHERE
from mmm.gtid.transactions import Transactions, is_applied, surplus
from mmm.monitor.act.checks import Reading, monitor_address, read_replica
from mmm.mysql.server.accounts import Account, grants
from mmm.mysql.server.await_applied import wait_for_source
from mmm.mysql.server.replication import binlog_position
from mmm.mysql.session.reused import Kept
from tests.servers import Server, Servers
from tests.unit.mariadb_trio import catch_up

MONITOR = Account("mmm_monitor", "secret")
OTHER = Account("other", "secret")


def monitored(server: Server) -> Host:
    return Host(
        "db1",
        "127.0.0.1",
        "master",
        mysql_port=server.port,
        monitor_user=MONITOR.user,
        monitor_password=MONITOR.password,
    )


def seen_by_monitor(server: Server) -> Transactions:
    host = monitored(server)

    async def look() -> list[Transactions | None]:
        with ThreadPoolExecutor(1) as threads:
            kept = Kept(monitor_address(host), threads)
            try:
                return [(await read_replica(kept, 2.0)).transactions for _ in range(2)]
            finally:
                kept.close()

    first, second = asyncio.run(look())
    assert first is not None
    assert second is not None
    assert first.seen < second.seen
    return second


def make_accounts(*servers: Server) -> None:
    for server in servers:
        with server.connect() as connection:
            for statement in grants(connection.flavour, MONITOR, OTHER, Account("repl", "secret")):
                connection.execute(statement)


@pytest.mark.mysql
def test_the_checks_see_what_a_server_has_and_what_its_replica_got(server_pool: Servers) -> None:
    with server_pool.lent() as lent:
        source, replica = lent.start(), lent.start()
        make_accounts(source, replica)
        replica.replicate_from(source)
        source.run("CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT)")
        with source.connect() as there, replica.connect() as here:
            end = binlog_position(there)
            wait_for_source(here, end, 20.0)
        has, got = seen_by_monitor(source), seen_by_monitor(replica)
        assert has.executed is not None
        assert got.executed is not None
        assert has.end == NOWHERE, "SLAVE MONITOR alone does not show it"
        assert (got.source_ip, got.source_port) == ("127.0.0.1", source.port)
        assert got.read == got.applied == end.place
        assert surplus(has.executed, got.executed) is None
        replica.run("INSERT INTO shop.orders VALUES (1)")
        source.run(f"GRANT BINLOG MONITOR ON *.* TO '{MONITOR.user}'@'%'")
        has, got = seen_by_monitor(source), seen_by_monitor(replica)
        assert has.executed is not None
        assert got.executed is not None
        with source.connect() as there:
            assert has.end == binlog_position(there).place
        more = surplus(got.executed, has.executed)
        assert more is not None
        assert more.count == 1
        assert f"-{got.origin}-" in more.names[0]


@pytest.mark.mysql
def test_what_the_monitor_may_not_see_is_named_with_its_grant_and_seen_once_it_is_granted(
    server: Server,
) -> None:
    server.run(f"CREATE USER {MONITOR.user}@'127.0.0.%' IDENTIFIED BY '{MONITOR.password}'")

    async def look() -> list[Reading]:
        with ThreadPoolExecutor(1) as threads:
            kept = Kept(monitor_address(monitored(server)), threads)
            try:
                first = await read_replica(kept, 2.0, new=lambda _: True)
                await asyncio.to_thread(server.run, *first.grant.split("; "))
                return [first, await read_replica(kept, 2.0, new=lambda _: True)]
            finally:
                kept.close()

    denied, seen = asyncio.run(look())
    assert denied.error is not None
    assert denied.error.number == 1227
    assert "ON *.* TO 'mmm_monitor'@'127.0.0.%'; " in denied.grant
    assert seen.error is None
    assert seen.settings is not None, "which need no privilege"
    assert seen.settings.logs
    assert seen.settings.increment >= 1
    server.run(f"DROP USER {MONITOR.user}@'127.0.0.%'")


@pytest.mark.mysql
def test_what_a_writer_gets_back_behind_a_row_that_it_cannot_apply_does_not_speak_for_that(
    server_pool: Servers,
) -> None:
    with server_pool.lent() as lent:
        standby, writer = lent.start(), lent.start()
        make_accounts(standby, writer)
        for server in (standby, writer):
            server.run("RESET MASTER")  # the standby has never written
        standby.replicate_from(writer)
        writer.run("CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY)")
        catch_up(standby, writer)
        writer.replicate_from(standby)
        writer.run("SET SESSION sql_log_bin=0", "INSERT INTO shop.orders VALUES (1)")
        standby.run("INSERT INTO shop.orders VALUES (1)")
        writer.run("INSERT INTO shop.orders VALUES (2)")
        catch_up(standby, writer)
        newest = parse(standby.value("@@gtid_slave_pos"))
        while (has := seen_by_monitor(writer)).received != History(newest, ()):
            pass
        assert has.got is not None
        assert has.executed is not None
        assert not is_applied(has.got, has.executed, has.origin)
        writer.run("SET SESSION sql_log_bin=0", "DELETE FROM shop.orders WHERE id=1", "START SLAVE")
        catch_up(writer, standby)
        while (later := seen_by_monitor(writer)).executed is None or not is_applied(
            has.got, later.executed, later.origin
        ):
            pass
        assert surplus(has.got, later.executed) is None
