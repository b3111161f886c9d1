"""Watches over this host's leases: renews what may be renewed, and fences the host when the writer's has ended.

    writer VIP     renewed by the monitor's orders; when a third of the lease is left, by promises of all other hosts
                   of the role, so also while an order takes longer than the lease it came with
    reader VIPs    renewed with the writer's, and for as long as any neighbour is reached
    lease lost     no new connections can come once the kernel removed the VIP; read_only is set, clients are ended

After it was stopped and continued, the first thing that happens here is a look at the lease.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mmm.agent.act.fence import take_away
from mmm.agent.act.held_lease import Tenure, least
from mmm.clock import clock
from mmm.config.agreement import digests
from mmm.config.model import Cluster, Host, Vip
from mmm.network.agent_port import AgentPort
from mmm.network.vips import Interface, InterfaceError
from mmm.wire import agent as wire
from mmm.wire.lead import with_conf

LOOK = 0.2
"""Longest time, in seconds, between two looks at the lease of a host that holds the role."""
REST = 1.0
"""The same of one that does not, unless a lease begins meanwhile or a fence has failed."""
LEAD = 0.3
"""Seconds before the end of a lease at which the host begins to give the role up; less where the lease is short."""
UNDISTURBED = 1.3
"""Seconds before the kernel removes the writer's VIP in which no other address is changed: that would make it late."""
GIVE_BACK_LIMIT = 0.3
"""Seconds for which the answer to an order waits until others have heard that their promises are given back."""

log = logging.getLogger(__name__)


