"""Clusters and worlds for tests of the deciders, small enough to read."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mmm.clock import local_time
from mmm.config.model import Check, Cluster, Host, Monitor, Role, Vip
from mmm.config.names import CHECK_NAMES
from mmm.gtid.place import Tail
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide.turn import turn
from mmm.monitor.report import answers
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.checks import CheckStatus, Finding, Outcome
from mmm.monitor.world.events import (
    Answer,
    Answered,
    GotAhead,
    Killed,
    LogRead,
    Opinions,
    RejoinAnswered,
    VipLooked,
)
from mmm.monitor.world.host import Flaps, HostWorld, Replication, State, System
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.link import (
    AgentLink,
    Orders,
    Silence,
)
from mmm.monitor.world.orders import (
    AskOthers,
    GetAhead,
    KillHost,
    LookForVip,
    Order,
    ReadLog,
    Rejoin,
)
from mmm.monitor.world.said import Said
from mmm.monitor.world.world import Mode, World
from mmm.wire.status import Status

WRITER = Vip("writer", "10.0.0.80")
READER1 = Vip("reader", "10.0.0.91")
READER2 = Vip("reader", "10.0.0.92")
READER3 = Vip("reader", "10.0.0.93")
NOW = 10_000.0
CLOCK = Clock(lambda moment: moment, local_time)
"""Shows what a world has in monotonic seconds as if these had begun in 1970."""
FLAPPING = Flaps(NOW, 4, too_many=True)


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


class _Because(Said):
    def __str__(self) -> str:
        return str(self.fields["words"])


def because(rule: str, words: str = "") -> Said:
    """What brought a host into its state: the rule, in any words."""
    return _Because(rule, {"words": words})


def finds(outcome: Outcome, text: str = "") -> Finding:
    """What a run of a check has found, in any words."""
    return Finding("error", {"text": text}, outcome) if text else Finding("good", outcome=outcome)


def checks(**failed: float) -> dict[str, CheckStatus]:
    """All checks good, but those named, which have failed since the given time."""
    return {
        name: CheckStatus(
            failed=True, finding=finds(Outcome.ERROR, name), changed=failed[name], error_since=failed[name]
        )
        if name in failed
        else CheckStatus(finding=finds(Outcome.OK), changed=0.0)
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
        link = AgentLink(told=told, may_hold=frozenset(vips), clear=False, orders=Orders(ended=NOW))
        hosts[name] = HostWorld(
            state=state, since=0.0, online_since=0.0 if state is State.ONLINE else None, checks=checks(),
            system=System(500.0, 500.0), agent=link, replication=Replication(uses_gtid=True), used=True,
        )  # fmt: skip
    return World(conf, mode, Hosts(hosts), Owners(owned))


def with_host(before: World, name: str, **changes: Any) -> World:
    """The world with fields of one host changed, each in the part of it that has it."""
    return before.with_host(name, changed(before.hosts[name], changes))


def with_agent(before: World, name: str, **changes: Any) -> World:
    """The world with fields of what is known of one host's agent changed, each in the part of it that has it."""
    return before.with_agent(name, changed(before.hosts[name].agent, changes))


def changed(value: Any, changes: Mapping[str, Any]) -> Any:
    """The value with fields changed: its own, or those of the values that it is made of."""
    names = names_of(value.__class__)
    own = {name: new for name, new in changes.items() if name in names}
    left = {name: new for name, new in changes.items() if name not in names}
    for name in names if left else ():
        part = getattr(value, name)
        if inner := left.keys() & set(names_of(part.__class__)):
            own[name] = replace(part, **{field: left.pop(field) for field in inner})
    return replace(value, **own, **left)


@cache
def names_of(kind: type) -> tuple[str, ...]:
    """The fields of a dataclass; none of what is none."""
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def unreachable(before: World, name: str, why: str = "no route") -> World:
    """The world in which the agent of a host did not answer its last order."""
    return with_agent(before, name, failure=Silence(why, None, unreachable=True))


def told_at(before: World, name: str, moment: float | None) -> World:
    """The world in which the last order to a host ended then; None: the next one is due at once."""
    return with_agent(before, name, ended=moment)


def show(before: World, now: float = 0.0) -> str:
    """What `mmm_control show` prints."""
    return answers.show(before, now, CLOCK)


def take_turn(before: World, now: float = NOW) -> tuple[World, tuple[Order, ...]]:
    result = turn(before, now)
    return result.world, result.orders


def answer(before: World, order: Order, how: Answer = Answer.OK, text: str = "", now: float = NOW) -> World:
    if isinstance(order, KillHost):
        return apply(before, Killed(order.host), now)
    if isinstance(order, ReadLog):
        return apply(before, LogRead(order.host, Tail(order.since, now)), now)
    if isinstance(order, Rejoin):
        return apply(before, RejoinAnswered(order.host, how is Answer.OK, (text,)), now)
    if isinstance(order, GetAhead):
        return apply(before, GotAhead(order.host), now)
    if isinstance(order, LookForVip):
        return apply(before, VipLooked(order.host, order.vip, absent=False), now)
    if isinstance(order, AskOthers):
        return apply(before, Opinions(order.host), now)
    answered = how in (Answer.OK, Answer.ERROR)
    token = "b.1" if answered and not before.hosts[order.host].agent.about.classic else ""
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
