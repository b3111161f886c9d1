"""What the monitor believes when it starts (rules 6.1, 10.31).

Three accounts of each host: the status file, the agent's memory, the system itself. Host states go by the
worst that is known, roles by votes; equal votes go to the stored owner, then in conf order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from mmm.config.model import Cluster, Role, Vip
from mmm.gtid.transactions import Transactions
from mmm.monitor.decide import found_leases, stays
from mmm.monitor.decide.dropped import Accounts, dropped, under_any_role
from mmm.monitor.decide.found import NOTHING_STORED, Found, Stored
from mmm.monitor.decide.move import phases
from mmm.monitor.world.checks import CheckStatus, dead
from mmm.monitor.world.host import HostWorld, State, System
from mmm.monitor.world.hosts import Hosts, Owners
from mmm.monitor.world.link import About, AgentLink, Kill, Silence
from mmm.monitor.world.passive import PassiveCause
from mmm.monitor.world.said import Said, Texts
from mmm.monitor.world.world import Mode, World

_WORST_FIRST = (
    State.ADMIN_OFFLINE,
    State.HARD_OFFLINE,
    State.REPLICATION_FAIL,
    State.REPLICATION_DELAY,
    State.ONLINE,
)

_FAILED_BY_STATE = {State.REPLICATION_FAIL: "rep_threads", State.REPLICATION_DELAY: "rep_backlog"}


class AtStart(Said):
    """Why a host is in its state from the start on; `holds` is what it is ONLINE for, None where that is not so."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "added": "added to the conf",
        "start": lambda of: f"it holds {of['holds']}" if of["holds"] else "as stored and as its agent says",
    }


@dataclass(frozen=True, slots=True)
class Started:
    """The first world, and what is to be said about it."""

    world: World
    warnings: tuple[str, ...]
    conflict: PassiveCause | None = None
    """Set when the active master role is bound on several hosts, or may be where this conf knows nothing of."""


def in_use(stored: Mapping[str, Stored]) -> frozenset[str]:
    """Return the hosts that the status file says were ONLINE.

    Where the monitor's network has come back only now, a first check that fails proves nothing against them.
    """
    return frozenset(name for name, line in stored.items() if line.state == State.ONLINE)


def start(
    conf: Cluster,
    checks: Mapping[str, Mapping[str, CheckStatus]],
    found: Mapping[str, Found],
    now: float,
    has: Mapping[str, Transactions] | None = None,
    stored: Mapping[str, Stored] = NOTHING_STORED,
) -> Started:
    """Return the world to begin with; `has` is what the first checks have read of the servers' transactions.

    `stored` is the whole status file: it may tell of hosts that are not in the conf any more.
    """
    mode = Mode(conf.monitor.mode.upper()) if conf.monitor else Mode.ACTIVE
    found = found_leases.known(conf, found, stored)
    hosts = {name: _host(conf, found[name], checks[name], now) for name in conf.hosts}
    owner: dict[Vip, str | None] = dict.fromkeys(conf.vips)
    world = stays.shown_before(
        World(conf, mode, Hosts(hosts), Owners(owner), left_out=_left_out(conf, found))
    )
    for name, read in (has or {}).items():
        host = world.hosts[name]
        world = world.with_host(name, replace(host, progress=replace(host.progress, transactions=read)))
    warnings = dropped(conf, _accounts(found, stored))
    conflict = _conflict(conf, found)
    for role in conf.roles.values():
        active = role.name == conf.active_master_role
        for vip in role.vips:
            world = (
                _elect_active_master(world, role, vip, found, now)
                if active
                else _elect(world, role, vip, found, now)
            )
    for name in conf.hosts:
        world = _note_what_is_left(world, name, found[name])
    careful = conf.monitor is None or conf.monitor.careful_startup
    conflict = (conflict if careful else None) or found_leases.unplaced(conf, found, stored) or conflict
    if conflict and (careful or conflict.code != "two_writers"):
        world = replace(world, mode=Mode.PASSIVE, passive_cause=conflict)
    return Started(world, warnings, conflict)


def _left_out(conf: Cluster, found: Mapping[str, Found]) -> frozenset[tuple[str, str]]:
    """Return which balanced roles of this conf the admin keeps away from which of their hosts."""
    balanced = [role for role in conf.roles.values() if role.mode == "balanced"]
    return frozenset(
        (role.name, name)
        for role in balanced
        for name in role.hosts
        if (line := found[name].stored) is not None and role.name in line.left_out
    )


