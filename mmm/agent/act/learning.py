"""Keeps what the agent of a conf without roles learns from orders, and has it be the conf.

The file stands beside what else an agent leaves for its successor, and outlasts a boot: agent and angel know from the
start which VIPs to unbind, to renew and to give up.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.agent.act.authority import Refusal
from mmm.agent.act.memory import outlasting_run
from mmm.agent.decide.learned import learned
from mmm.config.model import Cluster, Vip
from mmm.config.tree import Fault, Problem
from mmm.wire import agent as wire
from mmm.wire.known_vips import known_vips
from mmm.wire.lead import CONF
from mmm.wire.status import ordered_status

log = logging.getLogger(__name__)


def with_kept(conf: Cluster) -> Cluster:
    """Return a conf with what an earlier start of its agent has learned; that it cannot be read is a warning of it."""
    file = _file(conf) if conf.roles_by_order else None
    if file is None:
        return conf
    try:
        return learned(conf, wire.decode_vips(file.read_text("utf-8")))
    except FileNotFoundError:
        return conf
    except (OSError, UnicodeDecodeError, wire.WireError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        problem = Problem(str(file), 0, Fault("kept_roles_unusable", {"why": why}))
        return replace(conf, warnings=(*conf.warnings, problem))


class Learning:
    """What one agent learns. `take` has another conf count, and tells whether another agent goes on by it."""

    def __init__(self, conf: Cluster, take: Callable[[Cluster], bool]) -> None:
        self._conf = conf
        self._take = take
        self._unkept = ""
        self._taken = False

    async def learn(self, request: wire.Request, refused: Refusal | None, assigned: Iterable[Vip]) -> None:
        """Learn the VIPs that an order names which is to be obeyed, or was `refused` for its conf alone.

        Returns where there is nothing to learn. Else it does not: the order is answered by the agent that goes on by
        the conf that knows them. What cannot be kept for a later start is not learned.
        """
        if not self._conf.roles_by_order or request.command != wire.SET_STATUS:
            return
        if refused is not None and refused.why != CONF:
            return
        named: tuple[Vip, ...] = ()
        with suppress(wire.WireError):
            ordered = ordered_status(request).vips
            ips = {vip.ip for vip in ordered}
            named = (*ordered, *(vip for vip in known_vips(request) if vip.ip not in ips))
        conf = learned(self._conf, named, assigned)
        if conf is self._conf:
            return
        if not self._taken:
            self._taken = self._keep(conf) and self._take(conf)
            if not self._taken:
                return
            news = ", ".join(str(vip) for vip in conf.vips if vip not in self._conf.vips)
            log.info("learned from the monitor's order: %s", news)
        await asyncio.Event().wait()

    def _keep(self, conf: Cluster) -> bool:
        file = _file(conf)
        try:
            promise_file.store(file, ",".join(map(str, conf.vips)) + "\n", settled=True)
        except OSError as error:
            text = f"{file} cannot be written: {error.strerror or error}; roles are not learned from orders"
            if text != self._unkept:
                log.error("%s", text)
            self._unkept = text
            return False
        return True


def _file(conf: Cluster) -> Path | None:
    return outlasting_run(conf.here.pid_path, "roles")
