"""Tells people and programs what happens, as the `<notify>` sections of the conf say, beside the monitor's loop.

Each section has a task that reads the history and runs a program for what is to be told: the admin's, or one that
sends a mail or posts to a webhook. What hangs is killed, what fails is tried again, and what is given up is said.

What waits to be told is not lost by another conf, which a section goes on by, nor by another start of the monitor: that
goes on where the one before has ended (`told`). So a change may be told twice, where the monitor ended meanwhile.

Of several monitors the one that leads tells it: it knows by now what has healed. One that led before sets aside what it
has not told as soon as it knows of another that leads; if it comes to lead again, it tells what that one has not.
"""

import asyncio
import json
import logging
import os
import shlex
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from mmm.config.model import Cluster, Notify
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.periodic import kept_up
from mmm.monitor.act.told import Told
from mmm.monitor.report import changes, notices
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.handed_on import HandedOn, of
from mmm.monitor.report.history import Entry
from mmm.monitor.report.notices import Held, Message
from mmm.own_module import own_module
from mmm.process.child import run_beside
from mmm.wire.follow import BEGINNING, Position

log = logging.getLogger(__name__)

AGAIN = (2.0, 15.0, 60.0)
"""Seconds before each further try."""
UNLED = 60.0
"""Seconds after its start in which a monitor that knows of nobody who leads does not tell what an earlier run left.

Another one may have told it. Where nobody comes to lead for so long, it is better told twice than not at all.
"""


class Telling:
    """All sections of the conf.

    `start` begins what runs beside the monitor's loop, `path` is where `Told` is kept. `leads` tells whether this
    monitor leads; False: another one does; None: nobody is known to.
    """

    def __init__(
        self,
        chronicle: Chronicle,
        clock: Clock,
        start: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
        path: Path,
        leads: Callable[[], bool | None] = lambda: True,
    ) -> None:
        self._chronicle = chronicle
        self._clock = clock
        self._start = start
        self._leads = leads
        chronicle.heir = self._inherit
        self._sections: dict[str, tuple[Notifier, asyncio.Task[None]]] = {}
        self.told = Told(path)

    def by(self, conf: Cluster) -> None:
        """Have told what happens whom the conf names, and nobody else; what waits for a section goes on waiting."""
        for name in self._sections.keys() - conf.notify.keys():
            self._sections.pop(name)[1].cancel()
        self.told.keep(conf.notify)
        for name, notify in conf.notify.items():
            if name in self._sections:
                self._sections[name][0].take(notify)
                continue
            notifier = Notifier(conf, notify, self._chronicle, self._clock, self.told, leads=self._leads)
            self._sections[name] = notifier, self._start(kept_up(notifier.run))

    def _inherit(self, handed: HandedOn) -> None:
        for notifier, _ in self._sections.values():
            notifier.inherit(handed)


