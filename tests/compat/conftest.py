"""The cluster of the recordings, made once, brought back to its first state before each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.cluster import Cluster, cluster, interfaces
from tests.servers import Server, Servers


@pytest.fixture(scope="package")
def three_servers(server_pool: Servers) -> Iterator[dict[str, Server]]:
    with cluster(server_pool) as servers:
        yield servers


@pytest.fixture
def hosts(three_servers: dict[str, Server], tmp_path: Path) -> Iterator[Cluster]:
    """Give db1, db2 and db3: replicating, read_only, without VIPs, without daemons."""
    made = Cluster(three_servers, tmp_path)
    made.replicate()
    with interfaces():
        yield made
