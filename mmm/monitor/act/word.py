"""The word of this monitor to another one that leads: that it does not ask for the lead for a while (rule 14.2)."""

import logging
import time
from collections.abc import Collection, Iterable
from math import inf

from mmm.config.model import Cluster
from mmm.lease.lead import Lead
from mmm.lease.leading import Others, WordRefused
from mmm.lease.quorum import keep, take
from mmm.lease.rules import margin
from mmm.wire import refrain, voting

OTHER_LENGTH = "lead_lease_differs"
"""The other monitor would lead on for another time than this one refrains."""

log = logging.getLogger(__name__)


class Word:
    """What this monitor has given its word to, since its start."""

    def __init__(self, conf: Cluster) -> None:
        self._length, self._voters = conf.lead_lease, len(conf.voters)
        alone = len(conf.monitors) < 2
        started = time.monotonic() + self._length + margin(self._length)
        self._others = Others(-inf if alone else started, informed=False)
        self._reaches = 0

    @property
    def may_take(self) -> bool:
        """Tell whether this monitor may ask for the lead."""
        return self._others.may_take(time.monotonic())

    @property
    def next_number(self) -> int:
        """Return the number of an epoch that is higher than all that were met."""
        return self._others.met.number + 1 if self._others.met else 1

    @property
    def waits(self) -> bool:
        """Tell whether it may not, only for what it may have given its word to before its start."""
        return self._others.given is None and time.monotonic() < self._others.refrains

    def uncounted(self) -> None:
        """Note that none of the others leads or asks for the lead."""
        self._others = self._others.uncounted()

    def heard(self, said: Iterable[voting.Said]) -> None:
        """Take in what voters have told of the epochs that they have agreed to."""
        whole = [each for each in said if not each.new]
        for each in whole:
            self._others = self._others.heard(each.highest)
        if len(whole) >= keep(self._voters):
            self._others = self._others._replace(informed=True)

    def looked(self, said: Collection[voting.Said]) -> None:
        """Take in what all voters have told that this monitor reaches while it stands by."""
        self._reaches = len(said)
        self.heard(said)

    def asks(self, epoch: Lead) -> None:
        """Note that this monitor asks for the lead itself."""
        self._others = self._others.heard(epoch)

    def answer(self, asked: refrain.Asked, *, stands_by: bool) -> str:
        """Return what the monitor is told that asks for the word, and go by that."""
        if asked.epoch is None:
            return refrain.GIVEN if stands_by else refrain.refused(WordRefused.LEADS)
        if asked.length <= 0:
            self._others = self._others.released(asked.epoch)
            return refrain.GIVEN
        if asked.hand_over:
            return self._left(asked.epoch, stands_by=stands_by)
        refused: str | None = self._others.refuses(asked.epoch, stands_by=stands_by)
        if refused is None and asked.length != self._length:
            refused = OTHER_LENGTH
        if refused is None and self._reaches >= take(self._voters):
            refused = WordRefused.VOTERS
        if refused is not None:
            return refrain.refused(refused)
        if asked.epoch != self._others.given:
            log.info(
                "gives the monitor at %s its word: it does not ask for the lead for %g s", asked.epoch.address,
                self._length + margin(self._length),
            )  # fmt: skip
        self._others = self._others.gives(asked.epoch, time.monotonic(), self._length, margin(self._length))
        return refrain.GIVEN

    def _left(self, epoch: Lead, *, stands_by: bool) -> str:
        """Return the answer to one that hands the lead over to a third monitor, and leave it to that.

        The one that asks does not lead on by that. So it counts for nothing which epochs were met, as one of this
        monitor that it has asked for in vain, nor how many voters it reaches.
        """
        if not stands_by:
            return refrain.refused(WordRefused.LEADS)
        log.info(
            "the monitor at %s hands the lead over: this one leaves it to another for %g s", epoch.address,
            self._length + margin(self._length),
        )  # fmt: skip
        self._others = self._others.left(time.monotonic(), self._length, margin(self._length))
        return refrain.GIVEN
