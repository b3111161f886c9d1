"""What a daemon costs: processor time and memory of all its processes, as the kernel counts them."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.processes import Process

_TICKS = os.sysconf("SC_CLK_TCK")


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
    return sum(_times(process, 13) for process in processes)


def _cpu(process: Process) -> float:
    return _times(process, 11)


def _times(process: Process, place: int) -> float:
    """Return the seconds that a field of /proc/PID/stat and the next one have together (proc(5)), from the state on."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[place]) + int(fields[place + 1])) / _TICKS


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
