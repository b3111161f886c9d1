"""Keeps the report up to date by which load balancers are answered (`mmm.agent.decide.health`).

It is put where another process reads it the moment the core knows something else, so that a role that was given up is
denied before anybody else can have it; the look follows, each second, and after each change of this host.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import MappingProxyType

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.observe import look
from mmm.agent.act.server_session import ServerSession
from mmm.agent.decide.core import Core
from mmm.agent.decide.health import Look, held_roles, reported
from mmm.agent.decide.plan import UNKNOWN
from mmm.clock import clock
from mmm.config.model import Cluster
from mmm.network.vips import Interface, InterfaceError
from mmm.process.board import Board

PERIOD = 0.8
"""Seconds between two looks: what is told is a second old at most where the server answers at once."""
SOONER = 0.05
"""Seconds between two looks where this host is being changed."""

Known = tuple[Look | None, Mapping[str, float]]
"""The last look, and the roles that were reported, each with the moment since which it is held."""
NOTHING_KNOWN: Known = (None, MappingProxyType({}))

log = logging.getLogger(__name__)


class HealthWatch:
    """Reports on this host; lives in an asyncio loop. `close` it.

    `known` is that of the one whose place this one takes, by another conf: it counts until the next look.
    """

    def __init__(
        self, conf: Cluster, interface: Interface, board: Board, known: Known = NOTHING_KNOWN
    ) -> None:
        self._interface = interface
        self._board = board
        self._ips = tuple(vip.ip for vip in conf.vips)
        self._session = ServerSession(agent_at(conf.hosts[conf.this]))
        self._looker = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._core: Core | None = None
        self._look, self._roles = known
        self._due = asyncio.Event()

    @property
    def known(self) -> Known:
        """Return what the next one goes on with."""
        return self._look, self._roles

    def take(self, core: Core) -> None:
        """Report what is known from now on."""
        before, self._core = self._core, core
        if before is None or core.work is not before.work or core.status != before.status:
            self._due.set()
        if before is None or core.status != before.status or core.held.lease.until != before.held.lease.until:
            self._report()

    async def watch(self) -> None:
        """Look each second, and when something was changed, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._due.clear()
            begun = clock()
            seen = await loop.run_in_executor(self._looker, self._see, begun)
            self._look = seen or self._look
            self._report()
            await asyncio.sleep(SOONER)
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD - SOONER):
                    await self._due.wait()

    def close(self) -> None:
        """Look no more; what was reported stays."""
        self._looker.submit(self._session.close)
        self._looker.shutdown(wait=False)

    def _see(self, begun: float) -> Look | None:
        try:
            return Look(begun, look(self._interface, self._ips, self._session))
        except InterfaceError as error:
            log.debug("health: nothing is seen: %s", error)
            return None
        except Exception:
            log.exception("looking for the health port ended by an internal error")
            return None
        finally:
            self._session.rest()

    def _report(self) -> None:
        if self._core is None or (self._core.status.state == UNKNOWN and self._look is None):
            return  # what an earlier worker has said stands until this one has looked
        now = clock()
        held = held_roles(self._core, self._look)
        found = self._core.status.state == UNKNOWN and self._look is not None
        since = self._look.begun if found and self._look is not None else now  # an earlier agent has left it
        self._roles = {role: self._roles.get(role, since) for role in held}
        self._board.put(reported(self._core, self._look, self._roles).encoded())
