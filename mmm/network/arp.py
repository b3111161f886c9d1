"""Gratuitous ARP, and for IPv6 neighbour advertisements: neighbours are told that a VIP lives here (rule 10.19).

At once, and again on a schedule, when the cable is back, and when somebody says otherwise.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator
from itertools import islice

from mmm.clock import clock
from mmm.network.sender import Sender
from mmm.network.strangers import Strangers

EARLY = (0.0, 0.2, 1.0, 2.0, 5.0, 10.0)
"""Seconds after binding at which a VIP is announced; see `moments`."""
INSISTS_EVERY, INSISTS_FOR = 0.5, 60.0
"""The same where another host may wake up that believes to have the VIP: the pause, and for how long."""
EVERY = 60.0
"""Seconds between announcements from then on, for as long as the VIP is held; each time it is asked who else has it."""

CONFIRMED = 7.0
"""Seconds, two of the monitor's heartbeats and a bit, for which an order confirms what it assigned."""

ASK_AFTER = 0.05
"""Seconds until it is asked who else has a VIP: it is announced first."""
AGAIN = 1.0
"""Seconds in which a schedule that has begun is not begun anew: two hosts must not answer each other for ever."""

log = logging.getLogger(__name__)


def moments(insists_for: float = 0.0) -> Iterator[float]:
    """Yield the seconds after binding at which a VIP is announced, without end."""
    early: tuple[float, ...] = EARLY
    if insists_for > 0:
        early = tuple(INSISTS_EVERY * number for number in range(int(insists_for / INSISTS_EVERY) + 1))
    yield from early
    moment = early[-1]
    while True:
        moment += EVERY
        yield moment


class Announcer:
    """Announces the VIPs that are held here for as long as they are, while it is `confirmed` that they are.

    A host that was cut off may have lost its VIPs to others: before it has heard so, or that it has not, it must not
    draw their traffic away. Made and closed in an asyncio loop; `begin` and `end` may be called from any thread.
    """

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.strangers = Strangers()
        self._confirmed = -math.inf
        self._insists_until: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: dict[str, float] = {}
        self._missed: set[str] = set()

    @property
    def held(self) -> frozenset[str]:
        """Return the VIPs that are announced, or would be if they were confirmed."""
        return frozenset(self._tasks)

    def claimed(self) -> tuple[tuple[str, str], ...]:
        """Return who has a VIP that is held here too, by VIP and MAC; may be called from any thread."""
        return self.strangers.standing(self.held, clock())

    def begin(self, ip: str, *, insist: bool = False) -> None:
        """Announce `ip` at once and from now on; one that is announced already begins anew.

        When this returns it was said, or waits for nothing but its frames. `insist`: more often in the first minute.
        """
        self.sender.allow(ip)
        self._confirmed = clock()
        self._insists_until[ip] = self._loop.time() + INSISTS_FOR if insist else -math.inf
        said = self._is_confirmed()
        well = not said or self._send(ip, well=True)
        self._loop.call_soon_threadsafe(self._start, ip, int(said), well)

    def end(self, ip: str) -> None:
        """Announce `ip` no more: when this returns nothing more is sent."""
        self.sender.forbid(ip)
        self._loop.call_soon_threadsafe(self._stop, ip)

    def ask(self, ip: str) -> None:
        """Ask everybody who has `ip`, once, in ASK_AFTER seconds, and wait for no answer.

        When it has just left this host, whoever has it now announces it again (rule 10.37). When it was bound here
        just now, an answer means that another host has it too, and is noticed as a conflict (rule 10.19).
        """
        self._loop.call_soon_threadsafe(self._loop.call_later, ASK_AFTER, self._ask, ip)

    def link_up(self) -> None:
        """Begin to announce all that is held anew: the cable is back. Call it in the loop."""
        for ip in tuple(self._tasks):
            self._start(ip)

    def again(self, ip: str) -> None:
        """Begin to announce a held VIP anew: neighbours may have missed it or heard otherwise. Call it in the loop."""
        if ip in self._tasks and self._loop.time() - self._begun.get(ip, -math.inf) > AGAIN:
            self._start(ip)

    def confirm(self) -> None:
        """Take it that what is held here is still meant to be, for CONFIRMED seconds."""
        self._confirmed = clock()

    def hold(self, ips: Iterable[str]) -> None:
        """Announce `ips` and nothing else; those that are announced already go on as they were.

        What was not said when it was due, because nobody had confirmed it, is said once it is.
        """
        wanted = set(ips)
        for ip in set(self._tasks) - wanted:
            self.end(ip)
        for ip in wanted - set(self._tasks):
            self.begin(ip)
        for ip in tuple(self._missed) if self._is_confirmed() else ():
            self._start(ip)

    async def close(self) -> None:
        """Announce nothing more."""
        tasks = tuple(self._tasks.values())
        for ip in tuple(self._tasks):
            self._stop(ip)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, ip: str) -> None:
        try:
            self.sender.ask(ip)
        except OSError as error:
            log.debug("cannot ask who has %s: %s", ip, error.strerror or error)

    def _is_confirmed(self) -> bool:
        return clock() - self._confirmed <= CONFIRMED

    def _start(self, ip: str, said: int = 0, well: bool = True) -> None:  # noqa: FBT001, FBT002  (call_soon passes it on)
        """Announce `ip` at all `moments` but the first `said`, which went `well`."""
        self._stop(ip)
        self._begun[ip] = self._loop.time()
        insists_for = self._insists_until.get(ip, -math.inf) - self._loop.time()
        announcing = self._announce(ip, islice(moments(insists_for), said, None), well=well)
        self._tasks[ip] = self._loop.create_task(announcing, name=f"announce {ip}")

    def _stop(self, ip: str) -> None:
        self._missed.discard(ip)
        task = self._tasks.pop(ip, None)
        if task is not None:
            task.cancel()

    async def _announce(self, ip: str, when: Iterator[float], *, well: bool) -> None:
        begin, asks_at = self._loop.time(), EARLY[-1]
        for moment in when:
            await asyncio.sleep(begin + moment - self._loop.time())
            if not self._is_confirmed():
                log.debug("%s is not announced: nobody has confirmed it lately", ip)
                self._missed.add(ip)
                continue
            well = self._send(ip, well=well)
            if moment >= asks_at:  # who took the address without a word answers
                asks_at = moment + EARLY[-1]
                self._ask(ip)

    def _send(self, ip: str, *, well: bool) -> bool:
        """Announce `ip` once; returns whether it went well. That it does not any more is said aloud once."""
        try:
            self.sender.send(ip)
        except OSError as error:
            level = logging.WARNING if well else logging.DEBUG
            why = error.strerror or error
            log.log(level, "cannot announce %s on %s: %s", ip, self.sender.interface, why)
            return False
        return True
