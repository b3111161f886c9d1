"""Sends one copy of this host's data, whichever way it goes: one at a time, and all of it is said to the recipient."""

import contextlib
import fcntl
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mmm.agent.stream.bucket import Bucket
from mmm.agent.stream.order import Order
from mmm.agent.stream.producers import UnfitError, produced_by
from mmm.agent.stream.relay import Relay, Way
from mmm.agent.stream.running import COMPRESSOR, Running
from mmm.mysql.backup import mariadb_backup
from mmm.wire.stream import BLOCKED, GONE, Head, Tail, head_frame, tail_frames

MEGABYTE = 1_000_000
WHY = {
    BLOCKED: "the commits of the server here would have waited for the recipient",
    GONE: "the recipient has gone",
}

Say = Callable[[str, str], None]
"""Says a line to who looks after this host; the mark before it is I, or W for what an admin should look at."""


def send_copy(order: Order, way: Way, say: Say) -> None:
    """Send the copy, or say on the way why there is none; raises OSError where nothing can be said."""
    try:
        with _locked(order), _scratch(order) as scratch:
            _send(order, way, say, scratch)
    except UnfitError as error:
        say("W", f"no copy {order.job} for {order.to}: {error}")
        way.send(head_frame(Head(refused=str(error))))


def _send(order: Order, way: Way, say: Say, scratch: str) -> None:
    producer = produced_by(order, scratch)
    compress = order.compress and shutil.which(COMPRESSOR[0], path=order.path) is not None
    way.send(head_frame(Head(producer.server_version, producer.size, compress)))
    how = "compressed by zstd" if compress else "not compressed"
    say(
        "I",
        f"sends a copy of its data, {producer.size / MEGABYTE:,.0f} MB by {order.provider}, to {order.to}, {how}",
    )
    began = time.monotonic()
    running = Running(producer, compress=compress)
    relay = Relay(running, way, Bucket(order.rate * MEGABYTE), order.block, order.room)
    try:
        tail = relay.run()
        way.send(tail_frames(tail))
    except OSError as error:
        running.kill()
        cause = relay.cause
        text = WHY.get(cause, "") if cause == BLOCKED else f"{order.to} is gone, or takes no byte ({error})"
        say("W", f"copy {order.job}: {text}: {order.provider} was killed")
        return
    seconds = time.monotonic() - began
    sent = (
        f"{tail.total / MEGABYTE:,.0f} MB in {seconds:.1f} s; commits waited {1000 * running.waited:.0f} ms"
    )
    _sum_up(order, tail, sent, say)


def _sum_up(order: Order, tail: Tail, sent: str, say: Say) -> None:
    if tail.whole:
        say("I", f"sent the copy to {order.to}: {sent}")
    elif tail.cause:
        say("W", f"copy {order.job} for {order.to}: {WHY[tail.cause]}: {order.provider} was killed")
    else:
        why = mariadb_backup.telling(tail.lines)
        say("W", f"copy {order.job} for {order.to}: {order.provider} ended with {tail.status}: {why}")


@contextlib.contextmanager
def _scratch(order: Order) -> Iterator[str]:
    """Give an empty folder for the producer's small files; one that an earlier process has left is emptied."""
    folder = f"{order.lock}.d" if order.lock else tempfile.mkdtemp(prefix="mmm-stream-")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        Path(folder).mkdir(mode=0o700)
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
