"""This host's lease as a value: the rules of `mmm.lease` with this host's tokens and promises (rule 11.1). Pure.

Moments are on the clock that runs on while the host sleeps. What outlives the agent stands elsewhere: the VIP's
lifetime in the kernel, promises in a file below /run, whose text is made and read here, as is the text of the file
that says that an agent has run.
"""

import json
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mmm.lease.rules import FOREVER, NEVER, Grant, Lease, margin
from mmm.wire.held import Stay
from mmm.wire.json_text import parsed
from mmm.wire.status import LeaseOffer

_UNIT = 1_000_000_000
KERNEL_LATE = 0.35
"""Seconds after its lifetime up to which the kernel may keep a VIP bound, if no other address changes meanwhile.

It looks no more often than once a second after any address of the host has changed, and rounds that up.
"""
_MOST_OVER = 0.5
_KERNEL_COUNTS = 1.0
"""Seconds by which the kernel may say too much of what is left: it rounds up to whole ones."""
_SURELY_LEFT = 0.25
"""Seconds that a lease has which ends within the second: the monitor sends the next order within that."""
_UNREADABLE = "unreadable"
"""The token of a stay that an earlier agent may have let, and of which nothing can be read."""


class Promised(NamedTuple):
    """What was promised to another host: until when, and the token of when it asked last, empty where it said none."""

    until: float
    token: str


