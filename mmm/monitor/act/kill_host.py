"""Running the admin's kill_host_bin, which switches a host off that cannot be told (rule 6.6)."""

import asyncio
import shlex
from pathlib import Path

from mmm.config.model import Monitor

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
        process = await asyncio.create_subprocess_exec(
            path,
            host,
            str(int(pings)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return f"'{command}' cannot be run: {error.strerror or error}"
    try:
        async with asyncio.timeout(KILL_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        return f"'{command}' did not end within {KILL_TIMEOUT:g} s"
    if process.returncode == 0:
        return ""
    said = output.decode(errors="replace").strip().replace("\n", " ")[:200]
    return f"'{command}' ended with status {process.returncode}{': ' if said else ''}{said}"
