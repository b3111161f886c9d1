"""Leases of one second at a host that is slow: it needs longer than that to take the role, and gets it all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.build import program
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.witness.health import settle
from tests.clusters import Kept, kept, restart
from tests.scenarios import LIMIT, move_writer, writable
from tests.taps import Addresses

pytestmark = pytest.mark.sandbox

_SLOW = """\
import time
from mmm.mysql.session.connection import Connection

def late(call):
    def later(*args, **options):
        time.sleep({seconds})
        return call(*args, **options)
    return later

Connection.query, Connection._rows = late(Connection.query), late(Connection._rows)
"""
"""What the agent's Python imports when it starts: each statement takes longer."""
SLOW = (0.1, 0.15, 0.25)
"""Seconds that each statement takes longer: to look, to catch up and to allow writes takes some of them each."""


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters whose leases are 1 s long."""
    top = {"vip_lease": 1}
    with kept("second", Conf(slaves=0, top=top, monitor={"flap_count": 0, "failover_block": 0})) as cluster:
        yield cluster


@contextmanager
def slow(sandbox: Sandbox, host: str, folder: Path, seconds: float) -> Iterator[None]:
    """Have each statement of the host's agent take longer for a while."""
    machine = sandbox.machine(host)
    (folder / "sitecustomize.py").write_text(_SLOW.format(seconds=seconds))
    assert sandbox.init(host, "mysql-mmm-agent", "stop").returncode == 0
    machine.run(["env", f"PYTHONPATH={folder}", program("mmm_agentd")], limit=LIMIT)
    ready = f"move_role --dry-run writer {host}"
    sandbox.wait_until(
        lambda: sandbox.ask(ready, limit=LIMIT).startswith("OK"), LIMIT, f"{host} may be the writer"
    )
    try:
        yield
    finally:
        restart(sandbox, host, "mmm_agentd")


@pytest.mark.parametrize("seconds", SLOW)
def test_a_host_that_needs_longer_than_the_lease_takes_the_role(
    own_cluster: Kept, tmp_path: Path, seconds: float
) -> None:
    sandbox = own_cluster.healthy()
    vip = sandbox.layout.writer_ip
    with slow(sandbox, "db2", tmp_path, seconds), Addresses(sandbox) as addresses:
        move_writer(sandbox, "db2")
        sandbox.wait_until(
            lambda: sandbox.holders(vip) == ("db2",) and writable(sandbox, "db2"), LIMIT, "db2 has the role"
        )
    settle(sandbox)
    assert addresses.together(vip) == []
