"""Has what the agent of a conf without roles learns from orders be the conf, once it is kept for a later start."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from mmm.agent.act.authority import Refusal
from mmm.agent.act.kept_roles import keep, kept_in
from mmm.agent.decide.learned import learned
from mmm.config.model import Cluster, Vip
from mmm.wire import agent as wire
from mmm.wire.known_vips import known_vips
from mmm.wire.lead import CONF
from mmm.wire.status import ordered_status

log = logging.getLogger(__name__)


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
        try:
            keep(conf)
        except OSError as error:
            text = f"{kept_in(conf)} cannot be written: {error.strerror or error}; roles are not learned from orders"
            if text != self._unkept:
                log.error("%s", text)
            self._unkept = text
            return False
        return True
