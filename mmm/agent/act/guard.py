"""The last guard of a writer role without an address (rule 11.1, 15.4): what the kernel is for an address.

An address goes by itself when nobody renews it. Here that is done by the process that answers load balancers, when the
worker and the angel are both stuck; where both were killed it is followed by this program, which waits for the end of
the lease, sets read_only, ends the clients, and ends.
"""

import asyncio
import logging
import os
import pickle
import sys
import time
from contextlib import suppress
from dataclasses import replace

from mmm.agent.act.fence import fence
from mmm.agent.act.fence_note import FenceNote
from mmm.agent.act.places import Places
from mmm.clock import clock
from mmm.config.model import Cluster
from mmm.own_module import own_module
from mmm.process.conf_file import ConfFile
from mmm.process.logs import LINE, TIME, name_levels
from mmm.process.secret import secret_file

LOOK = 0.2
"""Seconds between two looks."""
LATE = 0.5
"""Seconds after the end of the lease at which it acts: the worker, then the angel, have done it long before."""
AGAIN = 1.0
"""Seconds between two attempts."""

log = logging.getLogger(__name__)


def is_needed(conf: Cluster) -> bool:
    """Tell whether the active master role of this host has a lease and no address."""
    role = conf.active_master_role
    return conf.vip_lease > 0 and role in conf.roles and conf.via(role) != "arp"


async def watch(file: ConfFile) -> None:
    """Act where nobody else does, until cancelled; does not return where the angel was killed, but is replaced."""
    parent, fenced = os.getppid(), True
    while is_needed(file.conf):
        await asyncio.sleep(LOOK)
        if os.getppid() != parent:
            # Nobody may be able to read the file of the conf just then: it is edited, or its names are not known.
            conf = pickle.dumps(replace(file.conf, warnings=()))
            with suppress(OSError), secret_file(conf) as fd:  # else it stays, and tries again
                program = own_module(__name__, str(fd))
                os.execvp(program[0], program)  # without the angel's lock, which the next agent wants  # noqa: S606
        fenced = fenced or _is_granted(file.conf)
        if not fenced or _is_overdue(file.conf):
            fenced = await asyncio.to_thread(_act, file.conf)
            await asyncio.sleep(AGAIN)


def _is_overdue(conf: Cluster) -> bool:
    with Places(conf, forgets=False) as places:
        return _has_overdue(places, conf)


def _has_overdue(places: Places, conf: Cluster) -> bool:
    late = places.overdue(LATE)
    return any(vip.ip in late for vip in conf.master_vips)


def _is_granted(conf: Cluster) -> bool:
    """Tell whether the role is held here by a lease that is not over: the agent has obeyed a new order.

    What was left to do of an earlier lease's end is over with that: it would take the writes of the new one.
    """
    with Places(conf, forgets=False) as places:
        return any(
            until > clock() for until in places.held_until([vip.ip for vip in conf.master_vips]).values()
        )


def _act(conf: Cluster) -> bool:
    log.critical("the lease of %s is over, and neither agent nor angel has acted", conf.active_master_role)
    return fence(conf, lambda: not _is_granted(conf))


def outlast(conf: Cluster) -> None:
    """Act at the end of the lease, unless it is renewed or given up before: another agent runs then.

    Where the VIP was given up, and it is on record that writes are still to be denied, whoever was at it was killed.
    """
    if _runs_out(conf) or FenceNote(conf.here.pid_path).is_there():
        while not _act(conf) and not _is_granted(conf):
            time.sleep(AGAIN)


def _runs_out(conf: Cluster) -> bool:
    """Wait until the lease is over, and tell so; False once it is another one, or is held no more."""
    ips = [vip.ip for vip in conf.master_vips]
    with Places(conf, forgets=False) as places:
        found = places.held_until(ips)
        while found and places.held_until(ips) == found:
            if _has_overdue(places, conf):
                return True
            time.sleep(LOOK)
    return False


if __name__ == "__main__":
    name_levels()
    logging.basicConfig(format=LINE, datefmt=TIME)  # to stderr, which is the daemon's log
    with os.fdopen(int(sys.argv[1]), "rb") as handed:
        handed.seek(0)
        taken: Cluster = pickle.load(handed)  # noqa: S301 - from this very process before
    outlast(taken)
