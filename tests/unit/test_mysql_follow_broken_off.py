"""A switch of a replica's source that is broken off between stopping and starting; real servers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.follow import Followed, follow, renew_login
from mmm.mysql.server.replication import binlog_position, replica_status
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError
from tests.servers import MARIADB, Servers, kind
from tests.unit.test_mysql_servers import LONG, build
from tests.unit.trio import Trio, agent, source

pytestmark = pytest.mark.mysql


@pytest.fixture(scope="module", params=[MARIADB, "mysql:9.7"])
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    servers = Servers(tmp_path_factory.mktemp("broken_off"), kind(request.param))
    try:
        found = build(servers)
        with agent(found.one) as one, agent(found.two) as two:
            assert wait_for_source(two, binlog_position(one), LONG) is Caught.REACHED
        yield found
    finally:
        servers.stop()


@pytest.fixture
def slave(trio: Trio) -> Iterator[Connection]:
    """Give the slave of the first master."""
    with agent(trio.slave) as slave, agent(trio.one) as one:
        follow(slave, source(trio.one), one, LONG)
        assert wait_for_source(slave, binlog_position(one), LONG) is Caught.REACHED
        yield slave


def behind_the_change(connection: Connection, then: Callable[[], object]) -> list[float | None]:
    """Do `then` each time the source was changed; returns what gets how long each change may take."""
    execute, limits = connection.execute, list[float | None]()

    def executed(sql: str, args: Any = (), timeout: float | None = None) -> None:
        execute(sql, args, timeout)
        if sql.startswith("CHANGE"):
            limits.append(timeout)
            then()

    connection.execute = executed  # type: ignore[method-assign]
    return limits


def runs_from(replica: Connection) -> tuple[int, bool, bool]:
    """Return the port of the source, and whether each thread runs."""
    status = replica_status(replica)
    assert status
    return status.source_port, status.io_running != "No", status.sql_running


def test_a_new_source_that_is_lost_behind_the_change_is_followed(trio: Trio, slave: Connection) -> None:
    with agent(trio.two) as two:
        behind_the_change(slave, two.close)
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
    assert runs_from(slave) == (trio.two.port, True, True)


def test_a_change_may_take_as_long_as_is_left(trio: Trio, slave: Connection) -> None:
    """It removes the relay logs, and a connection whose statement runs out of time is closed."""
    slave.timeout = LONG / 3
    limits = behind_the_change(slave, lambda: None)
    with agent(trio.two) as two:
        follow(slave, source(trio.two), two, LONG)
        renew_login(slave, source(trio.two), LONG)
        renew_login(slave, source(trio.two), LONG / 10)
    assert runs_from(slave) == (trio.two.port, True, True)
    long = [limit is not None and LONG / 2 < limit <= LONG for limit in limits]
    assert (long, limits[2]) == ([True, True, False], slave.timeout)


def test_a_login_that_could_not_be_changed_is_said_and_the_replica_goes_on(
    trio: Trio, slave: Connection
) -> None:
    def fail() -> None:
        raise MysqlError(ErrorKind.FAILED, 1105, "no")

    behind_the_change(slave, fail)
    with pytest.raises(MysqlError, match="no"):
        renew_login(slave, source(trio.one), LONG)
    assert runs_from(slave) == (trio.one.port, True, True)
