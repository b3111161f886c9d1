"""The tokens that agents give a monitor which leads, or is about to: which may be sent now (rule 14.2)."""

import time
from collections.abc import Mapping
from math import inf

from mmm.lease.leading import Received, Tokens
from mmm.monitor.world.link import Token
from mmm.wire.agent import NO_LEASE


class HostTokens:
    """The tokens of each host, since this monitor has asked for the lead."""

    def __init__(self) -> None:
        self._of: dict[str, Tokens] = {}
        self.seen: dict[str, str] = {}
        """The newest of each agent that might be used; it makes a voter whole that has lost its disk."""

    def forget(self) -> None:
        """Forget all of them: a token is good for the epoch in which it was given."""
        self._of, self.seen = {}, {}

    def heard(self, host: str, token: str) -> None:
        """Take in what an agent has given."""
        if token not in ("", NO_LEASE):
            self._of[host] = self._of.get(host, Tokens()).heard(Received(token, time.monotonic()))

    def newest(self, host: str) -> float:
        """Return when the newest token of an agent was received that is not handed out; minus infinity: never."""
        tokens = self._of.get(host, Tokens())
        return max((each.at for each in tokens if each is not None), default=-inf)

    def asked(self) -> None:
        """Note that a round is asked."""
        self._of = {name: tokens.asked() for name, tokens in self._of.items()}

    def complete(self) -> None:
        """Note that the round is complete that was asked last."""
        self._of = {name: tokens.complete() for name, tokens in self._of.items()}

    def handed_out(self) -> Mapping[str, Token]:
        """Return those that may be sent, each once."""
        usable = {name: each.usable for name, each in self._of.items() if each.usable is not None}
        self._of = {name: tokens.sent() for name, tokens in self._of.items()}
        handed = {name: Token(str(each.token), each.at) for name, each in usable.items()}
        self.seen |= {name: token.text for name, token in handed.items()}
        return handed
