"""The process that sends one copy: `python -m mmm.agent.stream.serve FD`, with its order on standard input.

FD is the recipient's connection, as it was taken on the agent's port: TLS, where the order says so, begins here. What
it says on standard output, a line each with W before what an admin should look at, the agent logs.
"""

import contextlib
import signal
import socket
import ssl
import sys

from mmm.agent.stream.order import Order, decode
from mmm.agent.stream.relay import Way
from mmm.agent.stream.sending import send_copy
from mmm.process import output, tls

HANDSHAKE = 10.0
"""Seconds that the recipient may take for the TLS handshake."""


def main() -> int:
    """Send the copy; returns 0 when the recipient was told all, however that went."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    output.prepare()
    order = decode(sys.stdin.buffer.read())
    with socket.socket(fileno=int(sys.argv[1])) as raw:
        raw.setblocking(True)
        try:
            with _wrapped(raw, order) as sock:
                way = Way(sock.sendall, sock.fileno(), lambda: sock.shutdown(socket.SHUT_RDWR))
                send_copy(order, way, say)
                _end(sock)
        except (OSError, tls.TlsError) as error:
            say("W", f"copy {order.job} for {order.to}: {error}")
            return 1
    return 0


def say(mark: str, text: str) -> None:
    """Say a line that the agent logs: `mark` is I or W."""
    print(f"{mark} {text}", flush=True)


def _wrapped(raw: socket.socket, order: Order) -> socket.socket | ssl.SSLSocket:
    """Return the connection as it is spoken on; raises OSError and TlsError."""
    context = tls.server_context(order.socket)
    raw.settimeout(HANDSHAKE)
    sock = context.wrap_socket(raw, server_side=True) if context else raw
    sock.settimeout(order.stall)
    return sock


def _end(sock: socket.socket) -> None:
    """End the connection in order, so that the recipient gets the last byte."""
    with contextlib.suppress(OSError):
        if isinstance(sock, ssl.SSLSocket):
            sock.settimeout(1.0)
            sock = sock.unwrap()
        sock.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main())
