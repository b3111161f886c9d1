"""Whether anybody on this segment answers for an address, as the kernel's table of neighbours has it."""

from pathlib import Path

from mmm.network.icmp import Pinger

_TABLE = Path("/proc/net/arp")
_TRIES = 3
_WAIT = 0.5
_COMPLETE = 0x2  # ATF_COM


async def is_absent(pinger: Pinger, ip: str) -> bool:
    """Tell whether nothing answers ARP for `ip`, after asking for about 1.5 s.

    An address behind a gateway, whose neighbours cannot be asked, is not known to be absent.
    """
    for _ in range(_TRIES):
        if await pinger.ping(ip, _WAIT) is not None:
            return False
    return _unanswered(_table(), ip)


def _table() -> str:
    return _TABLE.read_text("ascii")


def _unanswered(table: str, ip: str) -> bool:
    """Tell whether the table has the address, asked for and not answered."""
    rows = [line.split() for line in table.splitlines()[1:]]
    flags = [int(row[2], 16) for row in rows if row and row[0] == ip]
    return bool(flags) and not any(each & _COMPLETE for each in flags)
