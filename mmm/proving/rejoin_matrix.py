"""Every step of a rejoin times what can break beside it: afterwards the same command brings the host back.

A cell: a slave that has two transactions of its own rejoins with a copy of the writer's peer; its tool stops itself
beside the step (mmm.proving.halting), a fault is done, the tool goes on or is dead, the fault is undone, and the same
command is run until it says that the host is back. Then all hosts have the same, what only the slave had is saved once,
and the writer was never anybody else.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mmm.own_module import own_module
from mmm.proving import small_disk
from mmm.proving.halting import HALVES, Moment
from mmm.proving.small_disk import DONOR, HOST, LIMIT
from mmm.proving.thrown_away import Saves
from mmm.sandbox.apart import surplus
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import build
from mmm.sandbox.machines.data import DATABASE, TICK_TABLE
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.machines.sql import SqlError
from mmm.sandbox.rejoin import diverge, is_out_of_use, knows_writer
from mmm.sandbox.trouble.faults import heal, inject, server_process, undo
from mmm.sandbox.witness.health import catch_up, settle
from mmm.tools.rejoin.hindrance import RECONNECT_LIMIT
from mmm.tools.rejoin.journal import COPYING, IN_PLACE, ORDER, Step
from mmm.wire.rejoin import CLONE

_TRANSACTIONS = 2
_SHORT = 3.0
"""Seconds for which the host is cut off, or stands still, and the tool may well go on as if nothing had been."""
_LONG = RECONNECT_LIMIT + 30.0
"""Seconds for which a fault lasts unless the tool ends before: more than the tool waits for another host."""
_FROZEN = 70.0
"""Seconds for which this host's server is frozen: more than it has for an answer, or to undo all."""
_FULL = 30.0
"""Seconds for which the disk is full, unless the tool ends before, as it does once it writes."""
_FILLER = f"{Path(DATADIR).parent}/filler"


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks: done while the tool stands still, and undone once it has gone on."""

    name: str
    strike: Callable[["Trial"], None]
    undo: Callable[["Trial"], None]
    goes_on: bool = True
    """The tool lives, and goes on with the fault there."""
    lasts: float = _LONG
    """Seconds for which it goes on so, at most."""
    of_server: str = ""
    """The host whose server breaks: where that does not run there is nothing to break."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A fault beside a step."""

    step: Step
    moment: Moment
    fault: str

    @property
    def place(self) -> str:
        """Return where it is."""
        return f"{self.moment} {self.step}"

    @property
    def options(self) -> tuple[str, ...]:
        """Return how the tool is run: the steps of a copy need one, others are met in a rewind where it is fit."""
        copy = ("--method", CLONE) if self.step in COPYING else ()
        return ("--from", DONOR, *copy, *(("--in-place", HOST) if self.in_place else ()))

    @property
    def in_place(self) -> bool:
        """Tell whether it is met by a job alone that has no room beside the old data."""
        return self.step in IN_PLACE

    def __str__(self) -> str:
        return f"{self.fault} {self.place}"


@dataclass(frozen=True, slots=True)
class Came:
    """What a cell came to."""

    cell: Cell
    seconds: float
    runs: int
    """How often the command was run; 0: there was nothing to break."""
    bad: str = ""
    """What must not be; empty: nothing."""

    def __str__(self) -> str:
        return self.bad or (f"{self.runs}" if self.runs else "-")


class Trial:
    """One rejoin, with its tool standing still from `with` on."""

    def __init__(self, sandbox: Sandbox, cell: Cell) -> None:
        self.sandbox, self.cell = sandbox, cell
        self.machine = sandbox.machine(HOST)
        self._log = sandbox.directory / "matrix.log"
        self._tool: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the tool and wait until it stands still."""
        cell = self.cell
        halting = own_module("mmm.proving.halting", str(cell.moment), str(cell.step), *cell.options)
        self._tool = self.machine.spawn(halting, log=self._log)
        self.sandbox.wait_until(self._stands, LIMIT, f"the tool stands still {self.cell.place}")

    def _stands(self) -> bool:
        if self._tool is not None and self._tool.poll() is not None:
            raise SandboxError(f"the tool has ended before it stood still: see {self._log}")
        process = self.process
        return process is not None and process.state == "T"

    @property
    def _started(self) -> int:
        if self._tool is None:
            raise SandboxError("the tool was not started")
        return self._tool.pid

    @property
    def process(self) -> Process | None:
        """Return the tool's process; None: it has ended."""
        found = (each for each in self.machine.processes() if "mmm.proving.halting" in each.argv)
        return next((each for each in found if each.state != "Z"), None)

    @property
    def has_data(self) -> bool:
        """Tell whether there are data, the old ones or the copy: an empty folder, also after a boot, has none.

        A machine that is switched off has what was on no small disk.
        """
        data = f"{DATADIR}/mysql"
        try:
            return not self.machine.run(["test", "-d", data], check=False).returncode
        except SandboxError:
            return self.machine.path(data).is_dir()

    def send(self, number: signal.Signals) -> None:
        """Send the tool a signal; `nsenter`, which has started it, stands still with it and goes on, too."""
        pids = [process.pid] if (process := self.process) is not None else []
        for pid, sent in [*((pid, number) for pid in pids), (self._started, signal.SIGCONT)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)

    def wait(self, limit: float) -> bool:
        """Tell whether the tool ends within so many seconds."""
        with contextlib.suppress(NotInTimeError):
            self.sandbox.wait_until(lambda: self.process is None, limit, "the tool ends")
            return True
        return False

    def again(self) -> subprocess.CompletedProcess[str]:
        """Run the same command to its end."""
        argv = [build.program("mmm_rejoin"), *self.cell.options]
        return self.machine.run(argv, limit=LIMIT, check=False)

    def give_up(self) -> None:
        """Have the job given up, so that the next cell finds none."""
        self.machine.run([build.program("mmm_rejoin"), "--abort"], limit=LIMIT, check=False)


