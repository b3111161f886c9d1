"""Who is told what of all that happens, when, and in which words: the `<notify>` sections of the conf. Pure.

What a section waits for to be told is `Held`, in the order in which it happened. A host that went out of use and is
back before the section's `after` is over is not told at all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mmm.config.model import Notify
from mmm.monitor.report import changes
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Entry
from mmm.monitor.report.raised import OVER, RAISED
from mmm.monitor.states.table import RULES
from mmm.monitor.world.happened import Happened, Why
from mmm.monitor.world.host import State
from mmm.monitor.world.warnings import SENTENCES

OLDEST = 3600.0
"""Seconds after which a change that nobody has been told is no news: a monitor that starts finds such ones."""
MOST = 1000
"""Changes that wait for one section at most; what is more is counted."""
SINGLE = 5
"""Changes that a command is run for one by one; more of them at once are one run."""
_LISTED = 50
"""Changes that stand in a text; more of them are counted."""


@dataclass(frozen=True, slots=True)
class Held:
    """A change that is to be told, and when it happened, in monotonic seconds."""

    entry: Entry
    since: float


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is told at once."""

    entries: tuple[Entry, ...]
    left_out: int = 0
    """Changes before these that nobody is told, as there were too many."""


def with_news(
    waiting: tuple[Held, ...], news: Iterable[Entry], notify: Notify, now: float, wall: float
) -> tuple[Held, ...]:
    """Return what waits to be told once something has happened; it may be more than MOST.

    `now` is in monotonic seconds, `wall` the same moment on the wall. News may be old: nobody reads them while a slow
    receiver is told others.
    """
    for entry in news:
        since = now - max(0.0, wall - entry.at)
        waiting = _without_healed((*waiting, Held(entry, since)), notify.after)
        if not (waiting and waiting[-1].entry is entry and _is_wanted(entry, notify)):
            waiting = tuple(held for held in waiting if held.entry is not entry)
    return waiting


def too_old(waiting: tuple[Held, ...], found: tuple[Entry, ...], wall: float) -> tuple[Held, ...]:
    """Return what is no news any more at a moment on the wall, of what was found in a history.

    What has happened since is told however long a slow receiver had it wait.
    """
    places = {entry.position for entry in found}
    return tuple(held for held in waiting if held.entry.position in places and wall - held.entry.at > OLDEST)


def without_healed(left: tuple[Entry, ...], joined: tuple[Entry, ...], notify: Notify) -> tuple[Entry, ...]:
    """Return what of another history is still to be told, where others have told the rest of what came since.

    A host whose way back another monitor has told was not out of use for long, if it was short. `joined` is the whole
    history; what it has no place for is to be told.
    """
    places = {entry.position for entry in left}
    first = next((number for number, entry in enumerate(joined) if entry.position in places), len(joined))
    since = joined[first:]
    last = max((entry.at for entry in since), default=0.0)
    waits = {held.entry.position for held in with_news((), since, notify, last, last)}
    ended = {entry.position for entry in since} - waits
    return tuple(entry for entry in left if entry.position not in ended)


def due(waiting: tuple[Held, ...], notify: Notify, now: float) -> int:
    """Return how many of the first are to be told now."""
    count = 0
    while count < len(waiting) and waiting[count].since + notify.after <= now:
        count += 1
    return count


def messages(entries: tuple[Entry, ...], left_out: int, notify: Notify) -> tuple[Message, ...]:
    """Return how the changes are told: a command is run for each of few, all else comes in one message."""
    if notify.command and len(entries) <= SINGLE and not left_out:
        return tuple(Message((entry,)) for entry in entries)
    return (Message(entries, left_out),)


def subject(message: Message) -> str:
    """Return what it is about, in one line."""
    count = len(message.entries) + message.left_out
    first = message.entries[0].text
    return f"MMM: {first}" if count == 1 else f"MMM: {count} changes: {first}, …"


def text(message: Message, clock: Clock) -> str:
    """Return what has happened, a line for each change."""
    lines = [entry.said(clock) for entry in message.entries[:_LISTED]]
    if more := len(message.entries) - len(lines):
        lines.append(f"and {more} more: see mmm_control history")
    if message.left_out:
        lines.insert(0, f"{message.left_out} changes before these are left out: see mmm_control history")
    return "\n".join(lines) + "\n"


def values(message: Message, cluster: str, clock: Clock) -> dict[str, Any]:
    """Return it as JSON has it: what a webhook is sent, and what a command reads."""
    return {
        "cluster": cluster,
        "count": len(message.entries) + message.left_out,
        "left_out": message.left_out,
        "text": text(message, clock),
        "events": [changes.encoded(entry) for entry in message.entries],
    }


