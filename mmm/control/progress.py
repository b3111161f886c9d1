"""What an order waits for, said to who sits at a terminal for as long as the monitor has not answered it."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmm.config.endpoint import Endpoint
from mmm.control.connection import GLANCE, NoAnswerError, Wrap, ask
from mmm.control.json_answer import values_of
from mmm.wire.command import JSON, STATUS, changes_nothing

PERIOD = 1.0
"""Seconds until it is said for the first time, and between two questions."""
PATIENCE = 3.0
"""Seconds after which it is said that there is no answer yet, where nothing else could be."""


@contextmanager
def told(monitor: Endpoint, wrap: Wrap, command: Sequence[str]) -> Iterator[None]:
    """Say on stderr meanwhile what is waited for, where the command changes something."""
    if changes_nothing(command):
        yield
        return
    telling = _Telling(monitor, wrap)
    threading.Thread(target=telling.run, daemon=True).start()
    try:
        yield
    finally:
        telling.end()


class _Telling:
    def __init__(self, monitor: Endpoint, wrap: Wrap) -> None:
        self._monitor, self._wrap = monitor, wrap
        self._ended, self._writing = threading.Event(), threading.Lock()
        self._said: set[str] = set()

    def run(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(PERIOD):
            try:
                status = values_of(ask(self._monitor, self._wrap, [JSON, STATUS], GLANCE))
                waits = dict(waited_for(status or {}))
            except (NoAnswerError, LookupError, TypeError):
                waits = {}  # one that is too old or too busy to tell
            if not (self._said or waits) and time.monotonic() - began >= PATIENCE:
                waits = {"": "the monitor has not answered yet"}  # it asks agents, which may take their time
            for key, sentence in waits.items():
                if key not in self._said:
                    self._say(f"{time.monotonic() - began:.0f} s: {sentence}")
            self._said |= waits.keys()

    def _say(self, line: str) -> None:
        with self._writing:
            if not self._ended.is_set():
                print(f"mmm_control: {line}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Say nothing more."""
        self._ended.set()
        with self._writing:
            pass


def waited_for(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a sentence for each thing that is waited for, and a key that stays the same while its figures change."""
    for role in status["roles"]:
        for ip in role["ips"]:
            vip, holder = f"{role['name']}({ip['ip']})", ip["holder"]
            if ip["waits_for"]:
                others = ", ".join(ip["waits_for"])
                yield f"{vip} {others}", f"{vip} goes to {holder} once {others} has let it go"
            elif holder and holder not in ip["confirmed"]:
                yield f"{vip} {holder}", f"{holder} has been told to take {vip}"
    for reason in status["health"]["reasons"]:
        if reason["level"] == "CRITICAL":
            yield f"{reason['code']} {reason['hosts']}", reason["text"]
