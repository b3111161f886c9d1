"""Whether the server on this host listens where clients connect: at a VIP where it does not, all are refused."""

import time
from collections.abc import Collection
from math import inf

from mmm.network.socket_table import listening, takes

FRESH = 0.25
"""Seconds for which a look counts that was taken before nobody could write."""


class Listening:
    """Where the server on this host listens, at its `port`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._addresses: Collection[str] = ()
        self._looked = -inf

    def look(self) -> None:
        """Ask the kernel."""
        self._looked = time.monotonic()
        try:
            self._addresses = listening(self._port)
        except OSError:
            self._addresses = ()

    def deaf_at(self, ip: str) -> str:
        """Return why nothing takes connections to `ip`, empty where something does, or where that cannot be told.

        Where nothing listens on the port at all the server is dead, or does not run on this host. A look that was
        taken FRESH seconds ago, at most, is not repeated where it found that the server does listen.
        """
        if time.monotonic() - self._looked > FRESH or not takes(self._addresses, ip):
            self.look()
        if not self._addresses or takes(self._addresses, ip):
            return ""
        return not_listening(self._port, [ip], self._addresses)


def not_listening(port: int, deaf: Collection[str], addresses: Collection[str]) -> str:
    """Return what to say of a server that listens at `addresses` only, and should at others."""
    only = ", ".join(sorted(addresses))
    where = ", ".join(deaf)
    return f"its server does not listen on {where}: port {port} is open at {only} only; see bind-address in my.cnf"
