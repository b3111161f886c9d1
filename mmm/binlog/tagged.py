"""GTIDs with a tag, which MySQL has since 8.3, in its own coding of numbers. Pure.

The lowest bits of a number's first byte that are 1 say how many bytes follow it; the bits above the 0 behind them are
the number's. One with a sign is the double of it. Source: `mysql::serialization`, `Gtid_event` and `Gtid_set::encode`.
"""

import uuid
from collections.abc import Iterator

_FLAGS, _UUID, _NUMBER, _TAG = range(4)
"""The event's first fields, each behind its number."""


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def number(self) -> int:
        first = self._data[self._at]
        size = 1
        while size < 9 and first >> (size - 1) & 1:
            size += 1
        value = int.from_bytes(self.bytes(size), "little")
        return value >> size if size < 9 else value >> 8

    def bytes(self, size: int) -> bytes:
        self._at += size
        found = self._data[self._at - size : self._at]
        if len(found) < size:
            raise ValueError("a GTID with a tag is cut off")
        return found

    def fixed(self) -> int:
        return int.from_bytes(self.bytes(8), "little")


def tagged_gtid(body: bytes) -> tuple[str, int]:
    """Return `UUID:TAG` and number of an event that begins a transaction; raises ValueError, IndexError."""
    reader = _Reader(body, 0)
    version, _, _ = reader.number(), reader.number(), reader.number()
    if version != 1:
        raise ValueError(f"a GTID with a tag is coded in a way, {version}, that is not known")
    found: dict[int, str] = {}
    number = 0
    while _TAG not in found:
        match reader.number():
            case 0:
                reader.number()
            case 1:
                found[_UUID] = str(uuid.UUID(bytes=bytes(reader.number() for _ in range(16))))
            case 2:
                number = reader.number() >> 1
            case 3:
                found[_TAG] = reader.bytes(reader.number()).decode("ascii")
            case other:
                raise ValueError(f"a GTID with a tag has a field, {other}, that is not known")
    return (f"{found[_UUID]}:{found[_TAG]}" if found[_TAG] else found[_UUID]), number


def tagged_set(body: bytes) -> Iterator[str]:
    """Return the parts of a set, `UUID:TAG:FIRST-LAST`, that a file begins with; raises ValueError, IndexError."""
    reader = _Reader(body, 8)
    for _ in range(int.from_bytes(body[1:7], "little")):
        origin = str(uuid.UUID(bytes=reader.bytes(16)))
        tag = reader.bytes(reader.number()).decode("ascii")
        for _ in range(reader.fixed()):
            first, behind = reader.fixed(), reader.fixed()
            yield f"{origin}{tag and f':{tag}'}:{first}-{behind - 1}"
