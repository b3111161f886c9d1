"""Takes a stream apart into a folder, by the programs that made it. Edge."""

import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from mmm.process.pipes import widen
from mmm.tools.fetch.values import Cause, FailedError

STALL = 600.0
"""Seconds after which a disk that takes no byte has failed."""
END = 600.0
"""Seconds that the programs may take to write the rest."""
MEGABYTE = 1_000_000
DECOMPRESSOR = ("zstd", "-d", "-c", "-q")


class Unpacking:
    """The programs at work; a context manager that kills what is still running."""

    def __init__(self, argv: Sequence[str], into: Path, *, compressed: bool) -> None:
        self._into = into
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest
        self._running: list[subprocess.Popen[bytes]] = []
        chain = [DECOMPRESSOR, tuple(argv)] if compressed else [tuple(argv)]
        feed: IO[bytes] | None = None
        for program in chain:
            last = program is chain[-1]
            process = self._start(program, feed, last=last)
            if feed is None:
                self._input = process.stdin
            else:
                feed.close()
            feed = process.stdout

    def _start(self, argv: tuple[str, ...], feed: IO[bytes] | None, *, last: bool) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                argv,
                stdin=feed or subprocess.PIPE,
                stdout=subprocess.DEVNULL if last else subprocess.PIPE,
                stderr=self._said,
            )
        except OSError as error:
            self.__exit__()
            package = "zstd" if argv is DECOMPRESSOR else "mariadb-backup"
            raise FailedError(
                Cause.HERE, f"{argv[0]} cannot be run: {error.strerror}: apt-get install {package}"
            ) from error
        self._running.append(process)
        for end in (process.stdin, process.stdout):
            if end is not None:
                widen(end.fileno())
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.wait()
            for end in (process.stdin, process.stdout):
                if end is not None:
                    with suppress(OSError):
                        end.close()
        self._said.close()

    def write(self, data: bytes) -> None:
        """Hand over what came; raises FailedError."""
        if self._input is None:
            return
        fd, view = self._input.fileno(), memoryview(data)
        os.set_blocking(fd, False)
        try:
            while view:
                _, ready, _ = select.select([], [fd], [], STALL)
                if not ready:
                    raise FailedError(Cause.UNPACK, f"the disk has taken nothing for {STALL:g} s")
                with suppress(BlockingIOError):
                    view = view[os.write(fd, view) :]
        except BrokenPipeError as error:
            raise FailedError(Cause.UNPACK, self._why()) from error

    def finish(self) -> None:
        """See all written; raises FailedError."""
        if self._input is not None:
            with suppress(BrokenPipeError):
                self._input.close()
        deadline = time.monotonic() + END
        try:
            codes = [process.wait(max(0.0, deadline - time.monotonic())) for process in self._running]
        except subprocess.TimeoutExpired as error:
            raise FailedError(Cause.UNPACK, f"{error.cmd[0]} has not ended within {END:g} s") from error
        if any(codes):
            raise FailedError(Cause.UNPACK, self._why())

    def _why(self) -> str:
        """Return what the programs said, or how they ended."""
        for process in reversed(self._running):
            with suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
        self._said.seek(0)
        said = [line for line in self._said.read().decode("utf-8", "replace").splitlines() if line.strip()]
        names = ", ".join(f"{Path(str(one.args[0])).name}: {one.returncode}" for one in self._running)  # type: ignore[index]
        free = shutil.disk_usage(self._into).free / MEGABYTE
        last = said[-1] if said else "no word"
        return f"{self._into}: {last} ({names}); {free:,.0f} MB are free there"
