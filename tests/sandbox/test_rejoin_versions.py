"""Servers of other kinds than this Debian's: a host is rebuilt, rewound or refused that, and refused at all.

Each of them has its own programs: mariadb-backup and mariadb-binlog of its series, or the clone plugin.
"""

from collections.abc import Iterator

import pytest

from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.data import TICK_TABLE
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.witness.health import catch_up, settle
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT
from tests.servers import kind

pytestmark = [pytest.mark.sandbox, pytest.mark.mysql]


@pytest.fixture(scope="module", params=["mariadb:11.8", "mariadb:10.5", "mysql:9.7"])
def own_cluster(request: pytest.FixtureRequest) -> Iterator[Kept]:
    conf = Conf(top={"allow_rebuild": "yes"}, monitor={"flap_count": 0, "failover_block": 0})
    with kept("rejoin_other", conf, server=str(kind(request.param).binary)) as cluster:
        yield cluster


@pytest.fixture
def other(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer, with a row that all have."""
    sandbox = own_cluster.healthy()
    sandbox.sql("db1", f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    catch_up(sandbox)
    return sandbox


def whole(sandbox: Sandbox, host: str) -> None:
    """See that the host comes into use by itself, and that writes of the writer reach every host, and no other rows."""
    sandbox.bring_online(limit=LIMIT, force=False)
    settle(sandbox)
    writer = sandbox.writer()
    assert writer not in {None, host}
    sandbox.sql(str(writer), f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    catch_up(sandbox)
    assert not surplus(sandbox, host, str(writer))
    sums = {name: sandbox.sql(name, f"CHECKSUM TABLE {TICK_TABLE}")[0]["Checksum"] for name in sandbox.hosts}
    assert len(set(sums.values())) == 1, sums


def test_a_slave_gets_a_copy_and_what_only_it_had_is_saved(other: Sandbox) -> None:
    diverge(other, "db3", 2)
    way = "mariadb-backup" if other.server.flavour.mariadb else "clone-plugin"
    assert f"{way}: fit" in rejoin(other, "db3", "--method", "clone", "--dry-run")
    said = rejoin(other, "db3", "--method", "clone")
    assert "OK: db3 is back" in said
    assert "Its own 2 transactions are in /var/lib/mysql-mmm/saved/db3-" in said
    assert f"INSERT {TICK_TABLE} 2" in said
    whole(other, "db3")


def test_a_writer_that_was_lost_is_rewound_where_the_server_has_a_program_for_it(other: Sandbox) -> None:
    diverge(other, "db1", 2)
    if not other.server.flavour.mariadb:
        with pytest.raises(SandboxError, match=r"MySQL 9\.7\S* has no program that undoes"):
            rejoin(other, "db1", "--method", "rewind")
        assert surplus(other, "db1", "db2"), "nothing was touched"
        rejoin(other, "db1")
    else:
        said = rejoin(other, "db1", "--method", "rewind")
        assert "2 transactions undone" in said
        assert "Its own 2 transactions are in " in said
    whole(other, "db1")


def test_what_is_no_rows_is_not_rewound(other: Sandbox) -> None:
    """The statement is the last thing that the slave has alone; its rows alone could be undone."""
    if not other.server.flavour.mariadb:
        pytest.skip("MySQL's server is refused whatever it has")
    diverge(other, "db3", 1)
    sql.execute(other.machine("db3"), ["CREATE TABLE sandbox.alone (id INT)"])
    with pytest.raises(SandboxError, match="holds a statement, not rows alone"):
        rejoin(other, "db3", "--method", "rewind")
    assert surplus(other, "db3", "db1"), "nothing was touched"
    rejoin(other, "db3")
    whole(other, "db3")


def test_the_active_master_is_refused(other: Sandbox) -> None:
    with pytest.raises(SandboxError, match="db1 is the active master, whose data are never touched"):
        rejoin(other, "db1")
    assert other.writer() == "db1"
    settle(other)
