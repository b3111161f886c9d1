"""Listeners in the machines of a sandbox: addresses that come and go, and frames on the wire."""

import ipaddress
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from mmm.network.claims import claim
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import addresses
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.machines.machine import Machine

_NAP = 0.05
_LOOKS = 100
"""Looks at all sockets before what they gave is taken in, where something comes all the time."""
_ETH_P_ALL, _ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6 = 0x0003, 0x0800, 0x0806, 0x86DD
_ORDER = b"SET_STATUS|"
_BROADCAST = "ff:ff:ff:ff:ff:ff"


class _Tap:
    """Reads sockets in a thread from `with` to its end."""

    def __init__(self) -> None:
        self.sockets: dict[socket.socket, str] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for each in self.sockets:
            self._stack.enter_context(each)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.take(self._waiting())  # the thread may have ended before it read what came last
        self._stack.close()

    def _listen(self) -> None:
        while not self._over.is_set():
            ready, _, _ = select.select(list(self.sockets), [], [], _NAP)
            if ready:
                self.take(self._waiting())

    def _waiting(self) -> list[tuple[str, bytes]]:
        """Read until a look at all sockets finds nothing: what came later must not be read before what came first."""
        found: list[tuple[str, bytes]] = []
        for _ in range(_LOOKS):
            before = len(found)
            for each, name in self.sockets.items():
                with suppress(BlockingIOError):
                    found.append((name, each.recv(65536, socket.MSG_DONTWAIT)))
            if len(found) == before:
                break
        return found

    def take(self, messages: list[tuple[str, bytes]]) -> None:
        """Take in what came at about the same time, each with the name of its socket."""
        raise NotImplementedError


class Addresses(_Tap):
    """Every IPv4 address that comes and goes on the hosts, as their kernels tell it."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        # First they listen: what changes while the addresses are looked up is not missed.
        for name in sandbox.hosts:
            self.sockets[addresses.listen(sandbox.machine(name))] = name
        self.moved: list[addresses.Moved] = []
        self._before: Mapping[str, frozenset[str]] = {
            ip: frozenset(sandbox.holders(ip))
            for ip in (sandbox.layout.writer_ip, *sandbox.layout.reader_ips)
        }
        self._there = {(host, ip) for ip, hosts in self._before.items() for host in hosts}

    def of(self, ip: str) -> list[addresses.Moved]:
        """Return what became of one address."""
        return [moved for moved in self.moved if moved.ip == ip]

    def together(self, ip: str) -> list[tuple[str, ...]]:
        """Return every set of several hosts that had the address at the same time."""
        holders = set(self._before[ip])
        found = []
        for moved in self.of(ip):
            (holders.add if moved.bound else holders.discard)(moved.host)
            if len(holders) > 1:
                found.append(tuple(sorted(holders)))
        return found

    def take(self, messages: list[tuple[str, bytes]]) -> None:
        """Note what the kernels say. That an address which is there gets a new lifetime is no move."""
        news = [moved for host, data in messages for moved in addresses.moved(host, data)]
        for moved in removals_first(news):
            place = (moved.host, moved.ip)
            if moved.bound != (place in self._there):
                self.moved.append(moved)
            (self._there.add if moved.bound else self._there.discard)(place)


def removals_first(news: list[addresses.Moved]) -> Iterator[addresses.Moved]:
    """Yield what came at about the same time: removals before additions of other hosts, each host's own as they came.

    Which of two hosts was first is not known then.
    """
    waiting: dict[tuple[str, str], deque[addresses.Moved]] = {}
    for moved in news:
        waiting.setdefault((moved.host, moved.ip), deque()).append(moved)
    while waiting:
        first = min(
            waiting, key=lambda place: (waiting[place][0].bound, all(each.bound for each in waiting[place]))
        )
        yield waiting[first].popleft()
        if not waiting[first]:
            del waiting[first]


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet; `request` is False for a reply. `gratuitous` says of an address that it lives at `mac`."""

    at: float
    mac: str
    ip: str
    request: bool
    gratuitous: bool


