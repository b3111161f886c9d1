"""What becomes of a command while it finds out what it has to know."""

import asyncio
from dataclasses import replace
from typing import cast
from unittest.mock import Mock

import pytest

from mmm.config.model import Cluster, Role, Vip
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.find_out import Finder
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.dispatch import ordered
from mmm.monitor.command.texts import Verdict
from mmm.monitor.decide import leases, new_conf
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.move import Move
from mmm.monitor.world.world import Mode, World
from mmm.network.icmp import Pinger
from tests.unit.worlds import NOW, WRITER, cluster, world

LEADS = replace(world(), leadership=Leadership(Place.LEADS, leader="10.0.0.1"))
MOVES = replace(LEADS.with_owner({WRITER: "db2"}), move=Move(WRITER, "db1", "db2"))


class Agent:
    """Answers each PING, and in that moment something becomes of the monitor's world."""

    def __init__(self, now: list[World], then: World) -> None:
        self._now, self._then = now, then

    async def ping(self, _: object) -> bool:
        self._now.append(self._then)
        return True


async def carried(before: World, after: World, words: str) -> Result:
    """Return what a command comes to while whose beginning the world becomes another one."""
    now = [before]
    finder = Finder(
        cast("Agents", Agent(now, after)), Mock(Checks), Mock(Pinger), lambda: now[-1], lambda _: None, Mock()
    )
    command = ordered(words.split())
    assert command is not None
    carrying = asyncio.create_task(finder.carried(command))
    await asyncio.sleep(0)
    now.append(after)
    finder.turned()
    async with asyncio.timeout(10):
        return await carrying


@pytest.mark.parametrize("words", ["set_passive", "set_offline db2", "move_role writer db2"])
async def test_an_order_is_refused_by_a_monitor_that_leads_no_more_once_it_knows_enough(words: str) -> None:
    """It was told that all is done, and the monitor that leads knew nothing of it."""
    before = MOVES if words == "set_passive" else LEADS
    lost = replace(before, leadership=Leadership(Place.STANDS_BY, leader="10.0.0.2"))
    result = await carried(before, lost, words)
    assert (result.answer.code, result.world) == ("stands_by", lost)


APP = Vip("app", "10.0.0.90")


def with_app(*hosts: str) -> Cluster:
    """Return a conf with one more exclusive role, which is for these hosts."""
    conf = cluster()
    return replace(conf, roles={**conf.roles, "app": Role("app", "exclusive", hosts, (APP.ip,))})


BEFORE = replace(world({WRITER: "db1", APP: "db1"}, conf=with_app("db1", "db3")), mode=Mode.MANUAL)


async def test_a_role_is_not_moved_to_a_host_that_may_not_have_it_by_another_conf() -> None:
    """The agent was asked whether it answers, and a conf was taken meanwhile."""
    after = new_conf.taken(BEFORE, with_app("db1", "db2"), NOW)
    result = await carried(BEFORE, after, "move_role app db3")
    assert str(result.answer) == "ERROR: Another conf was taken meanwhile: order it again."
    assert result.world is after


async def test_a_host_that_another_conf_has_not_got_is_not_set_offline() -> None:
    conf = with_app("db1", "db2")
    gone = replace(
        conf,
        hosts={name: host for name, host in conf.hosts.items() if name != "db3"},
        roles={**conf.roles, "reader": replace(conf.roles["reader"], hosts=("db1", "db2"))},
    )
    after = new_conf.taken(BEFORE, gone, NOW)
    assert (await carried(BEFORE, after, "set_offline db3")).answer == Verdict("conf_changed")


async def test_passive_mode_comes_by_any_conf() -> None:
    amid = replace(BEFORE.with_owner({WRITER: "db2"}), move=Move(WRITER, "db1", "db2"))
    after = replace(new_conf.taken(amid, with_app("db1", "db2"), NOW), move=None)
    assert (await carried(amid, after, "set_passive")).answer.code == "mode"


async def test_passive_mode_begins_once_the_move_has_ended() -> None:
    result = await carried(MOVES, replace(MOVES, move=None), "set_passive")
    assert (result.answer.code, result.world.mode) == ("mode", Mode.PASSIVE)


def test_a_monitor_that_stands_by_waits_for_no_move() -> None:
    lost = replace(MOVES, leadership=Leadership(Place.STANDS_BY, leader="10.0.0.2"))
    assert (leases.is_at_rest(MOVES), leases.is_at_rest(lost)) == (False, True)


async def test_a_reload_waits_for_no_vip_to_be_unbound_once_the_monitor_leads_no_more() -> None:
    """Its orders go out no more: it waited in vain, for 15 s, and took nothing."""
    roles = {name: role for name, role in LEADS.conf.roles.items() if name != "reader"}
    conf = replace(LEADS.conf, roles=roles)
    lost = replace(LEADS, leadership=Leadership(Place.STANDS_BY, leader="10.0.0.2"))
    now = [LEADS]

    def goes(_: object) -> None:
        now.append(lost)

    finder = Finder(Mock(Agents), Mock(Checks), Mock(Pinger), lambda: now[-1], goes, lambda: conf)
    command = ordered(["reload"])
    assert command is not None
    async with asyncio.timeout(10):
        result = await finder.carried(command)
    assert (result.answer.code, result.world.conf) == ("reloaded", conf)
