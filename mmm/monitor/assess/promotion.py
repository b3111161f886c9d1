"""Which host may become active master without being ordered to (rules 10.10, 10.17).

Not one that is known, or must be feared, to lack much of what the last writer has acknowledged.
"""

from typing import ClassVar

from mmm.config.model import Role
from mmm.gtid.transactions import surplus
from mmm.monitor.assess import silent_lag
from mmm.monitor.world.host import Behind, State
from mmm.monitor.world.move import Phase
from mmm.monitor.world.said import Fields, Said, Texts
from mmm.monitor.world.world import Mode, World


def eligible(world: World, role: Role) -> list[str]:
    """Return the hosts that may get a VIP of the role now, in the role's order.

    Those that the admin keeps it away from only where there is nobody else.
    None of an agent of MMM 2.x that would bind what is not to be bound.
    The active master's not where the agent refuses it, for its conf differs in what leases rest on.
    """
    names = [name for name in role.hosts if world.can_take(name) and not world.would_bind(name, role.name)]
    if role.name != world.conf.active_master_role:
        wanted = [name for name in names if (role.name, name) not in world.left_out]
        return wanted or names
    held = [name for name in names if world.hold is None or name == world.hold.host]
    return [name for name in held if not (lacks(world, name) or refuses(world, name))]


def refuses(world: World, name: str) -> bool:
    """Tell whether the host cannot have the active master role for its agent: whatever it has, it is not waited for.

    Its conf differs in what leases rest on, or it is one of MMM 2.x that would bind what is not to be bound.
    """
    return bool(world.hosts[name].agent.about.differs) or world.would_bind(
        name, world.conf.active_master_role
    )


def _broken(of: Fields) -> str:
    gap = of["gap"] or f"how far it is behind {of['last']} is not known"
    return f"its replication is broken ({of['check']}), {gap}"


class Lack(Said):
    """Why a host is not promoted by itself."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "replication_broken": _broken,
        "got_nothing": (
            "it has received nothing that {last} wrote for {seconds:.0f} s, though its replication runs;"
            " max_lag_on_failover is {limit:g} s"
        ),
        "detached": (
            "it is detached from its source, and has received nothing that {last} wrote for {seconds:.0f} s;"
            " max_lag_on_failover is {limit:g} s"
        ),
        "behind": "it is behind {last} ({check})",
        "may_be_behind": "it may be {seconds:.0f} s behind {last}, max_lag_on_failover is {limit:g} s",
    }


class Gap(Said):
    """What a host has not applied of what the last writer had, as far as is known."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "received": "it has received {unapplied} that it has not applied",
        "lacked": "when last looked at it lacked {more} of {last}",
        "both": (
            "it has received {unapplied} that it has not applied and when last looked at it lacked {more} of {last}"
        ),
    }


def _held_back(of: Fields) -> str:
    said = f"{of['host']} is not promoted: {of['lack']}. "
    if of["lossless"]:
        said += f"Nothing is lost if {of['last']}, which wrote last, has it again: {of['lossless'].format(**of)}. Else "
    force = f"'mmm_control move_role --force {of['role']} {of['host']}'"
    return f"{said}{force} promotes it anyway, and what it lacks is lost"


class HeldBack(Said):
    """Who could be promoted and is not, why, and the ways out."""

    __slots__ = ()

    texts: ClassVar[Texts] = {"lacks": _held_back}


def lacks(world: World, name: str) -> Lack | None:
    """Return why the host is not promoted by itself, None where it may be.

    Whoever wrote last lacks nothing, and so does the old holder in a planned move until the new one is told.
    """
    last, monitor = world.last_writer, world.conf.monitor
    if last is None or last == name or monitor is None or gives_role_away(world, name):
        return None
    limit = world.conf.max_lag_on_failover
    if limit == float("inf"):
        return None
    host = world.hosts[name]
    threads, backlog = host.checks["rep_threads"], host.checks["rep_backlog"]
    if threads.failed or threads.error_since is not None:
        check = threads.finding.detail
        return Lack("replication_broken", {"last": last, "check": check, "gap": gap_to(world, name, last)})
    if (stalled := silent_lag.lag(world, name)) > limit:
        has = host.progress.transactions
        code = "detached" if has is not None and has.detached else "got_nothing"
        return Lack(code, {"last": last, "seconds": stalled, "limit": limit})
    known = host.progress.behind
    if known is None:
        return Lack("behind", {"last": last, "check": backlog.finding}) if backlog.failed else None
    behind = known.seconds + _blind(world, known, last)
    return (
        Lack("may_be_behind", {"last": last, "seconds": behind, "limit": limit}) if behind > limit else None
    )


