"""Has this host's old data removed once their time is over: by `mmm_rejoin --expire`, a process of its own.

It is looked for once an hour, and costs nothing where no job has replaced anything. Such data are as large as a
server's: removing them takes a while, and rights that the agent does not have under systemd.
"""

import asyncio
import logging
import subprocess
import threading

from mmm.agent.act.rejoin_order import apart, tools_conf
from mmm.config.model import Cluster
from mmm.own_module import own_module
from mmm.process.old_data import is_time, server_here

EVERY = 3600.0
"""Seconds between two looks."""
_PROGRAM = ("mmm.tools.rejoin.command", "--expire")

log = logging.getLogger(__name__)


async def watch(conf: Cluster, every: float = EVERY) -> None:
    """Look until the task is cancelled, first after a while: a machine that has just booted may have a wrong clock."""
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(remove, conf)
        except Exception:
            log.exception("looking for old data ended by an internal error")


def remove(conf: Cluster) -> None:
    """Begin to have removed what has been kept for `keep_old_data` days, if anything has; its log is the tools' own."""
    path = tools_conf(conf)
    days = conf.keep_old_data
    if not is_time(server_here(conf), days) or not path.exists():
        return
    words = own_module(*_PROGRAM, "--keep-days", str(days), "--config", str(path))
    argv = [*apart("mmm_rejoin --expire"), *words]
    nobody = subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            argv, stdin=nobody, stdout=nobody, stderr=nobody, cwd="/", start_new_session=True
        )
    except OSError as error:
        log.warning("mmm_rejoin --expire cannot be started: %s", error.strerror or error)
        return
    log.info("old data have been kept for %d days: mmm_rejoin --expire removes them", days)
    threading.Thread(target=process.wait, name="expire-end", daemon=True).start()
