"""What must be the same in the confs of the monitor and of all agents, in one list. Pure.

digests    of what leases rest on: they go with orders and promises, and who has another takes no such order
alike      of all of it, for the doctor
shared     one digest of it, which goes with each answer of an agent: `show` names those whose is another
differing  what of it is not the same
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from mmm.config.model import Cluster, Role

VIP_LEASE, HOSTS, IPS = "vip_lease", "hosts", "ips"
"""The keys of what leases rest on: the last two of the active master role."""
VOTERS = "voters"
"""The key of what the lead rests on, where there are `monitors`: two of them would lead if it differed (rule 14.2)."""
_SHARED = "shared"
NOT_COMPARED = 1
"""The dialect in which agents' files hold less than the monitor's."""


class Part(NamedTuple):
    """Something of a conf that has to be the same everywhere."""

    value: Callable[[Cluster], str]
    """Empty: this conf says nothing of it."""
    lease: str = ""
    """Its key in orders and promises; empty: leases do not rest on it."""
    name: str = ""
    """What the doctor calls it; empty: another part has it in it."""
    short: bool = False
    """The doctor shows it as it is."""
    section: str = ""
    """The sections of the conf that it is about, where it is not shown."""
    everywhere: bool = True
    """Every conf says it, that of an agent too."""


def _lease(conf: Cluster) -> str:
    return f"{conf.vip_lease:g}"


def _writer_hosts(conf: Cluster) -> str:
    role = conf.roles.get(conf.active_master_role)
    return " ".join(sorted(role.hosts)) if role is not None else ""


def _writer_ips(conf: Cluster) -> str:
    """Return how clients come to it; nothing where that is learned from the monitor, which so counts everywhere."""
    role = None if conf.roles_by_order else conf.roles.get(conf.active_master_role)
    return " ".join((*role.ips, *_other_way(role))) if role is not None else ""


def _other_way(role: Role) -> tuple[str, ...]:
    """Return how a role is reached where its IPs are not bound."""
    return () if role.vip_via == "arp" else (role.vip_via,)


def _voters(conf: Cluster) -> str:
    if not conf.monitors:
        return ""
    return f"{' '.join(sorted(conf.voters))}, lead_lease {conf.lead_lease:g}, vip_lease {conf.vip_lease:g}"


def _guard(conf: Cluster) -> str:
    """Return it where the conf has the whole <monitor> section: an agent's may have the monitor's address alone."""
    if conf.monitor is None or not conf.monitor.status_path:
        return ""
    return "yes" if conf.monitor.split_brain_guard else "no"


def _hosts(conf: Cluster) -> str:
    return repr(
        [
            (host.name, host.ip, host.mode, host.peer, host.agent_port, host.mysql_port)
            for host in conf.agents.values()
        ]
    )


def _roles(conf: Cluster) -> str:
    return repr(
        [(role.name, role.mode, role.hosts, role.ips, *_other_way(role)) for role in conf.roles.values()]
    )


PARTS = (
    Part(lambda conf: conf.active_master_role, name="active_master_role", short=True),
    Part(_lease, VIP_LEASE, "vip_lease", short=True),
    Part(_guard, name="split_brain_guard", short=True, everywhere=False),
    Part(lambda conf: conf.socket.type, name="socket type", short=True),
    Part(lambda conf: " ".join(sorted(conf.monitors)), name="monitors", short=True),
    Part(_voters, VOTERS, "voters", short=True),
    Part(_hosts, name="hosts", section="host"),
    Part(_roles, name="roles", section="role"),
    Part(_writer_hosts, HOSTS),
    Part(_writer_ips, IPS),
)


SECTIONS = {part.name: part.section for part in PARTS if part.section}
"""The sections of the conf that a part is about of which the doctor compares a digest."""


def digests(conf: Cluster) -> Mapping[str, str]:
    """Return a digest of each of the lease's keys that this conf says something of."""
    told = {part.lease: part.value(conf) for part in PARTS if part.lease}
    return {key: digest(text) for key, text in told.items() if text}


def writer_hosts(conf: Cluster) -> str:
    """Return the digest of the hosts that ask each other for promises; empty where there is no such role."""
    return digests(conf).get(HOSTS, "")


def alike(conf: Cluster) -> dict[str, str]:
    """Return each part with its value, or with a digest of it where it is long; nothing for files of MMM 1.x."""
    if conf.dialect == NOT_COMPARED:
        return {}
    told = {part: part.value(conf) for part in PARTS if part.name}
    return {part.name: text if part.short else digest(text) for part, text in told.items() if text}


def shared(conf: Cluster) -> str:
    """Return one digest of what every conf of a cluster says, worked out once; empty for files of MMM 1.x."""
    if conf.dialect == NOT_COMPARED:
        return ""
    if _SHARED not in conf.worked_out:
        said = [part.value(conf) for part in PARTS if part.name and part.everywhere]
        conf.worked_out[_SHARED] = digest(repr(said))
    return conf.worked_out[_SHARED]


def digest(text: str) -> str:
    """Return 12 hexadecimal digits by which two hosts can compare a text without sending it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def differing(own: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys of which both say something, and not the same."""
    return tuple(key for key in own if key in other and own[key] != other[key])
