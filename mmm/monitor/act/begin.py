"""What a monitor that has just come to lead finds: a world made anew, as at a start (rule 14.2)."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mmm.gtid.transactions import Transactions
from mmm.lease.record import Record
from mmm.monitor.act import first_look
from mmm.monitor.act.agents import Agents
from mmm.monitor.decide import leading, startup
from mmm.monitor.decide.found import Stored
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import Flaps, HostWorld
from mmm.monitor.world.world import World

log = logging.getLogger(__name__)


async def begun(
    known: Callable[[], World],
    record: Record,
    on_disk: Mapping[str, Stored],
    agents: Agents,
    flaps: Mapping[str, Flaps],
) -> World:
    """Return the world of what agents say now, with what the monitor that led before has left on record.

    What it believed of hosts whose agents are silent is `on_disk`, in the status file, where that was copied from it;
    `flaps` are how often hosts went out of use. What the checks have found while this one stood by stays, also of the
    seconds in which agents are asked: `known` returns the world of that.
    """
    conf, missing = known().conf, known().leadership.missing
    stored = leading.believed(conf, record, on_disk)
    found = await first_look.ask_everybody(conf, stored, agents, _checked(known()), missing)
    before = known()
    if before.conf is not conf:  # another one was taken meanwhile, perhaps with other hosts
        return await begun(known, record, on_disk, agents, flaps)
    found = leading.remembered(conf, found, record, on_disk)
    started = startup.start(conf, _checked(before), found, time.monotonic(), _has(before), stored)
    for warning in started.warnings:
        log.warning("%s", warning)
    if started.conflict:
        log.critical("%s", started.conflict)
    world = leading.with_mode(started.world, record)
    for name, host in before.hosts.items():
        after = _goes_on(world.hosts[name], host)
        world = world.with_host(name, replace(after, flaps=flaps.get(name)))
    return replace(
        world,
        leadership=before.leadership,
        network_up=before.network_up,
        hosts_silent=before.hosts_silent,
        examined=before.examined,
        examined_before=before.examined_before,
        ending=before.ending,
    )


def _checked(world: World) -> Mapping[str, Mapping[str, CheckStatus]]:
    return {name: host.checks for name, host in world.hosts.items()}


def _has(world: World) -> Mapping[str, Transactions]:
    read = ((name, host.progress.transactions) for name, host in world.hosts.items())
    return {name: each for name, each in read if each is not None}


def _goes_on(begun: HostWorld, before: HostWorld) -> HostWorld:
    """Return a host as it begins, with what goes on from before.

    Orders are numbered on: an answer to one that this monitor gave when it led earlier is no answer to a new one.
    """
    orders = replace(begun.agent.orders, number=before.agent.orders.number)
    agent = replace(begun.agent, orders=orders)
    return replace(begun, agent=agent, settings=before.settings, unwatched=before.unwatched)