def _kill_tool(at: Trial) -> None:
    at.send(signal.SIGKILL)


def _power_off(at: Trial) -> None:
    at.send(signal.SIGKILL)  # a machine does not end while one of its processes is held from outside
    at.sandbox.power_off(HOST)


def _power_on(at: Trial) -> None:
    """Switch the machine on; amid the swap it has no data that its server could start on: the command goes on."""
    at.sandbox.power_on(HOST, answers=at.has_data)


def _done(fault: str, name: str) -> Callable[[Trial], None]:
    return lambda at: _said(inject(at.sandbox, fault, name))


def _undone(fault: str, name: str) -> Callable[[Trial], None]:
    return lambda at: undo(at.sandbox, fault, name)


def _stand_still(at: Trial) -> None:
    at.wait(_SHORT)


def _fill(at: Trial) -> None:
    at.machine.run(["sh", "-c", f"cat /dev/zero > {_FILLER} 2>/dev/null || true"])


def _empty(at: Trial) -> None:
    at.machine.run(["rm", "-f", _FILLER])


def _nothing(_: Trial) -> None:
    pass


DISK = "full-disk"
FAULTS = (
    Fault("kill-tool", _kill_tool, _nothing, goes_on=False),
    Fault("kill-agent", _done("kill-agent", HOST), _nothing, lasts=_SHORT),
    Fault("kill-donor", _done("kill-mysqld", DONOR), _undone("kill-mysqld", DONOR), lasts=_SHORT),
    Fault("kill-server", _done("kill-mysqld", HOST), _nothing, lasts=_SHORT, of_server=HOST),
    Fault("power-off", _power_off, _power_on, goes_on=False),
    Fault("blink", _done("cut", HOST), _undone("cut", HOST), lasts=_SHORT),
    Fault("cut", _done("cut", HOST), _undone("cut", HOST)),
    Fault("stand-still", _stand_still, _nothing),
    Fault("freeze-donor", _done("freeze-mysqld", DONOR), _undone("freeze-mysqld", DONOR)),
    Fault(
        "freeze-server", _done("freeze-mysqld", HOST), _undone("freeze-mysqld", HOST),
        lasts=_FROZEN, of_server=HOST,
    ),
    Fault(DISK, _fill, _empty, lasts=_FULL),
)  # fmt: skip
"""The last one needs a small disk, see mmm.proving.small_disk."""
_OF = {fault.name: fault for fault in FAULTS}


def _said(_: str) -> None:
    """Drop what a fault says of itself."""


def cells(*, mariadb: bool = True) -> Iterator[Cell]:
    """Yield all cells, by fault and step; those of a step's middle where it has one."""
    for fault, step, moment in product(FAULTS, ORDER, Moment):
        there = mariadb or _is_met_on_mysql(step, moment)
        if (
            there
            and step in HALVES.get(moment, ORDER)
            and (step not in IN_PLACE or _is_met_in_place(fault, step))
        ):
            yield Cell(step, moment, fault.name)


def _is_met_in_place(fault: Fault, step: Step) -> bool:
    """Tell whether a step that removes the old data is tried with a fault.

    The disk that has no room lives no longer than its machine: it is not switched off.
    """
    return step is Step.EMPTY and fault.name not in {"power-off", DISK}


def _is_met_on_mysql(step: Step, moment: Moment) -> bool:
    """Tell whether a tool comes by there that undoes nothing, and has the server fetch the data."""
    return step is not Step.UNDO and (step, moment) != (Step.FETCH, Moment.WITHIN)


