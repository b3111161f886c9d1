"""Who else has been heard to have a VIP that is held here, and is not just about to let it go (rule 10.19)."""

from collections.abc import Collection
from dataclasses import dataclass

STANDS = 5.0
"""Seconds from the first claim of a MAC to a later one from which on it is no matter of a move any more."""
FORGOTTEN = 150.0
"""Seconds without a claim after which nobody else has the address: it is asked for at least every minute."""
MOST = 50
"""Claims of so many are kept at a time: who invents MACs shall not fill the memory."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """When a MAC claimed an address, by the clock of `noticed`."""

    first: float
    last: float


class Strangers:
    """The MACs of others that claim an address; may be read in any thread."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], _Heard] = {}

    def noticed(self, ip: str, mac: str, now: float) -> None:
        """Take it that `mac` claims `ip`."""
        kept = {at: heard for at, heard in self._heard.items() if now - heard.last < FORGOTTEN}
        before = kept.get((ip, mac))
        if before or len(kept) < MOST:
            kept[ip, mac] = _Heard(before.first if before else now, now)
        self._heard = kept

    def standing(self, held: Collection[str], now: float) -> tuple[tuple[str, str], ...]:
        """Return who, by address and MAC, has `held` addresses too, and for longer than a move takes."""
        return tuple(
            at
            for at, heard in self._heard.items()
            if at[0] in held and now - heard.last < FORGOTTEN and heard.last - heard.first >= STANDS
        )
