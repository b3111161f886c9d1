"""How many connections of one address may be in their handshake: they count as no client yet, and cost a file each."""

import socket
from weakref import WeakValueDictionary

from mmm.network.listener import Peer

_KEPT = 1000
"""Addresses after which those are forgotten that have nothing open."""


class Arrivals:
    """The connections of a port that were accepted and are not served yet; at most `most` of one address."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, WeakValueDictionary[int, socket.socket]] = {}
        """By address and port. That a handshake has failed nobody tells: its socket is closed then."""

    def takes(self, connection: socket.socket, peer: Peer) -> bool:
        """Tell whether one more of this address may be served, and take note of it then."""
        if len(self._open) > _KEPT:
            self._open = {ip: known for ip, known in self._open.items() if _open(known)}
        known = self._open.setdefault(peer.ip, WeakValueDictionary())
        for port in set(known) - _open(known):
            known.pop(port, None)
        if len(known) >= self._most:
            return False
        known[peer.port] = connection
        return True

    def served(self, peer: Peer) -> None:
        """Take note that its handshake is over: it counts as a client now."""
        if (known := self._open.get(peer.ip)) is not None:
            known.pop(peer.port, None)


def _open(known: WeakValueDictionary[int, socket.socket]) -> set[int]:
    """Return the ports of the connections that are still open."""
    return {port for port, each in known.items() if each.fileno() >= 0}
