"""Whom an agent lets lead: one monitor at a time (rule 14.2). Pure; times are handed in.

An *epoch* is one start of one monitor, a `Lead`; epochs are ordered. A voter that agrees to one is bound to it for the
length of the lead and the margin from that moment, on its own clock, and then obeys orders of that epoch alone, each
within the length from its token. All of it outlives the agent; the highest epoch and the record outlive the host's
boot too. A voter that has lost these says so in every answer, and counts for nothing until it is made whole: by a
request with a token that may be obeyed, for then its sender leads at this moment, and knows the record.
"""

from enum import StrEnum
from typing import NamedTuple

from mmm.lease.lead import Lead
from mmm.lease.record import NOTHING, Record
from mmm.lease.rules import NEVER, margin


class Refuses(StrEnum):
    """Why a voter does not agree to an epoch."""

    BOUND = "bound"
    """It follows another epoch."""
    HIGHER = "higher"
    """It has agreed to a higher one: that of this monitor is over."""
    BOOTED = "booted"
    """What it was bound to before the host's boot is not known."""


class Voter(NamedTuple):
    """What a voter is bound to. Moments are on the agent's own clock, which runs on while the host sleeps."""

    epoch: Lead | None = None
    """The one that it has agreed to last."""
    until: float = NEVER
    """It is bound to that before this moment."""
    highest: Lead | None = None
    """The highest that it has ever agreed to."""
    record: Record = NOTHING
    """The newest that it was sent by who it agreed to."""
    booted: float = NEVER
    """It agrees to nothing before this moment."""
    new: bool = False
    """It does not know what it has agreed to, nor a record: its disk was lost."""

    def follows(self, now: float) -> Lead | None:
        """Return the epoch that it is bound to, None where there is none."""
        return self.epoch if now < self.until else None

    def refusal(self, epoch: Lead, now: float) -> Refuses | None:
        """Return why it does not agree to the epoch, None if it does."""
        if now < self.booted:
            return Refuses.BOOTED
        if self.highest is not None and epoch < self.highest:
            return Refuses.HIGHER
        return Refuses.BOUND if self.follows(now) not in {None, epoch} else None

    def agreed(
        self, epoch: Lead, record: Record, length: float, now: float, after: float | None = None
    ) -> "Voter":
        """Return the voter once it has agreed; `after` is the margin, where it is not that of the length."""
        until = now + length + (margin(length) if after is None else after)
        if self.epoch == epoch:
            until = max(until, self.until)
        return self._replace(
            epoch=epoch, until=until, highest=epoch, record=max(self.record, record, key=Record.age)
        )

    def released(self, epoch: Lead) -> "Voter":
        """Return the voter once the monitor of the epoch has said that it leads no more."""
        return self._replace(until=NEVER) if epoch == self.epoch else self

    def obeys(self, epoch: Lead, token: float, length: float, now: float) -> bool:
        """Tell whether an order of this epoch is obeyed: within `length`, the shorter of lead and lease, of its token.

        An order of who led until just now may be under way; its token is older than what the voters are bound by.
        """
        return self.follows(now) == epoch and token <= now < token + length

    def made_whole(self, epoch: Lead, token: float, length: float, now: float) -> "Voter":
        """Return the voter after a request with a token that it has given since its start."""
        return self._replace(new=False) if self.obeys(epoch, token, length, now) else self

    def rebooted(self, now: float, length: float, after: float | None = None) -> "Voter":
        """Return the voter whose host has booted at `now`: its disk kept the highest epoch and the record."""
        booted = now + length + (margin(length) if after is None else after)
        return self._replace(epoch=None, until=NEVER, booted=booted)


def without_disk(now: float, length: float, after: float | None = None) -> Voter:
    """Return the voter of a host that starts with an empty disk."""
    return Voter(new=True).rebooted(now, length, after)
