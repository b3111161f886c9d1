"""A whole agent whose server, interface and frames are stand-ins, and whose clock of leases stands still where told."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmm.agent.act import agent as agent_module
from mmm.agent.act import change, lease_jobs, questions, replication_steps, replies, shell, write_steps
from mmm.agent.act.agent import Agent
from mmm.agent.act.listening import Listening
from mmm.agent.act.server_session import ServerSession
from mmm.agent.decide.seen import Seen, Server
from mmm.config.agreement import digests
from mmm.config.model import Cluster, Host, Role, Via
from mmm.network.agent_port import AgentPort
from mmm.network.arp import Announcer
from mmm.network.listener import Peer
from mmm.network.vips import InterfaceError
from mmm.wire.agent import HELD, PROMISE, SET_STATUS, Reply, Request, decode_reply, encode_request
from mmm.wire.lead import with_conf

WRITER, READER = "10.88.0.80", "10.88.0.90"
ROLE = f"writer({WRITER})"
LIMIT = 20.0
LENGTH = 1.0
"""Seconds of a lease, where a test says no other."""
GIVEN_UP = 0.9
"""Seconds after which such a lease is given up that nobody renews: a bit before its end."""


class Time:
    """A clock that stands still, but for what the server takes; no two looks at it are at the same moment.

    Threads look at it, and so no look may write what another thread does.
    """

    now = 1000.0

    def __init__(self) -> None:
        self._looks = itertools.count(1)

    def __call__(self) -> float:
        """Return the seconds since the boot."""
        return self.now + next(self._looks) * 1e-6


@dataclass
class Machine:
    """The interface `eth0` and the server of db1, and the frames that are sent."""

    name: str = "eth0"
    addresses: set[str] = field(default_factory=set)
    writable: bool = False
    said: list[str] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    """The watch over the lease has unbound the writer's VIP."""
    slow_look: bool = False
    """What is seen is told only when the lease is over."""
    slow_peer: bool = False
    """All that the peer has is applied only when the lease is over."""
    caught_up: int = 0
    slow_server: bool = False
    """Writes are allowed only when the lease is over."""
    refuses: set[str] = field(default_factory=set)
    """Addresses that cannot be bound."""
    heard: list[Request] = field(default_factory=list)
    """What the other host was asked, which answers OK."""
    refuses_promises: bool = False
    """The other host says that it has the role."""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    time: Time = field(default_factory=Time)
    allowing: float = 0.0
    """Seconds that allowing writes takes, by `time`."""
    listening: list[float] = field(default_factory=list)
    """The same of each look at where the server listens."""
    allowed: int = 0
    halts: bool = False
    """It is being shut down."""
    renewed: list[tuple[str, int]] = field(default_factory=list)
    """What the kernel was told to keep, and for how many seconds."""
    limits: list[float] = field(default_factory=list)
    """Seconds that the server was given for an answer, at each look."""
    silent: float = 0.0
    """Seconds that each look waits for the server in vain, by `time`; 0: it answers."""

    # The interface

    def bound(self, ips: Collection[str]) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.addresses & set(ips), (32,))

    def bind(self, ip: str, _lifetime: int = 0) -> None:
        if ip in self.refuses:
            raise InterfaceError(f"cannot bind {ip}")
        self.addresses.add(ip)

    def unbind(self, ip: str) -> None:
        self.addresses.discard(ip)

    def elsewhere(self, _ips: object) -> dict[str, tuple[str, ...]]:
        return {}

    def unbind_elsewhere(self, ip: str) -> None:
        """Have no other interface."""

    def renew(self, ip: str, lifetime: int) -> None:
        """Take it down."""
        self.renewed.append((ip, lifetime))

    def left(self, ip: str) -> float:
        return 10.0 if ip in self.addresses else 0.0

    # The other host

    async def neighbour(self, _ip: str, _port: int, request: Request, *_: object) -> Reply:
        self.heard.append(request)
        self.asked.set()
        if self.refuses_promises and request.command in {PROMISE, HELD}:
            return decode_reply(b"ERROR: this host holds the role itself|WHY:taken|T:other.1|UP:1.00\n")
        return decode_reply(b"OK|T:other.1|UP:1.00\n")

    # The server

    def look(self, _interface: object, ips: Collection[str], session: ServerSession) -> Seen:
        self.limits.append(session.limit)
        if self.silent:
            self.time.now += self.silent
            return Seen(
                frozenset(self.addresses & set(ips)), server=Server.SILENT, writable=None, problem="frozen"
            )
        seen = Seen(frozenset(self.addresses & set(ips)), writable=self.writable)
        if self.slow_look:
            self._outlast_lease()
        return seen

    def catch_up(self, *_: object) -> str:
        self.caught_up += 1
        if self.slow_peer:
            self._outlast_lease()
        return "nothing was missing"

    def deaf_at(self, *_: object) -> str:
        self.time.now += self.listening.pop(0) if self.listening else 0.0
        return ""

    def allow(self, _server: object) -> None:
        self.time.now += self.allowing
        self.allowed += 1
        if self.slow_server:
            self._outlast_lease()
        self.writable = True

    def deny(self, *_: object, **__: object) -> Any:
        self.writable = False
        return SimpleNamespace(denied=0.0, ended=0, finished=0, ended_writers=0, remaining=0, stay=None)

    def fence(self, *_: object) -> str:
        self.writable = False
        return ""

    def _outlast_lease(self) -> None:
        self.time.now += GIVEN_UP
        self.gone.wait(LIMIT)

    async def fenced(self) -> bool:
        """Wait until the watch over the lease has taken the role away; tells whether it has in time."""
        return await asyncio.to_thread(self.gone.wait, LIMIT)

    def take_away(self, _interface: object, _here: object, ip: str) -> int:
        self.unbind(ip)
        self.gone.set()
        return 0

    # The frames

    interface = "eth0"

    def send(self, ip: str) -> None:
        self.said.append(ip)

    def ask(self, ip: str) -> None:
        """Ask nobody."""

    def forbid(self, ip: str) -> None:
        """Send nothing of it any more."""

    def allow_frames(self, ip: str) -> None:
        """Send it again."""


