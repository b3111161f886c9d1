"""Tells people and programs what happens, as the `<notify>` sections of the conf say, beside the monitor's loop.

Each section has a task that reads the history and runs a program for what is to be told: the admin's, or one that
sends a mail or posts to a webhook. What hangs is killed, what fails is tried again, and what is given up is said.

What waits to be told is not lost by another conf, which a section goes on by, nor by another start of the monitor: that
goes on where the one before has ended (`told`). So a change may be told twice, where the monitor ended meanwhile.
"""

import asyncio
import json
import logging
import os
import shlex
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmm.config.model import Cluster, Notify
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.periodic import kept_up
from mmm.monitor.act.told import Told
from mmm.monitor.report import changes, notices
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Entry
from mmm.monitor.report.notices import Held, Message
from mmm.own_module import own_module
from mmm.process.child import run_beside
from mmm.wire.follow import Position

log = logging.getLogger(__name__)

AGAIN = (2.0, 15.0, 60.0)
"""Seconds before each further try."""


class Telling:
    """All sections of the conf; `start` begins what runs beside the monitor's loop, `path` is where `Told` is kept."""

    def __init__(
        self,
        chronicle: Chronicle,
        clock: Clock,
        start: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
        path: Path,
    ) -> None:
        self._chronicle = chronicle
        self._clock = clock
        self._start = start
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
            notifier = Notifier(conf, notify, self._chronicle, self._clock, self.told)
            self._sections[name] = notifier, self._start(kept_up(notifier.run))


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
    ) -> None:
        self._cluster = conf.path.stem.removeprefix("mmm_mon").lstrip("_")
        self._notify = notify
        self._chronicle = chronicle
        self._clock = clock
        self._again = again
        self._told = told
        self._copied = chronicle.copied
        self._known = told.positions.get(notify.name, chronicle.newest)
        self._waiting: tuple[Held, ...] = ()
        self._left_out = 0

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
            if self._waiting:
                self._not_told("ends", [held.entry for held in self._waiting], yet=" yet")
            raise

    async def _tell_all(self) -> None:
        while True:
            grown = self._chronicle.grown
            self._take_news()
            count = notices.due(self._waiting, self._notify, time.monotonic())
            if count:
                await self._tell(tuple(held.entry for held in self._waiting[:count]))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._until_due()):
                    await grown.wait()

    def _take_news(self) -> None:
        news = (*self._inherited(), *self._news())
        now = time.monotonic()
        wall = self._clock.wall(now)
        self._waiting = notices.with_news(self._waiting, news, self._notify, now, wall)
        if old := notices.too_old(self._waiting, news, wall):
            self._not_told("more than an hour ago", [held.entry for held in old])
            self._waiting = tuple(held for held in self._waiting if held not in old)
        self._left_out += max(0, len(self._waiting) - notices.MOST)
        self._waiting = self._waiting[-notices.MOST :]
        self._note()

    def _inherited(self) -> tuple[Entry, ...]:
        """Return what is left to tell of another monitor's history, where this one has come to lead."""
        copied = self._chronicle.copied
        if copied == self._copied:
            return ()
        self._copied, self._known = copied, max(self._known, copied)
        return self._chronicle.inherited(self._notify.name)

    def _news(self) -> tuple[Entry, ...]:
        news = changes.since(self._chronicle.entries, self._known)
        if news:
            self._left_out += max(0, news[0].number - self._known.number - 1)
            self._known = news[-1].position
        return news

    def _note(self) -> None:
        """Note how far all is told: before the first change that waits."""
        first = min((held.entry.position for held in self._waiting), default=None)
        before = self._known if first is None else Position(first.epoch, first.number - 1)
        self._told.up_to(self._notify.name, min(self._known, before))

    def _until_due(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0].since + self._notify.after - time.monotonic())

    async def _tell(self, entries: tuple[Entry, ...]) -> None:
        for message in notices.messages(entries, self._left_out, self._notify):
            try:
                await self._send(message)
            except Exception:
                self._done(message)  # else it would fail for ever, and hold up the others
                raise
            self._done(message)

    def _done(self, message: Message) -> None:
        self._left_out -= message.left_out
        self._waiting = self._waiting[len(message.entries) :]
        self._note()

    async def _send(self, message: Message) -> None:
        failed = ""
        for number, wait in enumerate((0.0, *self._again)):
            await asyncio.sleep(wait)
            failed = await deliver(self._notify, message, self._cluster, self._clock)
            if not failed:
                return
            if number == 0:
                log.warning("notify %s: %s; it is tried again", self._notify.name, failed)
        self._not_told(f"given up after {len(self._again) + 1} tries", message.entries, why=f": {failed}")

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