class Notifier:
    """What one section is told; `told` knows how far."""

    def __init__(
        self,
        conf: Cluster,
        notify: Notify,
        chronicle: Chronicle,
        clock: Clock,
        told: Told,
        again: Sequence[float] = AGAIN,
        leads: Callable[[], bool | None] = lambda: True,
    ) -> None:
        self._cluster = conf.path.stem.removeprefix("mmm_mon").lstrip("_")
        self._notify = notify
        self._chronicle = chronicle
        self._clock = clock
        self._again = again
        self._told = told
        self._leads = leads
        self._known = told.positions.get(notify.name, chronicle.newest)
        self._waiting: tuple[Held, ...] = ()
        self._aside: tuple[Entry, ...] = ()
        """What another monitor that leads is to tell."""
        self._inherited: tuple[Entry, ...] = ()
        """What is left of before this one has come to lead, and not among those that wait yet."""
        self._told_before = BEGINNING
        """How far the monitor that led before has told it: nothing up to there is told again."""
        self._left_out = 0
        self._found = changes.since(chronicle.entries, self._known)
        """What may be too old to be told."""
        self._led, self._led_to = True, chronicle.newest
        """Whether this one led when it last looked, and behind what it had noted then."""
        self._unsure_until = time.monotonic() + UNLED

    def take(self, notify: Notify) -> None:
        """Go by the section as it is in another conf, also with what waits to be told."""
        if notify != self._notify:
            self._notify = notify
            self._chronicle.wake()

    async def run(self) -> None:
        """Tell what has not been told, and what happens from now on, in order, until cancelled."""
        try:
            await self._tell_all()
        except asyncio.CancelledError:
            if left := (*(held.entry for held in self._waiting), *self._inherited):
                self._not_told("ends", left, yet=" yet")
            raise

    def inherit(self, handed: HandedOn) -> None:
        """Take what is left to tell, for this monitor has come to lead; at once, also while something is under way.

        What waits here goes on waiting, unless the monitor that led before has known of it: then its word counts.
        """
        unread = changes.since(handed.before, self._known)
        now = {of(each): each for each in handed.only_here(held.entry for held in self._waiting)}
        held_on = (held for held in self._waiting if of(held.entry) in now)
        self._waiting = tuple(replace(held, entry=now[of(held.entry)]) for held in held_on)
        left = handed.left(self._notify.name, (*self._aside, *self._inherited, *unread))
        self._inherited = notices.without_healed(left, handed.joined, self._notify)
        self._aside, self._known = (), changes.newest(handed.joined)
        if handed.copied:
            self._told_before = handed.told_to(self._notify.name)
        self._found = (*self._found, *self._inherited)
        self._note()

    async def _tell_all(self) -> None:
        while True:
            grown = self._chronicle.grown
            self._take_news()
            count = 0 if self._is_unsure() else notices.due(self._waiting, self._notify, time.monotonic())
            if count:
                await self._tell(tuple(held.entry for held in self._waiting[:count]))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await grown.wait()

    def _take_news(self) -> None:
        news, self._inherited = (*self._inherited, *self._news()), ()
        now = time.monotonic()
        wall = self._clock.wall(now)
        self._waiting = notices.with_news(self._waiting, news, self._notify, now, wall)
        self._look()
        if not self._is_unsure():
            self._leave_old(wall)
        self._left_out += max(0, len(self._waiting) - notices.MOST)
        self._waiting = self._waiting[-notices.MOST :]
        self._note()

    def _look(self) -> None:
        """See who leads; where another one does, set aside what was noted before it did: that one tells it."""
        leads = self._leads()
        if leads is not None:
            self._unsure_until = -inf
        if leads or self._led:
            self._led, self._led_to = bool(leads), self._known
        if leads is False:
            aside = tuple(held.entry for held in self._waiting if self._is_of_lead(held.entry))
            if aside:
                count = f"{len(aside)} change{'' if len(aside) == 1 else 's'}"
                log.info("notify %s: another monitor leads, and is to tell %s", self._notify.name, count)
            self._aside = (*self._aside, *aside)[-notices.MOST :]
            self._waiting = tuple(held for held in self._waiting if held.entry not in aside)

    def _is_of_lead(self, entry: Entry) -> bool:
        """Tell whether it was noted while this monitor led, or before its start."""
        return entry.position <= self._led_to

    def _is_unsure(self) -> bool:
        """Tell whether another monitor, which is not known yet, may have told what was found at the start."""
        return time.monotonic() < self._unsure_until and any(
            self._is_of_lead(held.entry) for held in self._waiting
        )

    def _leave_old(self, wall: float) -> None:
        old, self._found = notices.too_old(self._waiting, self._found, wall), ()
        if old:
            self._not_told("more than an hour ago", [held.entry for held in old])
            self._waiting = tuple(held for held in self._waiting if held not in old)

    def _news(self) -> tuple[Entry, ...]:
        news = changes.since(self._chronicle.entries, self._known)
        if news:
            self._left_out += max(0, news[0].number - self._known.number - 1)
            self._known = news[-1].position
        return news

    def _note(self) -> None:
        """Note how far all is told: before the first change that waits.

        What only this monitor knows of may stand before what others have told. That would be told twice, all of it,
        by whoever leads next: it does not count.
        """
        left = (*(held.entry for held in self._waiting), *self._aside, *self._inherited)
        places = (entry.position for entry in left if entry.position > self._told_before)
        first = min(places, default=None)
        before = self._known if first is None else Position(first.epoch, first.number - 1)
        self._told.up_to(self._notify.name, min(self._known, before))

    def _until_due(self) -> float | None:
        if not self._waiting:
            return None
        now = time.monotonic()
        if self._is_unsure():
            return self._unsure_until - now
        return max(0.0, self._waiting[0].since + self._notify.after - now)

    async def _tell(self, entries: tuple[Entry, ...]) -> None:
        for message in notices.messages(entries, self._left_out, self._notify):
            if not self._is_due(message):
                return
            try:
                sent = await self._send(message)
            except Exception:
                self._done(message)  # else it would fail for ever, and hold up the others
                raise
            if not sent:
                return
            self._done(message)

    def _is_due(self, message: Message) -> bool:
        """Tell whether it is still for this monitor to tell all of it."""
        waiting = {of(held.entry) for held in self._waiting}
        lost = self._leads() is False and any(map(self._is_of_lead, message.entries))
        return not lost and waiting.issuperset(map(of, message.entries))

    def _done(self, message: Message) -> None:
        done = {of(entry) for entry in message.entries}
        self._left_out = max(0, self._left_out - message.left_out)
        self._waiting = tuple(held for held in self._waiting if of(held.entry) not in done)
        self._aside, self._inherited = (
            tuple(entry for entry in entries if of(entry) not in done)
            for entries in (self._aside, self._inherited)
        )
        self._note()

    async def _send(self, message: Message) -> bool:
        """Tell it, or give it up; return False where it is not for this monitor to tell any more."""
        failed = ""
        for number, wait in enumerate((0.0, *self._again)):
            await asyncio.sleep(wait)
            if number and not self._is_due(message):
                return False
            failed = await deliver(self._notify, message, self._cluster, self._clock)
            if not failed:
                return True
            if number == 0:
                log.warning("notify %s: %s; it is tried again", self._notify.name, failed)
        self._not_told(f"given up after {len(self._again) + 1} tries", message.entries, why=f": {failed}")
        return True

    def _not_told(self, how: str, entries: Sequence[Entry], *, yet: str = "", why: str = "") -> None:
        count = f"{len(entries)} change{'' if len(entries) == 1 else 's'}"
        log.error(
            "notify %s: %s, %s not told%s, the first: %s%s",
            self._notify.name,
            how,
            count,
            yet,
            entries[0].text,
            why,
        )


