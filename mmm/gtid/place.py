"""Places in binary logs: file and position, and what stands behind one. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_NUMBER = re.compile("[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A place in somebody's binary log; empty file: nowhere yet."""

    file: str
    position: int

    def reaches(self, other: "LogPlace") -> bool:
        """Tell whether this place is at or past the other one of the same log."""
        return self.order >= other.order

    @property
    def order(self) -> tuple[int, int]:
        """Return what places of one log are compared by: the file's number, the position in it."""
        number = self.file.rpartition(".")[2]
        return (int(number) if _NUMBER.fullmatch(number) else 0, self.position if self.file else 0)

    def __str__(self) -> str:
        return f"{self.file}:{self.position}"


NOWHERE = LogPlace("", 0)


@dataclass(frozen=True, slots=True)
class Written:
    """Transactions in somebody's binary log, which begin at these places."""

    count: int
    first: LogPlace
    last: LogPlace
    more: bool = False
    """The log was not looked through to its end: there may be more of them."""

    def __str__(self) -> str:
        least = "at least " if self.more else ""
        where = f"{self.first} to {self.last}" if self.count > 1 else str(self.first)
        return f"{least}{self.count} transaction{'' if self.count == 1 else 's'} ({where} in its binary log)"


class Hidden(StrEnum):
    """Why it is not known what a server's binary log has behind a place."""

    TOO_OLD = "too_old"
    """It does not reach back to the place."""
    CUT_SHORT = "cut_short"
    """It ends before the place: it has lost what was there."""
    DENIED = "denied"
    """The account may not look at it."""
    NO_ANSWER = "no_answer"
    """The server, or the way to it, has failed."""
    SENSELESS = "senseless"
    """No binary log is like what was answered."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a server's binary log was not looked through."""

    why: Hidden
    end: LogPlace = NOWHERE
    """Where it ends, as far as that is known."""
    size: int = 0
    """The bytes behind the place."""
    error: str = ""
    """What the server said, or what is wrong with its answer."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands in a server's binary log behind a place."""

    since: LogPlace
    seen: float
    """When it was asked, in monotonic seconds."""
    of: Mapping[int, Written] = field(default_factory=dict)
    """The transactions there by the server_id of the server that they were written on first."""
    complete: bool = True
    """The log was looked through to its end."""
    unread: Unread | None = None
    """Why it could not be looked at; None: it could."""

    def not_of(self, server_id: int) -> Written | None:
        """Return the transactions that others than that server have written; None: none, as far as was seen."""
        found = [written for server, written in self.of.items() if server != server_id]
        if not found:
            return None
        first, last = min(found, key=lambda one: one.first.order), max(found, key=lambda one: one.last.order)
        return Written(sum(one.count for one in found), first.first, last.last, not self.complete)
