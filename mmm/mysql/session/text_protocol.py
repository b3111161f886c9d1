"""A server's answer to a statement: MySQL's text protocol ("COM_QUERY Response" in the manual). Pure.

For a session of protocol 4.1 that has not agreed on CLIENT_DEPRECATE_EOF and CLIENT_MULTI_STATEMENTS, as PyMySQL makes
it. All values are text, NULL is None: what it is asked for here is made a number by whoever needs it.
"""

from dataclasses import dataclass

Row = dict[str, str | None]

MAX_STATEMENT = 0xFFFFFF - 1
AT_ONCE = 64 * 1024
"""Bytes of an answer that are read at once."""
_UNDERSTOOD = 0x3EBE8F
"""The capabilities (bits) with which answers are as they are read here: neither compressed nor without EOF packets."""
_COM_QUERY = b"\x03"
_HEADER = 4
_LONGEST = 0xFFFFFF
_MOST_COLUMNS = 4096
_OK, _NULL, _EOF, _ERROR = 0x00, 0xFB, 0xFE, 0xFF
_MORE_RESULTS = 0x0008
_EOF_SIZE = 5
_KEPT = 64
"""Statements for which the beginning of the last answer is kept, at most."""
_NAME = 4
"""What comes before a column's name: catalog, schema, table, and the table's own name."""


class NotMysqlError(ValueError):
    """What was received is no answer to a statement."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The server's answer is an error."""

    number: int
    text: str


Answer = list[Row] | Failed


@dataclass(frozen=True, slots=True)
class _Head:
    """What an answer begins with: `raw`, until the last of its columns, and the names of these."""

    raw: bytes
    names: tuple[str, ...]


@dataclass(slots=True)
class _Begun:
    """An answer whose rows were read up to the byte `at`; `sequence` is the next packet's number."""

    head: _Head
    at: int
    sequence: int
    rows: list[Row]


def not_understood(agreed: int) -> str:
    """Return the capabilities that were agreed on at login and change answers in a way unknown here; empty: none."""
    bits = agreed & ~_UNDERSTOOD
    return ", ".join(f"1 << {bit}" for bit in range(bits.bit_length()) if bits >> bit & 1)


class Exchange:
    """Statements and their answers on one session, one after the other; an answer may come in pieces.

    An answer mostly begins as the one before to the same statement did, and need not be taken apart again then.
    """

    def __init__(self) -> None:
        self._heads: dict[str, _Head] = {}
        self._statement = ""
        self._data = b""
        self._begun: _Begun | None = None

    def ask(self, statement: str) -> bytes:
        """Return what to send for a statement; raises ValueError for one that needs more than one packet."""
        self._statement, self._data, self._begun = statement, b"", None
        return query(statement)

    def take_in(self, piece: bytes) -> Answer | None:
        """Return the answer once its last piece is there; raises NotMysqlError."""
        self._data += piece
        if self._begun is None:
            begun = _begin(self._data, self._heads.get(self._statement))
            if not isinstance(begun, _Begun):
                return begun
            self._begun = begun
            if len(self._heads) < _KEPT:
                self._heads[self._statement] = begun.head
        answer = _go_on(self._data, self._begun)
        if answer is not None:
            self._data, self._begun = b"", None
        return answer

    @property
    def size(self) -> int:
        """Return how many bytes of an answer are there that is not complete."""
        return len(self._data)


def query(statement: str) -> bytes:
    """Return the packet that asks for a statement; raises ValueError for one that needs more than one packet."""
    body = _COM_QUERY + statement.encode()
    if len(body) > MAX_STATEMENT:
        raise ValueError("statement too long")
    return len(body).to_bytes(3, "little") + b"\0" + body


def _begin(data: bytes, expected: _Head | None) -> Answer | _Begun | None:
    """Return how the answer begins, the answer where it has no columns, None while some of that is missing."""
    head = expected if expected is not None and data.startswith(expected.raw) else None
    if head is None:
        first = _packet(data, 0, 1)
        if first is None:
            return None
        if data[_HEADER] in (_OK, _NULL, _ERROR):
            return _whole(data, first, _without_columns(data[_HEADER:first]))
        head = _head(data, first)
        if head is None:
            return None
    return _Begun(head, len(head.raw), len(head.names) + 3, [])


