"""What leases rest on, which has to be the same in the confs of monitor and agents: a short digest for each key."""

import hashlib
from collections.abc import Mapping

from mmm.config.model import Cluster

VIP_LEASE, HOSTS, IPS = "vip_lease", "hosts", "ips"
"""The keys: the last two of the active master role."""


def digests(conf: Cluster) -> Mapping[str, str]:
    """Return a digest of each of the keys that this conf says something of."""
    role = conf.roles.get(conf.active_master_role)
    told = {VIP_LEASE: f"{conf.vip_lease:g}"}
    if role is not None:
        told |= {HOSTS: " ".join(sorted(role.hosts)), IPS: " ".join(role.ips)}
    return {key: digest(text) for key, text in told.items() if text}


def digest(text: str) -> str:
    """Return 12 hexadecimal digits by which two hosts can compare a text without sending it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differing(own: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of which both say something, and not the same."""
    return tuple(key for key in own if key in other and own[key] != other[key])
