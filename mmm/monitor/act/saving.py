"""Keeps the status file as the world is, and has it written before what rests on it goes out (rules 6.2, 6.7)."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from mmm.lease.rules import FOREVER
from mmm.monitor.act import status_file
from mmm.monitor.act.complaint import Complaint
from mmm.monitor.decide.found import Stored
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World

PATIENCE = 2.0
"""Seconds for which an order waits for the file, at most."""

log = logging.getLogger(__name__)


class Saving:
    """The status file at `path`, which is to say what `world` returns.

    `found` is what stood in it at the start; of several monitors who wrote that has made this world what it is.
    """

    def __init__(
        self, path: Path, world: Callable[[], World], found: Mapping[str, Stored] = MappingProxyType({})
    ) -> None:
        self._path = path
        self._world = world
        self._found = found
        self._epoch = status_file.epoch_in(found) if world().conf.monitors else ""
        self._moved: World | None = None
        """The last world in another mode than passive, since this monitor leads."""
        self._copy: str | None = None
        """What the monitor that leads has in its file, while this one stands by."""
        self._text = ""
        """What stands in it."""
        self._wanted = asyncio.Event()
        self._writing = asyncio.Lock()
        self._one_writes = threading.Lock()
        self._complaint = Complaint(f"status file {path}")
        self._hangs = False
        """The file is being written, and that takes longer than anybody waits for."""

    def leads(self, epoch: str) -> None:
        """Have the file say what the world is, as of this monitor that leads by the epoch."""
        self._epoch, self._copy, self._moved = epoch, None, None

    def copy(self, text: str) -> None:
        """Have the file say what that of the monitor says that leads, until this one does."""
        self._copy = text
        self.want()

    @property
    def path(self) -> Path:
        """Return where it is."""
        return self._path

    @property
    def text(self) -> str:
        """What the file is to say now."""
        if self._copy is not None:
            return self._copy
        saved = self._text if self._moved is None else status_file.encode(self._moved)
        return status_file.with_epoch(status_file.to_save(saved, self._world()), self._epoch)

    @property
    def stored(self) -> Mapping[str, Stored]:
        """Return what stands in the file, or will as soon as it is written."""
        if not (text := self.text):
            return self._found
        stored, warnings = status_file.decode(text)
        for warning in warnings:
            log.warning("status file %s, %s", self._path, warning)
        return stored

    def want(self) -> None:
        """Have it written soon: the world has changed. What it says last before passive mode it says throughout."""
        if (world := self._world()).mode is not Mode.PASSIVE:
            self._moved = world
        self._wanted.set()

    async def run(self) -> None:
        """Write it whenever that is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await asyncio.sleep(0)  # the orders of the turn go out first
            await self.record()

    async def record(self) -> None:
        """Have the file say what the world is; returns once that is written, or cannot be."""
        async with self._writing:
            text = self.text
            if text == self._text:  # as after most turns: to wake a thread costs more than a turn does
                return
            await asyncio.get_running_loop().run_in_executor(None, self._write, text)

    async def record_in_time(self, limit: float = FOREVER) -> bool:
        """Do the same, but wait no longer than `limit` seconds, at most PATIENCE, for a disk that hangs.

        Returns False where it is not written by then, or is known to hang.
        """
        if self._hangs:
            return False
        work = asyncio.ensure_future(self.record())
        done, _ = await asyncio.wait({work}, timeout=min(limit, PATIENCE))
        if done:
            work.result()
            return True
        if limit >= PATIENCE and self._one_writes.locked():  # else it was written just now
            self._hangs = True
            log.error("status file %s is not written within %g s: its disk hangs", self._path, PATIENCE)
        return False

    def record_now(self) -> None:
        """Do the same, but for the loop: the monitor ends, and waits no longer than PATIENCE."""
        work = threading.Thread(target=self._write, args=(self.text,), daemon=True)
        work.start()
        work.join(PATIENCE)

    def is_due_before(self, order: Tell) -> bool:
        """Tell whether the file has to be written before an order."""
        return status_file.is_due_before(self._text, self._world(), order)

    def as_recorded(self, order: Tell) -> Tell:
        """Return the order as it may be sent, by what stands in the file."""
        return status_file.as_recorded(self._text, order, self._world().conf.vip_lease)

    def _write(self, text: str) -> None:
        """Write the file where it has changed; any thread may, one after the other."""
        with self._one_writes:
            if text == self._text:
                return
            try:
                status_file.write(self._path, text)
                self._text = text
                self._complaint.is_written()
            except OSError as error:
                self._complaint.cannot_be_written(error)
            self._hangs = False
