"""What a monitor that starts takes to be granted of the active master role, and to whom (rules 10.31, 11.1)."""

from collections.abc import Mapping
from dataclasses import replace

from mmm.config.agreement import writer_hosts
from mmm.config.model import Cluster, Vip
from mmm.lease.rules import FOREVER, NOTHING, Outstanding
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.world.host import State
from mmm.monitor.world.passive import PassiveCause

_IN_USE = frozenset((State.ONLINE, State.ADMIN_OFFLINE, State.REPLICATION_FAIL, State.REPLICATION_DELAY))
"""What an agent says of a host that was in use; of a new one it says UNKNOWN, or what it awaits."""


def unplaced(conf: Cluster, found: Mapping[str, Found], stored: Mapping[str, Stored]) -> PassiveCause | None:
    """Return that the active master role may be held where nothing of this conf could wait for its end."""
    if conf.vip_lease <= 0:
        return None
    writer = frozenset(conf.master_vips)
    for name, line in stored.items():
        told = name in found and found[name].asked
        supposed = frozenset(line.vips) <= frozenset(conf.vips) - writer
        waits = told or (name in conf.hosts and (supposed or not writer.isdisjoint(line.vips)))
        if line.lease and not waits:
            return PassiveCause("unknown_holder", {"host": name, "vips": line.vips})
    return None


def _foreign(conf: Cluster, found: Mapping[str, Found], name: str) -> frozenset[Vip]:
    """Return the active master's VIPs that somebody else than the monitor bound there (`Found.foreign`).

    An order of the monitor would stand in the status file, or its agent would know of it.
    """
    if conf.vip_lease <= 0:
        return frozenset()
    return frozenset(
        vip
        for vip in conf.master_vips
        if found[name].claims(vip) == (False, False, True)
        and any(other != name and found[other].may_have_lease(vip) for other in conf.hosts)
    )


def known(conf: Cluster, found: Mapping[str, Found], stored: Mapping[str, Stored]) -> Mapping[str, Found]:
    """Return what was found of the hosts of the conf, with what follows from it for the active master's VIPs."""
    after = {name: replace(found[name], foreign=_foreign(conf, found, name)) for name in conf.hosts}
    role = conf.roles.get(conf.active_master_role)
    if conf.vip_lease <= 0 or role is None:
        return after
    bound = frozenset(vip for vip in role.vips if any(host.has(vip) for host in after.values()))
    left, longest = frozenset(role.vips) - bound, _longest(conf, after, stored)
    for name in role.hosts:
        unrecorded = _unrecorded(after[name], left)
        after[name] = replace(after[name], unrecorded=unrecorded, longest=longest[name])
    return after


def _unrecorded(found: Found, left: frozenset[Vip]) -> frozenset[Vip]:
    """Return which of the VIPs, bound nowhere, a host of the role may have, or get yet, though nobody tells of it.

    A lease with an end is granted where the status file cannot be written too: a failover does not wait for a disk. The
    host's agent, where it could be asked, may not have obeyed by then what was on its way.
    """
    return frozenset(vip for vip in left if not any(found.claims(vip)))


def _longest(conf: Cluster, found: Mapping[str, Found], stored: Mapping[str, Stored]) -> Mapping[str, float]:
    """Return for how many seconds each host may have what is not on record; FOREVER: nobody knows.

    A lease without an end would not have been granted off the record. Where there is none any more, of a cluster that
    was in use, it may have been on it. Hosts that promised by another conf are no hosts of this one, perhaps (`given`).
    """
    lines = [host.stored for host in found.values() if host.stored is not None]
    longest = max([conf.vip_lease, *(line.length for line in lines)])
    lost = not (stored or lines) and _is_in_use(found)
    other = bool({line.hosts for line in stored.values()} - _by_this_conf(conf))

    def has_no_end(line: Stored | None) -> bool:
        return lost if line is None else other or line.lease == "forever"

    return {
        name: FOREVER if not host.asked and has_no_end(host.stored) else longest
        for name, host in found.items()
    }


def _is_in_use(found: Mapping[str, Found]) -> bool:
    """Tell whether some agent knows that the cluster has had an active master, or that a host was in use."""
    agents = [host.agent for host in found.values() if host.agent is not None]
    return any(agent.master or agent.vips or agent.state in _IN_USE for agent in agents)


def _by_this_conf(conf: Cluster) -> frozenset[str]:
    """Return the digests of hosts that a lease may have been recorded with, for its end to be known."""
    return frozenset(("", writer_hosts(conf)))


def given(conf: Cluster, found: Found, may_hold: frozenset[Vip], now: float) -> Outstanding:
    """Return what is taken to be granted: a lease with an end begins now, without a record it has none.

    Nor has one that hosts can prolong by their promises which are not those of this conf: who may get the role by this
    one was perhaps not among them, and has promised nothing.
    """
    held = frozenset(vip for vip in may_hold if vip.role == conf.active_master_role)
    stored = found.stored
    if conf.vip_lease <= 0 or not held:
        return NOTHING
    if held <= found.unrecorded:
        return Outstanding(now, now).restored(found.longest, now)
    if stored is None or stored.lease != "finite" or stored.hosts not in _by_this_conf(conf):
        return Outstanding(FOREVER, FOREVER)
    return Outstanding(now, now).restored(max(conf.vip_lease, stored.length), now)
