"""A promotion sets the delay of the standby's replication to 0 and loses nothing received; real servers."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.agent.act.catch_up import CatchUpError, Patience, catch_up
from mmm.agent.act.server_session import ServerSession
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.await_applied import Caught
from mmm.mysql.server.delay import begin_lifting, finish_lifting, lift_delay
from mmm.mysql.server.detach import detach
from mmm.mysql.server.replication import replica_status, stop_replica
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.test_agent_catch_up import OURS, wait_applied_here, wait_received
from tests.unit.test_mysql_servers import LONG, replicate
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, insert, rows_of

pytestmark = pytest.mark.mysql

DELAY = 3600
PATIENCE = Patience(LONG, OURS)
MARIADB_ALONE = pytest.mark.parametrize("pair", [MARIADB], indirect=True)
"""MySQL has no state in between."""


@pytest.fixture(params=[MARIADB, "mysql:9.7"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Give a source and a standby that has received two files of it and applied nothing."""
    servers = Servers(tmp_path, kind(request.param))
    try:
        one, two = servers.start(), servers.start("--innodb-flush-log-at-trx-commit=1")
        for server in (one, two):
            server.run(
                *grants(server.kind.flavour, MONITOR, AGENT, REPLICATION),
                "SET SESSION sql_log_bin=0",
                "CREATE DATABASE shop",
                "CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40))",
            )
        replicate(two, one, by_gtid=True)
        insert(one, "zeroth")
        wait_applied_here(two, one)
        flavour = two.kind.flavour
        stop = flavour.stop_replica if flavour.mariadb else f"{flavour.stop_replica} SQL_THREAD"
        begins = flavour.change_source.replace("%s", "''")
        two.run(stop, f"{begins} {flavour.option_prefix}DELAY={DELAY}", flavour.start_replica)
        insert(one, "first", "second")
        one.run("FLUSH LOGS")
        insert(one, "third")
        wait_received(two, one)
        yield one, two
    finally:
        servers.stop()


@pytest.fixture
def delayed(pair: tuple[Server, Server]) -> Server:
    """Give that standby; its source is dead."""
    pair[0].kill()
    return pair[1]


def status_of(server: Server) -> tuple[int, bool, bool]:
    """Return the delay, whether it replicates by GTID, whether it tries to receive."""
    with agent(server) as here:
        status = replica_status(here)
        assert status is not None
        return status.delay, status.uses_gtid, status.io_running != "No"


ALL = ["first", "second", "third", "zeroth"]


def test_the_delay_is_set_to_0_and_what_was_received_is_applied(
    delayed: Server, caplog: pytest.LogCaptureFixture
) -> None:
    assert rows_of(delayed) == ["zeroth"]
    purge = delayed.value("@@global.relay_log_purge")
    with agent(delayed) as here, caplog.at_level(logging.WARNING):
        catch_up(here, None, PATIENCE)
    assert rows_of(delayed) == ALL
    assert status_of(delayed) == (0, True, True)
    assert f"stays {DELAY} s behind" in caplog.text
    assert delayed.value("@@global.relay_log_purge") == purge


@MARIADB_ALONE
def test_with_a_source_that_lives_it_is_the_same_and_goes_on_from_there(pair: tuple[Server, Server]) -> None:
    one, two = pair
    peer = ServerSession(one.address(AGENT.user, AGENT.password))
    with agent(two) as here:
        insert(one, "fourth")
        catch_up(here, peer, PATIENCE)
    peer.close()
    assert rows_of(two) == sorted([*ALL, "fourth"])
    assert status_of(two) == (0, True, True)


def test_who_was_told_not_to_apply_is_not_made_to(delayed: Server, caplog: pytest.LogCaptureFixture) -> None:
    with agent(delayed) as here:
        here.execute(here.flavour.stop_applier, ("",))
        with pytest.raises(CatchUpError, match=f"stays {DELAY} s behind.*: its applying"):
            catch_up(here, None, Patience(0.5, OURS))
        assert "applying thread is stopped" in caplog.text
        assert rows_of(delayed) == ["zeroth"]
        here.execute(here.flavour.start_applier, ("",))
        catch_up(here, None, PATIENCE)
    assert rows_of(delayed) == ALL


def half(server: Server) -> None:
    """Do what an agent has done that dies before the applying thread starts."""
    with agent(server) as here:
        stop_replica(here)
        status = replica_status(here)
        assert status is not None
        begin_lifting(here, status)


@pytest.fixture
def begun(delayed: Server) -> Server:
    """Give the same, the promotion having been broken off."""
    half(delayed)
    return delayed


@MARIADB_ALONE
def test_the_next_promotion_goes_on_where_one_was_broken_off(begun: Server) -> None:
    with agent(begun) as here:
        catch_up(here, None, PATIENCE)
    assert rows_of(begun) == ALL
    assert status_of(begun) == (0, True, True)


@MARIADB_ALONE
@pytest.mark.parametrize("option", ["", "--skip-slave-start", "--relay-log-recovery=1"])
@pytest.mark.parametrize("lives", [True, False], ids=["source lives", "source is dead"])
def test_a_server_that_is_killed_in_the_middle_loses_nothing_of_what_was_received(
    pair: tuple[Server, Server], option: str, *, lives: bool
) -> None:
    one, two = pair
    if not lives:
        one.kill()
    half(two)
    two.kill()
    two.options = (*two.options, *filter(None, [option]))
    two.restart()
    peer = ServerSession(one.address(AGENT.user, AGENT.password)) if lives else None
    if lives:
        insert(one, "fourth")
    with agent(two) as here:
        catch_up(here, peer, PATIENCE)
    if peer is not None:
        peer.close()
    assert rows_of(two) == (sorted([*ALL, "fourth"]) if lives else ALL)
    assert status_of(two) == (0, True, True)


@MARIADB_ALONE
def test_what_a_lock_holds_up_is_waited_for_and_finished_by_another_order(begun: Server) -> None:
    client = begun.client()
    with client.cursor() as cursor:
        cursor.execute("LOCK TABLES shop.orders READ")
    with agent(begun) as here:
        status = replica_status(here)
        assert status is not None
        assert lift_delay(here, status, 0.3) is Caught.NOT_IN_TIME
        with pytest.raises(CatchUpError, match="received"):
            catch_up(here, None, Patience(0.3, OURS | {"root"}))
        assert "not all" in finish_lifting(here)
        status = replica_status(here)
        assert status is not None
        assert status.lifting
        client.close()
        while finish_lifting(here):
            status = replica_status(here)
            assert status is not None
            assert status.sql_running
    assert rows_of(begun) == ALL
    assert status_of(begun) == (0, True, True)


@MARIADB_ALONE
def test_what_is_not_applied_yet_is_not_thrown_away(begun: Server) -> None:
    with agent(begun) as here:
        assert "would be thrown away" in detach(here)
        catch_up(here, None, PATIENCE)
    assert rows_of(begun) == ALL


@MARIADB_ALONE
def test_to_throw_away_the_rest_leaves_no_state_in_between(begun: Server) -> None:
    with agent(begun) as here:
        assert detach(here, throw_away=LONG) == ""
        status = replica_status(here)
        assert status is not None
        assert (status.detached, status.uses_gtid, status.delay) == (True, True, 0)
