"""Clusters and worlds for tests of the deciders, small enough to read."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmm.config.model import Check, Cluster, Host, Monitor, Role, Vip
from mmm.config.names import CHECK_NAMES
from mmm.gtid.place import Tail
from mmm.monitor.apply.events import (
    Answer,
    Answered,
    Killed,
    LogRead,
    Opinions,
    VipLooked,
    apply,
)
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.orders import (
    AskOthers,
    KillHost,
    LookForVip,
    Order,
    ReadLog,
)
from mmm.monitor.world.world import Mode, World
from mmm.wire.agent import Status

WRITER = Vip("writer", "10.0.0.80")
READER1 = Vip("reader", "10.0.0.91")
READER2 = Vip("reader", "10.0.0.92")
READER3 = Vip("reader", "10.0.0.93")
NOW = 10_000.0


def cluster(*, prefer: str | None = None, slaves: int = 1, readers: int = 3, **monitor: Any) -> Cluster:
    hosts = {
        "db1": Host("db1", "10.0.0.1", "master", "db2"),
        "db2": Host("db2", "10.0.0.2", "master", "db1"),
        **{f"db{n}": Host(f"db{n}", f"10.0.0.{n}", "slave") for n in range(3, 3 + slaves)},
    }
    roles = {
        "writer": Role("writer", "exclusive", ("db1", "db2"), (WRITER.ip,), prefer),
        "reader": Role("reader", "balanced", tuple(hosts), (READER1.ip, READER2.ip, READER3.ip)[:readers]),
    }
    return Cluster(
        program="MONITOR",
        dialect=2,
        path=Path("mmm_mon.conf"),
        files=(),
        hosts=hosts,
        roles=roles,
        checks={name: Check(name) for name in CHECK_NAMES},
        monitor=Monitor(ip="127.0.0.1", **{"split_brain_guard": False, **monitor}),
        active_master_role="writer",
        vip_lease=0.0,
    )


def checks(**failed: float) -> dict[str, CheckStatus]:
    """All checks good, but those named, which have failed since the given time."""
    return {
        name: CheckStatus(
            failed=True, message=f"ERROR: {name}", changed=failed[name], error_since=failed[name]
        )
        if name in failed
        else CheckStatus(message="OK", changed=0.0)
        for name in CHECK_NAMES
    }


def world(
    owner: Mapping[Vip, str | None] | None = None,
    states: Mapping[str, State] | None = None,
    conf: Cluster | None = None,
    mode: Mode = Mode.ACTIVE,
) -> World:
    """A quiet cluster: every host ONLINE for long, its agent told what it holds."""
    conf = conf or cluster()
    held = {WRITER: "db1", READER1: "db1", READER2: "db2", READER3: "db3"} if owner is None else dict(owner)
    owned = {vip: held.get(vip) for vip in conf.vips}
    hosts = {}
    for name in conf.hosts:
        state = (states or {}).get(name, State.ONLINE)
        vips = tuple(sorted(vip for vip, host in owned.items() if host == name))
        told = Status(str(state), vips, owned[WRITER] or "")
        link = AgentLink(told=told, may_hold=frozenset(vips), clear=False, last_order=NOW)
        hosts[name] = HostWorld(
            state=state, since=0.0, online_since=0.0 if state is State.ONLINE else None, checks=checks(),
            uptime=500.0, last_uptime=500.0, agent=link, uses_gtid=True, used=True,
        )  # fmt: skip
    return World(conf, mode, Hosts(hosts), Owners(owned))


def with_host(before: World, name: str, **changes: Any) -> World:
    """The world with fields of one host changed."""
    return before.with_host(name, replace(before.hosts[name], **changes))


def with_agent(before: World, name: str, **changes: Any) -> World:
    """The world with fields of what is known of one host's agent changed."""
    return before.with_agent(name, replace(before.hosts[name].agent, **changes))


def take_turn(before: World, now: float = NOW) -> tuple[World, tuple[Order, ...]]:
    result = turn(before, now)
    return result.world, result.orders


def answer(before: World, order: Order, how: Answer = Answer.OK, text: str = "", now: float = NOW) -> World:
    if isinstance(order, KillHost):
        return apply(before, Killed(order.host), now)
    if isinstance(order, ReadLog):
        return apply(before, LogRead(order.host, Tail(order.since, now)), now)
    if isinstance(order, LookForVip):
        return apply(before, VipLooked(order.host, order.vip, absent=False), now)
    if isinstance(order, AskOthers):
        return apply(before, Opinions(order.host), now)
    answered = how in (Answer.OK, Answer.ERROR)
    token = "b.1" if answered and not before.hosts[order.host].agent.classic else ""
    uptime = 501.0 if answered else None
    return apply(before, Answered(order.host, order.number, how, text, uptime, token), now)


def settle(
    before: World, now: float = NOW, answers: Mapping[str, Answer] | None = None
) -> tuple[World, list[Order]]:
    """Take turns, agents answering at once, until nothing is left to say; also returns all orders in order."""
    given: list[Order] = []
    for _ in range(50):
        before, orders = take_turn(before, now)
        if not orders:
            return before, given
        for order in orders:
            given.append(order)
            before = answer(before, order, (answers or {}).get(order.host, Answer.OK), "ERROR: no", now)
    raise AssertionError(f"does not settle: {given[-6:]}")