def _host(conf: Cluster, found: Found, checks: Mapping[str, CheckStatus], now: float) -> HostWorld:
    state = _worst(found)
    uptime = found.uptime or 0.0
    there = found.system or found.stored
    seen = frozenset(there.vips if there else ())
    known = frozenset(found.agent.vips) if found.agent else frozenset()
    # What was sent may still arrive.
    if found.stored is not None and found.stored.lease and conf.vip_lease > 0:
        known |= frozenset(vip for vip in found.stored.vips if vip.role == conf.active_master_role)
    left = under_any_role(conf, seen | known)
    may_hold = left | found.unrecorded
    online = state is State.ONLINE
    in_use = state is not State.ADMIN_OFFLINE and not dead(checks, conf)
    silent = in_use and not found.asked
    return HostWorld(
        state=state,
        since=now,
        online_since=now if online else None,
        checks=_believed(checks, state),
        system=System(uptime, uptime if online else 0.0),
        agent=AgentLink(
            about=About(stays=found.stays),
            may_hold=may_hold,
            supposed=found.unrecorded - left,
            given=found_leases.given(conf, found, may_hold, now),
            granted_before=found.stored.length if found.stored else 0.0,
            found=frozenset(found.system.vips if found.system else ()) & frozenset(conf.vips) - found.foreign,
            may_be_taking=not found.asked or _is_taking(conf, found),
            failure=Silence("", None, unreachable=True) if silent else None,
            kill=Kill(spared=not left),
        ),
        lost=not online and _was_lost(found),
        used=_was_used(found),
        job=found.job,
        why=AtStart("start", {"holds": None}),
    )


def _is_taking(conf: Cluster, found: Found) -> bool:
    """Tell whether its agent was told to have the active master role, and has not bound it yet."""
    return any(agent and not bound for _, agent, bound in map(found.claims, conf.master_vips))


def _was_lost(found: Found) -> bool:
    """Tell whether it was lost before the start, or may have been; one of which nothing is known is new."""
    states = {witness.state for witness in (found.stored, found.agent) if witness is not None}
    out_of_use = {State.HARD_OFFLINE, State.AWAITING_RECOVERY, *_FAILED_BY_STATE}
    return bool(states & out_of_use) or (found.stored is not None and found.stored.lost)


def _was_used(found: Found) -> bool:
    """Tell whether the status file or the agent says that the host has been in use.

    Only who was ONLINE can be set offline, hold a role, or have been lost. A host that was never in use can be
    HARD_OFFLINE, and a slave REPLICATION_FAIL.
    """
    stored, agent = found.stored, found.agent
    states = {witness.state for witness in (stored, agent) if witness is not None}
    if states & {State.ONLINE, State.ADMIN_OFFLINE} or (agent is not None and agent.vips):
        return True
    return stored is not None and bool(stored.used or stored.lost or stored.vips)


def _believed(checks: Mapping[str, CheckStatus], state: State) -> Mapping[str, CheckStatus]:
    """Return the checks; where one does not say, the state still tells that it has failed (rule 10.7)."""
    known = _FAILED_BY_STATE.get(state)
    if known is None or not checks[known].unknown:
        return dict(checks)
    failed = replace(checks[known], failed=True, error_since=checks[known].changed)
    return {**checks, known: failed}


def _worst(found: Found) -> State:
    known = {witness.state for witness in (found.stored, found.agent) if witness is not None}
    return next((state for state in _WORST_FIRST if state in known), State.AWAITING_RECOVERY)


def _accounts(found: Mapping[str, Found], stored: Mapping[str, Stored]) -> Accounts:
    """Return what is said of each host and by whom, of hosts too that only the status file knows."""
    said: Accounts = {name: {"the status file": line} for name, line in stored.items()}
    for name, host in found.items():
        said[name] = {"the status file": host.stored, "its agent": host.agent, "its interface": host.system}
    return said


def _conflict(conf: Cluster, found: Mapping[str, Found]) -> PassiveCause | None:
    role = conf.roles.get(conf.active_master_role)
    if role is None:
        return None
    for vip in role.vips:
        bound = [name for name, host in found.items() if host.claims(vip)[2] and name in role.hosts]
        if len(bound) > 1:
            return PassiveCause("two_writers", {"vip": vip, "hosts": tuple(bound)})
    return None


