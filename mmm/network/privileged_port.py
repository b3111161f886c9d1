"""Connections from ports below 1024, which only root may bind: they tell a daemon's connection from a user's.

A port may serve several connections at once, to different places: so the few hundred suffice for a thousand hosts.
Ports of well-known services are left to them.
"""

import asyncio
import errno
import itertools
import socket
import ssl
from contextlib import closing

FIRST_UNPRIVILEGED = 1024
_SERVICES = frozenset(
    {623, 631, 636, 664, 749, 750, 783, 853, 860, 873, 921, 953, 989, 990, 992, 993, 994, 995}
)
_PORTS = itertools.cycle(port for port in range(1023, 599, -1) if port not in _SERVICES)
_HOW_MANY = 1023 - 599 - len(_SERVICES)
_TRIES = 5
"""Ports that are tried for one connection: an earlier one from the same port to the same place may not be over."""
_IN_USE = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})


def usable() -> str:
    """Return why this process cannot send from such ports, empty when it can."""
    try:
        with closing(_bound(socket.AF_INET)) as sock:
            port: int = sock.getsockname()[1]
    except OSError as error:
        return error.strerror or str(error)
    return "" if port else "not permitted"


async def open_connection(
    ip: str, port: int, tls: ssl.SSLContext | None = None, limit: int = 2**16
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to `ip` from a port below 1024, from any where this process may not; raises OSError."""
    sock = await _connected(ip, port)
    return await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=ip if tls else None, limit=limit)


async def _connected(ip: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for left in reversed(range(_TRIES)):
        sock = _bound(family)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (ip, port))
        except OSError as error:
            sock.close()
            if error.errno not in _IN_USE or not left:
                raise
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise AssertionError("unreachable")


def _bound(family: socket.AddressFamily) -> socket.socket:
    """Return a socket at the next free port, at none where this process may not; raises OSError."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(_HOW_MANY):
            try:
                sock.bind(("", next(_PORTS)))
            except PermissionError:
                return sock
            except OSError as error:
                if error.errno not in _IN_USE:
                    raise
            else:
                return sock
    except BaseException:
        sock.close()
        raise
    return sock
