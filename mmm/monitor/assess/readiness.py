"""What would go wrong at the next move or failover of the active master role, seen before it does. Pure.

found       everything, as warnings
of_masters  what is of the possible masters alone
against     what keeps the role from being moved to a host
on_paper    what a move does not change by itself, for its rehearsal
"""

from collections.abc import Iterator

from mmm.gtid.mysql import GtidSet
from mmm.gtid.transactions import surplus
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import Level, Value, Warned
from mmm.monitor.world.world import World
from mmm.wire.doubts import GRANTS, KNOWN, NOT_LISTENING, REPLICATION_LOGIN
from mmm.wire.questions import DISK_FULL, EVENTS

_AGAINST = ("no_binlog", "delayed", "disk_full", GRANTS, NOT_LISTENING, REPLICATION_LOGIN)
"""Codes of what keeps a host from being made the writer."""


def found(world: World) -> tuple[Warned, ...]:
    """Return all that would hurt, as far as the hosts were asked."""
    others = (name for name in world.hosts if not world.can_be_active_master(name))
    theirs = (warned for name in others for warned in (*_notes(world, name), *_doubts(world, name)))
    return (*of_masters(world), *theirs, *_server_ids(world), *_exits(world), *_old_slaves(world))


def _exits(world: World) -> Iterator[Warned]:
    """Say of which masters the monitor is not told at once that the server's process has ended, where that counts."""
    if world.conf.monitor is None or world.conf.monitor.server_exit != "failover":
        return
    for name in (host.name for host in world.masters() if _in_use(world, host.name)):
        host = world.hosts[name]
        old = host.agent.about.mmm2 and host.agent.about.heard
        said = f"its agent answers '{host.unwatched}'" if host.unwatched else ""
        if why := "its agent is one of MMM 2.x" if old else said:
            yield Warned("exit_not_told", (name,), {"why": why})


def _old_slaves(world: World) -> Iterator[Warned]:
    """Say which slaves keep the next writer from following any of them first: see `behind_others`."""
    slaves = (
        name for name, host in world.conf.hosts.items() if host.mode == "slave" and _in_use(world, name)
    )
    for name in slaves:
        about = world.hosts[name].agent.about
        if about.mmm2 and about.heard:
            yield Warned("slaves_not_followed", (name,))


def of_masters(world: World) -> tuple[Warned, ...]:
    """Return what of that a look at the possible masters alone tells."""
    masters = [host.name for host in world.masters() if _in_use(world, host.name)]
    return tuple(
        warned
        for name in masters
        for warned in (*_logs(world, name), *_delay(world, name), *_notes(world, name), *_doubts(world, name))
    )


def against(world: World, name: str) -> list[Warned]:
    """Return why the role is not moved to the host."""
    said = [*_logs(world, name), *_delay(world, name), *_notes(world, name), *_doubts(world, name)]
    for other in world.hosts:
        if other != name and world.hosts[other].state is State.ONLINE:
            said += [warned for warned in _doubts(world, other) if warned.code == REPLICATION_LOGIN]
    return [warned for warned in said if warned.code in _AGAINST]


def on_paper(world: World, source: str | None, target: str) -> list[str]:
    """Return what a move from one host to another leaves undone."""
    said = [str(warned) for warned in _logs(world, target) if warned.code == "log_slave_updates_off"]
    if source is not None and world.hosts[source].noted(EVENTS):
        said.append(
            f"{source}: its MySQL events stay ENABLED there, and {target} does not run them: see docs/moving.md"
        )
    return [*said, *_of_their_own(world, target)]


def _of_their_own(world: World, target: str) -> Iterator[str]:
    """Yield which slaves of MySQL wrote what the new writer lacks, for they may refuse to follow it."""
    theirs = world.hosts[target].progress.transactions
    for name, host in world.hosts.items():
        ours = host.progress.transactions
        slave = world.conf.hosts[name].mode == "slave" and host.state is State.ONLINE
        if not slave or ours is None or theirs is None or not isinstance(ours.executed, GtidSet):
            continue
        own = ours.executed.minus(ours.executed.without(ours.origin))
        if theirs.got is not None and (more := surplus(own, theirs.got)):
            yield f"{name}: has {more} of its own, which {target} lacks: it may refuse to follow {target}"


def _in_use(world: World, name: str) -> bool:
    return world.hosts[name].state is not State.ADMIN_OFFLINE


def _logs(world: World, name: str) -> Iterator[Warned]:
    settings = world.hosts[name].settings
    if settings is None:
        return
    if not settings.logs:
        yield Warned("no_binlog", (name,))
    elif not settings.logs_replicated and any(host.mode == "slave" for host in world.conf.hosts.values()):
        yield Warned("log_slave_updates_off", (name,))


def _delay(world: World, name: str) -> Iterator[Warned]:
    if world.hosts[name].replication.delay > 0 and world.active_master != name:
        yield Warned("delayed", (name,), {"seconds": world.hosts[name].replication.delay})


def _notes(world: World, name: str) -> Iterator[Warned]:
    writer = world.active_master == name
    if full := world.hosts[name].noted(DISK_FULL):
        others = [host.name for host in world.masters() if host.name != name]
        role = world.conf.active_master_role
        move = f", or 'mmm_control move_role --force {role} {others[0]}'" if writer and others else ""
        limit = world.conf.monitor.disk_full_failover if world.conf.monitor else 0.0
        if move and limit > 0:
            move += f"; after {limit:g} s another host that can takes the role (disk_full_failover)"
        fields: dict[str, Value] = {"seconds": round(full.seconds), "move": move}
        yield Warned("disk_full", (name,), fields, Level.CRITICAL if writer else Level.WARNING)
    if world.hosts[name].noted(EVENTS) and not writer and world.active_master is not None:
        yield Warned("events_enabled", (name,))


def _doubts(world: World, name: str) -> Iterator[Warned]:
    for doubt in world.hosts[name].doubts:
        if doubt.code in KNOWN:  # an agent that is newer than this monitor may have others
            yield Warned(doubt.code, (name,), {"said": doubt.text})


def _server_ids(world: World) -> Iterator[Warned]:
    """Say which servers have one server_id: a source ends the connection of the one when the other comes."""
    by_id: dict[int, list[str]] = {}
    for name, host in world.hosts.items():
        if (
            host.progress.transactions is not None
            and host.progress.transactions.server_id
            and _in_use(world, name)
        ):
            by_id.setdefault(host.progress.transactions.server_id, []).append(name)
    for number, names in by_id.items():
        if len(names) > 1:
            yield Warned("same_server_id", tuple(names), {"server_id": number})
