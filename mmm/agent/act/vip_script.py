"""Runs the program that moves an address by other means than the kernel's: a cloud's API, say (rule 15.4).

    PROGRAM add ROLE VIP INTERFACE       have it here, taken from whoever has it; 0: done
    PROGRAM remove ROLE VIP INTERFACE    have it here no more; 0: done
    PROGRAM status ROLE VIP INTERFACE    0: it is here, 1: it is not, anything else: that cannot be told

What counts is `status`: after each `add` and `remove` it is asked until it agrees. Each run has a limit, after which it
is killed with all that it has started.
"""

import logging
import shlex
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from mmm.config.model import Vip
from mmm.network.vips import InterfaceError
from mmm.process.child import run

ACT_LIMIT = 8.0
"""Seconds that `add` or `remove` may take, and `status` may take to agree; the angel ends its attempts after 10."""
STATUS_LIMIT = 4.0
"""Seconds that `status` may take."""
FRESH = 10.0
"""Seconds after which what `status` said is asked for anew."""
NAP = 0.3
"""Seconds between two questions whether what was done is seen."""
_HERE, _ELSEWHERE = 0, 1
_LONGEST = 200

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """What `status` said last of a VIP; None: nothing that tells."""

    here: bool | None
    looked: float
    asking: bool = False


class VipScript:
    """The programs by which VIPs are moved: `commands` has that of each. Several threads may call the methods."""

    def __init__(self, commands: Mapping[Vip, str], interface: str) -> None:
        self._commands = {vip.ip: (vip, shlex.split(command)) for vip, command in commands.items()}
        self._interface = interface
        self._known: dict[str, _Known] = {}
        self._changes = 0
        self._lock = threading.Lock()
        self._complained: set[str] = set()

    def is_here(self, ip: str) -> bool:
        """Tell whether a VIP is here, as `status` said some seconds ago; not where it has never told.

        It is asked when it was not yet, else beside, so that nobody waits for it.
        """
        known = self._known.get(ip)
        if known is None:
            try:
                return self._look(ip)
            except InterfaceError as error:
                log.error("%s", error)
                known = self._known[ip] = _Known(None, time.monotonic())
        if time.monotonic() - known.looked > FRESH and not known.asking:
            known.asking = True
            threading.Thread(target=self._look_beside, args=(ip, known), daemon=True).start()
        return known.here is True

    def move(self, ip: str, *, here: bool) -> None:
        """Have a VIP here, or not here; nothing is done where it is so. Raises InterfaceError where that fails."""
        verb, began = "add" if here else "remove", time.monotonic()
        with self._lock:
            self._changes += 1
            known = self._known.get(ip)
            if known is not None and known.here == here and time.monotonic() - known.looked < FRESH:
                return
            status, said = self._run(verb, ip, ACT_LIMIT)
            if status != 0:
                self._known.pop(ip, None)  # it may be half done
                raise InterfaceError(f"{self._named(verb, ip)}: {said}")
            while self._look(ip) != here:
                if time.monotonic() - began > ACT_LIMIT:
                    place = "not here" if here else "still here"
                    raise InterfaceError(
                        f"{self._named(verb, ip)} ended with 0, but by `status` it is {place}"
                    )
                time.sleep(NAP)

    def _look(self, ip: str) -> bool:
        status, said = self._run("status", ip, STATUS_LIMIT)
        if status not in (_HERE, _ELSEWHERE):
            raise InterfaceError(f"{self._named('status', ip)}: {said}")
        self._known[ip] = _Known(status == _HERE, time.monotonic())
        return status == _HERE

    def _look_beside(self, ip: str, known: _Known) -> None:
        """Ask anew; what is found counts unless it was changed meanwhile."""
        changes = self._changes
        try:
            status, said = self._run("status", ip, STATUS_LIMIT)
            if status in (_HERE, _ELSEWHERE):
                self._complained.discard(ip)
                if changes == self._changes and self._known.get(ip) is known:
                    self._known[ip] = _Known(status == _HERE, time.monotonic())
            elif ip not in self._complained:
                self._complained.add(ip)
                log.error("%s: %s; it is taken to be where it was", self._named("status", ip), said)
        finally:
            known.asking = False
            known.looked = time.monotonic()

    def _named(self, verb: str, ip: str) -> str:
        vip, command = self._commands[ip]
        return f"{command[0]} {verb} {vip.role} {ip} {self._interface}"

    def _run(self, verb: str, ip: str, limit: float) -> tuple[int, str]:
        """Return the exit status of a run and what is to be said of it; -1 where there is none."""
        vip, command = self._commands[ip]
        try:
            status, said = run([*command, verb, vip.role, ip, self._interface], limit)
        except OSError as error:
            return -1, f"cannot be run: {error.strerror or error}"
        if status is None:
            return -1, f"has not ended within {limit:g} s, and was killed"
        last = said.strip().rpartition("\n")[2][:_LONGEST]
        return status, f"ended with status {status}{': ' if last else ''}{last}"
