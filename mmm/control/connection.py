"""How mmm_control reaches the monitor: one connection for each command, plain or TLS, signed where that is asked."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mmm.config.endpoint import Endpoint
from mmm.config.tree import only
from mmm.control.signing import is_signed, signed
from mmm.wire.command import encode_command

CONNECT_LIMIT = 10.0
"""Seconds for the monitor to accept."""
ANSWER_LIMIT = 90.0
"""Seconds for the whole answer; a move of the writer may take a minute."""
STATUS_LIMIT = 6.0
"""Seconds for status and health where a program asks: less than the 10 s that Prometheus and Nagios wait."""
GLANCE = 2.0
"""Seconds for a monitor to say whether it leads."""
_MAX_ANSWER = 64 * 1024 * 1024

Wrap = Callable[[socket.socket], socket.socket]


class NoAnswerError(Exception):
    """The monitor could not be asked; the text is one line that says why and what to look at."""


class NotAddressedError(Exception):
    """No monitor is meant by the command; the text is one line that says why."""


def ask(monitor: Endpoint, wrap: Wrap, command: Sequence[str], limit: float = ANSWER_LIMIT) -> str:
    """Return the monitor's answer to the command, which may take `limit` seconds in all; raises NoAnswerError."""
    end = time.monotonic() + limit
    with talking_to(monitor) as where:
        answer = _signed(monitor, wrap, command, limit) if is_signed(monitor.key, command) else None
        if answer is None:
            with connected(monitor, wrap, min(limit, CONNECT_LIMIT)) as connection:
                connection.sendall(encode_command(command))
                answer = _receive(connection, end - time.monotonic())
    if not answer:
        raise NoAnswerError(f"{where} closed the connection without an answer: {_CLOSED}")
    return answer


@contextmanager
def talking_to(monitor: Endpoint) -> Iterator[str]:
    """Raise NoAnswerError for what goes wrong on the way to the monitor; gives its name for sentences."""
    where = f"monitor at {monitor.ip}:{monitor.port}"
    if monitor.ip is None:
        raise NoAnswerError(f"{monitor.path} names no monitor")
    try:
        yield where
    except TimeoutError:
        raise NoAnswerError(f"{where} did not answer in time; see its log") from None
    except OSError as error:
        raise NoAnswerError(f"cannot talk to {where}: {_reason(error)}") from error


def connected(monitor: Endpoint, wrap: Wrap, limit: float = CONNECT_LIMIT) -> socket.socket:
    """Return a connection to the monitor; raises OSError.

    Where its address comes from a conf with errors nobody waits for long.
    """
    patience = min(limit, GLANCE) if monitor.faults else limit
    end = time.monotonic() + patience
    plain = socket.create_connection((monitor.ip, monitor.port), patience)
    plain.settimeout(max(0.001, end - time.monotonic()))
    return wrap(plain)


def _signed(monitor: Endpoint, wrap: Wrap, command: Sequence[str], limit: float) -> str | None:
    """Return the answer to the command, sent signed; None where the monitor knows no signatures."""
    end = time.monotonic() + limit
    with connected(monitor, wrap, min(limit, CONNECT_LIMIT)) as connection:
        request = signed(connection, monitor.key, command, end - time.monotonic())
        if request is None:
            return None
        connection.sendall(request)
        return _receive(connection, end - time.monotonic())


_CLOSED = "see its log; is its <socket> type ssl, or is this host not in allow_from?"


def _reason(error: OSError) -> str:
    """Return why there was no talking to the monitor, and what to look at."""
    tls = getattr(error, "verify_message", "") or getattr(error, "reason", "")  # of ssl.SSLError
    if tls:
        return (
            f"TLS failed ({str(tls).replace('_', ' ').lower()}); is <socket> the same in its conf and here?"
        )
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused; is mmm_mond running?"
    if isinstance(error, ConnectionResetError):
        return f"Connection reset by peer; {_CLOSED}"
    return error.strerror or str(error)


def _receive(connection: socket.socket, limit: float) -> str:
    end = time.monotonic() + limit
    received = bytearray()
    while len(received) < _MAX_ANSWER:
        connection.settimeout(max(0.001, end - time.monotonic()))
        data = connection.recv(65536)
        if not data:
            break
        received += data
    return received.decode(errors="replace")


def tls(settings: dict[str, Any]) -> Wrap:
    """Return what makes a connection one of `<socket>`; raises ConfError.

    The files are read for each, for who follows the monitor does so for years; where they cannot be used then those
    count that were read before.
    """
    if settings.get("type", "plain") == "plain":
        return lambda plain: plain
    from mmm.config.model import Socket  # noqa: PLC0415 - most clusters use plain TCP
    from mmm.process.tls import TlsError, client_context  # noqa: PLC0415

    files = Socket(**settings)
    try:
        newest = client_context(files)
    except TlsError as error:
        raise only("tls", {"why": str(error)}) from error

    def wrap(plain: socket.socket) -> socket.socket:
        nonlocal newest
        with suppress(TlsError, OSError):
            newest = client_context(files)
        return newest.wrap_socket(plain) if newest else plain

    return wrap
