"""Which addresses a machine has on its interfaces, and which come and go there, as its kernel tells it."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_NEWADDR, RTMGRP_IPV4_IFADDR
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from mmm.network.netlink import decoded, messages
from mmm.network.own import own_addresses
from mmm.sandbox.machines.machine import Machine, SandboxError


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


def bound_addresses(machine: Machine) -> frozenset[str]:
    """Return every address on the machine's interfaces but the loopback ones; raises SandboxError."""
    try:
        found = machine.in_its_network(own_addresses)
    except OSError as error:
        raise SandboxError(f"cannot ask for the addresses of machine {machine.name}: {error}") from error
    return frozenset(ip for ip, interface in found.items() if interface != "lo")
