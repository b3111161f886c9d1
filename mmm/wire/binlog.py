"""How an agent asks another for a part of the binary log of its server, which is dead: no sockets.

    request   BINLOG|1|HOST|SERVER_ID|FILE|POSITION|LENGTH     no FILE: the newest one
    reply     OK: …|FILE|POSITION|SIZE|NEXT|CRC32|BASE64|…     the file's size now, and the file that follows, if any
              ERROR: …|WHY:CODE|…

A LENGTH of 0 asks for no bytes, but how much there is; the reply has one field more then:

    EXTENT:FIRST,COUNT,ENDED    bytes up to the end of the first transaction, 0 where it is not there to its end; how
                                many whole ones there are from there on, in later files too; 1: to the log's end

Bytes are read as they are; what they mean the asking agent finds out. Agents of MMM 2.x answer ERROR.
"""

import base64
import binascii
import re
import zlib
from dataclasses import dataclass

from mmm.wire.agent import Reply, Request, sayable
from mmm.wire.lines import WireError

BINLOG = "BINLOG"
LONGEST = 45_000
"""Bytes in one answer at most, so that it is a line like any other."""

HAS_ROLE = "has_role"
"""This host may still be the active master: its log may yet grow."""
NO_LOG = "no_log"
"""Where the log is was never learned, the server writes none, or it cannot be read."""
PURGED = "purged"
"""The log has no such file, or it does not reach so far."""
WRONG_SERVER = "wrong_server"
"""The log here is another server's."""

_EXTENT = re.compile(r"EXTENT:([0-9]{1,18}),([0-9]{1,15}),([01])")
_NUMBER = re.compile(r"[0-9]{1,18}")
_CRC = re.compile(r"[0-9a-f]{8}")
_NAME = re.compile(r"[^/\s|]{0,255}")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bytes are asked for."""

    server_id: int
    """Whose log is meant; 0: whichever is there."""
    file: str
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file."""

    file: str
    position: int
    size: int
    """How long the file was when they were read."""
    following: str
    """The next file of the log; empty: this one is the newest."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of a log from a place on."""

    first: int
    """Bytes from there to the end of the first transaction; 0: the file has none that is there to its end."""
    count: int
    """How many whole transactions there are from there on."""
    ended: bool
    """They are all that there are; else there may be more."""


def ask_binlog(host: str, asked: Asked) -> Request:
    """Return the request."""
    return Request(BINLOG, host, (str(asked.server_id), asked.file, str(asked.position), str(asked.length)))


def asked_binlog(request: Request) -> Asked:
    """Return what is asked for; raises WireError."""
    server_id, file, position, length = (*request.params[:4], *[""] * (4 - len(request.params)))[:4]
    if not all(map(_NUMBER.fullmatch, (server_id, position, length))) or not _NAME.fullmatch(file):
        raise WireError(f"{BINLOG} needs a server_id, a file, a position and a length")
    return Asked(int(server_id), file, int(position), min(int(length), LONGEST))


def piece_fields(piece: Piece) -> tuple[str, ...]:
    """Return the reply fields that hold a piece."""
    told = (sayable(piece.file), str(piece.position), str(piece.size), sayable(piece.following))
    return (*told, f"{zlib.crc32(piece.data):08x}", base64.b64encode(piece.data).decode("ascii"))


def extent_field(extent: Extent) -> str:
    """Return the reply field that tells how much there is."""
    return f"EXTENT:{extent.first},{extent.count},{int(extent.ended)}"


def extent_in(reply: Reply) -> Extent | None:
    """Return how much there is by the reply, None where it does not tell."""
    found = next((match for each in reply.fields if (match := _EXTENT.fullmatch(each))), None)
    return Extent(int(found[1]), int(found[2]), found[3] == "1") if found and reply.ok else None


def piece(reply: Reply) -> Piece:
    """Return the piece in the reply to BINLOG; raises WireError for what is no piece, or a damaged one."""
    if not reply.ok or len(reply.fields) < 6:
        raise WireError(f"{BINLOG} answer {reply.text[:80]!r} with {len(reply.fields)} fields")
    file, position, size, following, crc, text = reply.fields[:6]
    told = all(map(_NUMBER.fullmatch, (position, size))) and all(map(_NAME.fullmatch, (file, following)))
    if not told or not file or not _CRC.fullmatch(crc):
        raise WireError(f"{BINLOG} answer {reply.fields[:5]!r:.120} is not file, position, size, next, crc")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(f"{BINLOG} answer whose bytes cannot be read: {error}") from error
    if len(data) > LONGEST or zlib.crc32(data) != int(crc, 16):
        raise WireError(f"{BINLOG} answer whose {len(data)} bytes are not those that were sent")
    return Piece(file, int(position), int(size), following, data)