def held_back(world: World) -> HeldBack | None:
    """Return who is not promoted, why, and the ways out; None while the role is held or can be given."""
    role = world.conf.roles.get(world.conf.active_master_role)
    if role is None or world.active_master is not None or world.mode is Mode.PASSIVE:
        return None
    able = {
        name: lacks(world, name) for name in role.hosts if world.can_take(name) and not refuses(world, name)
    }
    if not able or not all(able.values()):
        return None
    name, lack = next(iter(able.items()))
    last = world.last_writer if world.last_writer in world.hosts and world.last_writer != name else None
    about = {"role": role.name, "host": name, "lack": lack, "last": last}
    return HeldBack("lacks", {**about, **(_lossless(world, last) if last else {"lossless": "", "keys": ""})})


def _lossless(world: World, last: str) -> dict[str, str]:
    """Return what to do so that the host which wrote last, and lacks nothing, gets the role; as fields."""
    host = world.hosts[last]
    differs = host.state is State.ONLINE and bool(host.agent.about.differs)
    lossless = _LIKE_THE_MONITORS if differs else _LOSSLESS.get(host.state, "")
    return {"lossless": lossless, "keys": ", ".join(host.agent.about.differs)}


_SET_ONLINE = "'mmm_control set_online {last}'"
_LOSSLESS = {
    State.AWAITING_RECOVERY: _SET_ONLINE,
    State.ADMIN_OFFLINE: _SET_ONLINE,
    State.HARD_OFFLINE: "start its server",
}
_LIKE_THE_MONITORS = "make its conf like the monitor's, it differs in {keys}, and restart its agent"


def caught_up(world: World, name: str) -> bool:
    """Tell whether the host has applied what the active master has, as far as is known (rule 10.17)."""
    host, master = world.hosts[name], world.active_master
    checks = (host.checks["rep_threads"], host.checks["rep_backlog"])
    behind = host.progress.behind
    bad = any(check.failed or check.error_since is not None or check.unknown for check in checks)
    if bad or host.replication.connecting_since is not None or (behind is not None and behind.seconds > 0):
        return False
    ours, theirs = (
        host.progress.transactions,
        None if master is None else world.hosts[master].progress.transactions,
    )
    if ours is None or theirs is None or ours.executed is None or theirs.executed is None:
        return True
    if ours.seen < theirs.seen:  # it may have applied meanwhile what the other has written since
        return True
    return surplus(theirs.executed, ours.executed) is None


def gives_role_away(world: World, name: str) -> bool:
    """Tell whether the host is the writer of before in a planned move, and may have written since `last_writer` did."""
    move = world.move
    if move is None or move.source != name or move.vip not in world.master_vips:
        return False
    return move.phase is Phase.RETURNING or move.vip in world.hosts[name].agent.may_hold


def gap_to(world: World, name: str, last: str) -> Gap | None:
    """Return what the host lacks of the last writer, as far as is known, and has not applied; None: nothing known."""
    ours, theirs = world.hosts[name].progress.transactions, world.hosts[last].progress.transactions
    if ours is None or ours.executed is None or ours.got is None:
        return None
    unapplied = surplus(ours.got, ours.executed)
    more = surplus(theirs.executed, ours.got) if theirs is not None and theirs.executed is not None else None
    code = "both" if unapplied and more else "received" if unapplied else "lacked"
    return Gap(code, {"unapplied": unapplied, "more": more, "last": last}) if unapplied or more else None


def _blind(world: World, behind: Behind, last: str) -> float:
    """Return for how many seconds before the last writer failed nobody knew how far the host was behind."""
    failing = [
        check.error_since for check in world.hosts[last].checks.values() if check.error_since is not None
    ]
    check = world.conf.checks["rep_backlog"]
    usual = 2 * check.check_period + check.timeout
    unseen = max(failing) - behind.at - usual if failing else 0.0
    return max(0.0, unseen)
