"""Whose commands may change something (rule 5): root's here, an allowed machine's, or those that are signed.

Without `auth_key` whoever is let in from another machine may; with it only what is signed by it, or root here. With TLS
the certificate has shown it.
"""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence

from mmm.config.model import Cluster
from mmm.monitor.command.texts import Verdict
from mmm.network.listener import Peer
from mmm.network.root import is_local, is_root
from mmm.wire import refrain
from mmm.wire.command import command_mac

KEPT = 30.0
"""Seconds in which a command has to be signed by a challenge."""
_MOST = 1000

log = logging.getLogger(__name__)


class Admission:
    """Tells who may change something, and gives out what is to be signed."""

    def __init__(self, conf: Cluster, now: Callable[[], float] = time.monotonic) -> None:
        self._key = conf.auth_key
        self._tls = conf.socket.type == "ssl"
        self._now = now
        self._given: dict[str, float] = {}

    @property
    def signs(self) -> bool:
        """Tell whether commands may be signed."""
        return bool(self._key)

    def challenge(self) -> str:
        """Return what the next command of a client is to be signed with, once."""
        now = self._now()
        self._given = {nonce: given for nonce, given in self._given.items() if given > now - KEPT}
        if len(self._given) >= _MOST:
            del self._given[next(iter(self._given))]
        nonce = secrets.token_hex(16)
        self._given[nonce] = now
        return nonce

    def with_mac(self, answer: str, nonce: str, words: Sequence[str]) -> str:
        """Return the answer to a monitor whose question was signed with this challenge, signed too."""
        return refrain.with_mac(answer, self._key, nonce, words)

    def is_signed(self, words: Sequence[str], nonce: str, mac: str) -> bool:
        """Tell whether the command is signed with a challenge that was given lately, and not used since."""
        given = self._given.pop(nonce, None)
        fresh = given is not None and given > self._now() - KEPT
        return fresh and hmac.compare_digest(command_mac(self._key, nonce, words).encode(), mac.encode())

    def lack(self, peer: Peer) -> Verdict | None:
        """Return why the client may change nothing with commands that are not signed; None when it may."""
        if self._tls or (is_root(peer) if is_local(peer) else not self._key):
            return None
        log.warning(
            "control port: a command from %s port %d is refused: it is not root's", peer.ip, peer.port
        )
        return Verdict("needs_root_or_key" if self._key else "needs_root")
