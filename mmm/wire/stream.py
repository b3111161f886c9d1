"""How a host gets a full copy of another one's data from that host's agent: the request, and the frames. No sockets.

    request   STREAM|1|DONOR|PROVIDER|JOB|PORT       PORT: where the recipient's next connection comes from
    reply     OK: …                                  that connection to the agent's port is the stream
              ERROR: …|WHY:CODE|…

The stream is frames, from the donor to the recipient: four bytes of length, most significant first, and so many bytes,
FRAME at most. The first frame is the head, JSON. Data frames follow, then an empty one, then the tail, JSON. A stream
without a tail, with another length or another hash than the tail says, or whose producer failed, is no copy. Over TLS
the certificates are demanded as for any request (`mmm.process.tls`). Agents of MMM 2.x answer ERROR.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mmm.wire.agent import Request
from mmm.wire.json_text import parsed
from mmm.wire.lines import WireError

STREAM = "STREAM"
STREAM_PROGRAM = "mmm_stream"
"""What sends the same stream to its standard output, for those who come by ssh."""
FRAME = 1 << 20
"""Bytes that a frame holds at most."""
WAIT = 10.0
"""Seconds within which the connection has to come that was announced."""

NO_TLS = "stream_needs_tls"
"""The agents talk without TLS, and the conf of the donor does not say `transfer plain`."""
NO_PROVIDER = "stream_provider"
"""The agent knows no such producer."""
BUSY = "stream_busy"
"""Another copy of this donor is under way."""

BLOCKED = "blocked_writes"
"""The producer was killed: the donor's commits had to wait for it."""
GONE = "recipient_gone"
"""The producer was killed: the recipient went away, or took no byte."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PORT = re.compile(r"[0-9]{1,5}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """Which copy is asked for, and where the connection for it comes from."""

    provider: str
    job: str
    port: int


@dataclass(frozen=True, slots=True)
class Head:
    """What the donor says before the data."""

    server_version: str = ""
    """As its server's VERSION()."""
    size: int = 0
    """Bytes of the files that are to come, more or less."""
    compressed: bool = False
    """The data is compressed by zstd."""
    refused: str = ""
    """Why no data follows; empty: it does."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What the donor says behind the data."""

    total: int
    """Bytes of all data frames."""
    digest: str
    """BLAKE2b of them, 32 bytes in hex."""
    status: int
    """Exit status of the producer, negative for the signal that ended it."""
    cause: str = ""
    """BLOCKED or GONE; empty: it came to its end by itself."""
    lines: tuple[str, ...] = ()
    """The producer's last lines."""

    @property
    def whole(self) -> bool:
        """Tell whether the producer says that it has sent all."""
        return not self.status and not self.cause


Piece = Head | bytes | Tail


def ask_stream(donor: str, asked: Asked) -> Request:
    """Return the request."""
    return Request(STREAM, donor, (asked.provider, asked.job, str(asked.port)))


def asked_stream(request: Request) -> Asked:
    """Return what is asked for; raises WireError."""
    provider, job, port = (*request.params[:3], *[""] * (3 - len(request.params)))[:3]
    if not (_WORD.fullmatch(provider) and _WORD.fullmatch(job) and _PORT.fullmatch(port)):
        raise WireError(f"{STREAM} needs a provider, a job and a port")
    return Asked(provider, job, int(port))


def framed(data: bytes) -> bytes:
    """Return the frame of some data; raises WireError beyond FRAME."""
    if len(data) > FRAME:
        raise WireError(f"a frame of {len(data)} bytes is longer than {FRAME}")
    return len(data).to_bytes(_LENGTH) + data


def head_frame(head: Head) -> bytes:
    """Return the frame that begins a stream."""
    return framed(json.dumps(asdict(head)).encode())


def tail_frames(tail: Tail) -> bytes:
    """Return the frames that end a stream."""
    return framed(b"") + framed(json.dumps(asdict(tail)).encode())


class Frames:
    """Takes a stream apart as its bytes come."""

    def __init__(self) -> None:
        self._left = bytearray()
        self._begun = False
        self._ending = False
        self.ended = False
        """The tail has come."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Yield what the bytes bring to its end: the head, data, the tail; raises WireError for what is no stream."""
        self._left += data
        at = 0
        try:
            while len(self._left) - at >= _LENGTH:
                length = int.from_bytes(self._left[at : at + _LENGTH])
                if length > FRAME:
                    raise WireError(f"a frame of {length} bytes: not a stream")
                if len(self._left) - at - _LENGTH < length:
                    break
                frame = bytes(memoryview(self._left)[at + _LENGTH : at + _LENGTH + length])
                at += _LENGTH + length
                yield from self._piece(frame)
        finally:
            del self._left[:at]

    def _piece(self, frame: bytes) -> Iterator[Piece]:
        if self.ended:
            raise WireError("bytes behind the end of the stream")
        if not self._begun:
            self._begun = True
            yield _head(_values(frame))
        elif self._ending:
            self.ended = True
            yield _tail(_values(frame))
        elif frame:
            yield frame
        else:
            self._ending = True


def _values(frame: bytes) -> dict[str, Any]:
    try:
        values = parsed(frame)
    except ValueError as error:
        raise WireError(f"a frame that is no JSON: {frame[:60]!r}") from error
    if not isinstance(values, dict):
        raise WireError(f"a frame that holds no values: {frame[:60]!r}")
    return values


def _head(values: dict[str, Any]) -> Head:
    match values:
        case {
            "server_version": str(version),
            "size": int(size),
            "compressed": bool(compressed),
            "refused": str(why),
        }:
            return Head(version, size, compressed, why)
    raise WireError("the stream's head lacks something")


def _tail(values: dict[str, Any]) -> Tail:
    match values:
        case {
            "total": int(total), "digest": str(digest), "status": int(status), "cause": str(cause), "lines": list(lines)
        } if _DIGEST.fullmatch(digest):  # fmt: skip
            return Tail(total, digest, status, cause, tuple(map(str, lines)))
    raise WireError("the stream's tail lacks something")
