"""What a worker is told by signals."""

import asyncio
import os
import signal

from mmm.process.angel import ENDING, HANDLERS
from mmm.process.started import on_end, on_reload


async def test_what_a_daemon_does_at_its_end_is_not_broken_off_by_another_signal() -> None:
    """A monitor that was cancelled again did not tell the writer that nobody renews its lease any more."""
    told, loop = list[str](), asyncio.get_running_loop()
    ending = asyncio.create_task(_ending(told))
    await asyncio.sleep(0)
    on_end(ending.cancel)
    try:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            await _taken(loop)
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
    async with asyncio.timeout(10):
        await ending
    assert told == ["for good"]


async def _ending(told: list[str]) -> None:
    """Work until cancelled, and then tell the writer, who takes some turns of the loop."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        for _ in range(100):
            await asyncio.sleep(0)
        told.append("for good")


async def _taken(loop: asyncio.AbstractEventLoop) -> None:
    """Return once the loop has taken the signals that were there before."""
    taken = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, taken.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await taken.wait()
    loop.remove_signal_handler(signal.SIGUSR1)


async def test_a_reload_asked_for_before_the_worker_could_is_done_then() -> None:
    asked, loop, early = asyncio.Event(), asyncio.get_running_loop(), HANDLERS[signal.SIGHUP]
    assert callable(early)
    early(signal.SIGHUP, None)
    on_reload(asked.set)
    async with asyncio.timeout(10):
        await asked.wait()
    asked.clear()
    on_reload(asked.set)
    try:
        await _taken(loop)
        assert not asked.is_set(), "once"
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            await asked.wait()
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
