"""What the agent of a conf without roles learns of them from the monitor's orders, as those of MMM 1.x did. Pure.

A VIP that was learned stays known though no order names it any more: so it is removed where it is still bound.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from mmm.config.model import Cluster, Role, Vip
from mmm.config.names import is_name

MOST = 1000
"""VIPs that are known at most."""


def learned(conf: Cluster, named: Iterable[Vip], assigned: Iterable[Vip] = ()) -> Cluster:
    """Return the conf with the VIPs that are named, the very same one where nothing is to be learned.

    What cannot be a VIP is left out, as is one that stands under two names, or that is `assigned` here to another role
    than the one it is named with now: all of it is refused as not in the conf. Of the active master role the VIP
    counts that was named last.
    """
    if not conf.roles_by_order:
        return conf
    vips = tuple(dict.fromkeys(named))
    times = Counter(vip.ip for vip in vips)
    held = {vip.ip: vip.role for vip in assigned}
    own = _own(conf)
    new = [
        vip
        for vip in vips
        if vip not in conf.vips
        and times[vip.ip] == 1
        and held.get(vip.ip, vip.role) == vip.role
        and _is_fit(vip, own)
    ]
    if not new or len(conf.vips) + len(new) > MOST:
        return conf
    roles = {name: _without(role, {vip.ip for vip in new}) for name, role in conf.roles.items()}
    for name in dict.fromkeys(vip.role for vip in new):
        role = roles.get(name) or Role(name, "balanced", (conf.this,), ())
        roles[name] = replace(role, ips=(*(vip.ip for vip in new if vip.role == name), *role.ips))
    return replace(conf, roles=roles)


def _own(conf: Cluster) -> frozenset[str]:
    """Return the addresses of machines, which no order makes a VIP: it would be removed there."""
    monitor = (conf.monitor.ip,) if conf.monitor else ()
    return frozenset((*(host.ip for host in conf.agents.values()), *conf.monitors, *monitor))


def _is_fit(vip: Vip, own: Collection[str]) -> bool:
    try:
        ip = ip_address(vip.ip)
    except ValueError:
        return False
    astray = ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_reserved
    if isinstance(ip, IPv6Address):
        astray |= ip.is_link_local or ip.ipv4_mapped is not None
    return not astray and str(ip) == vip.ip and vip.ip not in own and is_name(vip.role)


def _without(role: Role, ips: Collection[str]) -> Role:
    left = tuple(ip for ip in role.ips if ip not in ips)
    return role if left == role.ips else replace(role, ips=left)