def environment(message: Message, cluster: str) -> dict[str, str]:
    """Return the variables that a command gets; of several changes those of none, but their number."""
    count = len(message.entries) + message.left_out
    common = {"MMM_CLUSTER": cluster, "MMM_COUNT": str(count)}
    if count > 1:
        return {**common, "MMM_EVENT": "several", "MMM_SENTENCE": subject(message).removeprefix("MMM: ")}
    (entry,) = message.entries
    event, fields = _of(entry.event)
    vip, lost = str(fields.get("vip", "")), entry.loss or {}
    named = {
        "EVENT": event,
        "HOST": fields.get("host") or fields.get("target") or lost.get("host"),
        "FROM": fields.get("before") or fields.get("source") or fields.get("donor"),
        "TO": fields.get("after") or fields.get("target") or lost.get("taker"),
        "RULE": _rule(entry),
        "WARNING": fields.get("warning"),
        "ROLE": vip.partition("(")[0],
        "VIP": vip.partition("(")[2].rstrip(")"),
        "LOST": ("unknown" if lost.get("most") is None else lost["most"]) if entry.loss else "",
        "SENTENCE": ": ".join(filter(None, (entry.text, entry.cause))),
        "TOOK": "" if entry.took is None else f"{entry.took:.3f}",
        "TIME": f"{entry.at:.3f}",
        "POSITION": entry.position,
    }
    said = {f"MMM_{name}": "" if value is None else str(value) for name, value in named.items()}
    return {name: " ".join(value.replace("\0", "").split()) for name, value in {**common, **said}.items()}


def unknown(notify: Notify) -> tuple[str, ...]:
    """Return the patterns of the section that nothing which can happen fits."""
    states = {f"state.{state}" for state in State}
    warnings = {f"warned.{code}" for code in SENTENCES}
    known = {*Happened.texts, *Why.texts, *states, *warnings, *(rule.name for rule in RULES)}
    return tuple(glob for glob in notify.events if not any(fnmatchcase(name, glob) for name in known))


def _is_wanted(entry: Entry, notify: Notify) -> bool:
    return any(fnmatchcase(name, glob) for name in _names(entry) for glob in notify.events)


def _names(entry: Entry) -> tuple[str, ...]:
    """Return the names by which a section asks for a change: that of the event, of a state or warning, of a rule."""
    event, fields = _of(entry.event)
    kinds = {
        "state": f"state.{fields.get('after')}",
        RAISED: f"warned.{fields.get('warning')}",
        OVER: f"warned.{fields.get('warning')}",
    }
    return tuple(filter(None, (event, kinds.get(event, ""), _rule(entry))))


def _rule(entry: Entry) -> str:
    code, fields = _of(entry.why)
    return str(fields.get("rule") or code)


def _of(value: Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """Return code and fields of a value, which may come from any file."""
    value = value or {}
    fields = value.get("fields")
    return str(value.get("code", "")), fields if isinstance(fields, Mapping) else {}


def _without_healed(waiting: tuple[Held, ...], after: float) -> tuple[Held, ...]:
    """Return what waits without what the last one ends: a host's way out of use and back, or a warning."""
    last = waiting[-1]
    event, fields = _of(last.entry.event)
    if event == OVER and after:
        return _without_warning(waiting, after)
    if event != "state" or fields.get("after") != State.ONLINE or not after:
        return waiting
    own = [held for held in waiting if _is_of(held.entry, fields.get("host"))]
    left = next((held for held in own if _of(held.entry.event)[1].get("before") == State.ONLINE), None)
    if left is None or not _is_short(left, last, after):
        return waiting
    healed = own[own.index(left) :]
    return tuple(held for held in waiting if held not in healed)


def _without_warning(waiting: tuple[Held, ...], after: float) -> tuple[Held, ...]:
    """Return what waits without the warning that the last one is the end of, nor that end, if it was short."""
    last = waiting[-1]
    _, over = _of(last.entry.event)
    for held in waiting:
        event, fields = _of(held.entry.event)
        same = all(fields.get(name) == over.get(name) for name in ("warning", "host", "level"))
        if event == RAISED and same and _is_short(held, last, after):
            return tuple(each for each in waiting if each not in (held, last))
    return waiting


def _is_short(begun: Held, ended: Held, after: float) -> bool:
    """Tell whether it was over within `after` seconds; what ends before it began, by a clock that was set, was not."""
    return 0 <= ended.since - begun.since <= after


def _is_of(entry: Entry, host: object) -> bool:
    event, fields = _of(entry.event)
    return event == "state" and fields.get("host") == host
