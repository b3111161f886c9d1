"""Servers that live and turn the monitor away: said loudly with what to fix, and nothing moves (rule 10.5)."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pymysql
import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import sql
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER
from mmm.sandbox.machines.servers import CNF
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import ALL_ONLINE, LIMIT, PATIENCE, Log, check_line

pytestmark = pytest.mark.sandbox

UNLOGGED = "SET SESSION sql_log_bin=0"
MORE = 12
"""Connections to a server, of three checks that are run each second: what fails in these fails beyond its trap."""
Session: TypeAlias = "pymysql.connections.Connection[Any]"


def wait_unknown(sandbox: Sandbox, log: Log, host: str, inside: Session, said: str) -> None:
    """Wait until the monitor has said loudly that a server turns it away, and goes on asking; nothing moves.

    It says so once each time. A full server may let it in for a moment, for the monitor's own sessions end there, too;
    and on a busy machine an answer may be late. Until it is good again what follows is not told from that.
    """
    log.wait(f"ERROR {host}: mysql unknown: .*{said}")
    wanted = connections(inside) + MORE
    sandbox.wait_until(lambda: connections(inside) >= wanted, LIMIT, f"{host} is asked again")
    words = {"unknown": "u", "is known again": "k", "begins to fail": "f", "is good again": "g"}
    told = re.findall(rf"{host}: mysql ({'|'.join(words)})\b", "\n".join(log.lines()))
    without_late = re.sub("f[^g]*", "", "".join(words[each] for each in told))
    assert re.fullmatch("(uk|u?g)*u?", without_late), told
    sandbox.wait_until(
        lambda: "]  UNKNOWN: " in check_line(sandbox, host, "mysql"), LIMIT, f"{host} is unknown"
    )
    assert log.changes() == []
    assert sandbox.states() == ALL_ONLINE
    assert sandbox.writer() == "db1"


def connections(inside: Session) -> int:
    """Return how often somebody connected to a server so far, with success or without."""
    with inside.cursor() as cursor:
        cursor.execute(
            "SHOW GLOBAL STATUS WHERE Variable_name IN ('Connections', 'Connection_errors_max_connections')"
        )
        return sum(int(row["Value"]) for row in cursor.fetchall())


def end_sessions(sandbox: Sandbox, host: str, inside: Session) -> None:
    """End the sessions that the monitor keeps on a server: else it logs in again only when it renews them."""
    with inside.cursor() as cursor:
        cursor.execute(f"KILL USER {sandbox.layout.hosts[host].monitor_user}")


@contextmanager
def other_password(sandbox: Sandbox, host: str) -> Iterator[None]:
    """Give the monitor's account on one server another password for a while."""
    machine, user = sandbox.machine(host), sandbox.layout.hosts[host]
    account = f"{user.monitor_user}@'%'"
    sql.execute(machine, [UNLOGGED, f"SET PASSWORD FOR {account} = PASSWORD('changed')"])
    try:
        yield
    finally:
        again = sql.quoted(user.monitor_password)
        sql.execute(machine, [UNLOGGED, f"SET PASSWORD FOR {account} = PASSWORD({again})"])


def test_a_changed_password_of_the_monitor_moves_nothing_and_says_what_to_fix(sandbox: Sandbox) -> None:
    log, machine = Log(sandbox), sandbox.machine("db1")
    denied = r"Access denied.*\(1045\); check user and password in the conf"
    with Probe(sandbox, limit=PATIENCE) as probe:
        with other_password(sandbox, "db1"):
            with sql.session(machine) as inside:
                end_sessions(sandbox, "db1", inside)
                wait_unknown(sandbox, log, "db1", inside, denied)
            log.wait("WARN db1: rep_threads unknown: .*Access denied")
            assert re.search(rf"    mysql: unknown: .*{denied}", sandbox.ask("explain db1"))
        log.wait("INFO db1: mysql is known again: OK")
        log.wait("INFO db1: rep_threads is known again: OK")
        settle(sandbox)
    assert probe.report.writes == ()


