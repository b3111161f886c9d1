"""The writer follows a standby that was set up anew from it, on every kind of server; no row is lost or doubled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import binlog_position, replica_status, start_replica, stop_replica
from mmm.mysql.server.resume import go_on_after_rebuild
from mmm.mysql.session.connection import Connection
from tests.servers import OTHERS, Server, Servers, kind
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, insert, rows_of, source

pytestmark = pytest.mark.mysql

LONG = 30.0


@pytest.fixture(params=OTHERS)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    pool = Servers(tmp_path, kind(request.param))
    try:
        yield pool
    finally:
        pool.stop()


def masters(servers: Servers, *options: str) -> tuple[Server, Server]:
    """Return a standby and a writer that replicate from each other."""
    standby, writer = servers.start(*options), servers.start(*options)
    for number, server in enumerate((standby, writer), 1):
        server.run(
            *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
            "SET SESSION sql_log_bin=0",
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
            f"SET GLOBAL auto_increment_increment=10, GLOBAL auto_increment_offset={number}",
        )
    replicate(standby, writer, by_gtid=not options)
    replicate(writer, standby, by_gtid=not options)
    return standby, writer


def replicate(replica: Server, origin: Server, *, by_gtid: bool = True) -> None:
    with origin.connect() as there, agent(replica) as here:
        place = None if by_gtid else binlog_position(there).place
        here.execute(*change_source(here.flavour, source(origin), place, {"CONNECT_RETRY": 1}))
        start_replica(here)


def catch_up(replica: Server, origin: Server) -> None:
    with origin.connect() as there, agent(replica) as here:
        assert wait_for_source(here, binlog_position(there), LONG) is Caught.REACHED


def set_up_anew(standby: Server, writer: Server) -> None:
    """Give the standby the writer's rows and its place, as a dump or a clone does; no log comes along."""
    with writer.connect() as there, standby.connect() as here:
        flavour = here.flavour
        rows = there.query("SELECT id, what FROM shop.orders")
        state = there.query(flavour.gtid_state)[0]
        for statement in (
            flavour.stop_replica,
            flavour.reset_replica,
            flavour.reset_binlog,
            f"SET GLOBAL gtid_slave_pos='{state['binlog_pos']}'"
            if flavour.mariadb
            else f"SET GLOBAL gtid_purged='{state['executed']}'",
            "SET SESSION sql_log_bin=0",
            "DELETE FROM shop.orders",
            *(f"INSERT INTO shop.orders VALUES ({row['id']}, '{row['what']}')" for row in rows),  # noqa: S608
        ):
            here.execute(statement)
    replicate(standby, writer)


def wait_until_lacking_log(replica: Connection) -> None:
    while (status := replica_status(replica)) is None or not status.source_lacks_log:
        pass


def test_the_ring_closes(servers: Servers) -> None:
    """MySQL's writer asks for what it lacks of all, whatever log that was in, and needs no help."""
    standby, writer = masters(servers)
    insert(standby, "old")
    catch_up(writer, standby)
    with agent(writer) as there, agent(standby) as here:
        stop_replica(there)
        insert(writer, "mine")
        set_up_anew(standby, writer)
        insert(writer, "later")
        catch_up(standby, writer)
        start_replica(there)
        if there.flavour.mariadb:
            wait_until_lacking_log(there)
            assert go_on_after_rebuild(there, here, LONG) == ""
        insert(standby, "back")
        catch_up(writer, standby)
    assert rows_of(standby) == rows_of(writer) == ["back", "later", "mine", "old"]


def test_mysql_does_not_go_on_where_the_standby_has_purged_what_the_writer_lacks(
    tmp_path: Path,
) -> None:
    pool = Servers(tmp_path, kind("mysql:9.7"))
    try:
        standby, writer = masters(pool)
        insert(standby, "old")
        catch_up(writer, standby)
        with agent(writer) as there, agent(standby) as here:
            stop_replica(there)
            insert(standby, "lacking")
            standby.run("FLUSH BINARY LOGS")
            standby.purge_logs()
            start_replica(there)
            wait_until_lacking_log(there)
            assert ":2 any more, which this server lacks" in go_on_after_rebuild(there, here, 0.1)
            assert (status := replica_status(there)) is not None
            assert status.source_lacks_log
        assert rows_of(writer) == ["old"]
    finally:
        pool.stop()


def test_mysql_asks_again_where_the_log_was_begun_anew_while_it_was_read(tmp_path: Path) -> None:
    """Its session was in a file that is no more, with none after it: the server calls that a lacking log, too."""
    pool = Servers(tmp_path, kind("mysql:9.7"))
    try:
        standby, writer = masters(pool)
        standby.run("FLUSH BINARY LOGS")
        insert(standby, "old")
        catch_up(writer, standby)
        with agent(writer) as there, agent(standby) as here:
            set_up_anew(standby, writer)
            wait_until_lacking_log(there)
            assert go_on_after_rebuild(there, here, LONG) == ""
            insert(standby, "back")
            catch_up(writer, standby)
        assert rows_of(standby) == rows_of(writer) == ["back", "old"]
    finally:
        pool.stop()
