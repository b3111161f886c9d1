"""What a failover has lost, in words and as JSON has it (rules 10.10, 11.3)."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

from mmm.monitor.world.loss import Loss, LossCode
from mmm.monitor.world.said import Fields, Said, Texts, listed
from mmm.wire.control import moment

Clock = Callable[[float], float]
"""Turns monotonic seconds into wall-clock ones since 1970."""


def said(loss: Loss, clock: Clock) -> "Lossage":
    """Return what there is to say of a loss that has been estimated."""
    about = {
        "host": loss.host,
        "taker": loss.taker,
        "since": None if loss.seen is None else moment(clock(loss.seen)),
        "most": loss.most,
        "likely": loss.likely,
        "rate": loss.rate,
        "rate_age": loss.rate_age,
        **loss.about,
    }
    return Lossage(str(loss.code), about)


def encoded(loss: Loss, clock: Clock) -> dict[str, Any]:
    """Return the loss as values for JSON; moments are wall-clock seconds since 1970."""
    ends = loss.ended is not None and loss.ended < math.inf
    return {
        "host": loss.host,
        "taker": loss.taker,
        "loss": str(loss.code or ""),
        "most": loss.most,
        "likely": loss.likely,
        "missing": loss.missing,
        "rate": loss.rate,
        "seen": None if loss.seen is None else clock(loss.seen),
        "ended": clock(loss.ended) if ends and loss.ended is not None else None,
    }


def _most(of: Fields) -> str:
    count = of["most"]
    return f"at most {count} transaction{'' if count == 1 else 's'}"


def _since(of: Fields) -> str:
    return f" since {of['since']}" if of["since"] else ""


def _unknown(why: Callable[[Fields], str]) -> Callable[[Fields], str]:
    return lambda of: f"unknown{_since(of)}: {why(of)}"


def _by_position(of: Fields) -> str:
    if "place" not in of:
        return "there are no GTIDs, and places in the binary log are not known"
    place = (
        f"its binary log was at {of['place']} then, and {of['taker']} has received it up to {of['received']}"
    )
    return f"without GTIDs nothing can be counted; {place}{'' if of['reaches'] else ': the rest is lost'}"


def _speed(of: Fields) -> str:
    rate, age = of["rate"] or 0.0, of["rate_age"]
    return f"the {rate:.1f} a second before (the fastest of its last looks, {age:.0f} s earlier)"


def _more(of: Fields) -> str:
    """Return what is known beside the figures: what was seen there, and who has what clients were told of."""
    more = (
        f"; {of['lacks']} of {of['host']} were seen there and are not on {of['taker']}" if of["lacks"] else ""
    )
    if of.get("reached"):
        told = f"what clients were told of and {of['taker']} lacks has reached {listed(of['reached'])}"
        more += f"; semi-sync was on: {told}"
    return more


def _unseen(of: Fields) -> str:
    return (
        f"{of['host']} fell silent and may have taken writes for {of['seconds']:.0f} s unseen, from clients that still"
        f" reached it; at {_speed(of)} that makes {of['likely']}{_more(of)}"
    )


class Lossage(Said):
    """What the failover from `host` to `taker` has lost, by LossCode."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        LossCode.AT_MOST: (
            lambda of: f"{_most(of)}{_since(of)}, if it wrote no faster than {_speed(of)}{_more(of)}"
        ),
        LossCode.COMPARED: (
            lambda of: f"{_most(of)}, by a comparison when it came back: it has {of['extra']}"
        ),
        LossCode.ACKNOWLEDGED: "nothing that clients were told of: semi-sync was on",
        LossCode.NEVER_SEEN: _unknown(lambda of: f"what {of['unseen']} had was never seen"),
        LossCode.NO_GTIDS: _unknown(_by_position),
        LossCode.LOOKED_ONCE: _unknown(
            lambda of: f"{of['host']} was looked at only once, so how fast it wrote is not known{_more(of)}"
        ),
        LossCode.UNSEEN: _unknown(_unseen),
        LossCode.WRITES_ON: _unknown(
            lambda of: f"{of['host']} may still take writes: nothing has stopped it{_more(of)}"
        ),
    }

    def __str__(self) -> str:
        return f"lost with {self.fields['host']} when {self.fields['taker']} took over: {Said.__str__(self)}"
