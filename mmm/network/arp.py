"""Gratuitous ARP, and for IPv6 neighbour advertisements: neighbours are told that a VIP lives here (rule 10.19).

At once, and again on a schedule, when the cable is back, and when somebody says otherwise. scapy builds the frames
beforehand, in a separate process; what is sent in a move are ready bytes on an open packet socket.
"""

import asyncio
import errno
import json
import logging
import math
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from mmm.clock import clock
from mmm.network.packet_filter import ETHERNET
from mmm.network.strangers import Strangers
from mmm.own_module import own_module

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
BUILD_LIMIT = 20.0
"""Longest time, in seconds, that the building of frames may take."""
_KEEPS_NOTHING = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/dev/null/none")
"""What has scapy keep no files: it would make folders in the home of whoever has started the agent."""
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


class _Frames(NamedTuple):
    says: tuple[bytes, ...]
    asks: bytes


class Sender:
    """Sends announcements on one interface; `send` may be called from any thread.

    `ips` get their frames built at once, if the interface exists, while the caller goes on. A new MAC address, or
    an interface that was made anew, is noticed at the next announcement.
    """

    def __init__(self, interface: str, ips: Iterable[str] = ()) -> None:
        self.interface = interface
        self._ips = tuple(ips)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._frames: dict[tuple[str, str], _Frames] = {}
        self._forbidden: set[str] = set()
        self._building = threading.Thread(target=self._build, name="build frames", daemon=True)
        self._building.start()

    def learn(self, ips: Iterable[str]) -> None:
        """Have the frames of these addresses built that there are none of yet, while the caller and others go on."""
        self._ips = tuple(ips)
        before = self._building
        self._building = threading.Thread(
            target=self._build_more, args=(before,), name="build frames", daemon=True
        )
        self._building.start()

    def send(self, ip: str) -> None:
        """Announce `ip` once; raises OSError.

        Does nothing where there is no ARP, nor for an address that was forbidden.
        """
        with self._lock:
            if ip not in self._forbidden:
                self._send(ip, lambda frames: frames.says)

    def ask(self, ip: str) -> None:
        """Ask once, of everybody, who has `ip`; raises OSError."""
        with self._lock:
            self._send(ip, lambda frames: (frames.asks,))

    def forbid(self, ip: str) -> None:
        """Have `send` say nothing of `ip` from now on: it is about to leave."""
        with self._lock:
            self._forbidden.add(ip)

    def allow(self, ip: str) -> None:
        """Have `send` announce `ip` again."""
        with self._lock:
            self._forbidden.discard(ip)

    def close(self) -> None:
        """Close the packet socket; `send` opens it again."""
        self._building.join()
        with self._lock:
            self._drop()

    def _build(self) -> None:
        with self._lock:
            try:
                mac = self._mac(self._open())
                if mac and self._ips and not self._frames:
                    self._frames = _made(self._ips, mac)
            except OSError as error:
                log.warning("interface %s: cannot send ARP now: %s", self.interface, error.strerror or error)

    def _build_more(self, before: threading.Thread) -> None:
        before.join()
        try:
            with self._lock:
                mac = self._mac(self._open())
                missing = [ip for ip in self._ips if (ip, mac) not in self._frames]
            if mac and missing:
                made = _made(missing, mac)
                with self._lock:
                    self._frames = {**self._frames, **made}
        except OSError as error:
            log.warning("interface %s: cannot send ARP now: %s", self.interface, error.strerror or error)

    def _send(self, ip: str, which: Callable[[_Frames], tuple[bytes, ...]]) -> None:
        try:
            self._send_on(self._open(), ip, which)
        except OSError:
            self._drop()
            self._send_on(self._open(), ip, which)

    def _send_on(self, sock: socket.socket, ip: str, which: Callable[[_Frames], tuple[bytes, ...]]) -> None:
        mac = self._mac(sock)
        for frame in which(self._ready(ip, mac)) if mac else ():
            sock.send(frame)

    def _ready(self, ip: str, mac: str) -> _Frames:
        if (ip, mac) not in self._frames:
            self._frames = _made({*self._ips, ip}, mac)
        return self._frames[ip, mac]

    def _open(self) -> socket.socket:
        if self._socket is None:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            try:
                sock.bind((self.interface, 0))
            except OSError:
                sock.close()
                raise
            self._socket = sock
        return self._socket

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @staticmethod
    def _mac(sock: socket.socket) -> str:
        """Return the interface's present MAC address, empty when it is no Ethernet."""
        interface, _, _, kind, address = sock.getsockname()
        if not interface:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return ":".join(f"{byte:02x}" for byte in address) if kind == ETHERNET else ""


def _made(ips: Iterable[str], mac: str) -> dict[tuple[str, str], _Frames]:
    """Return the frames for addresses at a MAC; raises OSError."""
    try:
        done = subprocess.run(
            own_module("mmm.network.frames", mac, *ips),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=BUILD_LIMIT,
            env={**os.environ, **_KEEPS_NOTHING},
        )  # fmt: skip
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", "") or error).strip()
        raise OSError(errno.EIO, f"no frames could be built: {said.splitlines()[-1]}") from error
    built: dict[str, tuple[list[str], str]] = json.loads(done.stdout)
    return {
        (ip, mac): _Frames(tuple(map(bytes.fromhex, says)), bytes.fromhex(asks))
        for ip, (says, asks) in built.items()
    }


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
        """Announce `ip` at once, before this returns, and from now on; one that is announced already begins anew.

        `insist`: more often in the first minute.
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
