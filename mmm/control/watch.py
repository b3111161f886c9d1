"""`mmm_control watch`: the status live in a terminal, until q is pressed; as text for whoever reads a pipe."""

import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.live import Live

from mmm.config.endpoint import Endpoint
from mmm.control.connection import STATUS_LIMIT, NoAnswerError, Wrap, ask
from mmm.control.json_answer import values_of
from mmm.control.leader import leading
from mmm.control.view import picture
from mmm.wire.command import JSON, STATUS

PERIOD = 1.0
"""Seconds between two questions."""
_GLANCE = 0.2
"""Seconds within which a key, another size, or news are noticed."""
_QUIT = frozenset(b"qQ\x03\x04\x1b")


class Watched:
    """What the monitor said last, asked for in a thread: it may hang. `limit`: seconds for an answer."""

    def __init__(self, monitor: Endpoint, wrap: Wrap, limit: float = STATUS_LIMIT) -> None:
        self._monitor, self._wrap, self._limit = monitor, wrap, limit
        self.status: Mapping[str, Any] | None = None
        self.away = "the monitor has not answered yet"
        self.answered = threading.Event()
        """There was an answer, or none was to be had."""

    def start(self) -> None:
        """Ask from now on."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.status, self.away = _status(self._ask()), ""
            except NoAnswerError as error:
                self.away = str(error)
            self.answered.set()
            time.sleep(PERIOD)

    def _ask(self) -> str:
        found = leading(self._monitor, self._wrap).monitor
        return ask(found, self._wrap, [JSON, STATUS], self._limit)


def run(monitor: Endpoint, wrap: Wrap) -> None:
    """Show it until the user has seen enough."""
    watched = Watched(monitor, wrap)
    watched.start()
    if sys.stdout.isatty():
        signal.signal(signal.SIGTERM, _ended)
        _live(watched)
    else:
        _printed(watched)


def _live(watched: Watched) -> None:
    console = Console()
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        shown: object = None
        while not pressed(_GLANCE):
            now = time.time()
            news = (watched.status, watched.away, console.size, int(now))
            if news != shown:
                live.update(picture(watched.status, now, watched.away), refresh=True)
                shown = news


def _printed(watched: Watched) -> None:
    """Print what there is to see as text, each time that it is something else."""
    shown = ""
    watched.answered.wait()
    while True:
        status, away = watched.status, watched.away
        if (seen := _text(status, 0.0, away)) != shown:  # as of one moment: only time has passed else
            sys.stdout.write(_text(status, time.time(), away) + "\n\n")
            sys.stdout.flush()
            shown = seen
        time.sleep(PERIOD)


def _text(status: Mapping[str, Any] | None, now: float, away: str) -> str:
    console = Console(width=10_000, color_system=None, soft_wrap=True)
    with console.capture() as captured:
        console.print(picture(status, now, away))
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Give what waits for some seconds, and tells whether a key was pressed that ends the program."""
    if not sys.stdin.isatty():
        yield _slept
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return False
        keys = os.read(sys.stdin.fileno(), 64)
        return not keys or (
            keys[0] in _QUIT and len(keys) == 1
        )  # a key that is an escape sequence ends nothing

    try:
        yield pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _slept(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _status(answer: str) -> Mapping[str, Any]:
    """Return the document; raises NoAnswerError for what is none."""
    values = values_of(answer) or {}
    if "hosts" not in values:
        said = str(values.get("message") or answer).strip().partition("\n")[0]
        raise NoAnswerError(f"the monitor has no status: {said}")
    return values


def _ended(*_: object) -> NoReturn:
    raise KeyboardInterrupt
