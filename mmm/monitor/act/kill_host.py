"""Running the admin's kill_host_bin, which switches a host off that cannot be told (rule 6.6)."""

import shlex
from pathlib import Path

from mmm.config.model import Monitor
from mmm.process.child import run_beside

KILL_TIMEOUT = 60.0
"""Seconds that kill_host_bin may take; power switches are slow."""


def program(monitor: Monitor) -> Path:
    """Return the program to run: relative names are looked up in `bin_path`/monitor/."""
    return Path(monitor.bin_path or ".") / "monitor" / monitor.kill_host_bin


async def kill_host(monitor: Monitor, host: str, *, pings: bool) -> str:
    """Run kill_host_bin with the host and the state of its ping check (1 or 0).

    Returns an empty text when it ended with status 0, else one sentence that says why not.
    """
    path = program(monitor)
    command = f"{path} {shlex.quote(host)} {int(pings)}"
    try:
        status, said = await run_beside([str(path), host, str(int(pings))], KILL_TIMEOUT, goes_on=True)
    except OSError as error:
        return f"'{command}' cannot be run: {error.strerror or error}"
    if status is None:
        return f"'{command}' did not end within {KILL_TIMEOUT:g} s"
    said = said[:200]
    return f"'{command}' ended with status {status}{': ' if said else ''}{said}" if status else ""