def test_a_server_that_failed_and_turns_the_monitor_away_is_good_with_its_first_answer(
    sandbox: Sandbox,
) -> None:
    log = Log(sandbox)
    with other_password(sandbox, "db3"):
        with sql.session(sandbox.machine("db3")) as inside:
            end_sessions(sandbox, "db3", inside)
        log.wait("ERROR db3: mysql unknown: ")
        assert sandbox.init("db3", "mysql", "stop").returncode == 0
        log.wait_change("db3", "HARD_OFFLINE")
        sandbox.start_server("db3")
        log.wait("ERROR db3: mysql unknown: ", 2)
        assert sandbox.states()["db3"] == "HARD_OFFLINE"
    log.wait("INFO db3: mysql is good again")
    log.wait_change("db3", "ONLINE")
    settle(sandbox)


def fill(sandbox: Sandbox, host: str, held: ExitStack) -> None:
    """Take every connection that a host's server has to give."""
    address, refused = sandbox.layout.hosts[host], 0
    while not refused:
        try:
            held.enter_context(hold(sandbox, address.ip, address.mysql_port))
        except pymysql.err.OperationalError as error:
            refused = int(error.args[0])
    assert refused == 1040


def allow(inside: Session, most: int) -> None:
    """Let a server give so many connections."""
    with inside.cursor() as cursor:
        cursor.execute(f"SET GLOBAL max_connections = {most}")


@contextmanager
def hold(sandbox: Sandbox, ip: str, port: int) -> Iterator[Session]:
    """Hold a session of an ordinary client."""
    connection = pymysql.connections.Connection(
        host=ip, port=port, user=CLIENT_USER, password=CLIENT_PASSWORD, defer_connect=True
    )
    connection.connect(sandbox.client.connect((ip, port), LIMIT))
    try:
        yield connection
    finally:
        connection.close()


def test_a_server_without_connections_to_give_keeps_its_roles(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    most = int(sandbox.sql("db1", "SELECT @@global.max_connections AS n")[0]["n"])
    with sql.session(sandbox.machine("db1")) as inside, ExitStack() as held:
        sandbox.sql("db1", "SET GLOBAL max_connections = 20")
        held.callback(allow, inside, most)  # another session might be refused: those held have just ended
        fill(sandbox, "db1", held)
        allow(inside, 10)  # else the monitor is let in again where it was
        end_sessions(sandbox, "db1", inside)
        wait_unknown(sandbox, log, "db1", inside, r"Too many connections \(1040\); raise max_connections")
    log.wait("INFO db1: mysql is known again: OK")
    settle(sandbox)
    assert log.changes() == []


@pytest.fixture
def counting_errors(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Give the cluster with a server of db3 that blocks clients after their first broken connection."""
    cnf = sandbox.machine("db3").skeleton / CNF.lstrip("/")
    before = cnf.read_text()
    changed, found = re.subn(r"skip_name_resolve\b.*\n", "max_connect_errors = 1\n", before)
    assert found
    cnf.write_text(changed)
    try:
        restart(sandbox)
        yield sandbox
    finally:
        cnf.write_text(before)
        restart(sandbox)


def restart(sandbox: Sandbox) -> None:
    """Let the server of db3 read its conf anew; its host goes offline by the admin meanwhile."""
    assert sandbox.ask("set_offline db3").startswith("OK")
    assert not sandbox.init("db3", "mysql", "stop").returncode
    sandbox.start_server("db3")
    sandbox.wait_until(lambda: check_line(sandbox, "db3", "mysql").endswith("]  OK"), LIMIT, "db3 answers")
    sandbox.bring_online()
    settle(sandbox)


def test_a_server_that_blocks_the_monitors_host_keeps_its_roles(counting_errors: Sandbox) -> None:
    sandbox = counting_errors
    log, host = Log(sandbox), sandbox.layout.hosts["db3"]

    def blocked() -> bool:
        """Break a connection from the monitor's machine before its handshake, and ask whether that was enough."""
        with sandbox.monitor.connect((host.ip, host.mysql_port), LIMIT) as connection:
            greeting = connection.recv(200)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return b"is blocked because of many connection errors" in greeting

    sandbox.wait_until(blocked, LIMIT, "the monitor's host is blocked")
    try:
        with sql.session(sandbox.machine("db3")) as inside:
            end_sessions(sandbox, "db3", inside)
            wait_unknown(sandbox, log, "db3", inside, r"is blocked.*\(1129\); run FLUSH LOCAL HOSTS")
    finally:
        sandbox.sql("db3", "FLUSH LOCAL HOSTS")
    log.wait("INFO db3: mysql is known again: OK")
    settle(sandbox)
    assert log.changes() == []
