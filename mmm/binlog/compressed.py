"""What the rows of MariaDB's compressed events are without compression. Pure.

Such an event's body is that of the plain one up to the rows: table and flags in 8 bytes, how many columns, a bit for
each of them, twice for an update. Then come a byte, whose lower three bits say how many bytes of a length follow,
that length, and what zlib has made of the rows. Source: MariaDB's `row_log_event_uncompress`.
"""

import zlib

from mmm.binlog.events import Event, events

_WRITE, _UPDATE, _DELETE = 166, 167, 168
_HEAD = 8
_WIDE = 0xFC
"""Begins a number of columns in two bytes."""


def without_compression(data: bytes, *, checksums: bool) -> bytes:
    """Return the events in `data` with the rows of compressed ones behind them; raises DamagedError."""
    rows = [_rows(event) for event in events(data, checksums=checksums) if _WRITE <= event.kind <= _DELETE]
    return data + b"".join(rows)


def _rows(event: Event) -> bytes:
    body = event.body
    columns, at = (
        (int.from_bytes(body[_HEAD + 1 : _HEAD + 3], "little"), _HEAD + 3)
        if body[_HEAD] == _WIDE
        else (body[_HEAD], _HEAD + 1)
    )
    at += (columns + 7) // 8 * (2 if event.kind == _UPDATE else 1)
    try:
        return zlib.decompress(body[at + 1 + (body[at] & 7) :])
    except (zlib.error, IndexError):
        return b""