@dataclass(frozen=True, slots=True)
class HeldLease:
    """The writer role's lease at this host. Every change returns a new value."""

    longest: float
    """Seconds of a lease by this host's conf."""
    boot: str
    """What tells this boot of the host from every other."""
    began: float
    """When the agent started."""
    lease: Lease
    length: float
    """Seconds of the newest lease, or what the conf says."""
    leaving: bool = False
    """The monitor has ordered the role away, and that is not done yet: nobody is asked to let it stay."""
    leased: bool = False
    """The monitor grants leases; a classic one does not, and then VIPs are for good."""
    owes: bool = False
    """Promises were asked for, and not given back since."""
    promises: Mapping[str, Promised] = field(default_factory=dict)
    stays: frozenset[Stay] = frozenset()
    """For whom this host refuses the role until told that it is void."""
    found_until: float = NEVER
    """The end of a lease that the kernel was found to keep, of which it is told no more than it knew."""

    def token(self, now: float) -> str:
        """Return the token of this moment."""
        return f"{self.boot}.{int(now * _UNIT)}"

    def grant(self, offered: LeaseOffer) -> Grant:
        """Return what the monitor's order grants; a token of another boot is as old as can be."""
        moment = self._moment(offered.token)
        return Grant(offered.length, NEVER if moment is None else moment)

    def given(self, token: str) -> float | None:
        """Return when this start of the agent gave the token, None when it did not."""
        moment = self._moment(token)
        return moment if moment is not None and moment >= self.began else None

    def _moment(self, token: str) -> float | None:
        name, _, moment = token.partition(".")
        return int(moment) / _UNIT if name == self.boot and _is_moment(moment) else None

    def obeyed(self, grant: Grant | None, now: float, *, role: bool) -> "HeldLease":
        """Return the lease after what an order granted; None is an order without a lease, which is for good."""
        if grant is None:
            until = FOREVER if role else NEVER
            return replace(self, leaving=False, leased=False, lease=self.lease._replace(until=until))
        length = grant.length if grant.length < FOREVER else self.length
        # No token is newer than itself: an order without the role was noted when it was begun.
        lease = self.lease.obeyed(grant, now, role=role) if role else self.lease._replace(until=NEVER)
        return replace(self, leaving=False, leased=True, length=length, lease=lease)

    def noted(self, grant: Grant) -> "HeldLease":
        """Return the lease that obeys no older order; whether the role is given up is not known yet."""
        return replace(self, leaving=True, lease=self.lease._replace(newest=grant.token, heard=grant.token))

    def found(self, left: float, now: float) -> "HeldLease":
        """Return the lease that the kernel still keeps of an earlier agent: `left` seconds, FOREVER for good.

        The kernel was told up to half a second more than the lease had, and says up to a second too much: the second is
        taken off, as both would come to more than the margin that others wait for.
        """
        until = now + max(left - _KERNEL_COUNTS, min(left, _SURELY_LEFT))
        leased = self.leased or left < FOREVER
        return replace(self, leased=leased, found_until=until, lease=self.lease._replace(until=until))

    def promise(self, holder: str, length: float, token: str, now: float) -> "tuple[HeldLease, str]":
        """Return the lease after a promise to refuse the role for `length` seconds and the margin, and why not.

        `token` is when the holder asked, by which it may give the promise back. No longer lease is promised for than
        that of this host's conf: who has a longer one has another conf.
        """
        if length > self.longest:
            return self, (
                f"vip_lease is {self.longest:g} in the conf of this host: no promise for {length:g} s;"
                " have the same vip_lease on all hosts"
            )
        promised = self.lease.promise(length, now)
        if promised is None:
            return self, "this host holds the role itself"
        known = self.promises.get(holder)
        if known is not None and now < known.until:
            token = _newer(known.token, token)
        promises = {**self.promises, holder: Promised(promised.promised, token)}
        return replace(self, lease=promised, promises=promises), ""

    def given_back(self, holder: str, token: str) -> "HeldLease":
        """Return the lease without what was promised to `holder`, if it asked for that up to the token's moment."""
        known = self.promises.get(holder)
        moments = None if known is None else _moments(known.token, token)
        if moments is None or self.lease.given_back(*moments) == self.lease:
            return self
        others = {name: each for name, each in self.promises.items() if name != holder}
        promised = max((each.until for each in others.values()), default=NEVER)
        return replace(self, promises=others, lease=self.lease._replace(promised=promised))

    def lets_stay(self, stay: Stay, now: float) -> "HeldLease | None":
        """Return the lease of a host that refuses the role for a stay, None where it holds the role itself."""
        lease = self.lease.let_stay(now)
        return None if lease is None else replace(self, lease=lease, stays=self.stays | {stay})

    def voided(self, stays: Collection[Stay]) -> "HeldLease":
        """Return the lease once these stays are void; the same where none of them is known here."""
        left = self.stays.difference(stays)
        if left == self.stays:
            return self
        return replace(self, lease=self.lease if left else self.lease.voided(), stays=left)

    def gives_back(self, now: float) -> "tuple[HeldLease, str]":
        """Return the lease without the promises of others, and the token up to which they are given back.

        The token is empty where none were asked for since the last time, and while the role is held.
        """
        lease = self.lease.giving_back(now) if self.owes else None
        if lease is None:
            return self, ""
        return replace(self, owes=False, lease=lease), self.token(now)

    def renewed(self, asked: float, now: float) -> "HeldLease":
        """Return the lease with all promises in hand that were asked for at `asked`."""
        return replace(self, lease=self.lease.renewed(asked, self.length, now))

    def outdone(self, asked: float) -> "HeldLease":
        """Return the lease of who asked for promises at `asked` and hears that another host has the role."""
        return replace(self, lease=self.lease.outdone(asked))

    def ended(self) -> "HeldLease":
        """Return the lease of a host that does not hold the role any more."""
        return replace(self, lease=self.lease._replace(until=NEVER))

    def bound(self, now: float) -> bool:
        """Tell whether this host is bound by a promise."""
        return now < max(self.lease.promised, self.lease.booted)

    def left(self, now: float) -> float:
        """Return for how many seconds the role is still held: FOREVER, or less than 0."""
        return self.lease.until - now

    def heard(self, now: float) -> float:
        """Return how many seconds ago the token was given that the monitor last sent."""
        return now - self.lease.heard

    @property
    def ends(self) -> float:
        """Return the moment at which the role is held no more: FOREVER where it is not held, or for good."""
        return FOREVER if self.lease.until == NEVER else self.lease.until

    def lifetime(self, now: float) -> int:
        """Return the seconds that the kernel may keep the VIP bound: 0 is for good, -1 that the lease is over.

        The kernel counts whole seconds: together with how late it may be they end within the margin.
        """
        if self.left(now) == FOREVER:
            return 0
        left = self.left(now) + (0.0 if self.lease.until == self.found_until else _over(self.length))
        return math.floor(left) if left >= 1 else -1

    def kept(self, now: float) -> str:
        """Return what of the promises is to outlive the agent."""
        to = {name: list(each) for name, each in self.promises.items() if each.until > now}
        promised, unknown = max(self.lease.promised, 0.0), max(self.lease.booted, 0.0)
        said = {"boot": self.boot, "promised": promised, "unknown": unknown, "length": self.longest, "to": to}
        return json.dumps(said)

    def stays_kept(self) -> str:
        """Return what of the stays is to outlive the host's boot, empty where there is none."""
        return json.dumps(sorted(self.stays)) if self.stays else ""

    def with_stays(self, kept: str, rivals: Collection[str] = ()) -> "HeldLease":
        """Return the lease of an agent that starts with the stays that an earlier one has written.

        Where that is there and cannot be read each of the other hosts of the role, the `rivals`, may be let stay.
        """
        stays: set[Stay] = set()
        if kept.strip():
            try:
                stays = {Stay(str(host), str(token)) for host, token in parsed(kept)}
            except (ValueError, TypeError):
                stays = {Stay(name, _UNREADABLE) for name in rivals}
        return replace(self, lease=self.lease._replace(stays=True), stays=frozenset(stays)) if stays else self

    def mark(self, now: float) -> str:
        """Return what says that an agent has run, and may have promised something."""
        return json.dumps({"boot": self.boot, "at": now, "length": self.longest})