def run(sandbox: Sandbox, cell: Cell) -> Came:
    """Do a cell on a healthy cluster, and leave it healthy; raises SandboxError, SqlError where that fails."""
    began = time.monotonic()
    saves = Saves(sandbox)
    writer = sandbox.writer()
    sandbox.sql(writer or "", f"INSERT INTO {TICK_TABLE} () VALUES ()")  # noqa: S608
    catch_up(sandbox, LIMIT)
    diverge(sandbox, HOST, _TRANSACTIONS)
    sandbox.wait_until(lambda: _out_of_use(sandbox), LIMIT, f"{HOST} is out of use")
    trial, fault = Trial(sandbox, cell), _OF[cell.fault]
    if cell.in_place:
        small_disk.crowd(sandbox)
    trial.begin()
    idle = bool(fault.of_server) and server_process(sandbox, fault.of_server) is None
    if not idle:
        fault.strike(trial)
    if fault.goes_on:
        trial.send(signal.SIGCONT)
    trial.wait(fault.lasts if fault.goes_on else LIMIT)
    if not idle:
        fault.undo(trial)
    bad = [] if trial.wait(LIMIT) else [f"the tool has not ended within {LIMIT:g} s"]
    runs, more = _to_the_end(trial)
    bad += more
    if more:
        trial.give_up()
        return Came(cell, time.monotonic() - began, runs, "; ".join(bad))
    if sandbox.writer() != writer:
        bad.append(f"{writer} is not the writer any more")
    if cell.in_place:
        small_disk.give_room(sandbox)
    heal(sandbox)
    sandbox.bring_online(limit=LIMIT, force=False)
    settle(sandbox, LIMIT)
    catch_up(sandbox, LIMIT)
    bad += _contents(sandbox, saves)
    _tidy(trial)
    return Came(cell, time.monotonic() - began, 0 if idle else runs, "; ".join(bad))


def _out_of_use(sandbox: Sandbox) -> bool:
    """Order the host out of use, which is refused while it is HARD_OFFLINE, and tell whether its agent knows."""
    sandbox.ask(f"set_offline {HOST}", limit=LIMIT)
    return sandbox.states().get(HOST) in {"ADMIN_OFFLINE", "AWAITING_RECOVERY"} and is_out_of_use(
        sandbox, HOST
    )


def _to_the_end(trial: Trial) -> tuple[int, list[str]]:
    """Run the same command until it has nothing left to do; returns how often, and what must not be."""
    refusals: list[str] = []

    def is_back() -> bool:
        if not surplus_left(trial.sandbox) and not _open_job(trial):
            return True
        trial.sandbox.wait_until(
            lambda: knows_writer(trial.sandbox, HOST), LIMIT, f"the agent of {HOST} knows the active master"
        )
        done = trial.again()
        refusals.append(" ".join(done.stderr.split()) if done.returncode else "")
        if done.returncode and trial.has_data:
            heal(trial.sandbox)  # an admin mends what it says
        return not done.returncode

    try:
        trial.sandbox.wait_until(is_back, LIMIT, f"{HOST} is back")
    except NotInTimeError as error:
        said = [str(error).splitlines()[0], *dict.fromkeys(refusals)]
        return len(refusals) + 1, [f"{len(refusals)} more runs: {' / '.join(said)}"]
    return len(refusals) + 1, []


def surplus_left(sandbox: Sandbox) -> bool:
    """Tell whether the host still has what nobody else has, or cannot be asked."""
    try:
        return bool(surplus(sandbox, HOST, DONOR))
    except SqlError:
        return True


def _open_job(trial: Trial) -> bool:
    return any(trial.machine.path("/var/lib/mysql-mmm/jobs").glob("*.json"))


def _contents(sandbox: Sandbox, saves: Saves) -> Iterator[str]:
    """Yield what is not as it must be once the host is back."""
    saved = [each.count for each in saves.read()]
    if saved != [_TRANSACTIONS]:
        yield f"saved are {saved or 'no'} transactions, and it had {_TRANSACTIONS}"
    tables = [next(iter(row.values())) for row in sandbox.sql(HOST, f"SHOW TABLES FROM {DATABASE}")]
    question = f"CHECKSUM TABLE {', '.join(f'{DATABASE}.{each}' for each in tables)}"
    sums = {name: [row["Checksum"] for row in sandbox.sql(name, question)] for name in sandbox.hosts}
    yield from (f"{name} differs from {HOST}" for name, of in sums.items() if of != sums[HOST])


def _tidy(trial: Trial) -> None:
    """Remove what was kept of the old data: of many cells it would fill the disk."""
    data = Path(DATADIR)
    trial.machine.run(["sh", "-c", f"rm -rf {data}.mmm-old-* {data}.mmm-new-*"])


def table(found: list[Came]) -> str:
    """Return the matrix: how often the command was run, what went wrong, or `-` where there was nothing to break."""
    faults = list(dict.fromkeys(each.cell.fault for each in found))
    places = list(dict.fromkeys(each.cell.place for each in found))
    by_cell = {(each.cell.place, each.cell.fault): each for each in found}
    lines = [f"{'':<20}" + "".join(f"{fault:>14}" for fault in faults)]
    for place in places:
        cells = (by_cell.get((place, fault)) for fault in faults)
        lines.append(f"{place:<20}" + "".join(f"{_short(each):>14}" for each in cells))
    lines += [f"{each.cell}: {each.bad}" for each in found if each.bad]
    return "\n".join(lines)


def _short(came: Came | None) -> str:
    if came is None:
        return ""
    return "BAD" if came.bad else str(came)