class ArpTap(_Tap):
    """The ARP packets that reach a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.packets: list[Arp] = []
        made = machine.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ARP))
        self.sockets[made] = machine.name

    def claims(self, ip: str) -> list[Arp]:
        """Return the gratuitous packets for an address."""
        return [packet for packet in list(self.packets) if packet.ip == ip and packet.gratuitous]

    def take(self, messages: list[tuple[str, bytes]]) -> None:
        """Note the packets."""
        for _, data in messages:
            if len(data) >= 42:
                request = struct.unpack_from("!H", data, 20)[0] == 1
                ip, target = socket.inet_ntoa(data[28:32]), socket.inet_ntoa(data[38:42])
                gratuitous = ip == target and _mac(data[0:6]) == _BROADCAST
                self.packets.append(Arp(time.monotonic(), _mac(data[22:28]), ip, request, gratuitous))


class Traffic(_Tap):
    """What a machine sends, seen at its port of the switch: attempts to ping, and connections begun."""

    def __init__(self, sandbox: Sandbox, machine: str) -> None:
        super().__init__()
        self.pings: list[str] = []
        """Where it has sent an ICMP echo, or tried to: it asked the network who has the address."""
        self.calls: list[tuple[str, int]] = []
        """Where connections were begun, address and port."""
        self.orders: list[str] = []
        """Which agents were sent an order, by their addresses; in the clear only."""
        plug = sandbox.layout.plugs[machine]
        self._ip = socket.inet_aton(plug.ip)
        made = sandbox.machine(SWITCH).socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        made.bind((plug.port, _ETH_P_ALL))
        self.sockets[made] = machine

    def take(self, messages: list[tuple[str, bytes]]) -> None:
        """Note what the machine itself has sent."""
        for _, data in messages:
            kind, packet = struct.unpack_from("!H", data, 12)[0], data[14:]
            if kind == _ETH_P_ARP and packet[14:18] == self._ip and packet[7] == 1:
                self.pings.append(socket.inet_ntoa(packet[24:28]))
            elif kind == _ETH_P_IP and packet[12:16] == self._ip:
                self._take_ip(packet[9], socket.inet_ntoa(packet[16:20]), packet[(packet[0] & 15) * 4 :])

    def _take_ip(self, protocol: int, target: str, rest: bytes) -> None:
        if protocol == socket.IPPROTO_ICMP and rest[0] == 8:
            self.pings.append(target)
        elif protocol == socket.IPPROTO_TCP and rest[13] & 0x12 == 0x02:  # SYN without ACK
            self.calls.append((target, struct.unpack_from("!H", rest, 2)[0]))
        elif protocol == socket.IPPROTO_TCP and rest[(rest[12] >> 4) * 4 :].startswith(_ORDER):
            self.orders.append(target)


class Towards(_Tap):
    """In their order: what a machine is told of a VIP's MAC, and to which MAC it sends what is meant for the VIP."""

    def __init__(self, sandbox: Sandbox, machine: str, vip: str) -> None:
        super().__init__()
        self.told: list[tuple[int, str]] = []
        """Announcements: how many packets were sent before, and the MAC."""
        self.sent: list[str] = []
        self._told_at: list[float] = []
        self._sent_at: list[float] = []
        self._vip = ipaddress.ip_address(vip).packed
        plug = sandbox.layout.plugs[machine]
        self._own = mac_of(sandbox.machine(machine), plug.interface)
        made = sandbox.machine(SWITCH).socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        made.bind((plug.port, _ETH_P_ALL))
        self.sockets[made] = machine

    def take(self, messages: list[tuple[str, bytes]]) -> None:
        """Note announcements and packets for the VIP."""
        for _, data in messages:
            kind = struct.unpack_from("!H", data, 12)[0]
            said = claim(data)
            if said is not None and ipaddress.ip_address(said.ip).packed == self._vip:
                if not said.asks and said.mac != self._own and data[0] & 1:
                    self.told.append((len(self.sent), said.mac))
                    self._told_at.append(time.monotonic())
            elif _mac(data[6:12]) == self._own:
                target = data[30:34] if kind == _ETH_P_IP else data[38:54]
                if kind in {_ETH_P_IP, _ETH_P_IPV6} and target == self._vip:
                    self.sent.append(_mac(data[:6]))
                    self._sent_at.append(time.monotonic())

    def late(self, old: str, new: str) -> int:
        """Return how many packets went to the MAC `old` after everybody had been told of the MAC `new`."""
        first = next(number for number, mac in self.told if mac == new)
        return self.sent[first:].count(old)

    def lingering(self, old: str, new: str) -> float:
        """Return the seconds from the first announcement of the MAC `new` to the last packet to `old`; 0 for none."""
        place = next(place for place, (_, mac) in enumerate(self.told) if mac == new)
        first = self.told[place][0]
        late = [at for at, mac in zip(self._sent_at[first:], self.sent[first:], strict=True) if mac == old]
        return max(late) - self._told_at[place] if late else 0.0


def mac_of(machine: Machine, interface: str = "eth0") -> str:
    """Return the MAC address of a machine's interface."""
    return machine.run(["cat", f"/sys/class/net/{interface}/address"]).stdout.strip()


def _mac(data: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in data)
