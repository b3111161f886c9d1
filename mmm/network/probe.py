"""Whether somebody on the segment has an address that is about to be bound here (RFC 5227, RFC 4862)."""

import logging
import select
import socket
import time

from mmm.lease.rules import PROBING
from mmm.network.claims import ETH_P_ARP, ETH_P_IPV6, claim
from mmm.network.conflicts import ADVERTISEMENTS, ALL_ARP, own_macs
from mmm.network.packet_filter import packet_socket
from mmm.network.sender import Sender

COUNT = 2
"""How often it is asked."""
INTERVAL = PROBING / COUNT
"""Seconds from one question to the next, and from the last one to the end."""

log = logging.getLogger(__name__)


def holder(sender: Sender, ip: str) -> str | None:
    """Return the MAC of another interface that has `ip`, empty where none answers in PROBING seconds; blocks.

    None: nobody could be asked, as on an interface that is not there. One without ARP hears nobody. It takes the whole
    time in any case: whoever asks may count on that.
    """
    kind, checks = (ETH_P_IPV6, ADVERTISEMENTS) if ":" in ip else (ETH_P_ARP, ALL_ARP)
    end, found, asked = time.monotonic() + PROBING, "", True
    try:
        sender.built(ip)
        with packet_socket(sender.interface, kind, checks) as sock:
            for _ in range(COUNT):
                sender.ask(ip)
                found = found or _answer(sock, ip, time.monotonic() + INTERVAL)
    except OSError as error:
        asked = False
        log.warning("cannot ask who has %s on %s: %s", ip, sender.interface, error.strerror or error)
    time.sleep(max(0.0, end - time.monotonic()))
    return found if found or asked else None


def _answer(sock: socket.socket, ip: str, until: float) -> str:
    """Return the MAC that claims `ip` until then, empty when none does."""
    mine = own_macs()
    while (left := until - time.monotonic()) > 0:
        if not select.select([sock], [], [], left)[0]:
            return ""
        said = claim(sock.recv(128))
        if said is not None and said.ip == ip and not said.asks and said.mac not in mine:
            return said.mac
    return ""
