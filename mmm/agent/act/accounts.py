"""The accounts that the agent logs in with, and those whose sessions it never ends."""

from mmm.config.model import Cluster, Host
from mmm.mysql.session.connection import Address
from mmm.mysql.session.tls import tls_of


def kept_users(conf: Cluster) -> frozenset[str]:
    """Return the MySQL users whose sessions this host's agent never ends."""
    users = (user for host in conf.hosts.values() for user in (host.agent_user, host.replication_user))
    return frozenset((*users, conf.hosts[conf.this].monitor_user, *conf.keep_users)) - {""}


def agent_at(host: Host) -> Address:
    """Return where the agent user reaches the host's server."""
    return Address(host.ip, host.mysql_port, host.agent_user, host.agent_password, tls_of(host))
