"""Tells people and programs what happens, as the `<notify>` sections of the conf say, beside the monitor's loop.

Each section has a task that reads the history and runs a program for what is to be told: the admin's, or one that
sends a mail or posts to a webhook. What hangs is killed, what fails is tried again, and what is given up is said.
"""

import asyncio
import json
import logging
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from mmm.config.model import Cluster, Notify
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.report import changes, notices
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Entry
from mmm.monitor.report.notices import Held, Message
from mmm.own_module import own_module
from mmm.process.child import run_beside

log = logging.getLogger(__name__)

AGAIN = (2.0, 15.0, 60.0)
"""Seconds before each further try."""


class Notifier:
    """What one section is told."""

    def __init__(
        self,
        conf: Cluster,
        notify: Notify,
        chronicle: Chronicle,
        clock: Clock,
        again: Sequence[float] = AGAIN,
    ) -> None:
        self._cluster = conf.path.stem.removeprefix("mmm_mon").lstrip("_")
        self._notify = notify
        self._chronicle = chronicle
        self._clock = clock
        self._again = again
        self._known = chronicle.newest
        self._waiting: tuple[Held, ...] = ()
        self._left_out = 0

    async def run(self) -> None:
        """Tell what happens from now on, in order, until cancelled."""
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
        entries = self._chronicle.entries
        known = max(self._known, self._chronicle.copied)
        news = changes.since(entries, known)
        if news:
            self._left_out += max(0, news[0].number - known.number - 1)
            known = entries[-1].position
        self._known = known
        now = time.monotonic()
        self._waiting = notices.with_news(self._waiting, news, self._notify, now, self._clock.wall(now))
        self._left_out += max(0, len(self._waiting) - notices.MOST)
        self._waiting = self._waiting[-notices.MOST :]

    def _until_due(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, self._waiting[0].since + self._notify.after - time.monotonic())

    async def _tell(self, entries: tuple[Entry, ...]) -> None:
        left_out, self._left_out = self._left_out, 0
        self._waiting = self._waiting[len(entries) :]
        for message in notices.messages(entries, left_out, self._notify):
            await self._send(message)

    async def _send(self, message: Message) -> None:
        failed = ""
        for number, wait in enumerate((0.0, *self._again)):
            await asyncio.sleep(wait)
            failed = await deliver(self._notify, message, self._cluster, self._clock)
            if not failed:
                return
            if number == 0:
                log.warning("notify %s: %s; it is tried again", self._notify.name, failed)
        count = len(message.entries)
        log.error(
            "notify %s: given up after %d tries, %d change%s not told, the first: %s: %s",
            self._notify.name,
            len(self._again) + 1,
            count,
            "" if count == 1 else "s",
            message.entries[0].text,
            failed,
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
