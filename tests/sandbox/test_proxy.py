"""Clients behind HAProxy, as mmm_control prints its configuration: writes by the VIP, reads by health and lag."""

import contextlib
from collections.abc import Iterator

import pymysql
import pytest
from pymysql.connections import Connection

from mmm.control.proxies.plan import READ
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.data import CLIENT_PASSWORD, CLIENT_USER
from mmm.sandbox.proxy import start_proxy, with_health
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, health, kept, needs_haproxy
from tests.scenarios import LIMIT, Log, move_writer, wait_back
from tests.written import writers

pytestmark = pytest.mark.sandbox

LAG = 2.0
ALL = {"db1", "db2", "db3"}


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and a slave, and HAProxy on the client's machine."""
    needs_haproxy()
    conf = with_health(Conf(monitor={"flap_count": 0, "failover_block": 0}))
    with kept("proxy", conf, furnish=lambda sandbox: start_proxy(sandbox, LAG)) as cluster:
        yield cluster


@pytest.fixture
def proxied(own_cluster: Kept) -> Sandbox:
    """Give that cluster healthy, db1 being the writer, all hosts being read from."""
    sandbox = own_cluster.healthy()
    sandbox.wait_until(lambda: reading(sandbox) == ALL, LIMIT, "HAProxy reads from all hosts")
    return sandbox


def reader(sandbox: Sandbox) -> "tuple[str, Connection[pymysql.cursors.Cursor]]":
    """Return a connection through the port for reads, and the host that it leads to."""
    made: Connection[pymysql.cursors.Cursor] = pymysql.connect(
        user=CLIENT_USER, password=CLIENT_PASSWORD, ssl_disabled=True, read_timeout=5, defer_connect=True
    )
    made.connect(sandbox.client.connect(("127.0.0.1", READ), LIMIT))
    return host_of(made), made


def host_of(connection: "Connection[pymysql.cursors.Cursor]") -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@hostname")
        row = cursor.fetchone()
    assert row is not None
    return str(row[0])


def is_ended(connection: "Connection[pymysql.cursors.Cursor]") -> bool:
    """Tell whether nothing answers behind a connection any more."""
    try:
        host_of(connection)
    except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
        return True
    return False


def readers(sandbox: Sandbox) -> "list[tuple[str, Connection[pymysql.cursors.Cursor]]]":
    """Return connections through the port for reads, with the hosts that they lead to; some may have failed."""
    found = []
    for _ in range(6):
        with contextlib.suppress(pymysql.err.OperationalError):  # the host was just being taken out
            found.append(reader(sandbox))
    return found


def reading(sandbox: Sandbox) -> set[str]:
    """Return the hosts that clients come to who connect to the port for reads all at once."""
    found = readers(sandbox)
    for _, connection in found:
        connection.close()
    return {host for host, _ in found}


def led_to(sandbox: Sandbox, host: str) -> "Connection[pymysql.cursors.Cursor]":
    """Return a connection through the port for reads that leads to a host."""
    led: list[Connection[pymysql.cursors.Cursor]] = []

    def found() -> bool:
        for name, connection in readers(sandbox):
            if name == host and not led:
                led.append(connection)
            else:
                connection.close()
        return bool(led)

    sandbox.wait_until(found, LIMIT, f"a reader is led to {host}")
    return led[0]


def test_writes_go_on_by_the_vip_whatever_becomes_of_the_writer(proxied: Sandbox) -> None:
    log, probe = Log(proxied), Probe(proxied, proxy=True)
    probe.start()
    try:
        probe.wait_writes(LIMIT)
        move_writer(proxied, "db2")
        moved = probe.wait_move(LIMIT, 1)
        assert (moved.before, moved.after) == ("db1", "db2")
        proxied.wait_until(
            lambda: health(proxied, "db2", "/writer")[1]["ok"], LIMIT, "db2 says that it writes"
        )
        assert health(proxied, "db1", "/writer")[1]["why"] == "not_assigned"
        inject(proxied, "kill-mysqld", "db2")
        killed = probe.wait_move(LIMIT, 2)
        assert (killed.before, killed.after) == ("db2", "db1")
        heal(proxied)
        wait_back(proxied, log, "db2")
        settle(proxied)
        inject(proxied, "cut", "db1")  # it may be left with rows that nobody got
        cut = probe.wait_move(LIMIT, 3)
        assert (cut.before, cut.after) == ("db1", "db2")
        probe.wait_writes(LIMIT)
    finally:
        report = probe.stop(catch_up=0.0)
    assert report.doubled == ()
    assert writers(proxied, probe.run) == ["db1", "db2", "db1", "db2"]


def test_readers_leave_a_host_that_lags_or_is_out_of_use_and_lose_their_sessions(proxied: Sandbox) -> None:
    session = led_to(proxied, "db3")
    inject(proxied, "lag", "db3")
    asked = f"/reader?lag={LAG:g}"
    proxied.wait_until(
        lambda: health(proxied, "db3", asked)[1]["why"] == "behind", LIMIT, "db3 says that it is behind"
    )
    proxied.wait_until(lambda: is_ended(session), LIMIT, "HAProxy ends the sessions that lead to db3")
    assert "db3" not in reading(proxied)
    heal(proxied)
    proxied.wait_until(lambda: reading(proxied) == ALL, LIMIT, "db3 is read from again")
    assert proxied.control("set_offline", "db2").returncode == 0
    proxied.wait_until(lambda: reading(proxied) == {"db1", "db3"}, LIMIT, "nobody is led to db2")
    assert health(proxied, "db2", "/reader")[1]["why"] == "not_assigned"
