"""What the voters keep for whoever leads next (rule 14.2). Pure."""

from typing import NamedTuple

from mmm.lease.lead import Lead


class Record(NamedTuple):
    """What a monitor that takes the lead must not get wrong, by the word of the one before it."""

    epoch: Lead | None = None
    """Of the monitor that wrote it; None: nobody has written any."""
    sequence: int = 0
    mode: str = ""
    cause: str = ""
    """Why the mode is not active: a code."""
    offline: frozenset[str] = frozenset()
    """Hosts that an admin has set offline."""
    held: frozenset[str] = frozenset()
    """Hosts that may hold the active master role without an end."""
    monitors: frozenset[str] = frozenset()
    """Addresses of the monitors by whose word its writer may go on leading; empty: by that of voters alone."""

    def age(self) -> tuple[Lead, int]:
        """Return what orders records: the larger one is newer."""
        return self.epoch or _NOBODY, self.sequence

    def lets(self, monitor: str) -> bool:
        """Tell whether the monitor at this address may take the lead from who wrote it.

        One that is not named was not asked for its word: who wrote it may lead yet, and need no voter for that.
        """
        return not self.monitors or monitor in self.monitors


_NOBODY = Lead(-1, "", "")
NOTHING = Record()
"""The record where nobody has led yet."""
