"""Whether a server lets in the replication user of the conf, found out as a replica would: by logging in."""

from dataclasses import replace

from mmm.config.model import Host
from mmm.mysql.session.connection import Address, ErrorKind, MysqlError, connect
from mmm.mysql.session.errors import of_client
from mmm.mysql.session.tls import Tls, tls_of


def replicates_from(host: Host) -> Address:
    """Return where a replica finds the host's server, and who replicates."""
    return Address(host.ip, host.mysql_port, host.replication_user, host.replication_password)


def tools_at(host: Host) -> Address:
    """Return where `tools_user` reaches the host's server."""
    ip = host.mysql_host or host.ip
    return Address(ip, host.mysql_port, host.tools_user, host.tools_password, tls_of(host))


def refused_login(host: Host, limit: float) -> str:
    """Return why the host's server turns the replication user of the conf away; empty when it does not, or is silent.

    Tried without TLS and with, for a replica may have that set: only what neither can is said.
    """
    if not host.replication_user:
        return ""
    plain = replicates_from(host)
    why = _refusal(plain, limit)
    if not why or not _refusal(replace(plain, tls=Tls("required")), limit):
        return ""
    return f"the server of {host.name} turns replication_user {host.replication_user} of the conf away: {why}"


def _refusal(address: Address, limit: float) -> str:
    """Return why the account is turned away; empty when it is not, or this client cannot tell."""
    try:
        connect(address, limit).close()
    except MysqlError as error:
        ours = of_client(error.number)
        return error.text if error.kind is ErrorKind.DENIED and (not ours or address.tls) else ""
    return ""
