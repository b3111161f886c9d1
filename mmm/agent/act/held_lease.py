"""This host's lease: kept by the rules of `mmm.lease`, on the clock that runs on while the host sleeps (rule 11.1).

What outlives the agent stands elsewhere: the VIP's lifetime in the kernel, promises in a file below /run.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mmm.clock import clock
from mmm.lease.rules import (
    FOREVER,
    NEVER,
    Grant,
    Lease,
    Refusal,
    margin,
)
from mmm.wire.agent import LeaseOffer

log = logging.getLogger(__name__)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UNIT = 1_000_000_000
KERNEL_LATE = 0.35
"""Seconds after its lifetime up to which the kernel may keep a VIP bound, if no other address changes meanwhile.

It looks no more often than once a second after any address of the host has changed, and rounds that up.
"""
_MOST_OVER = 0.5


def boot() -> str:
    """Return what tells this boot of the host from every other."""
    try:
        return _BOOT_ID.read_text("ascii").strip().replace("-", "")[:12]
    except OSError:
        return "0"


class Promised(NamedTuple):
    """What was promised to another host: until when, and the token of when it asked last, empty where it said none."""

    until: float
    token: str


class Tenure:
    """The writer role's lease at this host, by the clock `now`. Not for several threads, but for `lifetime`."""

    def __init__(
        self,
        length: float,
        file: Path | None,
        now: Callable[[], float] | None = None,
        boot_name: str = "",
        ends: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._ends = ends
        self._file = file
        self._now = now or clock
        self._boot = boot_name or boot()
        self._longest = length
        self._promises: Mapping[str, Promised] = {}
        self._owes = False
        """Promises were asked for, and not given back since."""
        self.length = length
        """Seconds of the newest lease, or what the conf says."""
        self.leaving = False
        """The monitor has ordered the role away, and that is not done yet: nobody is asked to let it stay."""
        self.leased = False
        """The monitor grants leases; a classic one does not, and then VIPs are for good."""
        self._began = began = self._now()
        self.lease = self._read(Lease(began), began)

    @property
    def lease(self) -> Lease:
        """The lease as it stands; whoever watches over its end is told when it changes."""
        return self._lease

    @lease.setter
    def lease(self, lease: Lease) -> None:
        self._lease = lease
        self._ends(FOREVER if lease.until == NEVER else lease.until)

    def token(self) -> str:
        """Return a new token: later than all before it."""
        return self._token(self._now())

    def _token(self, moment: float) -> str:
        return f"{self._boot}.{int(moment * _UNIT)}"

    def grant(self, granted: LeaseOffer) -> Grant:
        """Return what the monitor's order grants; a token of another boot is as old as can be."""
        moment = self._moment(granted.token)
        return Grant(granted.length, NEVER if moment is None else moment)

    def given(self, token: str) -> float | None:
        """Return when this start of the agent gave the token, None when it did not."""
        moment = self._moment(token)
        return moment if moment is not None and moment >= self._began else None

    def _moment(self, token: str) -> float | None:
        name, _, moment = token.partition(".")
        valid = name == self._boot and moment.isascii() and moment.isdigit() and len(moment) < 25
        return int(moment) / _UNIT if valid else None

    def refusal(self, grant: Grant, *, role: bool) -> Refusal | None:
        """Return why an order is not obeyed, None when it is."""
        return self.lease.refusal(grant, self._now(), role=role)

    def obeyed(self, grant: Grant | None, *, role: bool) -> None:
        """Keep what an order granted; None is an order without a lease, which is for good."""
        now = self._now()
        self.leaving = False
        if grant is None:
            self.leased = False
            self.lease = Lease(self.lease.newest, FOREVER if role else NEVER, self.lease.promised)
            return
        self.leased = True
        if grant.length < FOREVER:
            self.length = grant.length
        if not role:  # no token is newer than itself: this order was noted when it was begun
            self.lease = self.lease._replace(until=NEVER)
        else:
            self.lease = self.lease.obeyed(grant, now, role=role)

    def noted(self, grant: Grant) -> None:
        """Obey no older order from now on; whether the role is given up is not known yet."""
        self.leaving = True
        self.lease = self.lease._replace(newest=grant.token, heard=grant.token)

    def found(self, left: float) -> None:
        """Keep what the kernel still has bound of an earlier agent's lease: `left` seconds, FOREVER for good."""
        self.lease = self.lease._replace(until=self._now() + left)
        self.leased = left < FOREVER

    def promise(self, holder: str, length: float, token: str = "") -> str:
        """Promise to refuse the role for `length` seconds and the margin; returns why not, empty when it is.

        `token` is when the holder asked, by which it may give the promise back. No longer lease is promised for than
        that of this host's conf: who has a longer one has another conf.
        """
        if length > self._longest:
            return (
                f"vip_lease is {self._longest:g} in the conf of this host: no promise for {length:g} s;"
                " have the same vip_lease on all hosts"
            )
        promised = self.lease.promise(length, self._now())
        if promised is None:
            return "this host holds the role itself"
        known = self._promises.get(holder)
        if known is not None and self._now() < known.until:
            token = _newer(known.token, token)
        promises = {**self._promises, holder: Promised(promised.promised, token)}
        try:
            self._write(promised.promised, promises)
        except OSError as error:
            return f"the promise cannot be kept in {self._file}: {error.strerror or error}"
        self._promises = promises
        self.lease = promised
        return ""

    def given_back(self, holder: str, token: str) -> bool:
        """Be bound no more by what was promised to `holder`, if it asked for that up to the token's moment.

        Tells whether anything was given back.
        """
        known = self._promises.get(holder)
        moments = None if known is None else _moments(known.token, token)
        if moments is None or self.lease.given_back(*moments) == self.lease:
            return False
        others = {name: each for name, each in self._promises.items() if name != holder}
        promised = max((each.until for each in others.values()), default=NEVER)
        with suppress(
            OSError
        ):  # then this host keeps to it for longer than it has to, if its agent is restarted
            self._write(promised, others)
        self._promises = others
        self.lease = self.lease._replace(promised=promised)
        return True

    def asks(self) -> tuple[float, str]:
        """Return the moment at which promises are asked for, and its token."""
        now = self._now()
        self._owes = True
        return now, self._token(now)

    def gives_back(self) -> str:
        """Return the token up to which promises are given back, now that the role was given up.

        Empty where none were asked for since the last time, and while the role is held.
        """
        now = self._now()
        lease = self.lease.giving_back(now) if self._owes else None
        if lease is None:
            return ""
        self._owes = False
        self.lease = lease
        return self._token(now)

    @property
    def promises(self) -> bool:
        """Tell whether this host is bound by a promise."""
        return self._now() < max(self.lease.promised, self.lease.booted)

    def renewed(self, asked: float) -> bool:
        """Renew by promises asked for at `asked`; tells whether the role is still held."""
        now = self._now()
        self.lease = self.lease.renewed(asked, self.length, now)
        return self.lease.holds(now)

    def ended(self) -> None:
        """Keep in mind that the role is not held any more."""
        self.lease = self.lease._replace(until=NEVER)

    @property
    def left(self) -> float:
        """Return for how many seconds the role is still held: FOREVER, or less than 0."""
        return self.lease.until - self._now()

    @property
    def heard(self) -> float:
        """Return how many seconds ago the token was given that the monitor last sent."""
        return self._now() - self.lease.heard

    def lifetime(self) -> int:
        """Return the seconds that the kernel may keep the VIP bound: 0 is for good, -1 that the lease is over.

        The kernel counts whole seconds: together with how late it may be they end within the margin.
        """
        if self.left == FOREVER:
            return 0
        left = self.left + _over(self.length)
        return math.floor(left) if left >= 1 else -1

    def _read(self, lease: Lease, now: float) -> Lease:
        if self._file is None or not self.length:
            return lease
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            kept = json.loads(self._load(self._file))
            if kept["boot"] == self._boot:
                # A conf that was changed since may have had longer leases, and what was promised then still holds.
                longest = max(self._longest, float(kept.get("length", 0)))
                latest = now + longest + margin(longest)
                to = kept.get("to", {}).items()
                self._promises = {
                    name: Promised(min(float(until), latest), str(token)) for name, (until, token) in to
                }
                return lease._replace(promised=min(float(kept["promised"]), latest))
        if now < self.length + margin(self.length):
            return lease.rebooted(0.0, self.length)._replace(newest=now)
        return lease

    def _write(self, promised: float, promises: Mapping[str, Promised]) -> None:
        if self._file is None:
            return
        to = {name: list(each) for name, each in promises.items() if each.until > self._now()}
        kept = {"boot": self._boot, "promised": max(promised, 0.0), "length": self._longest, "to": to}
        self._store(self._file, json.dumps(kept))

    def _load(self, file: Path) -> str:
        """Return what the file says; raises OSError."""
        return file.read_text("utf-8")

    def _store(self, file: Path, text: str) -> None:
        """Put `text` in the file's place; raises OSError."""
        new = file.with_name(file.name + ".new")
        new.write_text(text, "utf-8")
        new.replace(file)


def least(length: float) -> float:
    """Return the seconds that are left of a lease of `length` seconds where the kernel can be told just one more."""
    return 1.0 - _over(length)


def _over(length: float) -> float:
    """Return how many seconds after the end of a lease the kernel may be told to keep the VIP."""
    return min(_MOST_OVER, margin(length) - KERNEL_LATE)


def _moments(asked: str, returned: str) -> tuple[float, float] | None:
    """Return the moments of two tokens, None where they are not of one boot of one host."""
    (name, _, first), (other, _, second) = asked.partition("."), returned.partition(".")
    numbers = all(each.isascii() and each.isdigit() and len(each) < 25 for each in (first, second))
    return (int(first) / _UNIT, int(second) / _UNIT) if numbers and name == other else None


def _newer(known: str, token: str) -> str:
    """Return the newer of two tokens; none by which a promise could be given back where that cannot be told."""
    moments = _moments(known, token)
    if moments is None:
        return ""
    return token if moments[1] > moments[0] else known
