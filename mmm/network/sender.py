"""Sends what says at which MAC a VIP is, and what asks that, on one interface (rule 10.19).

scapy builds the frames in a separate process, which takes 0.3 s and on a busy machine some seconds. Nobody waits for
that: what is to be sent before its frames are there is sent once they are. What is sent in a move are ready bytes on an
open packet socket.
"""

import errno
import json
import logging
import os
import socket
import subprocess
import threading
from collections.abc import Iterable
from typing import NamedTuple

from mmm.clock import clock
from mmm.network.packet_filter import ETHERNET, is_on
from mmm.own_module import own_module

BUILD_LIMIT = 20.0
"""Longest time, in seconds, that the building of frames may take."""
WORTH = 7.0
"""Seconds for which something is worth being sent late; who announces has it said again before long."""
_KEEPS_NOTHING = dict.fromkeys(("XDG_CACHE_HOME", "XDG_CONFIG_HOME"), "/dev/null/none")
"""What has scapy keep no files: it would make folders in the home of whoever has started the agent."""

log = logging.getLogger(__name__)


class _Frames(NamedTuple):
    says: tuple[bytes, ...]
    asks: tuple[bytes, ...]


class _Waiting(NamedTuple):
    ip: str
    asks: bool


class Sender:
    """Sends announcements on one interface; all but `built` and `close` take no time, and any thread may call them.

    `ips` get their frames built at once, if the interface exists. A new MAC address, or an interface that was made
    anew, is noticed at the next announcement or question.
    """

    def __init__(self, interface: str, ips: Iterable[str] = ()) -> None:
        self.interface = interface
        self._lock = threading.Lock()
        """Never held for longer than a system call takes: the agent's loop takes it, which looks after leases."""
        self._socket: socket.socket | None = None
        self._ips: frozenset[str] = frozenset()
        self._frames: dict[tuple[str, str], _Frames] = {}
        self._forbidden: set[str] = set()
        self._waiting: dict[_Waiting, float] = {}
        self._builder: threading.Thread | None = None
        self._well = True
        self.learn(ips)

    def learn(self, ips: Iterable[str]) -> None:
        """Have the frames of these addresses built that there are none of yet; what fails is tried again by `send`."""
        problem = ""
        with self._lock:
            self._ips = frozenset(ips)
            try:
                self._build()
            except OSError as error:
                problem = _said(error)
        if problem:
            self._warn(problem)

    def send(self, ip: str) -> None:
        """Announce `ip` once, later where its frames are not built yet; raises OSError.

        Does nothing where there is no ARP, nor for an address that was forbidden.
        """
        with self._lock:
            if ip not in self._forbidden:
                self._send(_Waiting(ip, asks=False))

    def ask(self, ip: str) -> None:
        """Ask once, of everybody, who has `ip`, later where the frame is not built yet; raises OSError."""
        with self._lock:
            self._send(_Waiting(ip, asks=True))

    def forbid(self, ip: str) -> None:
        """Have `send` say nothing of `ip` from now on: it is about to leave."""
        with self._lock:
            self._forbidden.add(ip)

    def allow(self, ip: str) -> None:
        """Have `send` announce `ip` again."""
        with self._lock:
            self._forbidden.discard(ip)

    def built(self, ip: str) -> None:
        """Wait until the frames of `ip` are built; raises OSError where they cannot be, or the interface not be used.

        Returns at once where there is no ARP.
        """
        with self._lock:
            if self._has_frames(ip):
                return
            self._ips |= {ip}
            builder = self._build()
        builder.join()
        with self._lock:
            if not self._has_frames(ip):
                raise OSError(errno.EIO, f"there are no frames of {ip}")

    def _has_frames(self, ip: str) -> bool:
        mac = self._mac(self._open())
        return not mac or (ip, mac) in self._frames

    def close(self) -> None:
        """Send what waits for its frames, and close the packet socket; `send` opens it again."""
        if (builder := self._builder) is not None:
            builder.join()
        with self._lock:
            self._drop()

    def _build(self) -> threading.Thread:
        """Return what builds the frames that are missing; call it with the lock. Raises OSError."""
        if self._builder is None:
            builder = threading.Thread(target=self._build_missing, name="build frames", daemon=True)
            try:
                builder.start()
            except RuntimeError as error:
                raise OSError(errno.EAGAIN, f"no frames can be built: {error}") from error
            self._builder = builder
        return self._builder

    def _build_missing(self) -> None:
        problem = ""
        while not problem:
            try:
                with self._lock:
                    mac = self._mac(self._open())
                    missing = sorted(ip for ip in self._wanted() if (ip, mac) not in self._frames)
                    if not (mac and missing):
                        self._builder = None
                        self._send_waiting()
                        return
                made = _made(missing, mac)
                with self._lock:
                    known = {of: frames for of, frames in self._frames.items() if of[1] == mac}
                    self._frames, self._well = {**known, **made}, True
            except Exception as error:  # noqa: BLE001 - whatever it is, the next one to send has to be able to try again
                problem = _said(error)
        with self._lock:
            self._builder = None
            self._waiting.clear()
        self._warn(problem)

    def _warn(self, problem: str) -> None:
        """Log that nothing can be sent: a warning once, until it can."""
        level, self._well = logging.WARNING if self._well else logging.DEBUG, False
        log.log(level, "interface %s: cannot send ARP now: %s", self.interface, problem)

    def _wanted(self) -> frozenset[str]:
        return self._ips | {waiting.ip for waiting in self._waiting}

    def _send_waiting(self) -> None:
        """Send what has waited for its frames, and is still worth it."""
        waiting, self._waiting = self._waiting, {}
        for said, since in waiting.items():
            if clock() - since <= WORTH and (said.asks or said.ip not in self._forbidden):
                self._send(said)

    def _send(self, said: _Waiting) -> None:
        try:
            self._send_on(self._open(), said)
        except OSError:
            self._drop()
            self._send_on(self._open(), said)

    def _send_on(self, sock: socket.socket, said: _Waiting) -> None:
        mac = self._mac(sock)
        if not mac:
            return
        frames = self._frames.get((said.ip, mac))
        if frames is None:
            self._waiting[said] = clock()
            self._build()
            return
        for frame in frames.asks if said.asks else frames.says:
            sock.send(frame)

    def _open(self) -> socket.socket:
        if self._socket is not None and not is_on(self._socket, self.interface):
            self._drop()
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
    wanted = tuple(ips)
    try:
        done = subprocess.run(
            own_module("mmm.network.frames", mac, *wanted),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=BUILD_LIMIT,
            env={**os.environ, **_KEEPS_NOTHING},
        )  # fmt: skip
        built: dict[str, tuple[list[str], str]] = json.loads(done.stdout)
        return {
            (ip, mac): _Frames(tuple(map(bytes.fromhex, built[ip][0])), (bytes.fromhex(built[ip][1]),))
            for ip in wanted
        }
    except subprocess.CalledProcessError as error:
        why = next(reversed(error.stderr.strip().splitlines()), str(error))
    except (subprocess.SubprocessError, ValueError, TypeError, LookupError) as error:
        why = f"{type(error).__name__}: {error}"
    raise OSError(errno.EIO, f"no frames could be built: {why}")


def _said(error: Exception) -> str:
    """Return in one line what went wrong."""
    return (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
