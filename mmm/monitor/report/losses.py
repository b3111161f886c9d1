"""What a failover has lost, in words and as JSON has it (rules 10.10, 11.3)."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Entry
from mmm.monitor.world.loss import Loss, LossCode, Recorded
from mmm.monitor.world.said import Fields, Said, Texts, listed
from mmm.wire import caught_up
from mmm.wire.salvaged import Cause, Salvaged

_RECORDED = "recorded"
"""The field with the sentence that an earlier start of the monitor has said."""


def said(loss: Loss, clock: Clock) -> "Lossage":
    """Return what there is to say of a loss that has been estimated."""
    if loss.recorded is not None:
        return Lossage(str(loss.code), {**loss.recorded.fields, _RECORDED: loss.recorded.text})
    about = {
        "host": loss.host,
        "taker": loss.taker,
        "since": None if loss.seen is None else clock.said(loss.seen),
        "most": loss.most,
        "likely": loss.likely,
        "rate": loss.rate,
        "rate_age": loss.rate_age,
        "salvaged": loss.salvaged,
        "caught_up": loss.caught_up,
        **loss.about,
    }
    return Lossage(str(loss.code), about)


def encoded(loss: Loss, clock: Clock) -> dict[str, Any]:
    """Return the loss as values for JSON; moments are wall-clock seconds since 1970."""
    if loss.recorded is not None:
        return dict(loss.recorded.values)
    ends = loss.ended is not None and loss.ended < math.inf
    return {
        "host": loss.host,
        "taker": loss.taker,
        "loss": str(loss.code or ""),
        "most": loss.most,
        "likely": loss.likely,
        "missing": loss.missing,
        "rate": loss.rate,
        "seen": None if loss.seen is None else clock.wall(loss.seen),
        "salvaged": None if loss.salvaged is None else encoded_salvage(loss.salvaged),
        "ended": clock.wall(loss.ended) if ends and loss.ended is not None else None,
        "caught_up": [_encoded_catch_up(each) for each in loss.caught_up],
    }


def recalled(entry: Entry, now: float) -> Loss | None:
    """Return the loss that an entry of the history tells of, None where it tells nothing that can be read."""
    values, event = entry.loss, entry.event
    if values is None or event is None or values.get("loss") not in set(LossCode):
        return None
    said, most, missing = event.get("fields", {}), values.get("most"), values.get("missing")
    said = said.get("said") if isinstance(said, dict) else None
    fields = said.get("fields") if isinstance(said, dict) else None
    names = values.get("host"), values.get("taker")
    numbers = (most is None or isinstance(most, int)) and isinstance(missing, int)
    if not (isinstance(fields, dict) and numbers and all(isinstance(name, str) for name in names)):
        return None
    host, taker = map(str, names)
    recorded = Recorded(entry.text, fields, values)
    code = LossCode(values["loss"])
    missing = missing or 0
    return Loss(host, taker, now, taken=now, code=code, most=most, missing=missing, recorded=recorded)


def encoded_salvage(got: Salvaged) -> dict[str, Any]:
    """Return what was got of a binary log as values for JSON."""
    return {
        "host": got.host,
        "count": got.count,
        "first": got.first,
        "last": got.last,
        "bytes": got.size,
        "left": got.left,
        "read_to_its_end": got.known,
        "why": str(got.cause or ""),
        "seconds": got.seconds,
        "at": got.at,
        "at_bytes": got.at_size,
    }


def _encoded_catch_up(got: caught_up.CaughtUp) -> dict[str, Any]:
    return {
        "host": got.host,
        "count": got.count,
        "names": list(got.names),
        "left": got.left,
        "lacks": list(got.lacks),
        "exact": got.exact,
        "why": str(got.cause or ""),
        "seconds": got.seconds,
    }


_REASONS: Mapping[Cause, str] = {
    Cause.AGENT: "its agent did not send it",
    Cause.HAS_ROLE: "its agent may hold the role still",
    Cause.NO_LOG: "it cannot be read there",
    Cause.PURGED: "it does not reach back so far",
    Cause.WRONG_SERVER: "it is another server's",
    Cause.ENCRYPTED: "it is encrypted",
    Cause.DAMAGED: "it is damaged",
    Cause.INCIDENT: "it notes an incident",
    Cause.XA: "an XA transaction is in it",
    Cause.NO_GTIDS: "its transactions have no GTIDs",
    Cause.GAP: "it does not follow on what the new writer had",
    Cause.DIVERGED: "the new writer has written something else in its place",
    Cause.TOO_LARGE: "a transaction is too large",
    Cause.LATE: "it took longer than salvage_timeout, or the lease",
    Cause.PROGRAM: "mariadb-binlog or mysqlbinlog could not be run on the new writer",
    Cause.DENIED: "the agent's MySQL user may not apply it",
    Cause.NOT_APPLIED: "the server did not take it",
    Cause.SERVER: "the new writer's server could not be asked",
}


def _got(got: Salvaged) -> str:
    """Return what was got, in words."""
    return f"{_transactions(got.count)} got from the binary log of {got.host} ({got.names})"


def _transactions(count: int) -> str:
    return f"{count} transaction{'' if count == 1 else 's'}"


def _salvaged(of: Fields) -> str:
    got: Salvaged = of["salvaged"]
    more = f"{_got(got)}" if got.count else f"the binary log of {got.host} had nothing more"
    if not got.left:
        return f"nothing: {more}"
    why = _REASONS[got.cause or Cause.NOT_APPLIED]
    more = f"; {_got(got)}" if got.count else ""
    at = f", from {got.at_named} on" if got.at else ""
    return f"{_transactions(got.left)} that the binary log of {got.host} has{at}: {why}{more}"


def _not_got(of: Fields) -> str:
    """Return what is to be said of a binary log that was not read to its end, with its semicolon."""
    got: Salvaged | None = of["salvaged"]
    if got is None or got.cause is None:
        return ""
    more = f"; {_got(got)}" if got.count else ""
    at = f", from {got.at_named} on," if got.at else ""
    return f"; the rest of the binary log of {got.host}{at} was not got: {_REASONS[got.cause]}{more}"


_NOT_HAD: Mapping[caught_up.Cause, str] = {
    caught_up.Cause.SILENT: "its server did not answer",
    caught_up.Cause.NO_GTIDS: "there are no GTIDs",
    caught_up.Cause.FAMILY: "MariaDB and MySQL cannot follow each other",
    caught_up.Cause.NO_LOG: "it does not log what it replicates (log_bin, log_slave_updates)",
    caught_up.Cause.OWN: "what was written on it would have come along",
    caught_up.Cause.LOGIN: "it turns the replication user of the conf away",
    caught_up.Cause.PURGED: "its binary log does not reach back so far",
    caught_up.Cause.BEYOND: "it lacks something that the new writer had",
    caught_up.Cause.STOPPED: "replication from it stopped",
    caught_up.Cause.LATE: "sync_timeout, or the lease, was over",
}


def _got_of(got: caught_up.CaughtUp) -> str:
    """Return what was got of another replica and what was not, with its semicolon."""
    had = f"; {got.got} got from {got.host} first" if got.count else ""
    if got.cause is None:
        return had
    left = got.missing if got.left else "what else it may have"
    return f"{had}; not got from {got.host}: {left}: {_NOT_HAD[got.cause]}"


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
        LossCode.SALVAGED: _salvaged,
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
        if _RECORDED in self.fields:
            return str(self.fields[_RECORDED])
        more = "" if self.code == LossCode.SALVAGED else _not_got(self.fields)
        more += "".join(map(_got_of, self.fields["caught_up"]))
        return f"lost with {self.fields['host']} when {self.fields['taker']} took over: {Said.__str__(self)}{more}"
