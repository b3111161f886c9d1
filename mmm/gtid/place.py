"""Places in binary logs: file and position."""

import re
from dataclasses import dataclass

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
