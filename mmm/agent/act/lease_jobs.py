"""What is done to this host for the sake of the lease: in threads, each job to its end.

Denying writes, which a hanging server can hold up, has a separate thread from unbinding.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmm.agent.act.accounts import agent_at
from mmm.agent.act.fence import deny, take_away
from mmm.agent.act.server_session import ServerSession
from mmm.agent.decide.core import Core
from mmm.agent.decide.lease_watch import standing
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import FOREVER
from mmm.network.vips import Interface, InterfaceError

INTERNAL = "internal error of the agent"
LEAVE_LIMIT = 1.0
"""Seconds in which the kernel is told, when the agent ends, that VIPs stay."""

log = logging.getLogger(__name__)


class LeaseJobs:
    """Gives up what the lease was for, or has the kernel keep it. `close` it.

    `lifetime` tells for how many seconds the kernel is to keep a VIP: 0 for ever, negative where it may not be bound.
    """

    def __init__(self, conf: Cluster, interface: Interface, lifetime: Callable[[Vip], int]) -> None:
        self._conf = conf
        self._here = conf.hosts[conf.this]
        self._interface = interface
        self._lifetime = lifetime
        self._fencer = ThreadPoolExecutor(1, thread_name_prefix="fence")
        self._binder = ThreadPoolExecutor(1, thread_name_prefix="bind")
        self._leaver = ThreadPoolExecutor(1, thread_name_prefix="leave")

    def close(self) -> None:
        """Begin no further job."""
        for threads in (self._fencer, self._binder, self._leaver):
            threads.shutdown(wait=False, cancel_futures=True)

    async def deny(self) -> str:
        """Set read_only and end clients; returns why that failed, empty when it did not."""
        session = ServerSession(agent_at(self._here))
        try:
            job = asyncio.get_running_loop().run_in_executor(self._fencer, deny, session, self._conf)
            return await job or ""
        except Exception as error:
            log.exception("setting read_only ended by an internal error")
            return f"{INTERNAL}: {type(error).__name__}"

    async def unbind(self, vips: tuple[Vip, ...]) -> None:
        """Have the kernel end the clients that a server which says nothing has not, and remove the VIPs."""
        for vip in vips:
            try:
                loop = asyncio.get_running_loop()
                ended = await loop.run_in_executor(
                    self._binder, take_away, self._interface, self._conf, vip.ip
                )
            except InterfaceError as error:
                log.error("unbind %s: %s", vip, error)
            except Exception:
                log.exception("unbinding %s ended by an internal error", vip)
            else:
                if ended:
                    text = "%s: %s is gone, %d clients that the server did not end"
                    log.warning(text, self._here.name, vip.ip, ended)

    def told(self, core: Core) -> tuple[Vip, ...]:
        """Return what this host holds without an address: nobody is told of it once the agent is gone."""
        return tuple(vip for vip in core.status.vips if vip in self._conf.asked_vips)

    async def give_up(self, core: Core) -> None:
        """Have this host without these, and read_only where the active master's is among them."""
        vips = self.told(core)
        if any(vip.role == core.site.facts.writer for vip in vips) and (why_not := await self.deny()):
            log.error("%s: read_only is not set: %s", self._here.name, why_not)
        await self.unbind(vips)

    async def renew(self, vips: tuple[Vip, ...]) -> None:
        """Have the kernel keep the VIPs for as long as they may be bound."""
        await asyncio.get_running_loop().run_in_executor(self._binder, self._renew_now, vips)

    def _renew_now(self, vips: tuple[Vip, ...]) -> None:
        for vip in vips:
            if (lifetime := self._lifetime(vip)) >= 0:
                with suppress(InterfaceError):
                    self._interface.renew(vip.ip, lifetime)

    async def leave_for_good(self, core: Core, now: float) -> None:
        """Have the VIPs stay after the agent: the writer's where the lease has no end (rules 11.1, 14.3).

        A thread does it that nobody else has: who asks a server that hangs, or a program, holds up the others.
        """
        if not core.held.leased:
            return
        job = asyncio.get_running_loop().run_in_executor(self._leaver, self._leave_now, core, now)
        try:
            async with asyncio.timeout(LEAVE_LIMIT):
                await job
        except TimeoutError:
            log.error(
                "%s: the kernel was not told within %g s that VIPs stay: they go with their lifetime",
                self._here.name, LEAVE_LIMIT,
            )  # fmt: skip

    def _leave_now(self, core: Core, now: float) -> None:
        left = core.held.left(now)
        for vip in standing(core):
            if vip in self._conf.asked_vips:  # nobody tells of it any more
                continue
            if vip.role == core.site.facts.writer and left < FOREVER:
                if left > 0:
                    log.warning("%s keeps the rest of its lease, %.1f s: the monitor is not heard", vip, left)
                continue
            try:
                self._interface.renew(vip.ip, 0)
            except InterfaceError as error:
                log.error("%s: %s", vip, error)
