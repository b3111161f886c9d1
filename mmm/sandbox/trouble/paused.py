"""A machine that is paused as a whole and wakes with its clocks where they stood, as a virtual one in a snapshot.

All its processes are stopped and its cable is pulled. The kernel under it goes on, so what that has done meanwhile is
made good when the machine wakes: the addresses that it has removed are bound for the seconds that were left, and the
clock that leases are measured by is set back; see `mmm.sandbox.clock`.
"""

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass

from mmm.clock import clock
from mmm.sandbox.clock.sitecustomize import SHIFT, STOOD
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.machine import NotInTimeError
from mmm.sandbox.machines.processes import Process
from mmm.sandbox.trouble import cuts

_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Paused:
    """A machine that stands still since that moment on the clock of the real one."""

    name: str
    since: float
    processes: tuple[Process, ...]
    lifetimes: dict[str, int]
    """Addresses that have an end, and the seconds that were left of each."""


def pause(sandbox: Sandbox, name: str) -> Paused:
    """Have a machine stand still; raises SandboxError."""
    machine = sandbox.machine(name)
    cuts.cut(sandbox, name)
    processes = tuple(machine.processes())
    for process in processes:
        if not process.freeze(_LIMIT):
            raise NotInTimeError(f"process {process.pid} ({process.argv[0]}) does not stop")
    return Paused(name, clock(), processes, _lifetimes(sandbox, name))


def wake(sandbox: Sandbox, paused: Paused, *, wall: bool) -> None:
    """Have it go on with its clocks where they stood, the one on the `wall` too or not; raises SandboxError."""
    machine, stood = sandbox.machine(paused.name), clock() - paused.since
    files = (STOOD, SHIFT) if wall else (STOOD,)
    for file in files:
        path = machine.path(str(file))
        before = float(path.read_text("ascii")) if path.exists() else 0.0
        path.write_text(f"{before + stood if file == STOOD else before - stood}", "ascii")
    interface = sandbox.layout.plugs[paused.name].interface
    for ip, left in paused.lifetimes.items():
        lasts = ["valid_lft", str(left), "preferred_lft", "0"]
        machine.run(["ip", "address", "replace", f"{ip}/32", "dev", interface, *lasts], limit=5)
    cuts.plug(sandbox, paused.name)
    for process in paused.processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


def _lifetimes(sandbox: Sandbox, name: str) -> dict[str, int]:
    interface = sandbox.layout.plugs[name].interface
    shown = sandbox.machine(name).run(["ip", "-j", "-4", "address", "show", "dev", interface], limit=5).stdout
    forever = 2**32 - 1
    return {
        each["local"]: each["valid_life_time"]
        for link in json.loads(shown)
        for each in link.get("addr_info", ())
        if each["valid_life_time"] != forever
    }
