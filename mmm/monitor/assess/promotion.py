"""Which host may become active master without being ordered to (rules 10.10, 10.17).

Not one of which it is known, or must be feared, that it lacks much of what the last writer has acknowledged.
"""

from mmm.config.model import Role
from mmm.gtid.transactions import surplus
from mmm.monitor.assess import silent_lag
from mmm.monitor.world.host import HostWorld, State
from mmm.monitor.world.move import Phase
from mmm.monitor.world.world import Mode, World


def eligible(world: World, role: Role) -> list[str]:
    """Return the hosts that may get a VIP of the role now, in the role's order."""
    names = [name for name in role.hosts if world.can_take(name)]
    if role.name != world.conf.active_master_role:
        return names
    held = [name for name in names if world.hold is None or name == world.hold.host]
    return [name for name in held if not lacks(world, name)]


def lacks(world: World, name: str) -> str:
    """Return why the host is not promoted by itself, empty where it may be.

    Whoever wrote last lacks nothing, and so does the old holder in a planned move until the new one is told.
    """
    last, monitor = world.last_writer, world.conf.monitor
    if last is None or last == name or monitor is None or _gives_role_away(world, name):
        return ""
    limit = world.conf.max_lag_on_failover
    if limit == float("inf"):
        return ""
    host = world.hosts[name]
    threads, backlog = host.checks["rep_threads"], host.checks["rep_backlog"]
    if threads.failed or threads.error_since is not None:
        gap = gap_to(world, name, last) or f"how far it is behind {last} is not known"
        return f"its replication is broken ({threads.message.removeprefix('ERROR: ')}), {gap}"
    if (stalled := silent_lag.lag(world, name)) > limit:
        return (
            f"it has got nothing of what {last} wrote in {stalled:.0f} s, though its replication runs,"
            f" max_lag_on_failover is {limit:g} s"
        )
    if host.behind is None:
        return f"it is behind {last} ({backlog.message})" if backlog.failed else ""
    behind = host.behind + _blind(world, host, last)
    if behind <= limit:
        return ""
    return f"it may be {behind:.0f} s behind {last}, max_lag_on_failover is {limit:g} s"


def held_back(world: World) -> str:
    """Return who is not promoted, why, and the ways out; empty while the role is held or can be given."""
    role = world.conf.roles.get(world.conf.active_master_role)
    if role is None or world.active_master is not None or world.mode is Mode.PASSIVE:
        return ""
    able = {name: lacks(world, name) for name in role.hosts if world.can_take(name)}
    if not able or not all(able.values()):
        return ""
    name, why = next(iter(able.items()))
    force = f"'mmm_control move_role --force {role.name} {name}' promotes it all the same, and what it lacks is lost"
    lossless = _lossless(world, name)
    return f"{name} is not promoted: {why}. {f'{lossless}. Else ' if lossless else ''}{force}"


def _lossless(world: World, name: str) -> str:
    """Return what to do so that the host which wrote last, and lacks nothing, gets the role; empty if none is known."""
    last = world.last_writer
    if last is None or last == name or last not in world.hosts:
        return ""
    match world.hosts[last].state:
        case State.AWAITING_RECOVERY | State.ADMIN_OFFLINE:
            return (
                f"Nothing is lost if {last}, which wrote last, has it again: 'mmm_control set_online {last}'"
            )
        case State.HARD_OFFLINE:
            return f"Nothing is lost if {last}, which wrote last, has it again: start its server"
        case _:
            return ""


def caught_up(world: World, name: str) -> bool:
    """Tell whether the host has applied what the active master has, as far as is known (rule 10.17)."""
    host, master = world.hosts[name], world.active_master
    checks = (host.checks["rep_threads"], host.checks["rep_backlog"])
    bad = any(check.failed or check.error_since is not None or check.unknown for check in checks)
    if bad or host.connecting_since is not None or (host.behind or 0.0) > 0:
        return False
    ours, theirs = host.transactions, None if master is None else world.hosts[master].transactions
    if ours is None or theirs is None or ours.executed is None or theirs.executed is None:
        return True
    if ours.seen < theirs.seen:  # it may have applied meanwhile what the other has written since
        return True
    return surplus(theirs.executed, ours.executed) is None


def _gives_role_away(world: World, name: str) -> bool:
    """Tell whether the host is the old holder in a planned move, and may have written since `last_writer` did."""
    move = world.move
    if move is None or move.source != name:
        return False
    return move.phase is Phase.RETURNING or move.vip in world.hosts[name].agent.may_hold


def gap_to(world: World, name: str, last: str) -> str:
    """Return what the host lacks of the last writer, as far as is known, and has not applied; empty: nothing known."""
    ours, theirs = world.hosts[name].transactions, world.hosts[last].transactions
    if ours is None or ours.executed is None or ours.got is None:
        return ""
    unapplied = surplus(ours.got, ours.executed)
    received = f"it has received {unapplied} that it has not applied" if unapplied else ""
    more = surplus(theirs.executed, ours.got) if theirs is not None and theirs.executed is not None else None
    lacked = f"when last looked at it lacked {more} of {last}" if more else ""
    return " and ".join(part for part in (received, lacked) if part)


def _blind(world: World, host: HostWorld, last: str) -> float:
    """Return for how many seconds before the last writer failed nobody knew how far the host was behind."""
    failing = [
        check.error_since for check in world.hosts[last].checks.values() if check.error_since is not None
    ]
    check = world.conf.checks["rep_backlog"]
    usual = 2 * check.check_period + check.timeout
    unseen = max(failing) - host.behind_at - usual if failing else 0.0
    return max(0.0, unseen)
