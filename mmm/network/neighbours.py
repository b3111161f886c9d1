"""Whether anybody on this segment answers for an address, by the kernel's neighbour table."""

import logging
import socket
from collections.abc import Iterable
from typing import NamedTuple

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_DELNEIGH, RTM_GETNEIGH
from pyroute2.netlink.rtnl.ndmsg import (
    NUD_DELAY,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    ndmsg,
)

from mmm.network.addresses import packed
from mmm.network.icmp import Pinger
from mmm.network.netlink import Kernel, decoded, encoded

_TRIES = 3
_WAIT = 0.5
_LEARNT = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE

log = logging.getLogger(__name__)


class _Neighbour(NamedTuple):
    family: int
    interface: int
    state: int


async def is_absent(pinger: Pinger, ip: str) -> bool:
    """Tell whether nothing answers ARP for `ip`, after asking for about 1.5 s; raises OSError.

    What the kernel remembers is forgotten first: it believes an answer for up to a minute. An address behind a gateway,
    whose neighbours cannot be asked, is not known to be absent, and neither is one that an admin has entered by hand.
    """
    with Kernel(NETLINK_ROUTE) as kernel:
        _forget(kernel, ip)
        for _ in range(_TRIES):
            if await pinger.ping(ip, _WAIT) is not None:
                return False
        return _is_unanswered(_entries(kernel, ip))


def _entries(kernel: Kernel, ip: str) -> list[_Neighbour]:
    """Return the entries of the address, one for each interface."""
    wanted = packed(ip)
    told = kernel.dump(RTM_GETNEIGH, encoded(ndmsg, {"family": socket.AF_INET}))
    found = [decoded(ndmsg, message) for message in told if wanted in message]
    return [_Neighbour(each["family"], each["ifindex"], each["state"])
            for each in found if each.get_attr("NDA_DST") == ip]  # fmt: skip


def _forget(kernel: Kernel, ip: str) -> None:
    for family, interface, state in _entries(kernel, ip):
        if state & _LEARNT:
            try:
                body = encoded(ndmsg, {"family": family, "ifindex": interface}, {"NDA_DST": ip})
                kernel.change(RTM_DELNEIGH, 0, body)
            except OSError as error:
                log.debug("cannot forget who has %s: %s", ip, error.strerror)


def _is_unanswered(entries: Iterable[_Neighbour]) -> bool:
    """Tell whether the table has the address, asked for and not answered."""
    states = [entry.state for entry in entries]
    return bool(states) and not any(state & (_LEARNT | NUD_PERMANENT) for state in states)
