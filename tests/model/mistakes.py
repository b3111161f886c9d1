"""The rules of the lead with one of them left out, each with the shortest way to two writers."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from mmm.lease.lead import Lead
from mmm.lease.leading import Round
from mmm.lease.record import Record
from mmm.lease.rules import NEVER
from mmm.lease.voter import Refuses, Voter
from tests.model.voting import Rules


class LeadsByOne(Round):
    """Leads as soon as one voter agrees, however many there are."""

    def is_complete(self, voters: int, *, others: bool = False, forced: bool = False) -> bool:  # noqa: ARG002
        return self.open and len(self.agreed) >= 1


class LeadsAnyway(Voter):
    """Agrees to everybody, whoever it is bound to."""

    def refusal(self, epoch: Lead, now: float) -> Refuses | None:
        refused = super().refusal(epoch, now)
        return None if refused is Refuses.BOUND else refused


class AgreesToLower(Voter):
    """Agrees to an epoch though it has agreed to a higher one."""

    def refusal(self, epoch: Lead, now: float) -> Refuses | None:
        refused = super().refusal(epoch, now)
        return None if refused is Refuses.HIGHER else refused


class ForgetsAtBoot(Voter):
    """Does not keep the highest epoch over a boot."""

    def rebooted(self, now: float, length: float, after: float | None = None) -> Voter:
        return super().rebooted(now, length, after)._replace(highest=None)


class AgreesAfterBoot(Voter):
    """Agrees at once after a boot."""

    def rebooted(self, now: float, length: float, after: float | None = None) -> Voter:
        return super().rebooted(now, length, after)._replace(booted=NEVER)


class KeepsNoRecord(Voter):
    """Does not store the record."""

    def agreed(
        self, epoch: Lead, record: Record, length: float, now: float, after: float | None = None
    ) -> Voter:
        return super().agreed(epoch, record, length, now, after)._replace(record=self.record)


class Mistake(NamedTuple):
    """A rule that is left out."""

    rules: Rules
    """An instance in which nothing is left out."""
    without: Mapping[str, Any]
    """What is other than the rules say."""
    way: tuple[str, ...]
    """The steps to two holders, as the explorer names them."""


_TWO, _THREE = Rules(own=True), Rules(voters=3, own=True)
_M1 = ("A agrees to a new round of M1", "B agrees to the round of M1")
_A = ("A is granted the role by M1", "A gets the order of M1, a grant")
_B = ("B is granted the role by M2", "B gets the order of M2, a grant")
_NOTHING_GIVEN = ("A tells M2 what it has", "B tells M1 what it has")
_M2_BY_B_AND_C = ("B agrees to a new round of M2", "C agrees to the round of M2")
_M2_AFTER_M1 = (
    *_M1,
    "B tells M1 what it has",
    "a tick",
    "a tick",
    "A agrees to a new round of M2",
    "B agrees to the round of M2",
)
_B_AFTER_A_FOR_EVER = (
    "A is granted the role for ever by M1",
    "A gets the order of M1, for ever",
    "a tick",
    "a tick",
    "A agrees to a new round of M2",
    "B agrees to the round of M2",
    "a tick",
    "a tick",
    "B agrees to a new round of M2",
    *_B,
)
_M2_BETWEEN = (
    "A agrees to a new round of M1",
    "C agrees to the round of M1",
    "B tells M1 what it has",
    "a tick",
    "a tick",
    "A follows M1, which does not hear of it",
    *_M2_BY_B_AND_C,
    "A tells M2 what it has",
    *_B,
)
_M1_BY_ITS_WORD = ("M2 gives M1 its word", *_A)
_A_STAYS = (*_M1, "B tells M1 what it has", *_A)
_B_AFTER_A = (
    "A hears that it is let stay",
    "a tick",
    "a tick",
    "A agrees to a new round of M2",
    "B agrees to the round of M2",
    "a tick",
    "a tick",
    "B agrees to a new round of M2",
    _B[0],
)
_M1_GOES_ON = (
    "a tick",
    "a tick",
    "A agrees to a new round of M1",
    "B agrees to a new round of M2",
    *_A,
    *_B,
)

MISTAKES: dict[str, Mistake] = {
    "sets of voters that take and keep the lead meet": Mistake(
        _TWO,
        {"round": LeadsByOne},
        ("A agrees to a new round of M1", "B agrees to a new round of M2", *_NOTHING_GIVEN, *_A, *_B),
    ),
    "a voter is bound to one epoch": Mistake(
        _THREE, {"voter": LeadsAnyway}, (*_M1, *_M2_BY_B_AND_C, *_NOTHING_GIVEN, *_A, *_B)
    ),
    "a voter agrees to no lower epoch": Mistake(
        replace(_TWO, epochs=2),
        {"voter": AgreesToLower},
        (
            *_M1,
            "a tick",
            "a tick",
            "A agrees to a new round of M2",
            "A agrees to a new round of M1",
            "B agrees to the round of M2",
            _A[0],
            "A tells M2 what it has",
            _A[1],
            *_B,
        ),
    ),
    "only tokens from before the round are sent": Mistake(
        _THREE,
        {"newest": True},
        (
            *_M1,
            "a tick",
            "a tick",
            "A agrees to a new round of M1",
            *_M2_BY_B_AND_C,
            _A[0],
            "A tells M2 what it has",
            _A[1],
            *_B,
        ),
    ),
    "whom a voter follows outlives its agent": Mistake(
        replace(_THREE, waits=False, faults=1),
        {"restart_forgets": True},
        (*_M1, *_A, "B has its agent restarted", *_M2_BY_B_AND_C, *_B),
    ),
    "a voter agrees to nothing for a while after a boot": Mistake(
        replace(_THREE, waits=False, faults=1),
        {"voter": AgreesAfterBoot},
        (
            "A agrees to a new round of M1",
            "C agrees to the round of M1",
            "B agrees to a new round of M2",
            *_A,
            "C boots",
            "C agrees to the round of M2",
            *_B,
        ),
    ),
    "voters keep the record": Mistake(
        replace(_TWO, forever=True),
        {"voter": KeepsNoRecord},
        (
            *_M1,
            "A agrees to a new round, the record changed for A of M1",
            "B tells M1 what it has",
            *_B_AFTER_A_FOR_EVER,
        ),
    ),
    "a lease without an end is granted only once the record counts": Mistake(
        replace(_TWO, forever=True),
        {"recorded": False},
        (
            *_M1,
            "B tells M1 what it has",
            *_B_AFTER_A_FOR_EVER,
        ),
    ),
    "who stays for good has asked the other host of the role, not only voters enough": Mistake(
        replace(_TWO, stays=True), {"unheld": True}, (*_A_STAYS, "A asks to stay", *_B_AFTER_A, _B[1])
    ),
    "a stay is void by an order that was sent after it was shown to whoever leads": Mistake(
        replace(_TWO, stays=True),
        {"unshown": True},
        (
            *_A_STAYS,
            "A is heard by M1 to have obeyed",
            "A asks to stay",
            "B lets A stay",
            *_B_AFTER_A,
            "B is told that A stays no more",
            _B[1],
        ),
    ),
    "the highest epoch outlives a boot": Mistake(
        replace(_TWO, faults=1),
        {"voter": ForgetsAtBoot},
        (*_M2_AFTER_M1, "A boots", *_M1_GOES_ON),
    ),
    "a voter that has lost its disk does not count": Mistake(
        replace(_TWO, faults=1, disks=True),
        {"new_counts": True},
        (*_M2_AFTER_M1, "A boots with an empty disk", *_M1_GOES_ON),
    ),
    "a monitor that is started waits for as long as its word holds": Mistake(
        replace(_THREE, others=True),
        {"restart_waits": False},
        (
            *_M1,
            "a tick",
            "a tick",
            "A follows M1, which does not hear of it",
            "M2 gives M1 its word",
            "M2 is restarted, and hears AB",
            *_M2_BY_B_AND_C,
            "A tells M2 what it has",
            *_A,
            *_B,
        ),
    ),
    "a monitor gives its word to no lower epoch than its own": Mistake(
        replace(_THREE, others=True), {"any_word": True}, (*_M2_BETWEEN, "M2 stands by", *_M1_BY_ITS_WORD)
    ),
    "a monitor that is started gives its word once voters have told it of its own epoch": Mistake(
        replace(_THREE, others=True),
        {"uninformed": True},
        (*_M2_BETWEEN, "M2 is restarted, and hears AB", *_M1_BY_ITS_WORD),
    ),
    "who takes the lead believes no answer, only that an order was obeyed": Mistake(
        replace(_THREE, releases=True, tells=False),
        {"tells": True},
        (
            *_M1,
            "C agrees to a new round of M2",
            "B tells M1 what it has",
            _A[0],
            "M1 stands by",
            "B is released by M1",
            "B agrees to the round of M2",
            "A tells M2 what it has",
            _A[1],
            *_B,
        ),
    ),
}
