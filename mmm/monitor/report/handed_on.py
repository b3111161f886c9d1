"""What a monitor that comes to lead has to tell, of all that nobody may have been told yet. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmm.monitor.report import changes
from mmm.monitor.report.history import KEPT, Entry
from mmm.wire.follow import BEGINNING, Position


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A history that is gone on with by a monitor that comes to lead."""

    before: tuple[Entry, ...]
    """That of this monitor so far."""
    copied: tuple[Entry, ...]
    """The history of the monitor that led before; empty where none is known of."""
    told: Mapping[str, Position]
    """How far that one has told each section of `<notify>`; all, where a section is not in it."""
    joined: tuple[Entry, ...]
    """Both histories, as this monitor goes on with them."""

    def told_to(self, section: str) -> Position:
        """Return how far a section has been told of what was copied."""
        end = changes.newest(self.copied)
        return min(self.told.get(section, end), end)

    def only_here(self, own: Iterable[Entry]) -> tuple[Entry, ...]:
        """Return those of this monitor's changes that the one before has never known of: it has told none of them.

        They have the positions that they have by now. What is older than all that the one before has kept it has known.
        """
        known = {each.position for each in self.copied}
        oldest = self.copied[0].position if len(self.copied) >= KEPT else BEGINNING
        now = {of(each): each for each in self.joined}
        return tuple(
            now.get(of(each), each) for each in own if each.position not in known and each.position > oldest
        )

    def left(self, section: str, own: Iterable[Entry]) -> tuple[Entry, ...]:
        """Return what a section is still to be told, in the order of the history.

        `own` is what this monitor has not told. What the history has no place for comes last.
        """
        theirs = changes.since(self.copied, self.told_to(section))
        wanted = {each.position: each for each in (*theirs, *self.only_here(own))}
        placed = tuple(each for each in self.joined if wanted.get(each.position) == each)
        at = {each.position for each in placed}
        return (*placed, *(each for place, each in wanted.items() if place not in at))


def of(entry: Entry) -> tuple[float, str]:
    """Return what is the same of a change also where it comes behind another history, and gets another position."""
    return entry.at, entry.text