def begun(
    length: float, boot: str, now: float, kept: str = "", *, keeps: bool = True, ran: str = ""
) -> HeldLease:
    """Return the lease of an agent that starts, with leases of `length` seconds; 0 is none.

    `kept` is what an earlier one wrote, empty where nothing can be read, `ran` its `mark`, and `keeps` whether anything
    is written. Where nobody knows what was promised, after a boot or because what an agent of this boot wrote is gone,
    the role is refused for as long as a promise could hold.
    """
    held = HeldLease(length, boot, now, Lease(now), length)
    if not (keeps and length):
        return held
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        read = parsed(kept)
        if read["boot"] == boot:
            # A conf that was changed since may have had longer leases, and what was promised then still holds.
            longest = max(length, float(read.get("length", 0)))
            latest = now + longest + margin(longest)
            promises = {
                name: Promised(min(float(until), latest), str(token))
                for name, (until, token) in read.get("to", {}).items()
            }
            promised = min(float(read["promised"]), latest)
            booted = min(float(read.get("unknown", 0.0)), latest)
            return replace(held, promises=promises, lease=Lease(now, promised=promised, booted=booted))
    since, longest = _unknown(length, boot, now, ran)
    if now < since + longest + margin(longest):
        return replace(held, lease=held.lease.rebooted(since, longest)._replace(newest=now))
    return held


def _unknown(length: float, boot: str, now: float, ran: str) -> tuple[float, float]:
    """Return the moment up to which promises may have been given that nobody knows, and how long they are at most."""
    with suppress(ValueError, TypeError, KeyError):
        read = parsed(ran)
        if read["boot"] == boot and float(read["at"]) <= now:
            return now, max(length, float(read["length"]))
    return 0.0, length


def least(length: float) -> float:
    """Return the seconds that are left of a lease of `length` seconds where the kernel can be told just one more."""
    return 1.0 - _over(length)


def _over(length: float) -> float:
    """Return how many seconds after the end of a lease the kernel may be told to keep the VIP."""
    return min(_MOST_OVER, margin(length) - KERNEL_LATE)


def _is_moment(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 25


def _moments(asked: str, returned: str) -> tuple[float, float] | None:
    """Return the moments of two tokens, None where they are not of one boot of one host."""
    (name, _, first), (other, _, second) = asked.partition("."), returned.partition(".")
    same = name == other and _is_moment(first) and _is_moment(second)
    return (int(first) / _UNIT, int(second) / _UNIT) if same else None


def _newer(known: str, token: str) -> str:
    """Return the newer of two tokens; none by which a promise could be given back where that cannot be told."""
    moments = _moments(known, token)
    if moments is None:
        return ""
    return token if moments[1] > moments[0] else known
