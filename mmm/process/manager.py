"""The service manager that started this daemon and waits for it: systemd, by the protocol of sd_notify(3)."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Manager:
    """Where it listens, and how many seconds of silence it takes for a daemon that is stuck; 0: any number."""

    address: str
    patience: float = 0.0

    def tell(self, *states: str) -> None:
        """Send what sd_notify(3) calls states, such as READY=1. Never fails, never waits: nobody may be there."""
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock,
        ):
            where = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
            sock.sendto("\n".join(states).encode(), where)

    @contextmanager
    def fed(self) -> Iterator[None]:
        """Tell it, from the running loop, that this turns."""
        feeding = asyncio.create_task(self._feed()) if self.patience else None
        try:
            yield
        finally:
            if feeding:
                feeding.cancel()

    async def _feed(self) -> None:
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.patience / 3)


def started_by() -> Manager | None:
    """Return who started this process and waits to hear from it, None where nobody does.

    What says so is taken out of the environment: programs that a daemon starts are none of the manager's business.
    """
    address = os.environ.pop("NOTIFY_SOCKET", "")
    os.environ.pop("WATCHDOG_PID", "")
    patience = os.environ.pop("WATCHDOG_USEC", "")
    if not address.startswith(("/", "@")):
        return None
    return Manager(address, int(patience) / 1e6 if patience.isdecimal() else 0.0)