def _elect_active_master(world: World, role: Role, vip: Vip, found: Mapping[str, Found], now: float) -> World:
    manual = world.mode in (Mode.MANUAL, Mode.WAIT)
    excluded = {State.ADMIN_OFFLINE} if manual else {State.ADMIN_OFFLINE, State.HARD_OFFLINE}

    def votes(name: str) -> int:
        stored, agent, bound = found[name].claims(vip)
        system = found[name].system
        writable = system is not None and system.writable
        stands = bound or world.hosts[name].agent.stays
        return 4 * writable + 2 * bool(stands) + stored + agent + _slaves_of(world, name, found)

    winner = _winner(world, role, vip, found, votes, excluded)
    if winner is None:
        return world
    if (successor := _gave_it_to(world, vip, winner, found)) is not None:
        return replace(world, last_writer=successor)
    world = world.with_owner({vip: winner})
    state = world.hosts[winner].state
    promoted = (State.REPLICATION_FAIL, State.REPLICATION_DELAY) if manual else tuple(State)
    if state is not State.ONLINE and state in promoted:
        world = _online(world, winner, now, "the active master role")
    if found[winner].claims(vip)[2]:
        world = replace(world, last_writer=winner)
    writes = any(host.system is not None and host.system.writable for host in found.values())
    return world if writes else phases.resumed(world, vip, now)


def _gave_it_to(world: World, vip: Vip, name: str, found: Mapping[str, Found]) -> str | None:
    """Return which host the one of the status file has let the role go to, of which the file does not tell yet.

    That one has written since. Who is to go on is decided as in any failover: by who has all, or lags least.
    """
    stored, agent, bound = found[name].claims(vip)
    told = found[name].agent
    if world.conf.vip_lease <= 0 or told is None or not stored or agent or bound:
        return None
    other = told.master
    elsewhere = other != name and other in world.conf.roles[vip.role].hosts
    return other if elsewhere and not any(found[other].claims(vip)) else None


def _elect(world: World, role: Role, vip: Vip, found: Mapping[str, Found], now: float) -> World:
    excluded = {State.ADMIN_OFFLINE}
    if world.mode not in (Mode.MANUAL, Mode.WAIT):
        excluded = set(State) - {State.ONLINE, State.AWAITING_RECOVERY}

    def votes(name: str) -> int:
        stored, agent, bound = found[name].claims(vip)
        return 4 * bound + 2 * stored + agent

    winner = _winner(world, role, vip, found, votes, excluded)
    if winner is None:
        return world
    world = world.with_owner({vip: winner})
    if world.hosts[winner].state is State.AWAITING_RECOVERY:
        world = _online(world, winner, now, vip)
    return world


def _winner(
    world: World,
    role: Role,
    vip: Vip,
    found: Mapping[str, Found],
    votes: Callable[[str], int],
    excluded: set[State],
) -> str | None:
    """Return the host with most votes among those that somebody says to hold the VIP."""
    names = [
        name
        for name, host in world.hosts.items()
        if name in role.hosts and host.state not in excluded and any(found[name].claims(vip))
    ]
    named = [name for name in names if vip not in found[name].foreign]
    return max(named or names, key=lambda name: (votes(name), found[name].claims(vip)[0]), default=None)


def _slaves_of(world: World, name: str, found: Mapping[str, Found]) -> int:
    ip = world.conf.hosts[name].ip
    return sum(
        1
        for slave, host in found.items()
        if world.conf.hosts[slave].mode == "slave" and host.system is not None and host.system.source_ip == ip
    )


def _online(world: World, name: str, now: float, holds: Vip | str) -> World:
    host = world.hosts[name]
    online = replace(
        host,
        state=State.ONLINE,
        since=now,
        online_since=now,
        used=True,
        system=replace(host.system, last_uptime=host.system.uptime),
        why=AtStart("start", {"holds": holds}),
    )
    return world.with_host(name, online)


def _note_what_is_left(world: World, name: str, found: Found) -> World:
    """Owe the kill of a dead host that a crash of the monitor came before (rule 6.6)."""
    link = world.hosts[name].agent
    left = link.may_hold - world.vips_of(name) - found.unrecorded
    if world.hosts[name].state is not State.HARD_OFFLINE or not left:
        return world
    if found.stored is not None and found.stored.let_go:
        return world.with_agent(name, replace(link, kill=replace(link.kill, spared=True)))
    return world.kill_unless_told(name)
