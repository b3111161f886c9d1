"""The doctor looks at a large cluster: as much work for a host as in a small one, and none in the monitor's loop."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from mmm.config.model import Cluster
from mmm.doctor.look import HostLook, MonitorLook, Server
from mmm.doctor.picture import Finding, Picture
from mmm.doctor.rules import examine
from mmm.monitor.act import periodic
from mmm.monitor.act.periodic import Periodic
from mmm.monitor.assess import checkup
from mmm.monitor.world.events import Event
from tests.unit.worlds import cluster, world

LIMIT = 60.0


def seen(conf: Cluster, **others: Server) -> Picture:
    """All hosts of a conf with servers of the same kind, but for `others`."""
    looks = {
        name: HostLook(
            server=others.get(
                name, Server("MariaDB", (10, 11, 6), {"server_id": str(number), "read_only": "ON"})
            )
        )
        for number, name in enumerate(conf.hosts, 1)
    }
    return Picture(conf, looks=looks, monitor=MonitorLook())


def asked(monkeypatch: pytest.MonkeyPatch, hosts: int) -> int:
    """How often the rules ask for a host's server in a cluster of so many."""
    count = 0
    server = Picture.server

    def counted(self: Picture, name: str) -> Server | None:
        nonlocal count
        count += 1
        return server(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Picture, "server", counted)
        examine(seen(cluster(slaves=hosts - 2)))
    return count


def test_ten_times_the_hosts_are_ten_times_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = asked(monkeypatch, 30), asked(monkeypatch, 300)
    assert many <= 11 * few
    assert many <= 10 * 300


def of(code: str, found: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.host, finding.fields["other"]) for finding in found if finding.code == code]


def test_each_host_is_said_once_with_the_first_that_it_does_not_go_with() -> None:
    conf = cluster(slaves=4)
    same = Server("MariaDB", (10, 11, 6), {"server_id": "3", "read_only": "ON"})
    mysql = Server("MySQL", (8, 4, 0), {"server_id": "9", "read_only": "ON"})
    newer = Server("MariaDB", (11, 4, 2), {"server_id": "2", "read_only": "ON"})
    found = examine(seen(conf, db2=newer, db4=mysql, db5=same, db6=same))
    assert of("server_ids_equal", found) == [("db5", "db3"), ("db6", "db3")]
    assert of("families_differ", found) == [("db4", "db1"), ("db5", "db4"), ("db6", "db4")]
    assert of("source_is_newer", found) == [("db1", "db2"), ("db3", "db2"), ("db5", "db2"), ("db6", "db2")]


async def test_the_monitor_goes_on_while_the_doctor_thinks(monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[threading.Thread] = []
    came: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def examined(_: Picture) -> tuple[Finding, ...]:
        where.append(threading.current_thread())
        return ()

    def post(event: Event) -> None:
        if not came.done():
            came.set_result(event)

    monkeypatch.setattr(periodic, "examine", examined)
    monkeypatch.setattr(periodic, "from_within", lambda conf, _: Picture(conf))
    monkeypatch.setattr(checkup, "next_look", lambda _: 0.0)
    edge: Any = SimpleNamespace(exited=None)
    asks = asyncio.ensure_future(Periodic(edge, edge, world, post, edge).check_up())
    try:
        async with asyncio.timeout(LIMIT):
            await came
    finally:
        asks.cancel()
        await asyncio.gather(asks, return_exceptions=True)
    assert where
    assert threading.current_thread() not in where