async def deliver(notify: Notify, message: Message, cluster: str, clock: Clock) -> str:
    """Have one message sent; returns why it was not, in one line, else an empty text."""
    said = notices.values(message, cluster, clock)
    if notify.command:
        program, given = shlex.split(notify.command), said
    else:
        program, given = own_module("mmm.monitor.act.deliver"), _order(notify, message, said)
    variables = {**os.environ, **notices.environment(message, cluster)}
    failed, printed = await _run(program, json.dumps(given).encode(), variables, notify.timeout)
    if not failed:
        if printed and not notify.command:
            log.warning("notify %s: %s", notify.name, printed)
        return ""
    return ": ".join(filter(None, (failed, printed))) if notify.command or not printed else printed


def _order(notify: Notify, message: Message, said: dict[str, Any]) -> dict[str, Any]:
    """Return what mmm.monitor.act.deliver is told."""
    if notify.webhook:
        return {"webhook": notify.webhook, "timeout": notify.timeout, "body": said}
    keys = ("mail_to", "mail_from", "smtp_host", "smtp_port", "smtp_tls", "smtp_user", "smtp_password")
    settings = {key: getattr(notify, key) for key in keys}
    return {**settings, "timeout": notify.timeout, "subject": notices.subject(message), "text": said["text"]}


async def _run(program: list[str], given: bytes, variables: dict[str, str], limit: float) -> tuple[str, str]:
    """Return why the program did not end well in time, empty where it did, and what it said."""
    try:
        status, said = await run_beside(program, limit, given, variables)
    except (OSError, ValueError) as error:
        return f"{program[0]} cannot be run: {getattr(error, 'strerror', None) or error}", ""
    if status is None:
        return f"no end within {limit:g} s: killed", ""
    return (f"{program[0]} ended with status {status}" if status else "", said)
