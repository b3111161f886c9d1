"""What CHANGE SOURCE would forget or could: TLS, heartbeat, retries and delay are after a switch what they were."""

from collections.abc import Iterator

import pytest

from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught, wait_for_source
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.follow import Followed, follow
from mmm.mysql.server.replication import binlog_position, start_replica
from mmm.mysql.session.connection import Connection
from tests.authority import Authority
from tests.servers import OTHERS, Server, Servers, kind
from tests.unit.trio import AGENT, MONITOR, REPLICATION, Trio, agent, source

pytestmark = pytest.mark.mysql

LONG = 30.0
KEPT = ("ssl", "tls", "retry", "sql_delay", "bind", "replicate_")
"""Parts of the names of the columns that must be the same after a switch."""


@pytest.fixture(params=["mariadb", *OTHERS])
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Give three servers with certificates; the account of replication demands TLS."""
    folder = tmp_path_factory.mktemp("kept")
    authority = Authority(folder, "ours")
    issued = authority.issue("server")
    servers = Servers(folder / "servers", kind(request.param))
    files = (f"--ssl-ca={issued.ca_file}", f"--ssl-cert={issued.cert_file}", f"--ssl-key={issued.key_file}")
    tells = () if servers.kind.flavour.mariadb else ("--performance-schema=ON",)
    try:
        trio = Trio(*(servers.start(*files, *tells) for _ in range(3)))
        for server in trio.all:
            server.run(
                *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
                "SET SESSION sql_log_bin=0",
                f"ALTER USER '{REPLICATION.user}'@'%' REQUIRE SSL",
            )
        more = {"SSL": 1, "SSL_CA": issued.ca_file, "CONNECT_RETRY": 7, "HEARTBEAT_PERIOD": 3.5}
        more |= {} if servers.kind.flavour.mariadb else {"RETRY_COUNT": 99}
        replicate(trio.two, trio.one, more)
        replicate(trio.slave, trio.one, {**more, "DELAY": 1})
        yield trio
    finally:
        servers.stop()


def replicate(replica: Server, origin: Server, more: dict[str, object]) -> None:
    with agent(replica) as here:
        here.execute(*change_source(here.flavour, source(origin), None, more))
        start_replica(here)


def options(connection: Connection) -> dict[str, object]:
    """Return what the replica's status says of these options, and the heartbeat."""
    row = connection.query(connection.flavour.replica_status)[0]
    found = {name: value for name, value in row.items() if any(part in name.lower() for part in KEPT)}
    beat = connection.query(connection.flavour.heartbeat, ("",))[0]["value"]
    return {**found, "heartbeat": float(beat or 0)}


def test_a_switch_keeps_every_option(trio: Trio) -> None:
    with agent(trio.slave) as slave, agent(trio.two) as two, agent(trio.one) as one:
        trio.one.run("CREATE DATABASE shop")
        assert wait_for_source(two, binlog_position(one), LONG) is Caught.REACHED
        before = options(slave)
        assert {"7", "1", 3.5, "Yes"} <= set(before.values())
        assert follow(slave, source(trio.two), two, LONG) is Followed.SWITCHED
        assert options(slave) == before
        trio.two.run("CREATE DATABASE market")
        assert wait_for_source(slave, binlog_position(two), LONG) is Caught.REACHED
