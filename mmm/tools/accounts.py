"""As whom the tools come to servers."""

from mmm.config.model import Host
from mmm.mysql.session.connection import Address
from mmm.mysql.session.tls import tls_of


def tools_at(host: Host) -> Address:
    """Return where `tools_user` reaches the host's server."""
    return Address(host.ip, host.mysql_port, host.tools_user, host.tools_password, tls_of(host))