class Guard:
    """The watch of one agent. `held` gives the VIPs that it holds, `fence` sets read_only and ends clients."""

    def __init__(
        self,
        conf: Cluster,
        tenure: Tenure,
        interface: Interface,
        held: Callable[[], frozenset[Vip]],
        fence: Callable[[], Awaitable[str]],
        lost: Callable[[Vip], None],
        is_alone: Callable[[], bool],
    ) -> None:
        self._conf = conf
        self._tenure = tenure
        self._interface = interface
        self._held = held
        self._fence = fence
        self._lost = lost
        self._is_alone = is_alone
        self._port = AgentPort(conf.auth_key)
        self._digests = digests(conf)
        self._vips = tuple(vip for vip in conf.vips if vip.role == conf.active_master_role)
        self._reached = clock()
        self._renewed = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._reaching: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="fence")
        self._writable = False
        self._giving_up = asyncio.Lock()
        self._awake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._said = False
        """That promises renew the lease was said since the monitor was last heard."""

    def heard(self) -> None:
        """Note that somebody was heard: the host is not alone."""
        self._reached = clock()

    async def watch(self, tls: ssl.SSLContext | None) -> None:
        """Watch until cancelled."""
        self._port.tls = tls
        while True:
            await self._look()
            await self._rest()

    async def _rest(self) -> None:
        """Wait until there may be something to do."""
        self._awake.clear()
        self._timer = self._later()
        try:
            await self._awake.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _later(self) -> asyncio.TimerHandle:
        length = self._tenure.length
        urgent = self._writable or self._tenure.lease.until > 0
        pause = pause_of(length) if urgent else min(REST, length / 8)
        return asyncio.get_running_loop().call_later(pause, self._tick)

    def _tick(self) -> None:
        """Wake the watch if it has something to do: a task that is woken for nothing would cost twice as much."""
        tenure = self._tenure
        low = tenure.lease.until > 0 and tenure.left < asks_at(tenure.length)
        readers = tenure.leased and clock() - self._renewed > tenure.length / 4
        if low or readers or self._writable:
            self._awake.set()
        else:
            self._timer = self._later()

    def close(self) -> None:
        """End what is under way."""
        for task in (self._asking, self._reaching):
            if task is not None:
                task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        tenure, lead = self._tenure, lead_of(self._tenure.length)
        if tenure.left <= lead and tenure.lease.until > 0:
            await self._give_up()
        elif self._writable:
            await self._deny()
        if not tenure.leased:
            return
        self._said = self._said and tenure.heard > tenure.length
        low = lead < tenure.left < asks_at(tenure.length)
        if low and not tenure.leaving and _idle(self._asking):
            self._asking = asyncio.get_running_loop().create_task(self._ask_promises())
        if clock() - self._renewed > tenure.length / 4:
            self._renewed = clock()
            await self._renew_readers()

    async def _give_up(self) -> None:
        """Take no more writes, then have no VIP: the lease is over."""
        log.critical(
            "%s: the lease of %s is over: not renewed by the monitor, which was heard %.1f s ago, nor by promises;"
            " setting read_only, ending clients",
            self._conf.this,
            ", ".join(map(str, self._vips)),
            self._tenure.heard,
        )
        await self.take_away()

    async def take_away(self) -> None:
        """Have this host without the writer role: read_only, its clients ended, and at the lease's end no VIP."""
        async with self._giving_up:
            denying = asyncio.get_running_loop().create_task(self._deny())
            await asyncio.wait({denying}, timeout=max(0.0, self._tenure.left))
            self._tenure.ended()
            for vip in self._vips:
                self._lost(vip)
                try:
                    await asyncio.get_running_loop().run_in_executor(self._threads, self._leave, vip.ip)
                except InterfaceError as error:
                    log.error("unbind %s: %s", vip, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await asyncio.shield(denying)

    async def at_rest(self) -> None:
        """Wait until nothing is being taken away: what an order allows then stays."""
        async with self._giving_up:
            return

    def _leave(self, ip: str) -> None:
        """Have the kernel end the clients that a server which says nothing has not, and remove the VIP."""
        here = self._conf.hosts[self._conf.this]
        if ended := take_away(self._interface, here, ip):
            log.warning("%s: %s is gone, %d clients that the server did not end", here.name, ip, ended)

    async def _deny(self) -> None:
        failure = await self._fence()
        self._writable = bool(failure) and self._tenure.left <= 0
        if self._writable:
            self._awake.set()

    def is_writer_again(self) -> None:
        """Note that the monitor has given the role again: nothing is to be denied any more."""
        self._writable = False
        self._awake.set()

    async def _ask_promises(self) -> None:
        tenure, conf = self._tenure, self._conf
        role = conf.roles[conf.active_master_role]
        others = [conf.hosts[name] for name in role.hosts if name != conf.this]
        if conf.this not in role.hosts or not (others or self._is_alone()):
            return
        asked, token = tenure.asks()
        answers = await asyncio.gather(*(self._promised(host, token) for host in others))
        missing = [f"{host.name}{why}" for host, why in zip(others, answers, strict=True) if why is not None]
        if missing:
            log.warning("the monitor is not heard, and no promise comes from %s", "; ".join(missing))
            await asyncio.sleep(LOOK)
        elif tenure.renewed(asked):
            if not self._said and tenure.heard > tenure.length:
                self._said = True
                log.warning(
                    "%s: the monitor was heard %.1f s ago: the lease is renewed by promises of %s",
                    conf.this,
                    tenure.heard,
                    ", ".join(host.name for host in others) or "nobody, for there is no other host",
                )
            await self._renew(self._held())

    async def _promised(self, host: Host, token: str) -> str | None:
        """Return why the host has not promised, in words behind its name; None: it has."""
        asked = wire.AskedPromise(self._conf.this, self._tenure.length, token)
        reply = await self._ask(host, with_conf(wire.promise(host.name, asked), self._digests))
        if reply is None:
            return ""
        if reply.token in ("", wire.NO_LEASE):
            why = "whose conf has vip_lease 0" if reply.token else "whose agent is one of the Perl MMM"
            return f", {why}: it cannot promise"
        return None if reply.ok else f", which answers '{reply.text}'"

    async def give_back(self) -> None:
        """Give back the promises of other hosts, now that this one has given the role up: one of them may be next.

        Whoever does not hear it refuses the role until what it has promised is over.
        """
        token = self._tenure.gives_back()
        if not token:
            return
        if self._asking is not None:
            self._asking.cancel()
        role = self._conf.roles[self._conf.active_master_role]
        others = [self._conf.hosts[name] for name in role.hosts if name != self._conf.this]
        releases = [wire.release(host.name, self._conf.this, token) for host in others]
        asked = zip(others, releases, strict=True)
        await asyncio.gather(*(self._ask(host, request, GIVE_BACK_LIMIT) for host, request in asked))

    async def _ask(self, host: Host, request: wire.Request, limit: float | None = None) -> wire.Reply | None:
        limit = limit or max(0.5, min(1.0, self._tenure.length / 4))
        reply = await self._port.ask(host.ip, host.agent_port, request, limit)
        if reply is not None:
            self.heard()
        return reply

    async def _renew_readers(self) -> None:
        readers = [vip for vip in self._held() if vip.role != self._conf.active_master_role]
        if not readers:
            return
        if 0 < self._tenure.left < UNDISTURBED:
            return
        alone = clock() - self._reached
        if alone > self._tenure.length / 2 and _idle(self._reaching):
            self._reaching = asyncio.get_running_loop().create_task(self._reach())
        if alone < self._tenure.length:
            await self._renew(readers)

    async def _reach(self) -> None:
        """Try whether any other host of the cluster answers."""
        others = [host for host in self._conf.hosts.values() if host.name != self._conf.this]
        await asyncio.gather(*(self._ask(host, wire.Request(wire.PING, host.name)) for host in others))

    async def _renew(self, vips: Iterable[Vip]) -> None:
        for vip in vips:
            with suppress(InterfaceError):
                await asyncio.get_running_loop().run_in_executor(
                    self._threads, self._interface.renew, vip.ip, self.lifetime(vip)
                )

    def holds(self) -> bool:
        """Tell whether the writer's lease is held, and the host does not begin to give the role up."""
        return self._tenure.left > lead_of(self._tenure.length) and not self._giving_up.locked()

    def lifetime(self, vip: Vip) -> int:
        """Return the seconds that the VIP may be bound now: 0 is for good, -1 that it may not."""
        if vip.role == self._conf.active_master_role:
            return self._tenure.lifetime()
        return round(self._tenure.length) if self._tenure.leased else 0


def lead_of(length: float) -> float:
    """Return how many seconds before the end of a lease of `length` seconds the host begins to give the role up."""
    return min(LEAD, 0.15 * length)


def asks_at(length: float) -> float:
    """Return with how many seconds left of a lease of `length` seconds others are asked for promises.

    Early enough for an order that takes longer than its token lasts: the kernel can be told a second all the while.
    """
    return max(length / 3, min(LEAD + 0.5, 0.4 * length), least(length) + pause_of(length))


def pause_of(length: float) -> float:
    """Return the seconds between two looks at a lease of `length` seconds that is held."""
    return min(LOOK, length / 20)


def _idle(task: "asyncio.Task[None] | None") -> bool:
    return task is None or task.done()
