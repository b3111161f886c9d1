"""Work that Ctrl-C or SIGTERM must not leave half done."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Put off SIGINT and SIGTERM until the end of the block; they are not blocked in programs started meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are Python's main thread's business
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action or signal.SIG_DFL)
        for each in came:
            signal.raise_signal(each)
