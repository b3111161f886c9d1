"""Finds out what commands ask for."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from mmm.config.model import Cluster, Vip
from mmm.monitor.act.agents import Agents
from mmm.monitor.act.checks import Checks
from mmm.monitor.act.sign_of_life import sign_of_life
from mmm.monitor.command.asking import (
    Ask,
    Command,
    Heard,
    LetGo,
    LookAt,
    LookForLife,
    MoveEnds,
    OrderRejoin,
    Ping,
    ReadConf,
)
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.leading import standing_by
from mmm.monitor.command.preflight import Looked
from mmm.monitor.command.reload import LET_GO
from mmm.monitor.command.texts import Verdict
from mmm.monitor.world.events import Doubted, Event, Withdrawn
from mmm.monitor.world.world import World
from mmm.network.icmp import Pinger
from mmm.process.conf_file import UnusableError

MOVE_ENDS = 15.0
"""Seconds for which passive mode waits for the end of a move, of which each part has a shorter limit."""

_CHANGES_NOTHING = Ping | LookAt | LookForLife | MoveEnds
"""What is asked before an order takes effect, which is for the monitor that leads alone."""
_OF_THE_CONF = Ping | LookAt | LookForLife
"""What is asked about a role and a host as the conf had them at the begin."""


class Finder:
    """Runs commands on the world of a monitor, and looks for what they have to know."""

    def __init__(
        self,
        agents: Agents,
        checks: Checks,
        pinger: Pinger,
        world: Callable[[], World],
        post: Callable[[Event], None],
        read_conf: Callable[[], Cluster],
    ) -> None:
        self._agents = agents
        self._checks = checks
        self._pinger = pinger
        self._world = world
        self._post = post
        self._read_conf = read_conf
        self._turned = asyncio.Event()

    def turned(self) -> None:
        """Take note that the monitor has taken a turn: what is waited for may be there."""
        self._turned.set()

    async def carried(self, command: Command) -> Result:
        """Return what a command comes to, once it was told all that it asks for.

        Where another monitor has come to lead meanwhile it is refused: nobody would know of it. So it is where another
        conf was taken, by which the host may have the role no more, or not be there.
        """
        began = self._world()
        asking, led = command(began, time.monotonic()), began.leadership.may_order
        try:
            ask = next(asking)
            while True:
                heard = await self._find_out(ask)
                if led and not heard.world.leadership.may_order and isinstance(ask, _CHANGES_NOTHING):
                    return Result(heard.world, standing_by(heard.world))
                if heard.world.conf is not began.conf and isinstance(ask, _OF_THE_CONF):
                    return Result(heard.world, Verdict("conf_changed"))
                ask = asking.send(heard)
        except StopIteration as ended:
            result: Result = ended.value
            return result

    async def _find_out(self, ask: Ask) -> Heard:
        """Return what a command asks for; the world is the one by then."""
        match ask:
            case Ping(host):
                silent = self._world().is_silent(host)
                pinged = not silent and await self._agents.ping(self._world().conf.hosts[host])
                return Heard(self._world(), time.monotonic(), pinged=pinged)
            case LookAt():
                looked = await self._look(ask)
                return Heard(self._world(), time.monotonic(), looked=looked)
            case OrderRejoin(host, wanted):
                answer = await self._agents.rejoin(self._world().conf.hosts[host], wanted)
                return Heard(self._world(), time.monotonic(), rejoin=answer)
            case LookForLife(host):
                sign = await sign_of_life(self._world().conf.hosts[host], self._agents, self._pinger)
                return Heard(self._world(), time.monotonic(), sign=sign)
            case ReadConf():
                return await self._read()
            case MoveEnds():
                await self.until(
                    lambda world: not (world.moves_by_order and world.leadership.may_order), MOVE_ENDS
                )
                return Heard(self._world(), time.monotonic())
            case LetGo(vips):
                await self._have_let_go(vips)
                return Heard(self._world(), time.monotonic())

    async def _read(self) -> Heard:
        """Return the conf as it is written now; a thread reads it, for names are looked up and disks may hang."""
        try:
            conf = await asyncio.get_running_loop().run_in_executor(None, self._read_conf)
        except UnusableError as error:
            return Heard(self._world(), time.monotonic(), errors=error.lines)
        return Heard(self._world(), time.monotonic(), conf=conf)

    async def _have_let_go(self, vips: frozenset[Vip]) -> None:
        """Have VIPs unbound, and wait for that; where the command is given up they are given to hosts again."""
        self._post(Withdrawn(vips))
        try:
            await self.until(
                lambda world: not (world.leadership.may_order and any(map(world.holders, vips))), LET_GO
            )
        except asyncio.CancelledError:
            self._post(Withdrawn(frozenset()))
            raise

    async def until(self, holds: Callable[[World], bool], limit: float) -> None:
        """Wait until that holds of the world, no longer than `limit` seconds; the monitor takes turns meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while not holds(self._world()):
                    self._turned.clear()
                    await self._turned.wait()

    async def _look(self, hosts: LookAt) -> Looked | None:
        """Look anew at what a move of the active master role depends on; returns what no check finds."""
        if not self._world().network_up:
            return None
        conf = self._world().conf.hosts
        names = [name for name in (hosts.source, hosts.target) if name is not None]
        results = asyncio.gather(*(self._checks.look_anew(conf[name]) for name in names))
        classic = self._world().conf.vip_lease > 0 and self._world().hosts[hosts.target].agent.about.classic
        prepared = None if classic else asyncio.create_task(self._agents.prepare(conf[hosts.target]))
        looked = Looked() if hosts.source is None else await self._agents.clients(conf[hosts.source])
        for result in (each for pair in await results for each in pair):
            self._post(result)
        if prepared is not None and (doubts := await prepared) is not None:
            self._post(Doubted(hosts.target, doubts))
        return looked
