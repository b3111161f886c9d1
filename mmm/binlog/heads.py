"""What a part of a binary log holds, told from the heads of its events: rows are passed over. Pure.

A transaction of 500 MB is looked at in some hundredths of a second so. Nothing is verified: that is left to whoever
gets the bytes.
"""

from collections.abc import Callable, Iterator

from mmm.binlog.contents import Logged, contents_of
from mmm.binlog.events import (
    CRC,
    GTID_LIST,
    HEAD,
    PAYLOAD,
    PREVIOUS_GTIDS,
    ROWS,
    TABLE_MAP,
    DamagedError,
    Event,
)

_PASSED_OVER = ROWS | {TABLE_MAP, PAYLOAD}
_LISTS = frozenset({GTID_LIST, PREVIOUS_GTIDS})
"""What was in the log before: of no transaction, and of any length."""
_MOST = 64 * 1024
"""Bytes that are read of any other event: a statement that is longer ends no transaction."""

Read = Callable[[int, int], bytes]
"""Returns so many bytes from a place in a file on, fewer at its end."""


def logged(read: Read, begin: int, size: int, *, checksums: bool) -> Iterator[Logged]:
    """Return the whole transactions of a file between two places, with their own places in it.

    `begin` is where an event begins. Raises UnusableError, DamagedError, LookupError and ValueError from what cannot be
    read on.
    """
    for entry in contents_of(_heads(read, begin, size, CRC if checksums else 0)):
        if isinstance(entry, Logged):
            yield entry


def _heads(read: Read, begin: int, size: int, crc: int) -> Iterator[Event]:
    while len(head := read(begin, HEAD.size)) == HEAD.size:
        when, kind, server_id, length, following, _ = HEAD.unpack(head)
        end = begin + length
        if length < HEAD.size + crc:
            raise DamagedError(f"an event of {length} bytes at {begin}")
        if end > size:
            return
        if kind not in _LISTS:
            wanted = 0 if kind in _PASSED_OVER else min(length - HEAD.size - crc, _MOST)
            body = read(begin + HEAD.size, wanted) if wanted else b""
            yield Event(kind, server_id, begin, end, following, body, when)
        begin = end
