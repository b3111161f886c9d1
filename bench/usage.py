"""What a daemon costs: processor time and memory of all its processes, as the kernel counts them."""

import os
from pathlib import Path

from mmm.sandbox.machines.machine import Machine
from mmm.sandbox.machines.processes import Process

_TICKS = os.sysconf("SC_CLK_TCK")


def running(machine: Machine, daemon: str) -> list[Process]:
    """Return the daemon's processes, also where it runs under `bench.profiled`."""
    return [process for process in machine.processes() if process.runs(daemon) or _profiled(process, daemon)]


def _profiled(process: Process, daemon: str) -> bool:
    return {"profiled.py", daemon} <= {Path(part).name for part in process.argv}


def usage(machine: Machine, daemon: str) -> tuple[float, int]:
    """Return the processor time of a daemon's processes in seconds, and their memory (PSS) in bytes."""
    cpu, pss = 0.0, 0
    for process in running(machine, daemon):
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu += (int(fields[11]) + int(fields[12])) / _TICKS
        pss += memory(process)
    return cpu, pss


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
