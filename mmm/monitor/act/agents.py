"""Talking to agents: one connection for each request, as the classic monitor does (rule 4).

Everything has a limit, and every failure becomes an answer: nothing an agent does raises here.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from mmm.config.agreement import digests
from mmm.config.model import Cluster, Host
from mmm.lease.lead import Lead
from mmm.monitor.act.spoken import Spoken, of_reply, with_clearing
from mmm.monitor.command.asking import Answered
from mmm.monitor.command.preflight import Looked
from mmm.monitor.world.events import Answer, Opinions
from mmm.monitor.world.orders import Tell
from mmm.network.agent_port import AgentPort, UnsignedError
from mmm.network.reason import reason
from mmm.wire import agent as wire
from mmm.wire import questions, rejoin
from mmm.wire.ahead import ask_ahead
from mmm.wire.doubts import Doubt, doubts_in
from mmm.wire.held import Stay, held_in
from mmm.wire.job import Job, job_in
from mmm.wire.known_vips import with_known_vips
from mmm.wire.lead import FREE, ORDERS, signed_by
from mmm.wire.status import Status, SystemStatus, agent_status, set_status, system_status
from mmm.wire.watch import HOLD, watch
from mmm.wire.why import UNKNOWN_COMMAND, why

CONNECT_TIMEOUT = 3.0
"""Seconds to connect; the classic's are 10, and it stood still meanwhile."""
QUESTION_TIMEOUT = 3.0
"""Seconds for the answer to PING and GET_…, which an agent has at hand."""
OPINION_LIMIT = 0.6
"""Seconds in which another agent has to say whether it reaches a host: it takes up to `reach.LIMIT` to find out."""
ORDER_TIMEOUT = 30.0
"""Seconds for the answer to SET_STATUS: it may wait for sync_timeout and for writers to end."""
REJOIN_TIMEOUT = 35.0
"""Seconds for the answer to REJOIN: the tool looks at all servers before it begins."""
FREEING = 1.0
"""Seconds in which all agents are told that this monitor ends."""
KEPT = 5.0
"""Seconds that the connection to an agent that is prepared waits for the order."""
DEAD_AFTER = 10
"""Seconds without a sign of life of the host's kernel after which a connection has ended.

A host that has booted since says so at the first sign that it is asked for, every KEEP_ALIVE seconds.
"""
KEEP_ALIVE = 2
_STRANGER = "does its log say that allow_from lacks this host?"
_ENDED = "has the agent been killed or restarted?"
"""What a reset may come of: of an agent that has never answered, and of one that has, and so knows this host."""
CLOCKS = 0.5
"""Seconds by which the age of a host's system may differ from what this clock makes of it."""

Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]


_NOT_SURE = Spoken(Answer.SILENT, "nothing was sent: it is not sure that this monitor leads yet")


async def _obeys_anyway(_: Host, __: str) -> bool:
    return True


class Told(NamedTuple):
    """What an agent answers to GET_AGENT_STATUS; None where it does not say."""

    status: Status | None = None
    uptime: float | None = None
    """Of its system, in seconds."""
    job: Job | None = None
    """What gives its host other data, and has not ended."""
    stays: frozenset[Stay] = frozenset()
    """For whom it refuses the active master role."""


