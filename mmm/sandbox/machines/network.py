"""The sandbox's network: a bridge in its own machine, and a cable from each machine to it."""

import ipaddress
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmm.sandbox.machines.machine import Machine, SandboxError

BRIDGE = "br0"
_BRIDGE_MAC = "02:00:00:4d:4d:01"
"""A bridge without its own MAC takes that of a port, and another one when that machine is switched off."""
_INTERFACE_LENGTH = 15
Lengths = Mapping[int, int]
"""The prefix length of the machines' addresses, by IP version."""


@dataclass(frozen=True, slots=True)
class Plug:
    """One end of a cable: `port` on the bridge, `interface` with `ip`, and with `more` of a /64, in the machine."""

    machine: str
    port: str
    interface: str
    ip: str
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (
            self.interface == "lo"
            or not 0 < len(self.interface) <= _INTERFACE_LENGTH
            or set(self.interface) & set("/: ")
        ):
            raise SandboxError(
                f"{self.machine}: {self.interface!r} cannot be the name of a network interface"
            )


def prefix_lengths(addresses: Sequence[str]) -> Lengths:
    """Return the prefix lengths to give the addresses: of a common /24, /16 or /64, else of a single host."""
    return {4: _length(addresses, 4, (24, 16), 32), 6: _length(addresses, 6, (64,), 128)}


def _length(addresses: Sequence[str], version: int, lengths: Sequence[int], single: int) -> int:
    own = [address for address in map(ipaddress.ip_address, addresses) if address.version == version]
    for length in lengths:
        if len({ipaddress.ip_network((address, length), strict=False) for address in own}) <= 1:
            return length
    return single


def lay(switch: Machine, addresses: Sequence[str], lengths: Lengths) -> None:
    """Make the bridge, with addresses that answer ping (gateways); raises SandboxError."""
    own = [f"address add {_with_length(ip, lengths)} dev {BRIDGE}" for ip in addresses]
    bridge = (
        f"link add {BRIDGE} address {_BRIDGE_MAC} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
    )
    _batch(switch, [bridge, f"link set {BRIDGE} up", *own, *_everything_on_link(BRIDGE)])


def plug_in(switch: Machine, machine: Machine, plug: Plug, lengths: Lengths) -> None:
    """Lay the cable of a machine and give it its address; raises SandboxError."""
    # One end is made inside the machine at once, so that a machine that ends takes its cable with it.
    peer = f"{plug.interface} address {_mac(plug)} netns {machine.pid}"
    cable = f"link add {plug.port} type veth peer name {peer}"
    argv = ["nsenter", "-t", str(switch.pid), "-n", "--", "ip", *cable.split()]
    made = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=10
    )
    if made.returncode:
        raise SandboxError(f"cannot lay the cable of {plug.machine}: {made.stderr.strip()}")
    _batch(switch, [f"link set {plug.port} master {BRIDGE} up"])
    own = [
        f"address add {_with_length(plug.ip, lengths)} dev {plug.interface}",
        *(f"address add {ip}/64 dev {plug.interface} nodad" for ip in plug.more),
        f"link set {plug.interface} up",
    ]
    _batch(machine, [*own, *_everything_on_link(plug.interface)])


def _mac(plug: Plug) -> str:
    """Return the interface's MAC, the same after every boot: neighbours remember it."""
    return "02:4d:" + zlib.crc32(f"{plug.machine} {plug.ip}".encode()).to_bytes(4).hex(":")


def unplug(switch: Machine, plug: Plug) -> None:
    """Take the cable of a machine away, both ends; that there is none is fine. Raises SandboxError."""
    switch.run(["ip", "link", "delete", plug.port], limit=5, check=False)


def set_port(switch: Machine, port: str, *, up: bool) -> None:
    """Connect or cut the cable at the bridge; raises SandboxError."""
    _batch(switch, [f"link set {port} {'up' if up else 'down'}"])


def ports_down(switch: Machine) -> frozenset[str]:
    """Return the ports of the bridge that are cut; raises SandboxError."""
    shown = switch.run(["ip", "-o", "link", "show", "master", BRIDGE], limit=5).stdout.splitlines()
    named = ((line.split(": ")[1].split("@")[0], line.split("<")[1].split(">")[0]) for line in shown)
    return frozenset(name for name, flags in named if "UP" not in flags.split(","))


def _with_length(ip: str, lengths: Lengths) -> str:
    return f"{ip}/{lengths[ipaddress.ip_address(ip).version]}"


def _everything_on_link(interface: str) -> list[str]:
    """Return the routes that make every other address a neighbour, whatever its subnet."""
    everything = ["0.0.0.0/0", "::/0"] if Path("/proc/sys/net/ipv6").exists() else ["0.0.0.0/0"]
    return [f"route add {net} dev {interface}" for net in everything]


def _batch(machine: Machine, lines: Sequence[str]) -> None:
    machine.run(["ip", "-batch", "-"], text="\n".join(lines) + "\n", limit=10)
