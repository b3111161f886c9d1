"""Notices who else claims the VIPs of this host, and has them announced again (rules 10.19, 10.37).

A frame that says that one of them is at another MAC means that two hosts have it, or that somebody pretends to. A
frame that asks who has it, without an address of its own, comes from a host that let it go or is about to take it.
"""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mmm.clock import clock
from mmm.network.arp import Announcer
from mmm.network.claims import ADVERTISEMENT, ETH_P_ARP, ETH_P_IPV6, Claim, claim
from mmm.network.layouts import ARP, DISCOVERY
from mmm.network.packet_filter import Check, is_on, packet_socket, stands

SAID_EVERY = 60.0
"""Seconds between two log lines about the same VIP at the same MAC."""
LOOK = 5.0
"""Seconds after which it is looked whether the interface is there, and is the same."""
_AT_ONCE, _PAUSE = 64, 0.05
"""Frames that are read before a pause, and its seconds: so a flood costs a hundredth of a processor."""
ALL_ARP = stands(ARP["Ether.type"], ETH_P_ARP)
ADVERTISEMENTS = (
    stands(DISCOVERY["Ether.type"], ETH_P_IPV6)
    + stands(DISCOVERY["IPv6.nh"], socket.IPPROTO_ICMPV6)
    + stands(DISCOVERY["ICMPv6ND_NA.type"], ADVERTISEMENT)
)

log = logging.getLogger(__name__)


class Watch:
    """Reads ARP, and neighbour advertisements where there are IPv6 VIPs; lives in an asyncio loop. `close` it.

    `claimed` is told of a VIP that another MAC claims, and tells whether it sees to the announcement itself.
    """

    def __init__(
        self,
        interface: str,
        ips: Iterable[str],
        announcer: Announcer,
        claimed: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._interface = interface
        self._claimed = claimed
        self._announcer = announcer
        self._kinds: list[tuple[int, tuple[Check, ...]]] = [(ETH_P_ARP, ALL_ARP)]
        if any(":" in ip for ip in ips):
            self._kinds.append((ETH_P_IPV6, ADVERTISEMENTS))
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._counts: dict[str, int] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._look()

    def close(self) -> None:
        """Notice nothing more."""
        self._next.cancel()
        self._drop()

    def _look(self) -> None:
        """Watch the interface that has the name now: it may have come, or been made anew, without a word."""
        self._next = self._loop.call_later(LOOK, self._look)
        if not all(is_on(sock, self._interface) for sock in self._sockets):
            self._drop()
        if not self._sockets:
            self._open()

    def _open(self) -> None:
        try:
            for kind, checks in self._kinds:
                self._sockets.append(packet_socket(self._interface, kind, checks))
        except OSError as error:
            log.debug("interface %s: cannot watch for conflicts now: %s", self._interface, error.strerror)
            self._drop()
            return
        for sock in self._sockets:
            self._loop.add_reader(sock, self._read, sock)

    def _drop(self) -> None:
        for sock in self._sockets:
            with suppress(ValueError):
                self._loop.remove_reader(sock)
            sock.close()
        self._sockets = []

    def _read(self, sock: socket.socket) -> None:
        try:
            for _ in range(_AT_ONCE):
                said = claim(sock.recv(128))
                if said is not None and said.ip in self._announcer.held:
                    self._notice(said)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENETDOWN or not is_on(sock, self._interface):
                self._drop()
            return
        self._loop.remove_reader(sock)
        self._loop.call_later(_PAUSE, self._go_on, sock)

    def _go_on(self, sock: socket.socket) -> None:
        if sock in self._sockets:
            self._loop.add_reader(sock, self._read, sock)

    def _notice(self, said: Claim) -> None:
        if said.mac in own_macs():
            return
        asks = not said.asks and self._claimed(said.ip)
        if not said.asks:
            self._announcer.strangers.noticed(said.ip, said.mac, clock())
            follows = "other hosts are asked whether they have the role" if asks else "announced again"
            self._conflict(said.ip, said.mac, follows)
        if not asks:
            self._announcer.again(said.ip)

    def _conflict(self, ip: str, mac: str, follows: str) -> None:
        self._counts[ip] = count = self._counts.get(ip, 0) + 1
        now = time.monotonic()
        if now - self._said.get((ip, mac), -SAID_EVERY) < SAID_EVERY:
            return
        if len(self._said) > _AT_ONCE:
            self._said.clear()
        self._said[ip, mac] = now
        log.warning(
            "conflict: %s is held here, and %s on %s claims it too, %d times by now;"
            " %s: find that host and remove the address there",
            ip,
            mac,
            self._interface,
            count,
            follows,
        )


def own_macs() -> frozenset[str]:
    """Return the MACs of all interfaces of this host: two of them may be on one segment."""
    found = set()
    for address in Path("/sys/class/net").glob("*/address"):
        with suppress(OSError):
            found.add(address.read_text("ascii").strip())
    return frozenset(found)
