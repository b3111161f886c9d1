"""What may stand next on a command line of mmm_sandbox, for the shell's completion: with the hosts of the sandbox."""

import argparse
from collections.abc import Sequence

from mmm.control.completion import candidates as of_control
from mmm.control.completion import names_of
from mmm.process.completion import Names, candidates
from mmm.sandbox.cluster import Sandbox, names
from mmm.sandbox.machines.fetch import ORIGINS
from mmm.sandbox.machines.machine import SandboxError


def complete(
    parser: argparse.ArgumentParser, own: Sequence[str], passed: Sequence[str], chosen: str, *, passes: bool
) -> list[str]:
    """Return what may follow the words of a command line that `passes` on what stands behind its `own`.

    `chosen` is the sandbox that these are about, if there is one.
    """
    if not passes:
        return candidates(parser, own, lambda: _names(chosen))
    try:
        sandbox = Sandbox.attach(chosen)
        if own[-1] == "control":
            return of_control(passed, names_of(str(sandbox.monitor.etc / "mmm_mon.conf"), None))
        found = sandbox.layout.machines if own[-1] == "shell" else sandbox.hosts
    except SandboxError:
        return []
    return [] if passed else list(found)


def _names(chosen: str) -> Names:
    always = {"NAME": names(), "SERVER": ("mariadb", *ORIGINS)}
    try:
        layout = Sandbox.attach(chosen).layout
    except SandboxError:
        return always
    return {**always, "HOST": tuple(layout.agents), "MACHINE": tuple(layout.plugs)}
