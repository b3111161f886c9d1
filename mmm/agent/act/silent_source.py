"""Ends the attempt of this host's server to connect to a silent source, so that replication can be stopped at once.

MariaDB 11.8 stops a thread that waits for its source's first word only when slave_net_timeout is over, and takes no
other order on replication until then: 10 to 60 s in which nothing can be got of a dead writer's log, and nobody else
be followed. MySQL waits up to 2 s. The kernel ends the connection; the thread rests then, and a rest is cut short.
"""

import ipaddress
import logging
import os
from pathlib import Path

from mmm.config.model import Host
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import Connection
from mmm.network.socket_table import destroy, listening_sockets, outgoing
from mmm.process.socket_owner import UnknownOwnerError, has_socket, hold_owner

log = logging.getLogger(__name__)


def give_up_connecting(here: Host, server: Connection, but: Host | None = None) -> None:
    """End what the server is connecting to as a replica, unless that is `but`, which it is to follow.

    Nothing happens where it is connected, or where the kernel cannot do that. Raises MysqlError.
    """
    status = replica_status(server)
    if status is None or status.detached or status.io_running != "Connecting":
        return
    if but is not None and (status.source_ip, status.source_port) == (but.ip, but.mysql_port):
        return
    try:
        ended = _end(here, str(ipaddress.ip_address(status.source_ip)), status.source_port)
    except (ValueError, OSError, UnknownOwnerError) as error:  # a source that is told by name among them
        log.debug("%s: the attempt to connect to %s stays: %s", here.name, status.source_ip, error)
        return
    if ended:
        text = "%s: its server gives up connecting to %s:%d, so that replication stops at once"
        log.info(text, here.name, status.source_ip, status.source_port)


def _end(here: Host, ip: str, port: int) -> int:
    """End what the server's process connects to there, and nobody else's; raises OSError, UnknownOwnerError."""
    found = outgoing(ip, port)
    if not found:
        return 0
    held = hold_owner(listening_sockets(here.ip, here.mysql_port), Path(here.mysql_pidfile))
    try:
        return destroy(one for inode, one in found.items() if has_socket(held.pid, inode))
    finally:
        os.close(held.fd)
