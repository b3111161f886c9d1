"""The process that sends one copy: `python -m mmm.agent.stream.serve FD`, with its order on standard input.

FD is the recipient's connection, as it was taken on the agent's port: TLS, where the order says so, begins here. What
it says on standard output, a line each with W before what an admin should look at, the agent logs.
"""

import contextlib
import fcntl
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mmm.agent.stream.bucket import Bucket
from mmm.agent.stream.order import Order, decode
from mmm.agent.stream.producers import UnfitError, produced_by
from mmm.agent.stream.relay import Relay, Way
from mmm.agent.stream.running import COMPRESSOR, Running
from mmm.process import tls
from mmm.wire.stream import BLOCKED, GONE, Head, Tail, head_frame, tail_frames

HANDSHAKE = 10.0
"""Seconds that the recipient may take for the TLS handshake."""
MEGABYTE = 1_000_000


def main() -> int:
    """Send the copy; returns 0 when the recipient was told all, however that went."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    order = decode(sys.stdin.buffer.read())
    with socket.socket(fileno=int(sys.argv[1])) as raw:
        raw.setblocking(True)
        try:
            with _wrapped(raw, order) as sock:
                _serve(sock, order)
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


def _serve(sock: socket.socket, order: Order) -> None:
    with _scratch() as scratch:
        try:
            with _locked(order):
                _send(sock, order, scratch)
        except UnfitError as error:
            say("W", f"no copy {order.job} for {order.to}: {error}")
            sock.sendall(head_frame(Head(refused=str(error))))


def _send(sock: socket.socket, order: Order, scratch: str) -> None:
    producer = produced_by(order, scratch)
    compress = order.compress and shutil.which(COMPRESSOR[0], path=order.path) is not None
    sock.sendall(head_frame(Head(producer.server_version, producer.size, compress)))
    how = "compressed by zstd" if compress else "not compressed"
    say(
        "I",
        f"sends a copy of its data, {producer.size / MEGABYTE:,.0f} MB by {order.provider}, to {order.to}, {how}",
    )
    began = time.monotonic()
    running = Running(producer, compress=compress)
    way = Way(sock.sendall, sock.fileno(), lambda: sock.shutdown(socket.SHUT_RDWR))
    relay = Relay(running, way, Bucket(order.rate * MEGABYTE), order.block)
    try:
        tail = relay.run()
        sock.sendall(tail_frames(tail))
    except OSError as error:
        running.kill()
        cause = relay.cause
        text = WHY.get(cause, "") if cause == BLOCKED else f"{order.to} is gone, or takes no byte ({error})"
        say("W", f"copy {order.job}: {text}: {order.provider} was killed")
        return
    _sum_up(order, tail, time.monotonic() - began)


WHY = {
    BLOCKED: "the commits of the server here would have waited for the recipient",
    GONE: "the recipient has gone",
}


def _sum_up(order: Order, tail: Tail, seconds: float) -> None:
    if tail.whole:
        say("I", f"sent the copy to {order.to}: {tail.total / MEGABYTE:,.0f} MB in {seconds:.1f} s")
    elif tail.cause:
        say("W", f"copy {order.job} for {order.to}: {WHY[tail.cause]}: {order.provider} was killed")
    else:
        last = tail.lines[-1] if tail.lines else "it said nothing"
        say("W", f"copy {order.job} for {order.to}: {order.provider} ended with {tail.status}: {last}")


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="mmm-stream-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(order: Order) -> Iterator[None]:
    """Hold the lock of this host's copies; raises UnfitError where another process has it."""
    if not order.lock:
        yield
        return
    with Path(order.lock).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UnfitError(
                f"{order.here.name}: another copy of its data is being sent: one at a time"
            ) from error
        yield


def _end(sock: socket.socket) -> None:
    """End the connection in order, so that the recipient gets the last byte."""
    with contextlib.suppress(OSError):
        if isinstance(sock, ssl.SSLSocket):
            sock.settimeout(1.0)
            sock = sock.unwrap()
        sock.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main())
