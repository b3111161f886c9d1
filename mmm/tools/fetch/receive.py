"""Takes in a donor's stream and sees that it is whole: its length, its hash, and its producer's end. Edge."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmm.mysql.backup import mariadb_backup
from mmm.tools.fetch import files
from mmm.tools.fetch.stream import Stream
from mmm.tools.fetch.unpack import Unpacking
from mmm.tools.fetch.values import Cause, FailedError, Progress, Report
from mmm.wire.lines import WireError
from mmm.wire.stream import BLOCKED, FRAME, Frames, Head, Piece, Tail

SILENT = 60.0
"""Seconds without a byte after which a stream has failed."""
_SHARE = 20
"""Looking at how far it is takes no more than this part of the time."""


@dataclass(frozen=True, slots=True)
class Came:
    """What was received whole."""

    head: Head
    sent: int
    """Bytes of the stream's data."""


def receive(
    stream: Stream, donor: str, into: Path, unpack: Callable[[Head], Unpacking], report: Report
) -> Came:
    """Unpack the stream into the folder; raises FailedError unless all came and is there."""
    pieces = _pieces(stream.sock, donor)
    head = _head(stream, donor, pieces)
    total, digest, meter = 0, hashlib.blake2b(digest_size=32), _Meter(into, head.size, report)
    with unpack(head) as unpacking:
        for piece in pieces:
            if isinstance(piece, Tail):
                _see_whole(piece, total, digest.hexdigest(), donor)
                unpacking.finish()
                return Came(head, total)
            if isinstance(piece, bytes):
                digest.update(piece)
                total += len(piece)
                unpacking.write(piece)
                meter.look()
    text = f"the stream from {donor} was cut after {total} bytes: its end is missing"
    raise FailedError(Cause.CUT, _with(text, stream))


def receive_head(stream: Stream, donor: str) -> Head:
    """Return what the donor says before it sends any data; raises FailedError where it sends none."""
    return _head(stream, donor, _pieces(stream.sock, donor))


def _head(stream: Stream, donor: str, pieces: Iterator[Piece]) -> Head:
    stream.sock.settimeout(SILENT)
    head = next(pieces, None)
    if not isinstance(head, Head):
        text = _with(f"the connection to {donor} ended before any data came", stream)
        raise FailedError(Cause.UNREACHABLE if stream.process else Cause.CUT, text)
    if head.refused:
        raise FailedError(Cause.REFUSED, head.refused)
    return head


def _with(text: str, stream: Stream) -> str:
    """Return the text with what the program says that the stream comes by."""
    why = stream.why()
    return f"{text}: {why}" if why else text


def _pieces(sock: socket.socket, donor: str) -> Iterator[Piece]:
    frames = Frames()
    while not frames.ended:
        try:
            data = sock.recv(FRAME)
        except TimeoutError as error:
            raise FailedError(Cause.SILENT, f"no byte came from {donor} for {SILENT:g} s") from error
        except OSError as error:
            raise FailedError(
                Cause.CUT, f"the connection to {donor} broke: {error.strerror or error}"
            ) from error
        if not data:
            return
        try:
            yield from frames.feed(data)
        except WireError as error:
            raise FailedError(Cause.DAMAGED, f"the stream from {donor}: {error}") from error


def _see_whole(tail: Tail, total: int, digest: str, donor: str) -> None:
    """Raise FailedError unless the producer was well, and what came is what was sent."""
    if tail.cause == BLOCKED:
        text = f"{donor} has ended the copy: its commits would have waited for this host, which took no data in time"
        raise FailedError(Cause.BLOCKED_WRITES, text)
    if not tail.whole:
        why = mariadb_backup.telling(tail.lines)
        raise FailedError(Cause.PRODUCER, f"the copying program on {donor} ended with {tail.status}: {why}")
    if (tail.total, tail.digest) != (total, digest):
        text = f"{total} bytes came from {donor}, which has sent {tail.total}: not the same"
        raise FailedError(Cause.DAMAGED, text)


class _Meter:
    """Reports now and then how much is in the folder."""

    def __init__(self, into: Path, total: int, report: Report) -> None:
        self._into, self._total, self._report = into, total, report
        self._done, self._at = 0, time.monotonic()
        self._next = self._at + 1.0

    def look(self) -> None:
        """Report, if it is time."""
        began = time.monotonic()
        if began < self._next:
            return
        done = files.size(self._into)
        rate = (done - self._done) / (began - self._at)
        self._done, self._at = done, began
        self._next = began + max(1.0, _SHARE * (time.monotonic() - began))
        self._report(Progress("copying", done, max(self._total, done), rate))
