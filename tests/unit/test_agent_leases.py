"""An agent whose lease ends while it carries out an order: the whole agent, its server and interface are stand-ins."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmm.agent.act import agent as agent_module
from mmm.agent.act import change, lease_watch, steps
from mmm.agent.act.agent import Agent
from mmm.agent.act.observe import Session
from mmm.agent.decide.obedience import believes
from mmm.agent.decide.plan import Seen
from mmm.config.model import Cluster, Host, Role
from mmm.lease.rules import NEVER
from mmm.network.agent_port import AgentPort
from mmm.network.arp import Announcer
from mmm.network.line_server import Peer
from mmm.network.vips import InterfaceError
from mmm.wire.agent import LEASE_OVER, PROMISE, RELEASE, Reply, Request, decode_reply

WRITER, READER = "10.88.0.80", "10.88.0.90"
ROLE = f"writer({WRITER})"
LIMIT = 20.0


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
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    # The interface

    def bound(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(self.addresses, (32,))

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
        """Have nothing to count."""

    def left(self, ip: str) -> float:
        return 10.0 if ip in self.addresses else 0.0

    # The other host

    async def neighbour(self, _ip: str, _port: int, request: Request, *_: object) -> Reply:
        self.heard.append(request)
        self.asked.set()
        return decode_reply(b"OK|T:other.1|UP:1.00\n")

    # The server

    def look(self, _interface: object, ips: Collection[str], _session: object) -> Seen:
        seen = Seen(frozenset(self.addresses & set(ips)), writable=self.writable)
        if self.slow_look:
            self.gone.wait(LIMIT)
        return seen

    def catch_up(self, *_: object) -> str:
        self.caught_up += 1
        if self.slow_peer:
            self.gone.wait(LIMIT)
        return "nothing was missing"

    def allow(self, _server: object) -> None:
        if self.slow_server:
            self.gone.wait(LIMIT)
        self.writable = True

    def deny(self, *_: object, **__: object) -> Any:
        self.writable = False
        return SimpleNamespace(denied=0.0, ended=0, finished=0, ended_writers=0, remaining=0, stay=None)

    def fence(self, *_: object) -> str:
        self.writable = False
        return ""

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

    async def order(self, roles: str, length: int = 1) -> Reply:
        ping = decode_reply(await self.agent.answer(b"PING|1|db1", MONITOR))
        line = f"SET_STATUS|1|db1|ONLINE|{roles}|db1|LEASE:{length}:{ping.token}"
        async with asyncio.timeout(LIMIT):
            return decode_reply(await self.agent.answer(line.encode(), MONITOR))

    @property
    def until(self) -> float:
        return self.agent._tenure.lease.until


def _conf(folder: Path) -> Cluster:
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
        vip_lease=1.0,
    )


@asynccontextmanager
async def running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, promises: bool = False
) -> AsyncIterator[Rig]:
    machine = Machine()
    for where in (agent_module, change):
        monkeypatch.setattr(where, "look", machine.look)
    monkeypatch.setattr(steps, "allow_writes", machine.allow)
    monkeypatch.setattr(steps, "deny_writes", machine.deny)
    monkeypatch.setattr(steps, "calm", lambda *_, **__: None)
    monkeypatch.setattr(steps, "catch_up", machine.catch_up)
    monkeypatch.setattr(Session, "open", lambda _: None)
    monkeypatch.setattr(agent_module, "deny", machine.fence)
    monkeypatch.setattr(lease_watch, "take_away", machine.take_away)
    if promises:
        monkeypatch.setattr(AgentPort, "ask", lambda _, *said: machine.neighbour(*said))
    network: Any = machine
    frames: Any = Frames(machine)
    announcer = Announcer(frames)
    agent = Agent(_conf(folder), network, announcer)
    watch = asyncio.create_task(agent.watch(None))
    try:
        yield Rig(agent, machine, announcer)
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        await agent.close()
        await announcer.close()


async def test_a_vip_whose_lease_ends_meanwhile_is_not_announced_and_the_order_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.slow_look = True
        reply = await rig.order(ROLE)
        assert (reply.ok, reply.why) == (False, LEASE_OVER)
        assert rig.announcer.held == frozenset()
        assert not rig.machine.writable
        rig.machine.slow_look = False
        assert (await rig.order(ROLE)).ok
        assert rig.announcer.held == {WRITER}


async def test_writes_that_were_allowed_when_the_lease_was_over_are_denied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.slow_server = True
        reply = await rig.order(ROLE)
        assert (reply.ok, reply.why) == (False, LEASE_OVER)
        assert not rig.machine.writable
        assert rig.machine.addresses == set()


async def test_no_lease_is_kept_for_a_vip_that_could_not_be_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {WRITER}
        reply = await rig.order(ROLE)
        assert not reply.ok
        assert "cannot bind" in reply.text
        assert not rig.machine.writable
        assert rig.until == NEVER


async def test_a_role_that_is_gone_has_no_lease_though_something_else_of_the_order_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert (await rig.order(ROLE)).ok
        rig.machine.refuses = {READER}
        assert not (await rig.order(f"reader({READER})")).ok
        assert rig.until == NEVER
        assert not rig.machine.writable


async def test_a_lease_is_kept_for_a_vip_that_is_bound_whatever_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {READER}
        assert not (await rig.order(f"{ROLE},reader({READER})", length=600)).ok
        assert rig.until > 0
        assert rig.machine.writable


async def test_who_gives_the_role_up_gives_back_what_it_was_promised_before_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch, promises=True) as rig:
        assert (await rig.order(ROLE)).ok
        async with asyncio.timeout(LIMIT):
            await rig.machine.asked.wait()
        assert (await rig.order("")).ok
        asked = [each for each in rig.machine.heard if each.command == PROMISE]
        (given_back,) = (each for each in rig.machine.heard if each.command == RELEASE)
        assert given_back.params[0] == "db1"
        assert int(given_back.params[1].partition(".")[2]) >= int(asked[-1].params[2].partition(".")[2])
        assert (await rig.order("")).ok
        assert len([each for each in rig.machine.heard if each.command == RELEASE]) == 1


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        ("PROMISE|1|db1|db2|1|other.7", True),
        ("PROMISE|1|db1|db2|2|other.7", False),
        ("PROMISE|1|db1|db3|1|other.7", False),
        ("PROMISE|1|db1|db1|1|other.7", False),
    ],
)
async def test_a_promise_is_for_a_host_of_the_role_and_no_longer_than_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, ok: bool
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        assert decode_reply(await rig.agent.answer(line.encode(), MONITOR)).ok is ok


@pytest.mark.parametrize(
    ("master", "heard", "other"),
    [("db1", 1.0, ""), ("", 1.0, ""), ("db2", 1.0, "db2"), ("db2", 6.0, ""), ("db2", math.inf, "")],
)
def test_what_the_monitor_said_of_the_active_master_counts_for_half_a_lease(
    master: str, heard: float, other: str
) -> None:
    assert believes(master, "db1", heard, 10.0) == other


async def test_an_order_that_took_longer_than_its_lease_is_done_at_once_by_a_younger_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.slow_peer = True
        late = await rig.order(ROLE)
        assert (late.ok, late.why, rig.machine.caught_up) == (False, LEASE_OVER, 1)
        rig.agent._ready_until += LIMIT  # the test may be slower than a second
        assert (await rig.order(ROLE, length=600)).ok
        assert rig.machine.caught_up == 1
        assert rig.machine.writable


async def test_what_was_done_for_a_role_is_done_anew_when_the_role_was_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, monkeypatch) as rig:
        rig.machine.refuses = {WRITER}
        assert not (await rig.order(ROLE, length=600)).ok
        assert (await rig.order("")).ok
        rig.machine.refuses = set()
        assert (await rig.order(ROLE, length=600)).ok
        assert rig.machine.caught_up == 2
