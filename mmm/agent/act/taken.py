"""What stands in for an address that is bound: files below /run, one for each IP of a role that has `vip_via health`.

A file says until when the role is held here, as the kernel knows it of an address with a lifetime: it outlives the
agent, ends by itself, and is gone after a boot. Moments are on the clock of leases.
"""

import math
import os
import threading
from contextlib import suppress
from pathlib import Path

from mmm.agent.act import promise_file
from mmm.clock import clock
from mmm.lease.rules import FOREVER, NEVER


class Taken:
    """The files of the agent with this pid file."""

    def __init__(self, pid_path: str) -> None:
        self._pid_path = pid_path

    def until(self, ip: str) -> float:
        """Return until when `ip` is held here: FOREVER for good, NEVER where it is not; the moment may have passed."""
        return _moment(self._file(ip))

    def left(self, ip: str) -> float:
        """Return for how many seconds `ip` is held here: infinite for good, 0 where it is not any more."""
        return max(0.0, self.until(ip) - clock())

    def hold(self, ip: str, lifetime: int) -> None:
        """Hold `ip` for `lifetime` seconds or (0) for good. Raises OSError."""
        moment = clock() + lifetime if lifetime else FOREVER
        file = self._file(ip)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = _new(file)
        new.write_text(f"{promise_file.boot()} {moment}", "ascii")
        new.replace(file)

    def drop(self, ip: str, only: float | None = None) -> bool:
        """Hold `ip` no more; where `only` is given, and it is held until another moment by now, it stays so.

        Returns whether it is held no more by this. Another process may be at it at the same time. Raises OSError.
        """
        file = self._file(ip)
        if only is None:
            file.unlink(missing_ok=True)
            return True
        if _moment(file) != only:
            return not file.exists()
        aside = _new(file)
        try:
            file.rename(aside)  # what is put here from now on is somebody else's
        except FileNotFoundError:
            return True
        dropped = _moment(aside) == only
        if not dropped:
            with suppress(FileExistsError):
                os.link(aside, file)
        aside.unlink()
        return dropped

    def held_at(self, now: float) -> frozenset[str]:
        """Return all that is held here at a moment."""
        return frozenset(ip for ip in self._noted() if self.until(ip) > now)

    def forget_others(self, ips: frozenset[str]) -> None:
        """Drop all that are not among `ips`, as they were held by another conf."""
        with suppress(OSError):
            for ip in self._noted() - ips:
                self.drop(ip)

    def _noted(self) -> frozenset[str]:
        begin = self._file("")
        found = (file.name.removeprefix(begin.name) for file in begin.parent.glob(f"{begin.name}*"))
        return frozenset(ip for ip in found if not ip.endswith(".new"))

    def _file(self, ip: str) -> Path:
        return Path(f"{self._pid_path}.holds.{ip}")


def _moment(file: Path) -> float:
    """Return what a file says, NEVER where it says nothing of this boot."""
    boot, _, moment = promise_file.load(file).partition(" ")
    if boot != promise_file.boot():
        return NEVER
    try:
        return float(moment)
    except ValueError:
        return NEVER


def _new(file: Path) -> Path:
    """Return a name beside a file that nobody else uses at the moment."""
    return file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.new")


def is_over(until: float, now: float) -> bool:
    """Tell whether what was held until this moment is held no more, and has not been given up either."""
    return until != NEVER and not math.isinf(until) and until <= now
