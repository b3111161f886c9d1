"""Tells when an interface gets its cable back (rule 10.19)."""

import asyncio
import logging
from collections.abc import Callable

from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTM_NEWLINK, RTMGRP_LINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOWER_UP, IFF_UP, ifinfmsg

from mmm.network.netlink import Kernel, decoded

_UP = IFF_UP | IFF_LOWER_UP

log = logging.getLogger(__name__)


class LinkWatch:
    """Calls `came_up` in the asyncio loop each time the interface's link is up after it was down. `close` it."""

    def __init__(self, interface: str, came_up: Callable[[], None]) -> None:
        self._interface = interface
        self._came_up = came_up
        self._up = True
        self._kernel = Kernel(NETLINK_ROUTE, limit=0, groups=RTMGRP_LINK)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._kernel, self._read)

    def close(self) -> None:
        """Call nobody any more."""
        self._loop.remove_reader(self._kernel)
        self._kernel.close()

    def _read(self) -> None:
        try:
            news = self._kernel.news()
        except OSError as error:  # more news than there was room for: what is up now is told by the next
            log.debug("link of %s: %s", self._interface, error)
            return
        for link in (decoded(ifinfmsg, told.data) for told in news if told.kind == RTM_NEWLINK):
            if link.get_attr("IFLA_IFNAME") == self._interface:
                before, self._up = self._up, link["flags"] & _UP == _UP
                if self._up and not before:
                    self._came_up()
