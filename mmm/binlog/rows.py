"""A BINLOG statement that is too long for the server, in several that do the same within their transaction. Pure.

The programs print all rows that a statement has changed as one BINLOG statement, however many there are, and a server
ends a session that sends more than max_allowed_packet at once. Rows events name their tables by the Table_map events
before them, and the last of a statement says so by a flag (STMT_END_F): the server then closes the tables. So each part
gets the Table_map events, and its last event the flag.
"""

import base64
import zlib
from collections.abc import Iterator
from io import BytesIO

from mmm.binlog.events import CRC, ROWS, TABLE_MAP, DamagedError, events

PART = 512 * 1024
"""Bytes of events that are sent at once, unless one of them is longer: servers take 16 MB or 64, some only 1."""
_BEGIN = b"BINLOG '"
_FLAGS_AT = 19 + 6
_STATEMENT_ENDS = 0x01


def in_parts(statement: bytes, *, checksums: bool, most: int = PART) -> Iterator[bytes]:
    """Return what is to be sent for a statement: itself, or several where it is a BINLOG of more than `most` bytes.

    `checksums`: each event ends with a CRC-32. Raises DamagedError where its events cannot be read.
    """
    if len(statement) <= most * 4 // 3 or not statement.startswith(_BEGIN):
        yield statement
        return
    data = _decoded(statement)
    tables: list[bytes] = []
    part: list[bytes] = []
    size, done = 0, 0
    for event in events(data, checksums=checksums):
        done, whole = event.end, data[event.begin : event.end]
        if event.kind == TABLE_MAP:
            tables.append(whole)
            continue
        if part and size + len(whole) > most:
            yield _encoded([*tables, *part[:-1], _ending(part[-1], checksums=checksums)])
            part, size = [], 0
        if event.kind not in ROWS:
            raise DamagedError(f"an event of kind {event.kind} among rows")
        part.append(whole)
        size += len(whole)
    if done != len(data):
        raise DamagedError("an event that is cut off among rows")
    yield _encoded([*tables, *part])


def _decoded(statement: bytes) -> bytes:
    """Return the events of a BINLOG statement: each is encoded by itself, so each of its lines is whole."""
    found = bytearray()
    with BytesIO(statement) as lines:
        lines.seek(len(_BEGIN))
        try:
            for line in lines:
                found += base64.b64decode(line.strip(b"\n'"), validate=True)
        except ValueError as error:
            raise DamagedError(f"rows that cannot be read: {error}") from error
    return bytes(found)


def _encoded(these: list[bytes]) -> bytes:
    return b"\n".join((_BEGIN, *map(base64.b64encode, these), b"'"))


def _ending(event: bytes, *, checksums: bool) -> bytes:
    """Return a rows event as the last one of a statement."""
    body = bytearray(event[: len(event) - (CRC if checksums else 0)])
    body[_FLAGS_AT] |= _STATEMENT_ENDS
    return bytes(body) + (zlib.crc32(body).to_bytes(CRC, "little") if checksums else b"")
