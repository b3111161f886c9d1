"""When a monitor leads, and which token it may send to a host (rule 14.2). Pure; it needs no clock.

It asks the voters in *rounds*. The first of an epoch is complete when a take quorum of the voters has agreed, and then
it leads; a later one when a keep quorum has, or when all other monitors have agreed not to take the lead. Only answers
to the round that was asked last count.

It sends a host only tokens that it had received before it asked its newest complete round. So when an order is obeyed
a voter is still bound to its epoch, or the other monitors to their word, however long the monitor was paused or the
order lay in a buffer: nobody else can have taken the lead. A token is sent once.
"""

from enum import StrEnum
from math import inf
from typing import NamedTuple

from mmm.lease.lead import Lead
from mmm.lease.quorum import keep, take


class Received(NamedTuple):
    """A token of an agent, and when it arrived, on the monitor's clock."""

    token: float | str
    at: float


class Tokens(NamedTuple):
    """The tokens of one agent; each is the newest of its kind."""

    usable: Received | None = None
    """Received before the newest complete round was asked: may be sent."""
    waiting: Received | None = None
    """Received before the round that is under way was asked."""
    fresh: Received | None = None
    """Received since."""

    def heard(self, received: Received) -> "Tokens":
        """Return the tokens after an answer of the agent."""
        return self._replace(fresh=received)

    def asked(self) -> "Tokens":
        """Return the tokens once a round is asked."""
        return self._replace(waiting=self.fresh or self.waiting, fresh=None)

    def complete(self) -> "Tokens":
        """Return the tokens once the round that was asked last is complete."""
        return self._replace(usable=self.waiting or self.usable, waiting=None)

    def sent(self) -> "Tokens":
        """Return the tokens once the usable one is sent."""
        return self._replace(usable=None)


class Round(NamedTuple):
    """The round that was asked last, of the epoch under way."""

    leads: bool = False
    """A round of this epoch was complete."""
    open: bool = False
    """It was asked and is not complete."""
    agreed: frozenset[str] = frozenset()
    """The voters that have agreed to it and are whole."""
    new: frozenset[str] = frozenset()
    """Those that have agreed, and do not know what they have agreed to before."""
    without: frozenset[str] = frozenset()
    """Those that have not agreed, or do not answer."""

    def asked(self) -> "Round":
        """Return the next round."""
        return self._replace(open=True, agreed=frozenset(), new=frozenset(), without=frozenset())

    def heard(self, voter: str, *, new: bool) -> "Round":
        """Return the round after a voter has agreed; `new`: it does not know what it has agreed to before."""
        if not self.open:
            return self
        return self._replace(new=self.new | {voter}) if new else self._replace(agreed=self.agreed | {voter})

    def refused(self, voter: str) -> "Round":
        """Return the round after a voter has not agreed, or has not answered; it may agree yet."""
        return self._replace(without=self.without | {voter})

    def is_hopeless(self, voters: int) -> bool:
        """Tell whether too few are left to agree for a round that would make the monitor lead."""
        left = voters - len(self.without - self.agreed - self.new)
        return self.open and not self.leads and left < take(voters)

    def is_complete(self, voters: int, *, others: bool = False, forced: bool = False) -> bool:
        """Tell whether the round makes the monitor lead, or lets it lead on.

        `others`: all other monitors of the conf have agreed, since it was asked, not to take the lead. Voters that
        are new count where all are, as in a cluster that nobody has led yet, and where it is `forced`: by the word of
        an admin that no other monitor leads.
        """
        if not self.open:
            return False
        by_word = forced and len(self.agreed | self.new) >= self._needed(voters)
        return by_word or self.counts_record(voters) or len(self.new) == voters or (self.leads and others)

    def counts_record(self, voters: int) -> bool:
        """Tell whether the record that was sent with the round counts: other monitors keep none."""
        return len(self.agreed) >= self._needed(voters)

    def _needed(self, voters: int) -> int:
        return keep(voters) if self.leads else take(voters)

    def complete(self) -> "Round":
        """Return the round once it is complete."""
        return Round(leads=True)


class WordRefused(StrEnum):
    """Why a monitor does not give another one its word."""

    LEADS = "leads"
    """It leads, or asks for the lead."""
    HIGHER = "higher"
    """It has asked for the lead since, or given its word to one that has: that epoch is over."""
    VOTERS = "voters"
    """It reaches enough voters to lead, as the one that asks does not."""
    STARTED = "started"
    """It does not know yet what it had asked for before its start."""


class Others(NamedTuple):
    """What a monitor has told others about taking the lead. Moments are on its own clock.

    Nothing of it is kept. A monitor that starts does not ask for the lead for as long as its word may hold, and gives
    none before enough voters have told it the highest epoch that they have agreed to, its own ones among them.
    """

    refrains: float
    """It does not ask for the lead before this moment."""
    given: Lead | None = None
    """The epoch that has its word."""
    met: Lead | None = None
    """The highest epoch that it has asked for, given its word to, or heard of from voters."""
    informed: bool = True
    """As many voters as keep the lead have told it theirs since its start."""
    leaves_it: float = -inf
    """It leaves the lead to another one before this moment, as an admin has ordered; nobody counts on that."""

    def heard(self, highest: Lead | None) -> "Others":
        """Return the word after an epoch was met: asked for, or named by a voter."""
        return self._replace(met=max(filter(None, (self.met, highest)), default=None))

    def refuses(self, epoch: Lead, *, stands_by: bool) -> WordRefused | None:
        """Return why it gives one that leads by this epoch no word, None where it does."""
        if not stands_by:
            return WordRefused.LEADS
        if self.met is not None and epoch < self.met:
            return WordRefused.HIGHER
        return None if self.informed else WordRefused.STARTED

    def gives(self, epoch: Lead, now: float, length: float, after: float) -> "Others":
        """Return the word once it is given, for the length and the margin `after`."""
        return self._replace(refrains=max(self.refrains, now + length + after), given=epoch, met=epoch)

    def released(self, epoch: Lead) -> "Others":
        """Return the word once the monitor that it was given to has said that it leads no more."""
        return self._replace(refrains=-inf, given=None) if epoch == self.given else self

    def left(self, now: float, length: float, after: float) -> "Others":
        """Return the word once the lead is left to a third monitor, for the length and the margin `after`."""
        return self._replace(leaves_it=max(self.leaves_it, now + length + after))

    def uncounted(self) -> "Others":
        """Return the word once each of the others has said that it neither leads nor asks for the lead.

        Then nobody counts on what was given before the start.
        """
        return self._replace(refrains=-inf) if self.given is None else self

    def may_take(self, now: float) -> bool:
        """Tell whether it may ask for the lead."""
        return now >= max(self.refrains, self.leaves_it)
