"""Whom this host's agent obeys: the rules of `mmm.lead`, and what is said of who was refused."""

import logging
from collections.abc import Callable
from typing import NamedTuple

from mmm.config.model import Cluster
from mmm.lead import Following, Lead, silence
from mmm.network.line_server import Peer
from mmm.process.ward import clock
from mmm.wire import agent as wire
from mmm.wire import lead as show

AGAIN = 60.0
"""Seconds until a refusal for the same reason is logged again."""

log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a request is refused: the text, its code, and the fields that go with it."""

    text: str
    why: str
    fields: tuple[str, ...] = ()


class Authority:
    """The monitor that an agent follows, and the one that it has refused."""

    def __init__(self, conf: Cluster, now: Callable[[], float] = clock) -> None:
        self._now = now
        self._silence = silence(conf.vip_lease, len(conf.hosts))
        self._following = Following()
        self._stranger, self._refused = "", -self._silence
        self._said: dict[str, float] = {}

    def refusal(self, request: wire.Request, peer: Peer) -> Refusal | None:
        """Return why the request is refused; None: it is not, and its sender is followed from now on if it orders."""
        if show.is_free(request):
            self._following = self._following.freed(_lead(request, peer))
        if request.command not in show.ORDERS:
            return None
        now, lead = self._now(), _lead(request, peer)
        followed = self._following.refuses(lead, now, self._silence)
        if followed is None:
            self._follow(lead, now)
            return None
        self._stranger, self._refused = lead.address if lead is not None else peer.ip, now
        text = f"this agent obeys the monitor at {followed.address}, not another one at {self._stranger}"
        self._warn(self._stranger, f"refused: {text}; stop one of the two")
        return Refusal(text, show.OTHER_MONITOR, (show.follows_field(followed),))

    def fields(self) -> tuple[str, ...]:
        """Return what the answer to an order tells the monitor that is followed: who else has given orders lately."""
        lately = self._stranger and self._now() < self._refused + self._silence
        return (show.stranger_field(self._stranger),) if lately else ()

    def _follow(self, lead: Lead | None, now: float) -> None:
        before = self._following
        self._following = before.obeyed(lead, now)
        if lead is not None and lead != before.followed(now, self._silence):
            self._stranger = ""
            log.info("obeys the monitor at %s, started as %s", lead.address, lead.nonce)

    def _warn(self, key: str, text: str) -> None:
        now = self._now()
        if now - self._said.get(key, -AGAIN) < AGAIN:
            return
        if len(self._said) >= 100:
            self._said.clear()
        self._said[key] = now
        log.warning("%s", text)


def _lead(request: wire.Request, peer: Peer) -> Lead | None:
    """Return who gives the order; a monitor whose port is at a loopback address is known by where it comes from."""
    lead = show.lead_of(request)
    if lead is None or not lead.address.startswith(("127.", "[::1]:", "0.0.0.0:", "[::]:")):
        return lead
    return lead._replace(address=f"{peer.ip}, {lead.address}")
