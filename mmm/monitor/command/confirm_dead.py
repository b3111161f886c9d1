"""The command confirm_dead: the admin vouches that a host is off, and all that waits for it goes on (rule 11.1).

It has the effect of a kill_host that succeeded. The active master's VIP is probed on the wire before another host binds
it, so that a host which has it after all is noticed if possible.
"""

import re
from dataclasses import replace
from typing import ClassVar

from mmm.lease.rules import NOTHING
from mmm.monitor.assess import second_opinion
from mmm.monitor.command.asking import Asking, LookForLife
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.sign import Sign
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.said import Said, Texts, listed
from mmm.monitor.world.world import World

SOMEBODY = "somebody"
_WHO = re.compile(r"[\w.@()-]{1,64}")


def run(world: World, host: str, who: str = "") -> Asking[Result]:
    """Have a host of the conf count as off, by the word of `who`."""
    heard = yield LookForLife(host)
    world = heard.world
    if refusal := _refusal(world, host, heard.sign):
        return Result(world, Verdict("not_off", {"host": host, "why": refusal}))
    held = tuple(sorted(world.hosts[host].agent.may_hold))
    vouched = who if _WHO.fullmatch(who) else SOMEBODY
    return Result(
        _without(world, host),
        Verdict("counts_as_off", {"host": host, "held": held}),
        entry=Happened("confirmed_dead", {"host": host, "who": vouched, "held": held}),
    )


class NotOff(Said):
    """Why a host does not count as off."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "lives": "{sign}. Switch it off, or fix what is wrong there: any wait ends when its agent answers.",
        "cut_off": "the monitor reaches none of its ping_ips: it is cut off itself.",
        "not_failed": (
            "its checks have not failed: see 'mmm_control checks {host}'. If it is off, try again in a few seconds."
        ),
        "reached": (
            lambda of: f"{listed(of['others'])} reach its server: only the monitor is cut off from it."
        ),
        "asked": "the other hosts are being asked whether they reach it. Try again in a few seconds.",
    }


def _refusal(world: World, host: str, sign: Sign | None) -> NotOff | None:
    if sign is not None:
        return NotOff("lives", {"sign": sign})
    if not world.network_up:
        return NotOff("cut_off")
    if not world.is_dead(host):
        return NotOff("not_failed", {"host": host})
    if others := second_opinion.reached_by(world, host):
        return NotOff("reached", {"others": others})
    return NotOff("asked") if world.hosts[host].state is State.ONLINE else None


def _without(world: World, host: str) -> World:
    """Return the world in which nothing may be bound on the host, and nobody has to be told there."""
    link = world.hosts[host].agent
    world = replace(world, unsure=world.unsure | (world.master_vips & link.may_hold))
    if world.last_master == host:
        world = replace(world, failed_over=None)
    link = link.emptied(frozenset(), NOTHING).overtaken()
    return world.with_agent(host, replace(link, kill=link.kill.settled()))
