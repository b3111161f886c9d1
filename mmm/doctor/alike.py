"""What of a conf has to be alike on all hosts, as words that can be compared. Pure."""

from mmm.config.agreement import digest
from mmm.config.model import Cluster

NOT_COMPARED = 1
"""The dialect in which agents' files hold less than the monitor's."""


def alike(conf: Cluster) -> dict[str, str]:
    """Return each part with its value, or with a digest of it where it is long; nothing for files of MMM 1.x."""
    if conf.dialect == NOT_COMPARED:
        return {}
    hosts = [
        (host.name, host.ip, host.mode, host.peer, host.agent_port, host.mysql_port)
        for host in conf.hosts.values()
    ]
    roles = [(role.name, role.mode, role.hosts, role.ips) for role in conf.roles.values()]
    return {
        "active_master_role": conf.active_master_role,
        "vip_lease": f"{conf.vip_lease:g}",
        "socket type": conf.socket.type,
        "hosts": digest(repr(hosts)),
        "roles": digest(repr(roles)),
    }
