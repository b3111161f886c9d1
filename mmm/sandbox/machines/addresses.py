"""Which addresses come and go on a machine's interfaces, as its kernel tells it."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_NEWADDR, RTMGRP_IPV4_IFADDR
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from mmm.network.netlink import decoded, messages
from mmm.sandbox.machines.machine import Machine


@dataclass(frozen=True, slots=True)
class Moved:
    """An address that was bound on a host, or (`bound` is False) removed."""

    host: str
    ip: str
    bound: bool


def listen(machine: Machine) -> socket.socket:
    """Return a socket that receives what `moved` reads; raises OSError, SandboxError."""
    made = machine.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
    made.bind((0, RTMGRP_IPV4_IFADDR))
    return made


def moved(host: str, data: bytes) -> Iterator[Moved]:
    """Yield the IPv4 addresses that messages from `host` are about."""
    for message in messages(data):
        if message.kind in {RTM_NEWADDR, RTM_DELADDR}:
            ip = decoded(ifaddrmsg, message.data).get_attr("IFA_LOCAL")
            yield Moved(host, ip, message.kind == RTM_NEWADDR)
