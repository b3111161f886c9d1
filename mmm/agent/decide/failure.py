"""Why an order was not carried out: a code for the monitor, and words for people."""

from collections.abc import Iterable
from dataclasses import dataclass

from mmm.wire.why import LEASE_OVER, NOT_DONE, REFUSES_TO_FOLLOW


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as ordered: `text` says why, `step` what was tried, empty where nothing was."""

    text: str
    code: str = NOT_DONE
    """One of `mmm.wire.why`."""
    step: str = ""
    left: float = 0.0
    """Seconds for which this host will refuse the role yet, where it has promised to; 0: it has not."""

    def __str__(self) -> str:
        return f"{self.step}: {self.text}" if self.step else self.text


def failures(*texts: str) -> tuple[Failure, ...]:
    """Return failures that only people have to tell apart."""
    return tuple(map(Failure, texts))


def code_of(failed: Iterable[Failure]) -> str:
    """Return the code of an answer that names them all: a lease that is over first, for then all is ordered again."""
    codes = [failure.code for failure in failed]
    if LEASE_OVER in codes:
        return LEASE_OVER
    return next((code for code in codes if code != NOT_DONE), NOT_DONE)


def refuses_for(failed: Iterable[Failure]) -> float:
    """Return for how many seconds this host will refuse the role yet by its promise; 0 where it has given none."""
    return max((failure.left for failure in failed), default=0.0)


def refusal_to_follow(failed: Iterable[Failure]) -> str:
    """Return the sentence by which this slave refuses to follow, empty where it does not."""
    return next((failure.text for failure in failed if failure.code == REFUSES_TO_FOLLOW), "")
