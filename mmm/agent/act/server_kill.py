"""The step that kills this host's server, which does not answer, when the writer role has left (rule 10.10).

A frozen server finishes what it was committing once it thaws. Nobody is told of that, and nobody else has it. One that
is killed instead has, when it is started again, what its binary log had by then: just what the next writer gets of it.
"""

import os
import select
import signal
from pathlib import Path

from mmm.agent.act.step_error import StepError
from mmm.config.model import Host
from mmm.network.socket_table import listening_sockets
from mmm.process.socket_owner import UnknownOwnerError, hold_owner

END_LIMIT = 0.1
"""Seconds that it may take to end: the failover goes on then. It runs no more of its program, whatever it waits for."""


def kill_server(here: Host) -> str:
    """Kill the process that listens where the server of this host does; returns what to say. Raises StepError."""
    try:
        sockets = listening_sockets(here.ip, here.mysql_port)
        if not sockets:
            return "nothing listens any more"
        held = hold_owner(sockets, Path(here.mysql_pidfile))
    except (OSError, UnknownOwnerError) as error:
        raise StepError(f"which process is the server is not known: {error}") from error
    try:
        signal.pidfd_send_signal(held.fd, signal.SIGKILL)
        ended = bool(select.select([held.fd], [], [], END_LIMIT)[0])
    except OSError as error:
        raise StepError(f"process {held.pid} cannot be killed: {error}") from error
    finally:
        os.close(held.fd)
    return (
        f"process {held.pid} did not answer and {'is' if ended else 'is being'} killed (kill_frozen_server)"
    )
