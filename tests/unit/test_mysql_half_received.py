"""A transaction of which the source sent only a part before it died, by file and position; real servers."""

import pytest

from mmm.mysql.server.await_applied import Caught, wait_applied
from mmm.mysql.server.detach import stop_receiving
from mmm.mysql.server.replication import binlog_position, replica_status
from tests.servers import MARIADB, OTHERS, Servers
from tests.unit.lost_writer import PLENTY, build, caught_up, passing
from tests.unit.trio import agent

pytestmark = pytest.mark.mysql

ROW = "INSERT INTO blobs (b) VALUES (REPEAT('x', 8000))"


@pytest.mark.parametrize("servers", [MARIADB, *OTHERS], indirect=True)
@pytest.mark.parametrize("workers", [0, 4])
def test_its_rest_is_not_waited_for_and_what_came_whole_before_it_is(servers: Servers, workers: int) -> None:
    words = "slave-parallel-threads" if servers.kind.flavour.mariadb else "replica-parallel-workers"
    pair = build(servers, by_gtid=False, options=(f"--{words}={workers}",))
    pair.old.run("USE shop", "CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB)")
    with agent(pair.new) as here, agent(pair.old) as there:
        caught_up(here, there)
        place = binlog_position(there).place
    with passing(pair.old, pair.new, 1 << 20, place) as full:
        whole = ["BEGIN", *[ROW] * 20, "COMMIT"] * 2
        pair.old.run("SET binlog_format=ROW", "USE shop", *whole, "BEGIN", *[ROW] * 300, "COMMIT")
        assert full.wait(PLENTY)
        pair.old.kill()
        with agent(pair.new) as here:
            stop_receiving(here)
        with agent(pair.new) as here:
            assert wait_applied(here, PLENTY) is Caught.REACHED
            status = replica_status(here)
    assert status
    assert not status.all_applied
    assert pair.new.value("(SELECT COUNT(*) FROM shop.blobs)") == "40"
