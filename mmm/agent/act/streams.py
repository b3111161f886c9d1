"""Admits whoever fetches a full copy of this host's data, and has a separate process send it (rules 4, 10.20).

The request names the port that the next connection comes from. That one is handed over as it was accepted, so the loop
of the agent sees no byte of the copy; certificates are demanded by the process that has it then.
"""

import logging
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from mmm.agent.act.replies import Replies
from mmm.agent.stream.order import Order, encode
from mmm.agent.stream.producers import PRODUCERS
from mmm.config.model import Cluster
from mmm.network.listener import Peer
from mmm.own_module import own_module
from mmm.wire import why
from mmm.wire.agent import Request, WireError
from mmm.wire.stream import BUSY, NO_PROVIDER, NO_TLS, WAIT, Asked, asked_stream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Awaited:
    """The connection that was announced."""

    ip: str
    asked: Asked
    until: float


class Streams:
    """The copies of this host's data; lives in an asyncio loop. `close` it."""

    def __init__(self, conf: Cluster, replies: Replies) -> None:
        self._conf = conf
        self._here = conf.hosts[conf.this]
        self._replies = replies
        self._awaited: _Awaited | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = False
        self._whose = ""
        self._closed = False

    def answer(self, request: Request, peer: Peer) -> bytes:
        """Return the reply, with its LF."""
        try:
            asked = asked_stream(request)
        except WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if refused := self._refusal(asked):
            log.warning("no copy of this host's data for %s: %s", peer.ip, refused[1])
            return self._replies.error(*refused)
        if self._conf.socket.type != "ssl":
            log.warning(
                "transfer plain: all data of this host goes to %s without TLS: whoever sees the network can read it",
                peer.ip,
            )
        self._awaited = _Awaited(peer.ip, asked, time.monotonic() + WAIT)
        return self._replies.reply("OK: Your next connection is the stream!")

    def claim(self, connection: socket.socket, peer: Peer) -> bool:
        """Take the connection that was announced; tells whether this is the one."""
        awaited = self._awaited
        if awaited is None or (peer.ip, peer.port) != (awaited.ip, awaited.asked.port):
            return False
        self._awaited = None
        if time.monotonic() > awaited.until:
            return False
        self._starting, self._whose = True, f"{peer.ip} (job {awaited.asked.job})"
        threading.Thread(
            target=self._run, args=(connection, self._order(awaited)), name="stream", daemon=True
        ).start()
        return True

    @property
    def receiver(self) -> str:
        """Return who is sent a copy at the moment, or is about to connect for one; empty where nobody is."""
        if self._starting:
            return self._whose or "another host"
        awaited = self._awaited
        return awaited.ip if awaited is not None and time.monotonic() < awaited.until else ""

    def close(self) -> None:
        """End the copy that is being sent: nothing of a stopped agent goes on."""
        self._closed = True
        if self._process is not None:
            self._process.terminate()

    def _refusal(self, asked: Asked) -> tuple[str, str] | None:
        """Return the code and the text by which a copy is refused, None where it is not."""
        name = self._here.name
        if self._conf.socket.type != "ssl" and self._conf.transfer != "plain":
            return NO_TLS, (
                f"{name} sends its data over TLS only: write `type ssl` in <socket> of all hosts, or"
                " `transfer plain` in the conf of both"
            )
        if asked.provider not in PRODUCERS:
            return NO_PROVIDER, f"{name}'s agent knows no {asked.provider}, but {', '.join(PRODUCERS)}"
        if receiver := self.receiver:
            return BUSY, f"{name} sends a copy of its data to {receiver}: one at a time"
        return None

    def _order(self, awaited: _Awaited) -> Order:
        conf = self._conf
        return Order(
            awaited.asked.provider,
            awaited.asked.job,
            self._here,
            awaited.ip,
            conf.socket,
            conf.transfer_rate,
            compress=conf.compress == "zstd",
            lock=f"{self._here.pid_path}.stream" if self._here.pid_path else "",
            path=os.environ.get("PATH", ""),
        )

    def _run(self, connection: socket.socket, order: Order) -> None:
        """Have the process send the copy, and log what it says; in a thread of its own."""
        try:
            with connection:
                self._process = process = subprocess.Popen(
                    own_module("mmm.agent.stream.serve", str(connection.fileno())),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(connection.fileno(),),
                )
            if self._closed or process.stdin is None or process.stdout is None:
                process.kill()
                return
            process.stdin.write(encode(order))
            process.stdin.close()
            for raw in process.stdout:
                mark, _, text = raw.decode("utf-8", "replace").rstrip().partition(" ")
                level = logging.INFO if mark == "I" else logging.WARNING
                log.log(level, "%s: %s", self._here.name, text if mark in {"I", "W"} else f"{mark} {text}")
            process.wait()
        except OSError as error:
            log.error("%s: the process that sends a copy cannot be run: %s", self._here.name, error)
        finally:
            self._starting, self._whose = False, ""
