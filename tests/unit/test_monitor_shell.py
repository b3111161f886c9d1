"""The monitor at work, without a cluster: what becomes of a command that waits, and which time people read."""

import asyncio
import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest

from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.leading import Leading
from mmm.monitor.act.shell import Shell
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.act.wall import Wall
from mmm.monitor.world.events import Led
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.leadership import HandOver, Place
from mmm.monitor.world.world import Mode, World
from mmm.network.icmp import Pinger
from tests.unit.test_monitor_leading import FOLLOWS, LEADS, OTHER, OWN, of_several
from tests.unit.worlds import WRITER, cluster, world

LIMIT = 30.0


class Mute:
    """Agents that answer PING; what they are told is under way for ever."""

    tls = None
    lead: Lead | None = None

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def ping(self, _: object) -> bool:
        return True

    async def tell(self, *_: object, **__: object) -> Spoken:
        self.told.set()
        return await asyncio.Future[Spoken]()


def shell(folder: Path, before: World, agents: Mute, conf: Cluster) -> Shell:
    """Return a monitor that finds this conf when it is to read it again."""
    monitor = replace(before.monitor, status_path=str(folder / "status"))
    seen = replace(before, conf=replace(before.conf, monitor=monitor))
    found = replace(conf, monitor=monitor)
    checks: Any = Mock(Checks)
    return Shell(seen, lambda: found, cast("Agents", agents), checks, Mock(Pinger), {})


async def test_a_command_that_waits_for_a_host_ends_once_a_conf_has_not_got_that_any_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer to the reload was an internal error, and that of the other command came after 40 s."""
    agents, before = Mute(), world({WRITER: "db1"}, {"db3": State.AWAITING_RECOVERY}, cluster(readers=0))
    hosts = {name: host for name, host in before.conf.hosts.items() if name != "db3"}
    roles = {name: replace(role, hosts=("db1", "db2")) for name, role in before.conf.roles.items()}
    monitor = shell(tmp_path, before, agents, replace(before.conf, hosts=hosts, roles=roles))
    monitor._watching = {name: [] for name in before.hosts}
    caplog.set_level(logging.ERROR)
    async with asyncio.timeout(LIMIT):
        waits = asyncio.create_task(monitor.command(["set_online", "db3"]))
        await agents.told.wait()
        taken = await monitor.command(["reload"])
        assert str(taken).startswith("OK: The conf is taken."), taken
        assert await waits == "ERROR: Unknown host name 'db3'! Known are db1, db2."
    for task in monitor._tasks:
        task.cancel()
    assert caplog.records == []


@pytest.mark.parametrize("step", [-3600.0, 7200.0])
async def test_people_read_the_time_of_a_clock_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    """A machine that slept is the same: its monotonic clock stood still. All times were wrong until a restart."""
    before, now = world(), time.monotonic()
    monitor = shell(tmp_path, before, Mute(), before.conf)
    was, real = monitor._clock.wall(now), time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    assert monitor._clock.wall(now) - was == pytest.approx(step, abs=0.5)
    monitor._chronicle.noted(Happened("mode", {"before": Mode.WAIT, "after": Mode.ACTIVE}))
    assert monitor._chronicle.entries[-1].at == pytest.approx(time.time(), abs=LIMIT)


def test_a_moment_stays_the_same_while_the_clock_is_slewed(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, moment, real = Wall(), time.monotonic(), time.time
    was = wall.of(moment)
    monkeypatch.setattr(time, "time", lambda: real() + 0.2)
    assert wall.of(moment) == was


async def test_a_hup_while_a_conf_is_being_taken_has_it_read_once_more(tmp_path: Path) -> None:
    """It was refused without a word, and what had been written meanwhile was not taken."""
    before = world()
    monitor, reads, goes_on = shell(tmp_path, before, Mute(), before.conf), list[int](), threading.Event()

    def read() -> Cluster:
        reads.append(len(reads))
        assert goes_on.wait(LIMIT)
        return monitor.world.conf

    monitor._finder._read_conf = read
    async with asyncio.timeout(LIMIT):
        under_way = asyncio.create_task(monitor.command(["reload"]))
        await asyncio.sleep(0)
        for _ in range(3):
            monitor.reload()
        (hup,) = monitor._tasks
        await asyncio.sleep(0)
        goes_on.set()
        await asyncio.gather(under_way, hup)
        assert len(reads) == 2
        before_it = set(monitor._tasks)
        monitor.reload()
        await asyncio.gather(*(set(monitor._tasks) - before_it))
    assert len(reads) == 3
    for task in monitor._tasks:
        task.cancel()


async def test_a_lead_is_handed_over_at_once_and_the_admin_hears_who_leads_then(tmp_path: Path) -> None:
    """It was handed over with the next round, up to 15 s later, and nobody knew to whom."""
    before, of = world({WRITER: "db1"}), of_several(**LEADS)
    monitor = shell(tmp_path, before, Mute(), before.conf)
    monitor.world = replace(of, conf=replace(of.conf, monitor=replace(monitor.world.monitor, ip=OWN)))

    class Leads:
        def obey(self) -> None:
            if isinstance(monitor.world.leadership.asked, HandOver):
                led = Led(of_several(**FOLLOWS).leadership, {}, done=True)
                asyncio.get_running_loop().call_soon(monitor.post, led)

    monitor._leading = cast("Leading", Leads())
    async with asyncio.timeout(LIMIT):
        said = await monitor.command(["hand_over"])
    assert said == f"OK: The monitor at {OWN} has given up the lead: the one at {OTHER} leads."
    for task in monitor._tasks:
        task.cancel()


@pytest.mark.parametrize("place", [Place.LEADS, Place.STANDS_BY])
async def test_the_history_tells_of_the_conf_that_the_leader_takes_and_the_log_of_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place
) -> None:
    """A standby that is reloaded after the leader had its history, and whom it mails to, told the same again."""
    seen = of_several(place=place)
    conf = replace(seen.conf, keep_users=("root",))
    monitor = shell(tmp_path, seen, Mute(), conf)
    monitor._watching = {name: [] for name in seen.hosts}
    caplog.set_level(logging.INFO)
    async with asyncio.timeout(LIMIT):
        taken = await monitor.command(["reload"])
    assert str(taken).startswith("OK: The conf is taken."), taken
    said = "another conf is taken: keep_users: not set -> root"
    assert [entry.text for entry in monitor._chronicle.entries] == [said] * (place is Place.LEADS)
    assert said in [record.getMessage() for record in caplog.records]
    for task in monitor._tasks:
        task.cancel()
