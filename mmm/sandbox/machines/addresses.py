"""Which addresses a machine has on its interfaces, and which come and go there, as its kernel tells it."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_DELADDR, RTM_NEWADDR, RTMGRP_IPV4_IFADDR
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from mmm.agent.act.taken import Taken
from mmm.clock import clock
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
    """Return every address on the machine's interfaces but the loopback ones; raises SandboxError.

    With them what its agent holds without an address.
    """
    try:
        found = machine.in_its_network(own_addresses)
    except OSError as error:
        raise SandboxError(f"cannot ask for the addresses of machine {machine.name}: {error}") from error
    return held_without_address(machine) | {ip for ip, interface in found.items() if interface != "lo"}


def held_without_address(machine: Machine) -> frozenset[str]:
    """Return the IPs of roles that the machine's agent holds without an address, by its lease; raises SandboxError."""
    return Taken(str(machine.path("/run/mmm_agentd.pid"))).held_at(clock() + _apart(machine))


def _apart(machine: Machine) -> float:
    """Return how many seconds the machine's clock of leases is ahead of this one: it counts from its boot."""
    try:
        text = Path(f"/proc/{machine.pid}/timens_offsets").read_text("ascii")
    except OSError as error:
        raise SandboxError(f"machine {machine.name}: its clock is not known: {error}") from error
    offsets = {name: float(seconds) for name, seconds, _ in map(str.split, text.splitlines())}
    return offsets["boottime"]
