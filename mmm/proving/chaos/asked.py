"""Writes down who holds a role without an address, by its lease, and who tells load balancers so.

No kernel tells when either begins or ends, so both are looked at again and again.
"""

import contextlib
import threading
import time

from mmm.proving.chaos.history import Held
from mmm.proving.chaos.recorders import Recorder
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.addresses import held_without_address
from mmm.sandbox.machines.machine import SandboxError

_NAP = 0.05
_LIMIT = 1.0


class Spans:
    """Times in which looks saw something of a host without a break; what they say is certain from end to end."""

    def __init__(self) -> None:
        self._open: dict[str, Held] = {}
        self._over: list[Held] = []

    def seen(self, host: str, begun: float, ended: float) -> None:
        """Note that a look between these moments saw it: not before it ended the first time, until the last began."""
        since = self._open[host].since if host in self._open else ended
        self._open[host] = Held(host, since, max(since, begun))

    def unseen(self, host: str) -> None:
        """Note that a look did not see it, or got no answer."""
        if host in self._open:
            self._over.append(self._open.pop(host))

    def all(self) -> tuple[Held, ...]:
        """Return them so far."""
        return (*self._over, *self._open.values())


class Leased(Recorder):
    """When each master held the writer role by its lease, by its files, whether its agent runs or not."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._spans = Spans()

    def held(self) -> tuple[Held, ...]:
        """Return it so far."""
        return self._spans.all()

    def _run(self) -> None:
        ip = self._sandbox.layout.writer_ip
        while not self._over.wait(_NAP):
            for name in self._sandbox.layout.masters:
                begun, held = time.monotonic(), False
                with contextlib.suppress(SandboxError, OSError):
                    held = ip in held_without_address(self._sandbox.machine(name))
                if held:
                    self._spans.seen(name, begun, time.monotonic())
                else:
                    self._spans.unseen(name)


class Answered(Recorder):
    """When each master that has a health port told the client's machine that it is the writer."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._spans = {
            name: Spans() for name in sandbox.layout.masters if sandbox.layout.hosts[name].health_port
        }

    def answered(self) -> tuple[Held, ...]:
        """Return it so far."""
        return tuple(held for spans in self._spans.values() for held in spans.all())

    def _run(self) -> None:
        threads = [threading.Thread(target=self._ask, args=(name,), daemon=True) for name in self._spans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, name: str) -> None:
        spans = self._spans[name]
        while not self._over.wait(_NAP):
            begun, status = time.monotonic(), b""
            with contextlib.suppress(SandboxError, OSError):
                status = self._status(name)
            if status == b"200":
                spans.seen(name, begun, time.monotonic())
            else:
                spans.unseen(name)

    def _status(self, name: str) -> bytes:
        """Return the status that the host answers; raises SandboxError, OSError."""
        host = self._sandbox.layout.hosts[name]
        with self._sandbox.client.connect((host.ip, host.health_port or 0), _LIMIT) as connection:
            connection.sendall(b"HEAD /writer HTTP/1.0\r\n\r\n")
            return connection.recv(64)[len(b"HTTP/1.1 ") :][:3]
