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
    """What one agent learns. `take` has another conf count, and tells whether another agent goes on by it.

    `busy` tells, a line each, what the end of this agent would break off: it learns nothing before that is over.
    """

    def __init__(
        self, conf: Cluster, take: Callable[[Cluster], bool], busy: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        self._conf = conf
        self._take = take
        self._busy = busy
        self._unkept = ""
        self._postponed: tuple[Vip, ...] = ()
        self._taken = False

    async def learn(self, request: wire.Request, refused: Refusal | None, assigned: Iterable[Vip]) -> None:
        """Learn the VIPs that an order names which is to be obeyed, or was `refused` for its conf alone.

        Returns where there is nothing to learn. Else it does not: the order is answered by the agent that goes on by
        the conf that knows them. What cannot be kept for a later start is not learned, nor anything while this agent
        cannot end: the monitor sends its next order in a moment.
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
            news = tuple(vip for vip in conf.vips if vip not in self._conf.vips)
            if self._is_postponed(news):
                return
            self._taken = self._keep(conf) and self._take(conf)
            if not self._taken:
                return
            log.info("learned from the monitor's order: %s", ", ".join(map(str, news)))
        await asyncio.Event().wait()

    def _is_postponed(self, news: tuple[Vip, ...]) -> bool:
        why = self._busy()
        if why and news != self._postponed:
            log.warning(
                "not learned yet from the monitor's order: %s: %s", ", ".join(map(str, news)), "; ".join(why)
            )
        self._postponed = news if why else ()
        return bool(why)

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
