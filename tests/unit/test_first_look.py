"""What a monitor that starts, or comes to lead, asks all agents, and how long it waits for them (rules 6.1, 14.2)."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, cast

import pytest

from mmm.config.model import Host
from mmm.config.names import CHECK_NAMES
from mmm.lease.record import Record
from mmm.lease.rules import NOTHING
from mmm.monitor.act import first_look
from mmm.monitor.act.agents import Told
from mmm.monitor.act.begin import begun
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import trap
from mmm.monitor.decide import new_conf
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.checks import GOOD, Outcome
from mmm.monitor.world.events import Answer, Answered, Network
from mmm.monitor.world.leadership import Place
from mmm.monitor.world.link import Ordered, Orders
from mmm.wire.status import Status, SystemStatus
from tests.simulation.leads import Loop
from tests.unit.test_monitor_leading import of_several
from tests.unit.worlds import NOW, cluster

STATUS = Status("ONLINE", (), "db1")
SEEN = SystemStatus(False, (), "10.0.0.1")


class Agents:
    """Agents that answer after so many seconds each, whatever they are asked; `frozen` says nothing for 10 s."""

    def __init__(self, frozen: str, seeing: float = 0.0) -> None:
        self.frozen, self.seeing = frozen, seeing

    async def status(self, host: Host) -> Told:
        """Return what the agent was told."""
        await asyncio.sleep(3.0 if host.name == self.frozen else 0.01)
        return Told() if host.name == self.frozen else Told(STATUS, 100.0)

    async def system(self, host: Host) -> SystemStatus | None:
        """Return what the agent sees."""
        await asyncio.sleep(10.0 if host.name == self.frozen else self.seeing)
        return None if host.name == self.frozen else SEEN


def took(asking: Coroutine[Any, Any, Any]) -> tuple[float, Any]:
    """Return the virtual seconds that it took, and what it came to."""
    loop = Loop()
    task = loop.create_task(asking)
    try:
        loop.move(0.0)
        while not task.done():
            loop.move(loop.due)
        return loop.now, task.result()
    finally:
        loop.close()


def everybody(agents: Agents, *late: str) -> tuple[float, Any]:
    conf = cluster()
    checked = {
        name: {check: trap.first(Outcome.OK, GOOD, NOW) for check in CHECK_NAMES} for name in conf.hosts
    }
    return took(first_look.ask_everybody(conf, {}, cast("Any", agents), checked, late))


def test_an_agent_that_hangs_is_waited_for_once_and_not_for_what_it_sees() -> None:
    seconds, found = everybody(Agents("db2"))
    assert seconds == pytest.approx(first_look.PATIENCE)
    assert (found["db2"].agent, found["db2"].system) == (None, None)
    assert (found["db1"].agent, found["db1"].system) == (STATUS, SEEN)


def test_one_that_had_not_answered_before_either_is_waited_for_less() -> None:
    seconds, found = everybody(Agents("db2"), "db2")
    assert seconds < first_look.PATIENCE
    assert found["db2"].agent is None


def test_one_whose_server_hangs_has_the_time_to_say_what_it_sees() -> None:
    seconds, found = everybody(Agents("", seeing=8.0))
    assert seconds == pytest.approx(8.0)
    assert all(each.system == SEEN for each in found.values())


def test_an_answer_to_an_order_of_when_it_led_before_is_none_to_a_new_one() -> None:
    before = of_several(place=Place.TAKES)
    orders = Orders(Ordered(STATUS, NOW, new=frozenset(), before=NOTHING), number=1)
    before = before.with_agent("db1", replace(before.hosts["db1"].agent, orders=orders))
    _, led = took(begun(lambda: before, Record(), {}, cast("Any", Agents("")), {}))
    anew = turn(replace(led, leadership=replace(led.leadership, place=Place.LEADS)), NOW).world
    flight = anew.hosts["db1"].agent.in_flight
    assert flight is not None
    late = Answered("db1", 1, Answer.OK, "OK: Status applied successfully!", uptime=100.0, token="boot.1")
    assert apply(anew, late, NOW).hosts["db1"].agent.in_flight == flight


def test_what_is_learned_while_agents_are_asked_is_not_forgotten() -> None:
    world = of_several(place=Place.TAKES)

    class Later(Agents):
        async def status(self, host: Host) -> Told:
            nonlocal world
            told = await super().status(host)
            world = apply(world, Network(up=False), NOW)
            return told

    _, led = took(begun(lambda: world, Record(), {}, cast("Any", Later("")), {}))
    assert not led.network_up


def test_another_conf_that_was_taken_meanwhile_is_gone_by() -> None:
    world = of_several(place=Place.TAKES)
    conf = replace(cluster(slaves=2), monitors=world.conf.monitors, monitor=world.conf.monitor)

    class Later(Agents):
        async def status(self, host: Host) -> Told:
            nonlocal world
            told = await super().status(host)
            if world.conf is not conf:
                world = new_conf.taken(world, conf, NOW)
            return told

    _, led = took(begun(lambda: world, Record(), {}, cast("Any", Later("")), {}))
    assert led.conf is conf
    assert led.hosts.keys() == conf.hosts.keys()
