"""What an agent finds wrong on its host before it does harm, with a real server."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from mmm.agent.act.doubts import Doubts
from mmm.agent.act.listening import Listening
from mmm.agent.act.server_session import ServerSession
from mmm.agent.act.steps import Steps
from mmm.agent.decide.failure import Failure
from mmm.agent.decide.steps import Follow, Plan, RenewLogin
from mmm.config.model import Cluster, Host
from mmm.mysql.server.change_source import change_source
from mmm.mysql.server.replication import replica_status, start_replica
from mmm.network.arp import Announcer
from mmm.network.vips import Interface
from mmm.wire.doubts import CLAIMED, DISK_LOW, GRANTS, GRANTS_WANTED, NOT_LISTENING, REPLICATION_LOGIN, Doubt
from mmm.wire.why import NO_LOGIN
from tests.servers import MARIADB, Server, Servers, kind
from tests.unit.test_mysql_servers import LONG, build, caught, wait_until
from tests.unit.trio import AGENT, REPLICATION, Trio, agent, source
from tests.unit.worlds import cluster

pytestmark = pytest.mark.mysql


@pytest.fixture(scope="module", params=[MARIADB, "mysql:9.7"])
def trio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    servers = Servers(tmp_path_factory.mktemp("doubts"), kind(request.param))
    try:
        yield build(servers)
    finally:
        servers.stop()


def conf(trio: Trio, this: str, password: str = REPLICATION.password) -> Cluster:
    """Return the conf of an agent: the servers listen on 127.0.0.1 alone, which all hosts have for their address."""
    found = cluster()
    hosts: dict[str, Host] = {}
    for (name, host), server in zip(found.hosts.items(), trio.all, strict=True):
        hosts[name] = replace(
            host,
            ip="127.0.0.1",
            mysql_port=server.port,
            agent_user=AGENT.user,
            agent_password=AGENT.password,
            replication_user=REPLICATION.user,
            replication_password=password,
        )
    return replace(found, this=this, hosts=hosts)


def doubts(conf: Cluster) -> dict[str, list[str]]:
    """Return what is found wrong, by code."""
    looking = Doubts(conf)
    try:
        found: tuple[Doubt, ...] = asyncio.run(looking.look())
    finally:
        looking.close()
    return {
        code: [each.text for each in found if each.code == code]
        for code in dict.fromkeys(each.code for each in found)
    }


def test_a_server_that_does_not_listen_on_a_vip_is_told_with_where_it_does(trio: Trio) -> None:
    found = doubts(conf(trio, "db2"))
    assert list(found) == [NOT_LISTENING]
    assert f"port {trio.two.port} is open at 127.0.0.1 only" in found[NOT_LISTENING][0]
    assert cluster().vips[0].ip in found[NOT_LISTENING][0]
    assert Listening(trio.two.port).deaf_at("127.0.0.1") == ""
    assert Listening(1).deaf_at("10.0.0.80") == ""  # nothing listens at all: the server is dead


def test_a_disk_that_is_nearly_full_is_told_with_what_is_on_it(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(total=1000 << 20, free=40 << 20)

    monkeypatch.setattr("mmm.doctor.machine.shutil.disk_usage", usage)
    (said, *_) = doubts(conf(trio, "db2"))[DISK_LOW]
    assert said.startswith(f"the disk of {trio.two.directory}")
    assert "(data, binary logs, relay logs" in said
    assert "is 96 % full" in said


def test_who_has_a_vip_of_this_host_too_is_told_with_its_mac(trio: Trio) -> None:
    looking = Doubts(conf(trio, "db2"), claimed=lambda: (("10.0.0.90", "02:00:00:00:00:99"),))
    try:
        found = asyncio.run(looking.look())
    finally:
        looking.close()
    (said,) = (doubt.text for doubt in found if doubt.code == CLAIMED)
    assert said.startswith("10.0.0.90 is bound here, and 02:00:00:00:00:99 on ")


def test_grants_that_are_missing_are_told_with_the_statement(trio: Trio) -> None:
    gone, wanted = ("PROCESS", "REPLICATION MASTER ADMIN" if trio.two.kind.flavour.mariadb else "SYSTEM_USER")
    trio.two.run("SET SESSION sql_log_bin=0", f"REVOKE {gone}, {wanted} ON *.* FROM '{AGENT.user}'@'%'")
    found = doubts(conf(trio, "db2"))
    assert [f"GRANT {gone} ON *.* TO " in text for text in found[GRANTS]] == [True]
    assert [f"GRANT {wanted} ON *.* TO " in text for text in found[GRANTS_WANTED]] == [True]
    trio.two.run("SET SESSION sql_log_bin=0", f"GRANT {gone}, {wanted} ON *.* TO '{AGENT.user}'@'%'")
    assert GRANTS not in doubts(conf(trio, "db2"))


@pytest.mark.parametrize("this", ["db1", "db3"])
def test_a_replication_password_that_is_wrong_in_the_conf_is_told(trio: Trio, this: str) -> None:
    found = doubts(conf(trio, this, "wrong"))[REPLICATION_LOGIN]
    assert [name for name in ("db1", "db2") if any(f"the server of {name} " in text for text in found)] == [
        name for name in ("db1", "db2") if name != this
    ]
    assert all("1045" in text and "wrong" not in text for text in found)


def carry_out(conf: Cluster, server: Server, step: Follow | RenewLogin) -> tuple[Failure, ...]:
    with Interface("lo") as interface:
        steps = Steps(conf, interface, cast("Announcer", None))  # nothing is announced
        session = ServerSession(server.address(AGENT.user, AGENT.password))
        try:
            done = steps.carry_out(Plan(((step,),)), session)
        finally:
            session.close()
    assert {failure.code for failure in done.failures} <= {NO_LOGIN}
    return done.failures


def test_a_good_replica_is_not_broken_by_a_password_that_is_wrong_in_the_conf(trio: Trio) -> None:
    with agent(trio.slave) as slave:
        assert carry_out(conf(trio, "db3", "wrong"), trio.slave, Follow("db2"))
        status = replica_status(slave)
        assert status is not None
        assert (status.source_port, status.io_running) == (trio.one.port, "Yes")
        assert not carry_out(conf(trio, "db3"), trio.slave, Follow("db2"))
        assert not carry_out(conf(trio, "db3"), trio.slave, Follow("db1"))


def test_a_replica_that_is_turned_away_gets_the_login_that_works(trio: Trio) -> None:
    with agent(trio.slave) as slave:
        slave.execute(slave.flavour.stop_replica)
        wrong = replace(source(trio.one), password="wrong")
        slave.execute(*change_source(slave.flavour, wrong, None, {"CONNECT_RETRY": 1}))
        start_replica(slave)

        def refused() -> bool:
            status = replica_status(slave)
            return status is not None and status.refused

        wait_until(refused)
        carry_out(conf(trio, "db3", "wrong"), trio.slave, RenewLogin("db1"))
        assert refused()
        assert carry_out(conf(trio, "db3"), trio.slave, RenewLogin("db1")) == ()
        wait_until(lambda: not refused())
    trio.one.run("INSERT INTO shop.orders (what) VALUES ('renewed')")
    assert caught(trio.slave, trio.one, LONG).value == "reached"
