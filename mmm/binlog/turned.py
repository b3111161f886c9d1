"""What `mariadb-binlog --flashback` prints, as BINLOG statements that undo all of it in one transaction. Pure.

The program prints each transaction's rows as a BINLOG statement or more, between a START TRANSACTION and a COMMIT:
these are left out. As each change is undone by itself, foreign keys and CHECK constraints are not to act again: each
event of rows says so by its flags. Some statements are sent as one, as far as a server takes them.
"""

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

from mmm.binlog.events import CRC, FORMAT, DamagedError
from mmm.binlog.rows import PART, in_parts

_BEGIN, _END = b"BINLOG '", b"'"
_KIND_AT, _LENGTH_AT, _FLAGS_AT = 4, 9, 19 + 6
_LENGTH = struct.Struct("<I")
_ENDS, _NO_FOREIGN_KEYS, _RELAXED, _NO_CHECKS = 0x01, 0x02, 0x04, 0x80
"""Flags of an event of rows: the last of its statement; what the session that wrote them had switched off."""
_ROWS = frozenset({23, 24, 25})


class Turned:
    """The statements, and how many events of rows of each kind were in them."""

    def __init__(self, *, checksums: bool) -> None:
        self.rows: Counter[int] = Counter()
        self._crc = CRC if checksums else 0

    def statements(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Return them; raises DamagedError."""
        batch: list[bytes] = []
        size = 0
        for events in self._changes(lines):
            length = sum(map(len, events))
            if batch and size + length > PART:
                yield _statement(batch)
                batch, size = [], 0
            if length > PART:
                yield from in_parts(_statement(events), checksums=bool(self._crc))
            else:
                batch += events
                size += length
        if batch:
            yield _statement(batch)

    def _changes(self, lines: Iterable[bytes]) -> Iterator[list[bytes]]:
        """Return the events of each statement that changed rows, and first the one that says how they are written.

        A server that finds rows behind the last ones of a statement passes them over without a word, unless their
        tables are named again: so each begins with the names of its tables.
        """
        events: list[bytes] = []
        for block in _blocks(lines):
            for event in self._events(block):
                kind = event[_KIND_AT]
                if not events and kind in _ROWS:
                    raise DamagedError("rows of tables that were not named")
                events.append(self._turned(event))
                if kind == FORMAT or (kind in _ROWS and event[_FLAGS_AT] & _ENDS):
                    yield events
                    events = []
        if events:
            raise DamagedError("a statement that changed rows is cut off")

    def _events(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            try:
                length = _LENGTH.unpack_from(data, at + _LENGTH_AT)[0]
            except struct.error as error:
                raise DamagedError("an event that is cut off among rows") from error
            event = data[at : at + length]
            if len(event) < length or length <= _FLAGS_AT:
                raise DamagedError("an event that is cut off among rows")
            yield event
            at += length

    def _turned(self, event: bytes) -> bytes:
        kind = event[_KIND_AT]
        if kind not in _ROWS:
            return event
        self.rows[kind] += 1
        body = bytearray(event[: len(event) - self._crc])
        body[_FLAGS_AT] = body[_FLAGS_AT] & ~_RELAXED | _NO_FOREIGN_KEYS | _NO_CHECKS
        return bytes(body) + (zlib.crc32(body).to_bytes(CRC, "little") if self._crc else b"")


def _statement(events: list[bytes]) -> bytes:
    return b"\n".join((_BEGIN, *map(base64.b64encode, events), _END))


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return the events of each BINLOG statement that is printed."""
    block: list[bytes] | None = None
    try:
        for line in lines:
            if block is None:
                if line.startswith(_BEGIN):
                    block = []
            elif line.startswith(_END):
                yield b"".join(block)
                block = None
            else:
                block.append(base64.b64decode(line.strip(), validate=True))
    except ValueError as error:
        raise DamagedError(f"rows that cannot be read: {error}") from error
    if block is not None:
        raise DamagedError("a BINLOG statement that is cut off")
