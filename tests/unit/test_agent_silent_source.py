"""Replication is stopped at once though its server waits for the first word of a source that is frozen or off."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmm.agent.act.replication_steps import ReplicationSteps
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.workplace import Workplace
from mmm.agent.decide.steps import Follow, StopReceiving
from mmm.mysql.server.await_applied import Caught
from mmm.mysql.server.follow import Followed
from mmm.mysql.server.replication import start_replica, stop_replica
from mmm.network.socket_table import destroy, outgoing
from tests.namespaces import cable, ip, own_network
from tests.servers import WAIT_LIMIT, Server, Servers, kind
from tests.unit.test_mysql_servers import build, caught
from tests.unit.trio import AGENT, Trio, agent, insert, on_servers, rows_of
from tests.unit.worlds import cluster

LIMIT = 20.0
"""Seconds that replication may take to stop: fewer than slave_net_timeout."""


@pytest.fixture(params=["mariadb:11.8", "mysql:9.7"])
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    servers = Servers(tmp_path_factory.mktemp("silent"), kind(request.param))
    try:
        yield build(servers)
    finally:
        servers.stop()


def on(trio: Trio, name: str) -> tuple[ReplicationSteps, ServerSession]:
    """Return the hands of a host's agent, and its session."""
    conf = on_servers(cluster(slaves=1), trio.all)
    at = Workplace(replace(conf, this=name, sync_timeout=LIMIT))
    server = trio.all[list(conf.hosts).index(name)]
    return ReplicationSteps(at), ServerSession(server.address(AGENT.user, AGENT.password))


def begin_to_connect(replica: Server, silent: Server) -> None:
    """Have the replica wait for what its source, which is frozen, says first."""
    before = outgoing("127.0.0.1", silent.port).keys()
    with agent(replica) as here:
        start_replica(here)
    deadline = time.monotonic() + WAIT_LIMIT
    while outgoing("127.0.0.1", silent.port).keys() <= before:
        assert time.monotonic() < deadline, "it connects"
        time.sleep(0.01)


@pytest.mark.mysql
def test_who_waits_for_a_frozen_sources_first_word_takes_nothing_more_and_follows_another_at_once(
    trio: Trio,
) -> None:
    insert(trio.one, "before")
    assert caught(trio.two, trio.one) is Caught.REACHED
    assert caught(trio.slave, trio.one) is Caught.REACHED
    for replica in (trio.two, trio.slave):
        with agent(replica) as here:
            stop_replica(here)
    with trio.one.frozen(), socket.create_connection(("127.0.0.1", trio.one.port)) as another:
        for replica in (trio.two, trio.slave):
            begin_to_connect(replica, trio.one)
        steps, session = on(trio, "db2")
        assert steps.do(StopReceiving(), session) == "stopped"
        steps, session = on(trio, "db3")
        assert steps.do(Follow("db2"), session) == Followed.SWITCHED.value
        another.settimeout(0.1)
        with pytest.raises(TimeoutError):  # connections of others stay
            another.recv(1)
        insert(trio.two, "later")
        assert caught(trio.slave, trio.two) is Caught.REACHED
    assert rows_of(trio.slave) == ["before", "later"]


@pytest.mark.netns
def test_an_attempt_to_connect_that_nobody_answers_is_ended() -> None:
    with own_network(), socket.socket() as attempt:
        cable("near0", "far0")
        ip("addr add 10.9.0.1/24 dev near0")
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev near0")
        attempt.setblocking(False)
        attempt.connect_ex(("10.9.0.2", 3306))
        found = outgoing("10.9.0.2", 3306)
        assert [(one.ip, one.port) for one in found.values()] == [("10.9.0.2", 3306)]
        assert outgoing("10.9.0.2", 3307) == outgoing("10.9.0.3", 3306) == {}
        assert destroy(found.values()) == 1
        attempt.settimeout(WAIT_LIMIT)
        with pytest.raises(ConnectionAbortedError):
            attempt.recv(1)