class Agents:
    """The agents of a cluster, as the monitor reaches them."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, lead: Lead | None = None, conf: Cluster | None = None
    ) -> None:
        self._port = AgentPort(conf.auth_key if conf else "", tls)
        self._digests = digests(conf) if conf else {}
        self._vips = conf.vips if conf and conf.dialect == 1 else ()
        """Told to agents, which may have no roles in their files."""
        self.lead = lead
        """Who gives the orders, by its name; None: nobody does here."""
        self.heard_token: Callable[[str, str], None] = lambda _host, _token: None
        """Is told every token that an agent gives."""
        self.binds: Callable[[Host, str], Awaitable[bool]] = _obeys_anyway
        """Is asked before an order whether it may be sent; of several monitors it has the agent follow this one."""
        self._kept: dict[str, Connected] = {}
        """Connections to agents that are prepared for what comes next."""
        self._under_way: dict[str, tuple[float, asyncio.Future[None]]] = {}
        """When the order to each host went out that is under way, and what ends when its system has booted since."""
        self._let_in: set[str] = set()
        """The hosts whose agents have answered this monitor."""

    @property
    def tls(self) -> ssl.SSLContext | None:
        """Return what connections to agents, and to other monitors, are made by; None for plain TCP."""
        return self._port.tls

    async def ask(self, host: Host, request: wire.Request, limit: float = QUESTION_TIMEOUT) -> Spoken:
        """Return what the host's agent answered to the request within `limit` seconds."""
        if request.command in ORDERS and not await self.binds(host, request.command):
            return _NOT_SURE
        connected = self._taken(host) or await self._connect(host)
        if isinstance(connected, Spoken):
            return connected
        try:
            spoken = await self._exchanged(host, connected, request, limit)
        finally:
            connected[1].close()
        if spoken.reply is not None:
            self._let_in.add(host.name)
            self._heard(host, spoken.reply.uptime)
            self.heard_token(host.name, spoken.reply.token)
        return spoken

    def _heard(self, host: Host, uptime: float) -> None:
        """End what is waited for of a host whose system is younger than that: it will not be answered any more."""
        began, booted = self._under_way.get(host.name, (0.0, None))
        if booted is not None and not booted.done() and uptime + CLOCKS < time.monotonic() - began:
            booted.set_result(None)

    async def _unless_lost(self, host: Host, asking: Coroutine[Any, Any, Spoken], *, busy: bool) -> Spoken:
        """Return what asking comes to, or that there will be no answer, once another question shows that.

        Where the agent answers others while it is `busy`, it is sent a PING again and again: who answers none hangs.
        """
        loop = asyncio.get_running_loop()
        asked, booted = loop.create_task(asking), loop.create_future()
        self._under_way[host.name] = time.monotonic(), booted
        lost = f": the system of {host.name} has booted since"
        try:
            while not asked.done() and not booted.done():
                limit = QUESTION_TIMEOUT if busy else None
                ended, _ = await asyncio.wait(
                    {asked, booted}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
                )
                if not ended and (await self.ask(host, wire.Request(wire.PING, host.name))).reply is None:
                    lost = f", nor to a PING {QUESTION_TIMEOUT:g} s later: its agent hangs"
                    break
            return asked.result() if asked.done() else Spoken(Answer.SILENT, f"no answer to an order{lost}")
        finally:
            asked.cancel()
            if self._under_way.get(host.name, (0.0, None))[1] is booted:
                del self._under_way[host.name]

    async def _connect(self, host: Host) -> Connected | Spoken:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                connected = await self._port.connect(host.ip, host.agent_port)
        except TimeoutError:
            return Spoken(Answer.REFUSED, f"no connection within {CONNECT_TIMEOUT:g} s")
        except OSError as error:
            closed = isinstance(error, ConnectionRefusedError)
            return Spoken(Answer.REFUSED, f"no connection: {reason(error)}", closed=closed)
        _keep_alive(connected[1])
        return connected

    def _taken(self, host: Host) -> Connected | None:
        """Return the connection that is kept to a host and still good, and keep it no more."""
        kept = self._kept.pop(host.name, None)
        if kept is not None and (kept[0].at_eof() or kept[0].exception() or kept[1].is_closing()):
            kept[1].close()
            return None
        return kept

    async def _exchanged(
        self, host: Host, connected: Connected, request: wire.Request, limit: float
    ) -> Spoken:
        try:
            async with asyncio.timeout(limit):
                return await self._exchange(*connected, request)
        except TimeoutError as error:
            why = (
                f": {error.strerror}" if error.errno else f" within {limit:g} s"
            )  # the kernel's, or this limit
            return Spoken(Answer.SILENT, f"no answer to {request.command}{why}")
        except asyncio.IncompleteReadError:
            return Spoken(Answer.SILENT, f"no answer to {request.command}: connection closed")
        except asyncio.LimitOverrunError:
            return Spoken(
                Answer.SILENT, f"no answer to {request.command}: a line longer than {wire.MAX_LINE} bytes"
            )
        except ConnectionResetError:
            hint = _ENDED if host.name in self._let_in else _STRANGER
            return Spoken(Answer.SILENT, f"no answer to {request.command}: connection reset; {hint}")
        except ssl.SSLError as error:
            return Spoken(Answer.SILENT, f"no answer to {request.command}: {reason(error)}")
        except (OSError, ValueError, UnsignedError) as error:
            return Spoken(Answer.SILENT, f"no answer to {request.command}: {error}")

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: wire.Request
    ) -> Spoken:
        request = with_known_vips(request, self._vips)
        named = signed_by(self.lead, request, self._digests) if self.lead else request
        reply = await self._port.exchange((reader, writer), named)
        return of_reply(reply)

    async def tell(self, host: Host, order: Tell, *, busy: bool = False) -> Spoken:
        """Return the answer to SET_STATUS, or where `clear` and that was OK, to CLEAR_BAD_ROLES after it.

        The two are one order, see `with_clearing`. `busy` tells that the agent answers others meanwhile: where it does
        not the order has failed, though an agent that is well may take ORDER_TIMEOUT over it.
        """
        if order.greet:
            return await self.ask(host, wire.Request(wire.PING, host.name))
        asking = self.ask(host, set_status(host.name, order.status, order.lease, order.void), ORDER_TIMEOUT)
        told = await self._unless_lost(host, asking, busy=busy)
        if told.answer is Answer.OK and order.clear:
            clearing = self.ask(host, wire.Request(wire.CLEAR_BAD_ROLES, host.name), ORDER_TIMEOUT)
            return with_clearing(told, await self._unless_lost(host, clearing, busy=busy))
        return told

    async def free(self, hosts: Sequence[Host]) -> None:
        """Let the agents of the hosts follow another monitor from now on, as far as they answer within FREEING."""
        requests = (self.ask(host, wire.Request(wire.PING, host.name, (FREE,))) for host in hosts)
        with suppress(TimeoutError):
            async with asyncio.timeout(FREEING):
                await asyncio.gather(*requests)

    async def ping(self, host: Host) -> bool:
        """Tell whether the host's agent answers PING with OK."""
        return (await self.ask(host, wire.Request(wire.PING, host.name))).answer is Answer.OK

    async def status(self, host: Host) -> "Told":
        """Return what the agent was last told, and what it says of its host besides."""
        spoken = await self.ask(host, wire.Request(wire.GET_AGENT_STATUS, host.name))
        if spoken.reply is None or spoken.answer is not Answer.OK:
            return Told()
        told = Told(None, spoken.reply.uptime, job_in(spoken.reply), held_in(spoken.reply))
        try:
            return told._replace(status=agent_status(spoken.reply))
        except wire.WireError:
            return told

    async def system(self, host: Host) -> SystemStatus | None:
        """Return what the agent sees on its system, None if it does not say."""
        spoken = await self.ask(host, wire.Request(wire.GET_SYSTEM_STATUS, host.name), ORDER_TIMEOUT / 3)
        if spoken.reply is None or spoken.answer is not Answer.OK:
            return None
        try:
            return system_status(spoken.reply)
        except wire.WireError:
            return None

    async def opinions(self, host: Host, others: Sequence[Host]) -> Opinions:
        """Return which of the other hosts' agents say that they reach the host's server, within OPINION_LIMIT."""
        said = await asyncio.gather(*(self._opinion(host, other) for other in others))
        heard = tuple(other.name for other, reach in zip(others, said, strict=True) if reach is not None)
        reached = tuple(
            other.name for other, reach in zip(others, said, strict=True) if reach and reach.mysql
        )
        met = tuple(other.name for other, reach in zip(others, said, strict=True) if reach and reach.agent)
        return Opinions(host.name, heard, reached, met)

    async def _opinion(self, host: Host, other: Host) -> questions.Reach | None:
        """Return what an agent says of the host; None: it has no opinion, as one of MMM 2.x has none."""
        with suppress(TimeoutError, wire.WireError):
            async with asyncio.timeout(OPINION_LIMIT):
                spoken = await self.ask(other, questions.reachable(other.name, host.name), OPINION_LIMIT)
            if spoken.reply is not None and spoken.answer is Answer.OK:
                return questions.reach(spoken.reply)
        return None

    async def absent(self, host: Host, ip: str, witnesses: Sequence[Host]) -> bool:
        """Tell whether all witnesses say that nothing answers ARP for the host and for the VIP `ip`."""
        requests = (questions.absent(other.name, host.name, ip) for other in witnesses)
        said = await asyncio.gather(*map(self.ask, witnesses, requests))
        return all(spoken.reply is not None and questions.is_absent(spoken.reply) for spoken in said)

    async def prepare(self, host: Host) -> tuple[Doubt, ...] | None:
        """Have the host's agent open what it needs to take the active master role, and stay connected for the order.

        That it cannot is no matter, nor that it does not know what is meant, as one of MMM 2.x. Returns what it says
        that is wrong on its host, None where it says nothing of that.
        """
        connected = await self._connect(host)
        if isinstance(connected, Spoken):
            return None
        writer = connected[1]
        request = wire.Request(wire.PREPARE, host.name)
        spoken = await self._exchanged(host, connected, request, QUESTION_TIMEOUT)
        doubts = doubts_in(spoken.reply) if spoken.reply is not None else None
        if spoken.answer is not Answer.OK or host.name in self._kept:
            writer.close()
            return doubts
        self._kept[host.name] = connected
        asyncio.get_running_loop().call_later(KEPT, self._forget, host.name, connected)
        return doubts

    def _forget(self, name: str, kept: Connected) -> None:
        """Close a connection that nobody has used."""
        if self._kept.get(name) is kept:
            del self._kept[name]
            kept[1].close()

    async def notes(self, host: Host) -> tuple[tuple[questions.Note, ...] | None, tuple[Doubt, ...] | None]:
        """Return what the agent sees of its server, and what is wrong on its host; None where it does not say."""
        spoken = await self.ask(host, wire.Request(wire.NOTES, host.name))
        if spoken.reply is None:
            return None, None
        notes = questions.notes(spoken.reply) if spoken.answer is Answer.OK else None
        return notes, doubts_in(spoken.reply)

    async def get_ahead(self, host: Host, other: str) -> None:
        """Have the host's agent get `other`'s binary log in advance, or forget it; that it does not is no matter."""
        await self.ask(host, ask_ahead(host.name, other))

    async def rejoin(self, host: Host, wanted: rejoin.Wanted) -> Answered | None:
        """Return what the agent answers to the order to have its host rebuilt, None where it does not."""
        spoken = await self.ask(host, rejoin.order(host.name, wanted), REJOIN_TIMEOUT)
        return None if spoken.reply is None else Answered(rejoin.came(spoken.reply), why(spoken.reply))

    async def watch(self, host: Host) -> Spoken:
        """Return the answer to WATCH, which stays open until the server's process ends or HOLD is over.

        It has a connection for itself: one that is kept for an order is left to that.
        """
        connected = await self._connect(host)
        if isinstance(connected, Spoken):
            return connected
        try:
            return await self._exchanged(host, connected, watch(host.name), HOLD + QUESTION_TIMEOUT)
        finally:
            connected[1].close()

    async def clients(self, host: Host) -> Looked:
        """Return what the agent tells of its server's clients; one of MMM 2.x tells nothing of them."""
        spoken = await self.ask(host, questions.ask_clients(host.name, host.monitor_user))
        if spoken.reply is None:
            return Looked(silence=spoken.text)
        if spoken.answer is not Answer.OK:
            classic = why(spoken.reply) == UNKNOWN_COMMAND
            return Looked() if classic else Looked(silence=f"it answered '{spoken.text}'")
        try:
            return Looked(questions.clients(spoken.reply))
        except wire.WireError:
            return Looked()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have the kernel end the connection when the host is gone, or has booted since."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, DEAD_AFTER // KEEP_ALIVE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * DEAD_AFTER)
