"""Whether a request comes from a daemon of this cluster and not from any user of some machine (rule 4).

    TLS             the certificate has shown it
    auth_key        a signature by the key, with a token of this agent that is younger than WINDOW, once only
    neither         a port below 1024, or here a socket of root's

A classic monitor's orders show nothing: they are obeyed while no monitor of ours is heard, see `mmm.lease.lead`.
"""

from collections.abc import Callable
from typing import NamedTuple

from mmm.config.model import Cluster
from mmm.network.listener import Peer
from mmm.network.root import is_root
from mmm.wire import agent as wire
from mmm.wire import signature
from mmm.wire.binlog import BINLOG
from mmm.wire.lead import AUTH, ORDERS, STALE, is_free, lead_of
from mmm.wire.status import granted
from mmm.wire.stream import STREAM
from mmm.wire.voting import LEAD

WINDOW = 60.0
"""Seconds for which a token may be used in signatures."""
NEEDED = ORDERS | {
    wire.PROMISE, wire.RELEASE, wire.HELD, wire.REACHABLE, wire.DOCTOR, wire.WATCH, BINLOG, STREAM, LEAD,
}  # fmt: skip
"""What changes something here, makes this agent try ways to another host, stays open, or gets data of its server."""
_OURS = NEEDED - {wire.SET_STATUS, wire.CLEAR_BAD_ROLES}
"""Those of them that no classic monitor sends."""


class Lack(NamedTuple):
    """What a request lacks: words, and their code."""

    text: str
    why: str


class Credentials:
    """The admission to one agent. `given` returns the moment of a token of this start, on the clock `now`."""

    def __init__(self, conf: Cluster, now: Callable[[], float], given: Callable[[str], float | None]) -> None:
        self._key = conf.auth_key
        self._tls = conf.socket.type == "ssl"
        self._now = now
        self._given = given
        self._used: dict[str, float] = {}

    def lack(self, request: wire.Request, peer: Peer) -> Lack | None:
        """Return what the request lacks to be carried out, None when it lacks nothing."""
        if not (request.command in NEEDED or is_free(request)):
            return None
        if self._key:
            return self._unsigned(request)
        if self._tls or not _is_ours(request) or is_root(peer):
            return None
        return Lack(
            f"{request.command} from port {peer.port} of {peer.ip} is not taken: it has to come from root, from a port"
            " below 1024, or be signed by auth_key",
            AUTH,
        )

    def _unsigned(self, request: wire.Request) -> Lack | None:
        found = signature.signature(request)
        if found is None or not signature.is_signed(self._key, request):
            what = "not signed by" if found is None else "signed by another key than"
            return Lack(f"{request.command} is {what} the auth_key of this agent", AUTH)
        now, moment = self._now(), self._given(found.token)
        if moment is None or not now - WINDOW < moment <= now or found.mac in self._used:
            return Lack(f"{request.command} is signed with a token that is not valid any more", STALE)
        self._used = {mac: used for mac, used in self._used.items() if used > now - WINDOW}
        self._used[found.mac] = moment
        return None


def _is_ours(request: wire.Request) -> bool:
    """Tell whether no classic monitor says it so."""
    return (
        request.command in _OURS
        or is_free(request)
        or lead_of(request) is not None
        or granted(request) is not None
    )
