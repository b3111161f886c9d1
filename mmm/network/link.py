"""Tells when an interface gets its cable back (rule 10.19)."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress

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
        self._up = False
        """Whether it is up, as far as is known; once too often announced is better than not at all."""
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
        except OSError as error:  # more news than there was room for, that it was down perhaps
            log.debug("link of %s: %s", self._interface, error)
            self._up = False
            return
        for link in (decoded(ifinfmsg, told.data) for told in news if told.kind == RTM_NEWLINK):
            if self._is_it(link["index"]):
                before, self._up = self._up, link["flags"] & _UP == _UP
                if self._up and not before:
                    self._came_up()

    def _is_it(self, index: int) -> bool:
        """Tell whether the interface has that index; the conf may call it by another name than the kernel does."""
        with suppress(OSError):
            return socket.if_nametoindex(self._interface) == index
        return False
