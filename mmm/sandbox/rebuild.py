"""Gives a host that has come apart from the others a copy of another replica's data, as an admin would by a clone."""

import shutil
import signal
import subprocess

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import data
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.trouble.faults import server_process

_STOP_LIMIT = 60.0
_KILL_LIMIT = 10.0
_COPY_LIMIT = 120.0


def rebuild(sandbox: Sandbox, host: str, origin: str, source: str) -> None:
    """Replace the data of `host` by those of `origin`, then let it replicate from `source`.

    It begins a new binary log, as after a dump or a backup.

    Both servers are stopped in order for it and run again afterwards. `origin` must have nothing that `source`
    lacks; where it is the source itself, nobody may take its end for a failure. Raises SandboxError, SqlError.
    """
    flavour = sandbox.server.flavour
    for name in (host, origin):
        _stop(sandbox, name)
    target, copied = (sandbox.machine(name).path(DATADIR) for name in (host, origin))
    for path in target.iterdir():  # the folder itself is mounted in the machine
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    argv = ["cp", "-a", "--reflink=auto", f"{copied}/.", str(target)]
    subprocess.run(argv, check=True, timeout=_COPY_LIMIT)
    (target / "auto.cnf").unlink(missing_ok=True)
    for name in (origin, host):
        sandbox.start_server(name)
    data.while_stopped(sandbox.machine(host), flavour, lambda: sandbox.sql(host, flavour.reset_replica))
    data.begin_log_anew(sandbox.machine(host), flavour)
    data.replicate(sandbox.machine(host), sandbox.layout, sandbox.server, source)


def _stop(sandbox: Sandbox, host: str) -> None:
    """Stop a server in order; one that does not end is killed, as systemd does it.

    The parallel workers of a MySQL 9.7 replica can wait for each other's locks for minutes, and its end for them.
    """
    process = server_process(sandbox, host)
    if process is None or process.end(signal.SIGTERM, _STOP_LIMIT):
        return
    if not process.end(signal.SIGKILL, _KILL_LIMIT):
        raise SandboxError(f"the server of {host} does not end")
