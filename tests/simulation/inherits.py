"""What one of two monitors keeps on its disk and copies from the other, by the daemons' own modules, with books of it.

The status file (`Saving`), the history (`Chronicle`) and what a standby copies (`Inheritance`) are real; only their
disk is a text here. The books know what has reached a standby, by the messages: what it goes on with once it leads is
held against that.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from mmm.lease.record import Record
from mmm.lease.rules import margin
from mmm.monitor.act import status_file
from mmm.monitor.act.inheritance import Inheritance
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.saving import Saving
from mmm.monitor.decide.found import Stored
from mmm.monitor.report import changes, history
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Entry
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.wire.follow import BEGINNING, Position
from mmm.wire.memory import Memory
from mmm.wire.voting import epoch_text
from tests.simulation.books import ViolationError

_FRESH = 5.0
"""Seconds, beside the lead and its margin, for which a standby goes by what it has copied; the product's are more."""


class Disk:
    """A file of a monitor: it outlives the daemon."""

    def __init__(self, text: str = "") -> None:
        self.text = text


class Past:
    """The file of a history, as `mmm.monitor.act.history_file.HistoryFile`, written at once."""

    def __init__(self, file: Disk) -> None:
        self._file = file

    def read(self) -> tuple[Entry, ...]:
        """Return what the file says."""
        return tuple(changes.numbered(history.decode(self._file.text)))[-history.KEPT :]

    def keep(self, entries: tuple[Entry, ...], new: Entry | None) -> None:
        """Have the file say all `entries`: the `new` one behind the others, None: write it anew."""
        self._file.text = (
            "".join(map(history.encode, entries)) if new is None else self._file.text + history.encode(new)
        )


def write(path: Any, text: str) -> None:
    """Put a text in a file's place, as `mmm.monitor.act.status_file.write`."""
    path.text = text


class _Saved(Saving):
    """The status file, written when the run says so."""

    def __init__(self, file: Disk, world: Callable[[], World], want: Callable[[], None]) -> None:
        super().__init__(cast("Any", file), world, status_file.decode(file.text)[0])
        self._soon = want

    def want(self) -> None:
        """Have it written a moment later."""
        self._soon()

    def now(self) -> None:
        """Write it; no disk hangs here."""
        self._write(self.text)


class _Copied(NamedTuple):
    """What a standby has been told by who led."""

    at: float
    memory: Memory
    lines: dict[str, Stored]


class Inherits:
    """What a monitor keeps and copies; `want` has the status file written soon."""

    def __init__(self, monitor: Any, status: Disk, past: Disk, place: int, want: Callable[[], None]) -> None:
        self._monitor = monitor
        world = lambda: monitor.world  # noqa: E731
        self.saving = _Saved(status, world, want)
        self.chronicle = Chronicle(cast("Any", past), Clock(lambda now: now, str), place, 2)
        self.real = Inheritance(monitor, world, lambda: monitor.lead, self.saving, self.chronicle)
        self._copied: deque[_Copied] = deque(maxlen=2)
        self._past: tuple[Entry, ...] = ()
        """All of its history that has been told by who led last, but for the newest answer."""
        self.let_go: set[str] = set()
        """Silent hosts that are known to have no VIP, and have neither been heard nor come into use since."""

    def answer(self, behind: Position) -> str:
        """Return what another monitor is told that stands by."""
        return self.real.answer(behind, self._monitor.clock.now)

    def heard(self, behind: Position, memory: Memory, now: float) -> None:
        """Note what has been told; only what begins at the beginning, or goes on, is whole."""
        before = self._copied[-1].memory.epoch if self._copied else ""
        if before != memory.epoch:
            self._forget()
            if behind != BEGINNING:
                return
        if self._copied:
            self._past += history.decode("\n".join(self._copied[-1].memory.history))
        self._copied.append(_Copied(now, memory, dict(status_file.decode(memory.status)[0])))

    def _forget(self) -> None:
        self._copied.clear()
        self._past = ()

    def begins(self, record: Record, now: float) -> None:
        """Check that a monitor that comes to lead goes on with what it has been told twice: the newest may be too new.

        Raises ViolationError.
        """
        copied, past, world = tuple(self._copied), self._past, self._monitor.world
        self._forget()
        self.let_go = set()
        if len(copied) < 2:
            return
        first, second = copied
        known = {entry.position for entry in self.chronicle.entries}
        kept = self.chronicle.entries[0].position if self.chronicle.entries else BEGINNING
        for entry in past:
            if entry.position not in known and entry.position > kept:
                raise ViolationError(f"its history lacks {entry.position}: {entry.text}")
        if record.epoch is None or second.memory.epoch != epoch_text(record.epoch):
            return
        self._monitor.watch.limits["the next leader went on with what it had copied"] += 1
        for name, flapped in first.memory.flaps.items():
            flaps = world.hosts[name].flaps
            same = second.memory.flaps.get(name)
            if (
                same is not None
                and same.times == flapped.times
                and (flaps is None or flaps.count != same.times)
            ):
                raise ViolationError(f"{name} went out of use {same.times} times, and is taken for {flaps}")
        lead = self._monitor.world.conf.lead_lease
        if now - first.at <= lead + margin(lead) + _FRESH:
            self._hosts(first.lines, second.lines, record)

    def _hosts(self, first: dict[str, Stored], second: dict[str, Stored], record: Record) -> None:
        world, machines = self._monitor.world, self._monitor.cluster.machines
        for name, host in world.hosts.items():
            one, other = first.get(name), second.get(name)
            if one is None or other is None:
                continue
            had = {vip for vip in one.vips if vip in other.vips and vip.role != world.conf.active_master_role}
            for vip in had - host.agent.may_hold:
                if vip.ip in machines[name].bound:
                    raise ViolationError(f"{name} has {vip}, and who leads now was told so")
            if (
                host.state is State.HARD_OFFLINE
                and one.state == other.state == host.state
                and not (one.vips or other.vips or host.agent.stays)
                and name not in record.held
            ):
                self.let_go.add(name)
