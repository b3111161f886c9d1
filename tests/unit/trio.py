"""Two masters that replicate from each other and a slave, as real servers; the accounts of MMM on them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mmm.config.model import Cluster
from mmm.mysql.server.accounts import Account
from mmm.mysql.server.detach import stop_receiving
from mmm.mysql.session.connection import Address, Connection
from tests.servers import Server

MONITOR = Account("mmm_monitor", "m'm")
AGENT = Account("mmm_agent", "a%s")
REPLICATION = Account("mmm_replication", "r\\r")


@dataclass
class Trio:
    """Two masters that replicate from each other, and a slave of the first."""

    one: Server
    two: Server
    slave: Server

    @property
    def all(self) -> tuple[Server, Server, Server]:
        return self.one, self.two, self.slave

    def rows(self) -> list[list[str]]:
        """Return what each of them has."""
        return [rows_of(server) for server in self.all]


def on_servers(conf: Cluster, servers: Iterable[Server]) -> Cluster:
    """Return the conf with its hosts on these servers, one each."""
    hosts = {
        name: replace(
            host, ip="127.0.0.1", mysql_port=server.port, agent_user=AGENT.user, agent_password=AGENT.password,
            replication_user=REPLICATION.user, replication_password=REPLICATION.password,
        )
        for (name, host), server in zip(conf.hosts.items(), servers, strict=True)
    }  # fmt: skip
    return replace(conf, hosts=hosts)


def rows_of(server: Server) -> list[str]:
    """Return the orders on a server."""
    with server.connect() as connection:
        return [str(row["what"]) for row in connection.query("SELECT what FROM shop.orders ORDER BY what")]


def insert(server: Server, *what: str) -> None:
    """Write orders, a transaction each."""
    server.run(*(f"INSERT INTO shop.orders (what) VALUES ('{one}')" for one in what))  # noqa: S608


def agent(server: Server) -> Connection:
    """Return a connection as an agent's."""
    return server.connect(AGENT.user, AGENT.password)


def cut_off(replica: Server) -> None:
    """Have a replica receive nothing more; a busy machine may need more than the time of one attempt."""
    stopped = False
    while not stopped:
        with agent(replica) as here:
            stopped = stop_receiving(here)


def source(server: Server) -> Address:
    """Return where a replica finds the server, and who replicates."""
    return Address("127.0.0.1", server.port, REPLICATION.user, REPLICATION.password)
