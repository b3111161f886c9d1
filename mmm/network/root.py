"""Whether a client is root, on this machine or another one: that tells a cluster's daemons from ordinary users."""

import ipaddress
from contextlib import suppress

from mmm.network import socket_table
from mmm.network.listener import Peer
from mmm.network.privileged_port import FIRST_UNPRIVILEGED


def is_root(peer: Peer) -> bool:
    """Tell whether the client is root: by its port, which only root may bind, or here by the owner of its socket."""
    if 0 < peer.port < FIRST_UNPRIVILEGED:
        return True
    return is_local(peer) and _owner(peer) == 0


def is_local(peer: Peer) -> bool:
    """Tell whether the client is on this machine."""
    with suppress(ValueError):
        return peer.ip == peer.own or ipaddress.ip_address(peer.ip.partition("%")[0]).is_loopback
    return False


def _owner(peer: Peer) -> int | None:
    with suppress(OSError, ValueError):
        return socket_table.owner(peer.ip, peer.port, peer.own, peer.own_port)
    return None
