"""The events of a binary log, by what every version of MariaDB and MySQL has in common. Pure.

A file begins with four bytes and a Format_description event, which says whether events end with a CRC-32. Each event
has a head of 19 bytes: when, kind, server_id, length, where the next one begins, flags; numbers are little-endian.
Source: MySQL's "Binary Log Event Structure" in its internals manual, MariaDB's "Replication Protocol".
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAGIC = b"\xfebin"
"""Begins a binary log that is not encrypted."""
_ENCRYPTED = b"\xfdbin"
"""Begins one that MySQL has encrypted."""
BEGINNING = 4096
"""Bytes within which a file's Format_description event ends: what `read_format` wants."""
HEAD = struct.Struct("<IBIIIH")
"""When, kind, server_id, length, where the next one begins, flags."""
CRC = 4
"""Bytes of the checksum at the end of an event."""
_IN_USE = 0x01
"""A flag in a file's first event, set while the server has the file open; the checksum is made without it."""
_KIND_AT, _FLAGS_AT = 4, 17
_PASSED_OVER = 0x80
"""A flag of events that readers may leave out: a server sets it in START_ENCRYPTION where what it sends is not."""
_LONGEST = 0xFFFFFFF0

QUERY, STOP, ROTATE, FORMAT, XID, INCIDENT = 2, 3, 4, 15, 16, 26
GTID, ANONYMOUS_GTID, PREVIOUS_GTIDS, XA_PREPARE, PAYLOAD, TAGGED_GTID = 33, 34, 35, 38, 40, 42
"""MySQL's own."""
TABLE_MAP = 19
"""Names the table that rows belong to."""
ROWS = frozenset({23, 24, 25, 30, 31, 32, 39, *range(166, 172)})
"""Rows written, changed and deleted, by both versions of events, as parts of JSON, and compressed by MariaDB."""
CHECKPOINT, MARIADB_GTID, GTID_LIST, START_ENCRYPTION, QUERY_COMPRESSED = 161, 162, 163, 164, 165
"""MariaDB's own."""


class DamagedError(ValueError):
    """Bytes that are no binary log that can be read; the text says why."""


class EncryptedError(DamagedError):
    """The binary log is encrypted, and only its server has the key."""

    def __init__(self) -> None:
        super().__init__("it is encrypted")


class Event(NamedTuple):
    """One event, and where its bytes begin and end in what was read."""

    kind: int
    server_id: int
    begin: int
    end: int
    next_position: int
    """Where the next one begins in the file."""
    body: bytes
    """What follows the head, without the checksum."""
    when: int = 0
    """When it was begun, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a file begins: what a program that reads parts of it has to be given first."""

    head: bytes
    """The file's first bytes, up to the end of its Format_description event."""
    version: str
    """The version of the server that wrote it."""
    server_id: int
    checksums: bool
    """Each event ends with a CRC-32."""


def read_format(beginning: bytes) -> Format:
    """Return how the file begins whose first bytes are given, some hundreds; raises DamagedError."""
    if beginning.startswith(_ENCRYPTED):
        raise EncryptedError
    if not beginning.startswith(MAGIC):
        raise DamagedError("it does not begin as a binary log does")
    event = _event(beginning, len(MAGIC), checksums=True)
    if event is None or event.kind != FORMAT or len(event.body) < 57:
        raise DamagedError("it does not begin with a Format_description event")
    version = event.body[2:52].split(b"\0", 1)[0].decode("ascii", "replace")
    second = beginning[event.end : event.end + HEAD.size]
    if len(second) == HEAD.size and second[_KIND_AT] == START_ENCRYPTION and not _is_decrypted(second):
        raise EncryptedError
    return Format(beginning[: event.end], version, event.server_id, event.body[-1] == 1)


def events_in(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Return the events of a whole file that comes in pieces, with their places in the file; raises DamagedError.

    The first is its Format_description event. No more of the file is held than a piece, and an event.
    """
    parts: list[bytes] = []
    size, need, begun, checksums = 0, 1, 0, None
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size < need:
            continue
        data, done = b"".join(parts), 0
        if checksums is None:
            checksums, done = read_format(data).checksums, len(MAGIC)
        for event in events(data, checksums=checksums, offset=done):
            done = event.end
            yield event._replace(begin=begun + event.begin, end=begun + event.end)
        begun += done
        parts, size = [data[done:]], len(data) - done
        need = max(HEAD.unpack_from(parts[0])[3] if size >= HEAD.size else HEAD.size, size + 1)


def events(data: bytes, *, checksums: bool, offset: int = 0) -> Iterator[Event]:
    """Return the events from `offset` on, up to the first one that is not there to its end; raises DamagedError.

    What a server has sent of an encrypted log is not encrypted: that it was is left out.
    """
    while (event := _event(data, offset, checksums=checksums)) is not None:
        if event.kind != START_ENCRYPTION or not _is_decrypted(data[offset : offset + HEAD.size]):
            yield event
        offset = event.end


def _is_decrypted(head: bytes) -> bool:
    """Tell of the head of a START_ENCRYPTION event whether what follows has come from the server, in clear."""
    return bool(head[_FLAGS_AT] & _PASSED_OVER)


def _event(data: bytes, begin: int, *, checksums: bool) -> Event | None:
    """Return the event that begins there, None where it is cut off; raises DamagedError."""
    if len(data) < begin + HEAD.size:
        return None
    when, kind, server_id, length, following, flags = HEAD.unpack_from(data, begin)
    crc = CRC if checksums else 0
    if not HEAD.size + crc <= length <= _LONGEST:
        raise DamagedError(f"an event of {length} bytes at {begin}")
    end = begin + length
    if len(data) < end:
        return None
    if checksums:
        _check(data, begin, end, in_use=kind == FORMAT and bool(flags & _IN_USE))
    return Event(kind, server_id, begin, end, following, data[begin + HEAD.size : end - crc], when)


def _check(data: bytes, begin: int, end: int, *, in_use: bool) -> None:
    covered = data[begin : end - CRC]
    if in_use:
        flags = covered[_FLAGS_AT] & ~_IN_USE
        covered = covered[:_FLAGS_AT] + bytes((flags,)) + covered[_FLAGS_AT + 1 :]
    if zlib.crc32(covered) != int.from_bytes(data[end - CRC : end], "little"):
        raise DamagedError(f"the checksum of the event at {begin} is wrong")
