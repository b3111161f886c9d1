"""Fixtures that several files of unit tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import MARIADB, Servers, kind
from tests.unit.agent_host import host, machine
from tests.unit.mariadb_trio import build
from tests.unit.trio import Trio

__all__ = ["host", "machine", "old_trio", "trio"]


@pytest.fixture
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    """Give servers of the test alone: MariaDB of this machine, or of the kind that is its parameter."""
    found = Servers(tmp_path / "servers", kind(getattr(request, "param", MARIADB)))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def trio(server_pool: Servers) -> Iterator[Trio]:
    with server_pool.lent() as lent:
        yield build(lent, "MASTER_USE_GTID=slave_pos")


@pytest.fixture
def old_trio(server_pool: Servers) -> Iterator[Trio]:
    """The same, set up by file and position as the old handbooks say."""
    with server_pool.lent() as lent:
        yield build(lent, "MASTER_USE_GTID=no, MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=4")
