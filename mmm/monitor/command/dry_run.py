"""What `move_role --dry-run` answers: the deciders do the move on a copy of the world, every agent answering OK."""

from collections.abc import Iterator
from dataclasses import replace

from mmm.config.model import Role
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import readiness
from mmm.monitor.command.command_result import Result
from mmm.monitor.command.preflight import Looked
from mmm.monitor.command.texts import said_of
from mmm.monitor.decide.turn import turn
from mmm.monitor.world.events import Answer, Answered, Killed, Opinions, VipLooked
from mmm.monitor.world.host import State
from mmm.monitor.world.link import Greeting
from mmm.monitor.world.orders import (
    AskOthers,
    GetAhead,
    KillHost,
    LookForVip,
    Order,
    ReadLog,
    Rejoin,
    Tell,
)
from mmm.monitor.world.world import World
from mmm.wire.questions import Clients

_MOST_ROUNDS = 20


def rehearsed(
    world: World, result: Result, role: Role, host: str, looked: Looked | None, now: float
) -> tuple[str, ...]:
    """Return what the command would do, line by line; `result` is what it comes to. Empty: it would change nothing."""
    if result.world is world:
        return ()
    lines: list[str] = []
    if role.name == world.conf.active_master_role:
        lines += _standing(world, role, host, looked)
    lines += [f"{number}. {step}" for number, step in enumerate(_steps(world, result.world, now), 1)]
    moved = result.world.move
    if moved is not None:
        lines.append(
            f"If {moved.target} cannot take it, {moved.source} is told to take writes again at once."
        )
    if against := result.answer.fields.get("against"):
        lines.append(f"Forced in spite of: {said_of(against)}. What {host} lacks would be lost.")
    return tuple(lines)


def _standing(world: World, role: Role, target: str, looked: Looked | None) -> Iterator[str]:
    host = world.hosts[target]
    known = host.progress.behind
    behind = "not known" if known is None else f"{known.seconds:g} s"
    yield f"{target}: behind: {behind}; rep_threads: {host.checks['rep_threads'].finding}"
    source = world.owner[role.vips[0]]
    yield from readiness.on_paper(world, None if source == target else source, target)
    if source is None or source == target:
        return
    if looked is None or looked.clients is None:
        yield f"{source}: its clients are not known: {looked.silence if looked else 'not looked at'}"
    else:
        yield f"{source}: {_clients(looked.clients, world.conf.max_kill_retries)}"
        yield from (f"{source}: {said}" for said in looked.clients_at_rest)


def _clients(clients: Clients, grace: int) -> str:
    text = f"{clients.at_rest} clients would be ended at once, {clients.writing} that write get {grace} s to finish"
    if clients.writing:
        who = f", {clients.who}" if clients.who else ""
        text += f" (the oldest has been at it for {clients.oldest:.0f} s{who})"
    return text


def _steps(before: World, world: World, now: float) -> Iterator[str]:
    """Let every order be obeyed at once, and say what each is, until nothing is left to say."""
    world = _without_orders_under_way(world, now)
    for _ in range(_MOST_ROUNDS):
        result = turn(world, now)
        world = result.world
        if not result.orders:
            return
        for order in result.orders:
            line = _said(before, world, order)
            if line:
                yield line
            world = _obeyed(world, order, now)


def _without_orders_under_way(world: World, now: float) -> World:
    """Return the world once every agent has obeyed what it is being told, for it is told one thing at a time."""
    for name, host in world.hosts.items():
        if isinstance(host.agent.in_flight, Greeting):  # it brings a token, and the order is given anew
            link = replace(host.agent, orders=replace(host.agent.orders, in_flight=None))
            world = world.with_agent(name, link)
        elif host.agent.in_flight is not None:
            world = apply(world, Answered(name, host.agent.orders.number, Answer.OK), now)
        if host.agent.kill.running:
            world = apply(world, Killed(name), now)
    return world


def _obeyed(world: World, order: Order, now: float) -> World:
    if isinstance(order, KillHost):
        return apply(world, Killed(order.host), now)
    if isinstance(order, ReadLog | Rejoin | GetAhead):
        return world
    if isinstance(order, LookForVip):
        return apply(world, VipLooked(order.host, order.vip, absent=True), now)
    if isinstance(order, AskOthers):
        return apply(world, Opinions(order.host), now)
    return apply(world, Answered(order.host, order.number, Answer.OK), now)


def _said(before: World, world: World, order: Order) -> str:
    if isinstance(order, ReadLog | Rejoin | GetAhead):
        return ""
    if isinstance(order, KillHost):
        return f"{order.host}: kill_host is run, because it cannot be told"
    if isinstance(order, LookForVip):
        return f"{order.host}: {order.vip} is looked for, because neither its agent nor its server is there"
    if isinstance(order, AskOthers):
        return f"{order.host}: {', '.join(order.others)} are asked whether they reach it"
    held = before.hosts[order.host].agent.may_hold
    gone, new = held - set(order.status.vips), set(order.status.vips) - held
    deeds = [f"lets {vip} go{_to_let_go(world, vip.role)}" for vip in sorted(gone)]
    deeds += [f"takes {vip}{_to_take(world, order, vip.role)}" for vip in sorted(new)]
    told = before.hosts[order.host].agent.told
    slave = world.conf.hosts[order.host].mode == "slave" and order.status.state == State.ONLINE
    if slave and order.status.master and (told is None or told.master != order.status.master):
        deeds.append(f"replicates from {order.status.master}")
    return f"{order.host} is told {order.status.state}: {', '.join(deeds)}" if deeds else ""


def _to_let_go(world: World, role: str) -> str:
    return ", after it has become read_only and its clients were ended" if _writer(world, role) else ""


def _to_take(world: World, order: Tell, role: str) -> str:
    if not _writer(world, role):
        return ""
    limit = f"what the old writer has, within {world.conf.sync_timeout:g} s"
    if order.status.force:
        return f", after it has applied {limit} or as much of that as it can, and takes writes"
    return f", after it has applied {limit}, and takes writes"


def _writer(world: World, role: str) -> bool:
    return role == world.conf.active_master_role
