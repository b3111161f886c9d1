"""The result of a command, and the answers that commands have in common (rule 5)."""

from collections.abc import Mapping
from dataclasses import dataclass

from mmm.config.model import Role, Vip
from mmm.monitor.command.next_leader import NextLeader, came_of
from mmm.monitor.command.texts import Verdict, unknown_host
from mmm.monitor.decide import waiting
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.world import Mode, World


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a command is answered after, with `done`: the `state` that a host confirms, or a VIP that it takes."""

    host: str
    done: Verdict
    vip: Vip | None = None
    source: str | None = None
    state: State | None = None
    """The one that was ordered; None where a VIP is awaited."""


@dataclass(frozen=True, slots=True)
class Result:
    """The world after a command, and its answer: at once, or when `awaits` is there."""

    world: World
    answer: Verdict
    awaits: Awaited | NextLeader | None = None
    entry: Happened | None = None
    """What the history is to say of it, beside changes of states and roles."""

    @property
    def text(self) -> str:
        """Return the answer in words; its first one tells whether the command was taken."""
        return str(self.answer)


def no_agent(world: World, host: str) -> Result:
    """Return the refusal of a command that an agent has to carry out which does not answer."""
    held = world.master_vips & world.hosts[host].agent.may_hold
    return Result(world, Verdict("no_agent", {"host": host, "may_hold": bool(held) and world.is_dead(host)}))


def cannot_hold(world: World, role: Role, host: str) -> Result | None:
    """Return the refusal where the host is not one of the role's, or its agent knows nothing of `vip_via`."""
    if host in role.hosts:
        if not world.would_bind(host, role.name):
            return None
        about = {"host": host, "role": role.name, "via": world.conf.via(role.name)}
        return Result(world, Verdict("would_bind", about))
    return Result(world, Verdict("not_of_the_role", {"host": host, "role": role.name, "hosts": role.hosts}))


def outcome(world: World, awaited: Awaited | NextLeader) -> Verdict | None:
    """Return the answer to a command that awaits something, None while it is under way.

    Where it waits for a host that cannot be told, and that has no end by itself, the answer says so at once. So it does
    where the monitor was switched into passive mode meanwhile, where the host is not in the state that was ordered any
    more, and where another conf has not got what is awaited.
    """
    if isinstance(awaited, NextLeader):
        return came_of(world, awaited)
    if (gone := _gone(world, awaited)) is not None:
        return gone
    answer = _entered(world, awaited) if awaited.vip is None else _moved(world, awaited, awaited.vip)
    if answer is None and world.mode is Mode.PASSIVE and world.hosts[awaited.host].agent.in_flight is None:
        return Verdict("waits_for_mode")
    return answer


def _entered(world: World, awaited: Awaited) -> Verdict | None:
    host = world.hosts[awaited.host]
    if host.state is not awaited.state:
        about = {"host": awaited.host, "ordered": awaited.state, "state": host.state, "why": host.why or ""}
        return Verdict("left_again", about)
    link = host.agent
    if link.told is not None and link.told.state == host.state and link.in_flight is None:
        return awaited.done
    return _not_confirmed(world, awaited)


def _gone(world: World, awaited: Awaited) -> Verdict | None:
    """Return the answer to a command that waits for what a conf which was taken meanwhile has not got."""
    for host in (awaited.host, awaited.source):
        if host is not None and host not in world.hosts:
            return unknown_host(world, host)
    if awaited.vip is not None and awaited.vip not in world.owner:
        return Verdict("conf_changed")
    return None


def _moved(world: World, awaited: Awaited, vip: Vip) -> Verdict | None:
    move, owner, host = world.move, world.owner[vip], awaited.host
    if owner == host:
        link = world.hosts[host].agent
        if link.told is not None and vip in link.told.vips:
            return _unconfirmed(world, awaited, vip) or awaited.done
        if (endless := waiting.endless(world, vip)) is not None:
            return Verdict("waits_endless", {"why": endless})
        return None if move is not None and move.vip == vip else _not_confirmed(world, awaited)
    about = {"role": vip.role, "host": host, "owner": owner}
    if move is not None and (move.vip, move.target) == (vip, host):
        link = world.hosts[move.source].agent
        if link.in_flight is not None or link.refused is None or vip not in link.refused.vips:
            return None
        return Verdict("not_moved_back", {**about, "cause": move.cause, **_agent(world, move.source)})
    if (failed := world.could_not_go_to(vip, host)) is not None:
        code = "moved_back" if owner == failed.source else "moved_on"
        return Verdict(code, {**about, "cause": failed.cause})
    return Verdict("keeps", {**about, **_agent(world, awaited.source)})


def _unconfirmed(world: World, awaited: Awaited, vip: Vip) -> Verdict | None:
    """Return the answer to a move whose old holder lives and has not said that it let go; None where it has.

    Its lease has run out, so it has not got the VIP; whether its server is read_only nobody has said.
    """
    source = awaited.source
    if (
        source is None
        or world.hosts[source].state is not State.ONLINE
        or world.hosts[source].agent.told is not None
    ):
        return None
    about = {"role": vip.role, "host": awaited.host, "source": source}
    return Verdict("source_silent", {**about, **_agent(world, source)})


def _not_confirmed(world: World, awaited: Awaited) -> Verdict | None:
    link = world.hosts[awaited.host].agent
    if link.in_flight is not None or link.refused is None:
        return None
    if awaited.vip is not None and awaited.vip not in link.refused.vips:
        return None
    if awaited.vip is None and link.refused.state != awaited.state:
        return None
    return Verdict("not_confirmed", _agent(world, awaited.host))


def _agent(world: World, name: str | None) -> Mapping[str, str | None]:
    """Return what a host's agent has said to the last order, as fields; `agent` is None where it has done it."""
    link = None if name is None else world.hosts[name].agent
    if link is None or not (link.refusal or link.refused is not None):
        return {"agent": None, "refusal": ""}
    return {"agent": name, "refusal": link.refusal}
