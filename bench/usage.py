"""What a daemon costs: processor time and memory of all its processes, as the kernel counts them."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.processes import Process

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2
"""All of a process's threads, those that have ended too: linux/posix-timers.h."""


def running(machine: Machine, daemon: str) -> list[Process]:
    """Return the daemon's processes, also where it runs under `bench.profiled`."""
    return [process for process in machine.processes() if process.runs(daemon) or _profiled(process, daemon)]


def _profiled(process: Process, daemon: str) -> bool:
    return {"profiled.py", daemon} <= {Path(part).name for part in process.argv}


class Usage(NamedTuple):
    """What processes have cost since they began, and hold now."""

    cpu: float
    """Processor time in seconds."""
    wakes: int
    """How often one of their threads had waited and went on."""
    memory: int
    """PSS in bytes."""


def usage(machine: Machine, daemon: str) -> Usage:
    """Return what a daemon's processes cost."""
    return total(running(machine, daemon))


def total(processes: Iterable[Process]) -> Usage:
    """Return what all of these processes cost together."""
    those = list(processes)
    return Usage(sum(map(_cpu, those)), sum(map(_wakes, those)), sum(map(memory, those)))


def of_ended(processes: Iterable[Process]) -> float:
    """Return the processor time, in seconds, of all that these processes have run and that has ended."""
    return sum(map(_of_children, processes))


def _of_children(process: Process) -> float:
    """Return cutime and cstime of /proc/PID/stat (proc(5)) in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def _cpu(process: Process) -> float:
    """Return the seconds of its processor clock: /proc counts in ticks, of which a round of a bench has but a few.

    The id of the clock is that of clock_getcpuclockid(3), which Python does not have. Raises OSError once it has ended.
    """
    return time.clock_gettime(~process.pid << 3 | _CPUCLOCK_SCHED)


def _wakes(process: Process) -> int:
    waited = "voluntary_ctxt_switches:"
    statuses = Path(f"/proc/{process.pid}/task").glob("*/status")
    lines = (line for status in statuses for line in status.read_text().splitlines())
    return sum(int(line.removeprefix(waited)) for line in lines if line.startswith(waited))


def programs(machine: Machine, name: str) -> list[Process]:
    """Return the processes that run a program or module of that name."""
    return [each for each in machine.processes() if each.runs(name) or name in each.argv]


def memory(process: Process) -> int:
    """Return the memory (PSS) of a process in bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
