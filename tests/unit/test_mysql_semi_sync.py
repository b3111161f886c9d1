"""Semi-synchronous replication on real servers, asked and switched as the accounts that `grants` makes."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from mmm.gtid.semi_sync import SemiSync, said
from mmm.mysql.server.accounts import grants
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import start_replica
from mmm.mysql.server.semi_sync import become_replica, become_source, look_at_semi_sync, switches
from mmm.mysql.session.connection import ErrorKind, MysqlError
from tests.servers import OTHERS, WAIT_LIMIT, Server, Servers, kind
from tests.unit.trio import AGENT, MONITOR, REPLICATION, agent, source

pytestmark = pytest.mark.mysql

LONG = 30.0
PLUGINS = ("--plugin-load-add=semisync_source.so", "--plugin-load-add=semisync_replica.so")
SOURCE = "semi-sync source, 1 replica acknowledges"
REPLICA = "semi-sync replica"
OLD_WORDS = {"source": "master", "replica": "slave"}


@dataclass
class Pair:
    """Two masters that replicate from each other: which of them is the semi-sync source changes from test to test."""

    one: Server
    two: Server

    @property
    def source(self) -> Server:
        return self.one if read(self.one).source else self.two

    @property
    def replica(self) -> Server:
        return self.two if read(self.one).source else self.one

    def option(self, role: str, what: str) -> str:
        """Return the name of a setting, of the source or of the replica, as these servers have it."""
        word = OLD_WORDS[role] if self.one.kind.flavour.mariadb else role
        return f"rpl_semi_sync_{word}_{what}"


def start(servers: Servers, role: str) -> Server:
    mariadb = servers.kind.flavour.mariadb
    word = OLD_WORDS[role] if mariadb else role
    server = servers.start(*(() if mariadb else PLUGINS), f"--rpl_semi_sync_{word}_enabled=ON")
    server.run(*grants(servers.kind.flavour, MONITOR, AGENT, REPLICATION))
    return server


@pytest.fixture(scope="module", params=["mariadb", *OTHERS])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    servers = Servers(tmp_path_factory.mktemp("semi"), kind(request.param))
    try:
        pair = Pair(start(servers, "source"), start(servers, "replica"))
        for replica, origin in ((pair.two, pair.one), (pair.one, pair.two)):
            with agent(replica) as here:
                here.execute(*change_source(here.flavour, source(origin), None, {"CONNECT_RETRY": 1}))
                start_replica(here)
        yield pair
    finally:
        servers.stop()


def read(server: Server) -> SemiSync:
    """Return the state as the monitor asks it."""
    with server.connect(MONITOR.user, MONITOR.password) as monitor:
        return monitor.ask(look_at_semi_sync(monitor))


def wait_until(server: Server, words: str) -> None:
    deadline = time.monotonic() + WAIT_LIMIT
    while (is_so := said(read(server))) != words:
        assert time.monotonic() < deadline, is_so


def acknowledged(server: Server) -> tuple[int, int]:
    """Return how many commits a replica has acknowledged, and how many went on without."""
    with server.connect() as connection:
        rows = connection.query("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%_tx'")
    counts = {str(row["Variable_name"]).split("_")[-2]: int(str(row["Value"])) for row in rows}
    return counts["yes"], counts["no"]


def test_source_and_replica_are_seen_and_change_places(pair: Pair) -> None:
    for number in range(3):
        old, new = pair.source, pair.replica
        wait_until(old, SOURCE)
        wait_until(new, REPLICA)
        with agent(old) as before, agent(new) as after:
            become_replica(before, LONG)
            become_source(after)
        wait_until(new, SOURCE)
        wait_until(old, REPLICA)
        before_it = acknowledged(new)
        new.run(f"CREATE DATABASE shop{number}")
        yes, no = acknowledged(new)
        # What the new source still applies of the old one is counted too, at its own time.
        assert yes > before_it[0]
        assert no == before_it[1]


def test_the_settings_tell_how_many_must_acknowledge_and_for_how_long_it_waits(pair: Pair) -> None:
    wait_until(pair.source, SOURCE)
    state = read(pair.source)
    assert (state.source, state.waits, state.clients, state.needed) == (True, True, 1, 1)
    assert state.patience == 10.0
    no_replica = "wait_no_slave" if pair.one.kind.flavour.mariadb else "wait_no_replica"
    name = pair.option("source", no_replica)
    with pair.source.connect() as root:
        root.execute(f"SET GLOBAL {name}=0")
        assert root.ask(look_at_semi_sync(root)).patience == 0.0
        root.execute(f"SET GLOBAL {name}=1")


def test_what_is_so_already_stays(pair: Pair) -> None:
    with agent(pair.source) as here:
        was = switches(here)
        become_source(here)
        assert switches(here) == was
    with agent(pair.replica) as here:
        was = switches(here)
        become_replica(here, LONG)
        assert switches(here) == was


def test_a_source_that_fell_back_is_said(pair: Pair) -> None:
    origin, replica = pair.source, pair.replica
    wait_until(origin, SOURCE)
    name = pair.option("source", "timeout")
    with agent(replica) as here:
        flavour = here.flavour
        here.execute(flavour.stop_receiver, ("",))
        origin.run(f"SET GLOBAL {name}=50", "CREATE DATABASE IF NOT EXISTS fallen_back")
        assert said(read(origin)) == "semi-sync source, fallen back to asynchronous replication"
        assert said(read(replica)) == "semi-sync replica, does not acknowledge"
        here.execute(flavour.start_receiver, ("",))
    origin.run(f"SET GLOBAL {name}=10000")
    wait_until(origin, SOURCE)


def test_a_receiver_that_takes_too_long_to_stop_starts_again_all_the_same(pair: Pair) -> None:
    """Nobody would remember that it was told to stop in vain."""
    replica = pair.replica
    wait_until(replica, REPLICA)
    replica.run(f"SET GLOBAL {pair.option('replica', 'enabled')}=0")
    with agent(replica) as here:
        execute = here.execute

        def execute_too_late(sql: str, args: Sequence[object] = (), timeout: float | None = None) -> None:
            execute(sql, args, timeout)
            if sql == here.flavour.stop_receiver:
                here.close()
                raise MysqlError(ErrorKind.TIMED_OUT, 0, "no answer in time")

        here.execute = execute_too_late  # type: ignore[method-assign]
        with pytest.raises(MysqlError, match="no answer in time"):
            become_replica(here, LONG)
    wait_until(replica, REPLICA)


def test_a_server_without_semi_sync_says_nothing_of_it(server: Server) -> None:
    with server.connect() as connection:
        state = connection.ask(look_at_semi_sync(connection))
    assert (state.source, state.replica, state.on, said(state)) == (False, False, False, "")
