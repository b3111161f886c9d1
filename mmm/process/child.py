"""Runs a program of the admin's within a limit: it has ended when its process has, whatever that leaves behind.

A child that it has left in the background keeps its end of a pipe open; who reads to the end of that waits for the
child. And who keeps all that a program prints may run out of memory.
"""

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, Self

KEPT = 2000
"""Bytes that are kept of what a program prints."""
_GRACE = 1.0
"""Seconds for a program that was killed to end."""
_AT_ONCE = 65536
_NAP = 0.02
"""Seconds after which it is looked again whether a process has ended of which others hold the pipe."""
_SIGPIPE = False
"""It stays ignored, as in Python: what a program has left behind goes on when it prints and nobody reads any more."""


class Ran(NamedTuple):
    """What became of a program."""

    status: int | None
    """Its exit status, negative for a signal; None: it has not ended in time, and was killed with all that it began."""
    said: str
    """What it has printed, as far as that was kept."""


def run(program: Sequence[str], limit: float) -> Ran:
    """Run a program within `limit` seconds, and keep the last of what it prints as errors; raises OSError. Blocks."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    nobody = subprocess.DEVNULL
    try:
        os.set_blocking(write, True)
        child = subprocess.Popen(
            program,
            stdin=nobody,
            stdout=nobody,
            stderr=write,
            start_new_session=True,
            restore_signals=_SIGPIPE,
        )
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    try:
        ended, said = _read_to_its_end(child, read, time.monotonic() + limit)
    finally:
        os.close(read)
    if not ended:
        _kill_all(child.pid)
    status = child.wait()
    return Ran(status if ended else None, said.decode(errors="replace"))


def _read_to_its_end(child: "subprocess.Popen[bytes]", read: int, deadline: float) -> tuple[bool, bytes]:
    """Return whether the process has ended in time, and the last of what was written into the pipe by then."""
    said, poll, is_open = b"", select.poll(), True
    poll.register(read, select.POLLIN)
    while child.poll() is None:
        if (nap := min(_NAP, deadline - time.monotonic())) <= 0:
            return False, said
        if not is_open:
            with suppress(subprocess.TimeoutExpired):
                child.wait(nap)
        elif poll.poll(1000 * nap):
            came = _more(read)
            said, is_open = (said + came)[-KEPT:], bool(came)  # at its end: nobody can write into it any more
    return True, (said + _more(read))[-KEPT:]


def _more(read: int) -> bytes:
    """Return what is in a pipe; nothing where it is empty, or at its end."""
    with suppress(BlockingIOError):
        return os.read(read, _AT_ONCE)
    return b""


def _kill_all(pid: int) -> None:
    """Kill a program, and all that it has started in its session."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


async def run_beside(
    program: Sequence[str],
    limit: float,
    given: bytes = b"",
    variables: Mapping[str, str] | None = None,
    *,
    goes_on: bool = False,
) -> Ran:
    """Run a program beside the loop within `limit` seconds, and keep the first of what it prints, in one line.

    `given` is on its stdin. Raises OSError, ValueError where it cannot be run. When the wait for it is cancelled it is
    killed, unless it `goes_on`.
    """
    with _readable(given) as stdin, _Output() as output:
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=stdin,
            stdout=output.end,
            stderr=output.end,
            env=variables,
            start_new_session=True,
            restore_signals=_SIGPIPE,
        )
        try:
            async with asyncio.timeout(limit):
                status = await process.wait()
        except TimeoutError:
            await _killed(process)
            return Ran(None, output.said)
        except asyncio.CancelledError:
            if not goes_on:
                await _killed(process)
            raise
        return Ran(status, output.said)


async def _killed(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of a program that has not ended."""
    if process.returncode is None:
        _kill_all(process.pid)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """Give a file in memory that a program may read, or not, without anybody waiting for it."""
    file = os.memfd_create("mmm_given", os.MFD_CLOEXEC)
    try:
        os.write(file, data)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)


class _Output:
    """The beginning of what a program prints; its children may go on."""

    def __init__(self) -> None:
        self._read, self.end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.end, True)
        self._kept = b""

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._read, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._read)
        os.close(self._read)
        os.close(self.end)

    @property
    def said(self) -> str:
        """Return it in one line."""
        self._take()
        return " ".join(self._kept.decode(errors="replace").split())

    def _take(self) -> None:
        self._kept = (self._kept + _more(self._read))[:KEPT]
