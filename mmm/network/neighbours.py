"""Whether anybody on this segment answers for an address, as the kernel's table of neighbours has it."""

import fcntl
import logging
import socket
import struct
from pathlib import Path

from mmm.network.icmp import Pinger

_TABLE = Path("/proc/net/arp")
_TRIES = 3
_WAIT = 0.5
_COMPLETE, _PERMANENT = 0x2, 0x4  # ATF_COM, ATF_PERM
_SIOCDARP = 0x8953
_REQUEST = struct.Struct(
    "=H2x4s8x16xi16x16s"
)  # struct arpreq: address, hardware address, flags, mask, device

log = logging.getLogger(__name__)


async def is_absent(pinger: Pinger, ip: str) -> bool:
    """Tell whether nothing answers ARP for `ip`, after asking for about 1.5 s.

    What the kernel remembers is forgotten first: it believes an answer for up to a minute. An address behind a gateway,
    whose neighbours cannot be asked, is not known to be absent, and neither is one that an admin has entered by hand.
    """
    _forget(_table(), ip)
    for _ in range(_TRIES):
        if await pinger.ping(ip, _WAIT) is not None:
            return False
    return _unanswered(_table(), ip)


def _table() -> str:
    return _TABLE.read_text("ascii")


def _rows(table: str, ip: str) -> list[tuple[int, str]]:
    """Return flags and interface of each entry of the address."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return [(int(row[2], 16), row[-1]) for row in rows if row and row[0] == ip]


def _forget(table: str, ip: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for flags, interface in _rows(table, ip):
            if flags & _COMPLETE and not flags & _PERMANENT:
                request = _REQUEST.pack(socket.AF_INET, socket.inet_aton(ip), flags, interface.encode())
                try:
                    fcntl.ioctl(sock, _SIOCDARP, request)
                except OSError as error:
                    log.debug("cannot forget who has %s: %s", ip, error.strerror)


def _unanswered(table: str, ip: str) -> bool:
    """Tell whether the table has the address, asked for and not answered."""
    flags = [flags for flags, _ in _rows(table, ip)]
    return bool(flags) and not any(each & _COMPLETE for each in flags)