def _packet(data: bytes, start: int, sequence: int) -> int | None:
    """Return where the packet at `start` ends, None where it is not all there."""
    if len(data) < start + _HEADER:
        return None
    size = data[start] | data[start + 1] << 8 | data[start + 2] << 16
    if not 0 < size < _LONGEST or data[start + 3] != sequence & 0xFF:
        raise NotMysqlError(f"a packet of {size} bytes, number {data[start + 3]} for {sequence & 0xFF}")
    end = start + _HEADER + size
    return end if end <= len(data) else None


def _whole(data: bytes, end: int, answer: Answer) -> Answer:
    if end != len(data):
        raise NotMysqlError(f"{len(data) - end} bytes behind the answer")
    return answer


def _without_columns(body: bytes) -> Answer:
    if body[0] == _ERROR:
        return _failed(body)
    if body[0] == _NULL:
        raise NotMysqlError("it asks for a file of this machine")
    return []


def _failed(body: bytes) -> Failed:
    if len(body) < 3:
        raise NotMysqlError("an error without a number")
    state = 6 if body[3:4] == b"#" else 0
    return Failed(int.from_bytes(body[1:3], "little"), body[3 + state :].decode(errors="replace"))


def _head(data: bytes, end: int) -> _Head | None:
    count, behind = _length(data, _HEADER, end)
    if behind != end or not 0 < count <= _MOST_COLUMNS:
        raise NotMysqlError(f"{count} columns")
    names = []
    for sequence in range(2, count + 2):
        start, found = end, _packet(data, end, sequence)
        if found is None:
            return None
        end = found
        names.append(_name(data, start + _HEADER, end))
    found = _packet(data, end, count + 2)
    if found is None:
        return None
    if not _is_eof(data, end, found):
        raise NotMysqlError("more columns than it said")
    return _Head(data[:found], tuple(names))


def _name(data: bytes, at: int, end: int) -> str:
    for _ in range(_NAME):
        size, at = _length(data, at, end)
        at += size
    size, at = _length(data, at, end)
    if at + size > end:
        raise NotMysqlError("a column's name is cut off")
    return data[at : at + size].decode(errors="replace")


def _go_on(data: bytes, begun: _Begun) -> Answer | None:
    """Read on from where the last piece ended; returns the answer once it is whole."""
    while (end := _packet(data, begun.at, begun.sequence)) is not None:
        body = begun.at + _HEADER
        if data[body] == _ERROR:
            return _whole(data, end, _failed(data[body:end]))
        if data[body] == _EOF and end - body <= _EOF_SIZE:
            if not _is_eof(data, begun.at, end) or data[body + 3] & _MORE_RESULTS:
                raise NotMysqlError("more than one answer")
            return _whole(data, end, begun.rows)
        begun.rows.append(_row(data, body, end, begun.head.names))
        begun.at, begun.sequence = end, begun.sequence + 1
    return None


def _is_eof(data: bytes, start: int, end: int) -> bool:
    return end - start == _HEADER + _EOF_SIZE and data[start + _HEADER] == _EOF


def _row(data: bytes, at: int, end: int, names: tuple[str, ...]) -> Row:
    row: Row = {}
    for name in names:
        size, at = _length(data, at, end)
        if size < 0:
            row[name] = None
            continue
        behind = at + size
        row[name] = data[at:behind].decode(errors="replace")
        at = behind
    if at != end:
        raise NotMysqlError("a row is longer or shorter than its packet")
    return row


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a length-encoded integer, -1 for NULL, and where the next field begins."""
    if at >= end:
        raise NotMysqlError("a field is cut off")
    first = data[at]
    if first < _NULL:
        return first, at + 1
    if first == _NULL:
        return -1, at + 1
    if first == _ERROR:
        raise NotMysqlError("a byte that is not a length")
    behind = at + {0xFC: 3, 0xFD: 4, 0xFE: 9}[first]
    if behind > end:
        raise NotMysqlError("a length is cut off")
    return int.from_bytes(data[at + 1 : behind], "little"), behind