class Frames:
    """What sends the frames of a machine."""

    def __init__(self, machine: Machine) -> None:
        self.interface = machine.name
        self.send, self.ask, self.forbid = machine.send, machine.ask, machine.forbid
        self.allow = machine.allow_frames


MONITOR = Peer("10.88.0.9", 1000, "10.88.0.1", 9989)


@dataclass
class Rig:
    """An agent on its machine, spoken to as the monitor does."""

    agent: Agent
    machine: Machine
    announcer: Announcer
    conf: Cluster

    async def order(
        self, roles: str, length: int | str = 1, by: Cluster | None = None, void: str | None = "VOID:"
    ) -> Reply:
        """Return what the agent answers to an order, by the conf of a monitor that may be another.

        `void` is what that says of stays; None: it knows nothing of them.
        """
        ping = decode_reply(await self.agent.answer(b"PING|1|db1", MONITOR))
        more = (f"LEASE:{length}:{ping.token}", *([] if void is None else [void]))
        request = Request(SET_STATUS, "db1", ("ONLINE", roles, "db1", *more))
        line = encode_request(with_conf(request, digests(by or self.conf)))
        async with asyncio.timeout(LIMIT):
            return decode_reply(await self.agent.answer(line, MONITOR))

    @property
    def until(self) -> float:
        return self.agent._shell.core.held.lease.until


def conf(folder: Path, length: float = LENGTH) -> Cluster:
    """Return the conf of db1, a master whose peer does not run, with leases of `length` seconds."""
    hosts = {
        name: Host(name, f"127.0.0.{number}", "master", cluster_interface="eth0", mysql_port=1, agent_port=1)
        for number, name in enumerate(("db1", "db2"), 1)
    }
    return Cluster(
        program="AGENT",
        dialect=2,
        path=folder / "mmm_agent.conf",
        files=(),
        hosts=hosts,
        roles={
            "writer": Role("writer", "exclusive", tuple(hosts), (WRITER,)),
            "reader": Role("reader", "balanced", tuple(hosts), (READER,)),
        },
        checks={},
        monitor=None,
        active_master_role="writer",
        this="db1",
        vip_lease=length,
    )


@asynccontextmanager
async def at_work(agent: Agent, announcer: Announcer) -> AsyncIterator[None]:
    """Have the agent watch over its lease until the block ends, and close both then."""
    watch = asyncio.create_task(agent.watch(None))
    try:
        yield
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await agent.close()
        await announcer.close()


@asynccontextmanager
async def running(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    promises: bool = False,
    stands_still: bool = False,
    via: Via = "arp",
) -> AsyncIterator[Rig]:
    """Give an agent that others promise what it asks for, or not, by a clock that runs or `stands_still`.

    `via` is the way to its writer role.
    """
    machine = Machine()
    if stands_still:
        for module in (agent_module, replies, change, shell):
            monkeypatch.setattr(module, "clock", machine.time)
    for where in (questions, change):
        monkeypatch.setattr(where, "look", machine.look)
    monkeypatch.setattr(agent_module, "machine_halts", lambda: machine.halts)
    monkeypatch.setattr(Listening, "deaf_at", machine.deaf_at)
    monkeypatch.setattr(write_steps, "allow_writes", machine.allow)
    monkeypatch.setattr(write_steps, "deny_writes", machine.deny)
    monkeypatch.setattr(write_steps, "calm", lambda *_, **__: None)
    monkeypatch.setattr(write_steps, "end_blockers", lambda *_, **__: None)
    monkeypatch.setattr(replication_steps, "catch_up", machine.catch_up)
    monkeypatch.setattr(
        write_steps, "can_block", lambda _: False
    )  # the firewall of this machine is let alone
    monkeypatch.setattr(ServerSession, "open", lambda _: None)
    monkeypatch.setattr(lease_jobs, "deny", machine.fence)
    monkeypatch.setattr(lease_jobs, "take_away", machine.take_away)
    if promises:
        monkeypatch.setattr(AgentPort, "ask", lambda _, *said: machine.neighbour(*said))
    network: Any = machine
    frames: Any = Frames(machine)
    announcer = Announcer(frames)
    known = conf(folder)
    writer = replace(known.roles["writer"], vip_via=via)
    known = replace(known, roles={**known.roles, "writer": writer})
    agent = Agent(known, network, announcer)
    async with at_work(agent, announcer):
        yield Rig(agent, machine, announcer, known)
