"""What is here of another host's binary log: parts of its files, and pieces of them as its agent would send them."""

from dataclasses import dataclass

from mmm.binlog.events import BEGINNING, Format
from mmm.wire.binlog import Piece

OPEN = 10**17
"""Stands for the size of the last file that is known, which may be longer than what is here of it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was got of one file of the log."""

    file: str
    form: Format
    begin: int
    data: bytes

    @property
    def end(self) -> int:
        """Return the place in the file up to which it is here."""
        return self.begin + len(self.data)


@dataclass(frozen=True, slots=True)
class Known:
    """Parts of a log that follow on each other: of all files but the last one to their ends."""

    parts: tuple[Part, ...] = ()

    @property
    def size(self) -> int:
        """Return how many bytes there are."""
        return sum(len(part.data) for part in self.parts)

    def piece(self, file: str, position: int, length: int) -> Piece | None:
        """Return what is here of the bytes that are asked for, None where the other agent has to be asked."""
        for number, part in enumerate(self.parts):
            if part.file != file:
                continue
            following = self.parts[number + 1].file if number + 1 < len(self.parts) else ""
            size = part.end if following else OPEN
            if not position and length <= BEGINNING:
                return Piece(file, 0, size, following, part.form.head[:length])
            if part.begin <= position < part.end:
                begin = position - part.begin
                return Piece(file, position, size, following, part.data[begin : begin + length])
        return None

    def with_more(self, parts: tuple[Part, ...]) -> "Known":
        """Return this with what was got behind it."""
        if not self.parts or not parts:
            return Known(self.parts or parts)
        last, first = self.parts[-1], parts[0]
        if (last.file, last.end) != (first.file, first.begin):
            return Known(parts)
        joined = Part(last.file, last.form, last.begin, last.data + first.data)
        return Known((*self.parts[:-1], joined, *parts[1:]))


NOTHING = Known()
