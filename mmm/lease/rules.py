"""The writer lease: why no two hosts can be written to under one VIP (rule 11.1). Pure; times are handed in.

A *token* is a moment on the clock of the agent that gave it. A *grant* is a token with a length: the role for that
long from that moment on, or for ever. Both sides count from the same moment: the agent from when it gave the token,
the monitor from when it received it, which is later. So a lease has ended at the agent before it has at the monitor.

The agent (`Lease`)
    obeys a token once, and only one that is newer than any it has obeyed and than its own start, and not one that it
    has not given yet: an order that lay in a buffer binds nothing;
    holds the role until the lease ends, whoever is frozen: the kernel removes the VIP at that moment;
    promises another holder to refuse the role for the length and the margin, unless it holds the role itself;
    renews by the promises of all other hosts from the moment at which it asked, while it still holds the role;
    gives the role up at once when a host that it asks for a promise answers that another has the role: only a host
    whose clock has stood, as a virtual machine that was paused, can meet that. No order from before it asked counts;
    gives back the promises that it was given, once it has obeyed an order to give the role up: who gave one is free at
    once. It renews by no answer to what it had asked before, and what is given back is named by when it was asked for:
    a word that comes late frees nobody from a newer promise.
    never makes its lease endless by itself, however it ends: it asks the monitor for a grant for ever. Where that one
    is not heard it asks all other hosts to let it stay: each writes down that it refuses the role until the monitor
    says that this is void. With all of them in hand the lease has no end, else the rest of it is left to the kernel.
    No order from before it asked counts any more, and one that it obeys later makes what it had asked for void.

The monitor (`Outstanding`, one for each host)
    takes a host to hold the role until the end of the longest lease that it sent, arrived or not;
    believes of a host what it answers to the last order, and nothing it answers to an earlier one;
    gives the role to another only when every other lease has run out, with the margin, or its end was confirmed;
    takes a host to hold the role for good once another shows that it lets it stay, until the host has obeyed an order
    that was sent after that was seen, or is proved to be off: only then it says that this is void.

The monitor need not know of promises, nor of who lets whom stay: who gave one refuses the monitor too. The margin
covers clocks that do not run alike, how late the kernel may be, and the time between a look at the lease and what
follows.
"""

from enum import StrEnum
from math import inf
from typing import NamedTuple

NEVER = -inf
FOREVER = inf
PROBING = 0.4
"""Seconds for which a host that is to take the role after a lease has run out asks first who has its VIP.

Nothing is bound meanwhile, so it is told that much before the margin is over.
"""
INSIST = 60.0
"""Seconds for which a host that took the role after a lease had run out keeps telling the network, and is sure of it.

The host that it was taken from may wake with a clock that stood, and is to hear of it at once.
"""
LONGEST_MARGIN = 1.0
"""Seconds that everybody but the holder waits after the end of a lease of two seconds or more."""


def margin(length: float) -> float:
    """Return for how many seconds everybody but the holder waits after the end of a lease of `length` seconds.

    It covers clocks that run differently during the lease, and how late the kernel may be: `Tenure.lifetime`.
    """
    return min(LONGEST_MARGIN, 0.75 * length)


class Grant(NamedTuple):
    """The role for `length` seconds from `token` on; FOREVER has no end."""

    length: float
    token: float


class Reason(StrEnum):
    """Why an order is not obeyed, and how that is said."""

    OLDER = "this order is older than one obeyed before, or than the agent: not obeyed"
    OVERTAKEN = "a newer order waits: not obeyed"
    OTHER_BOOT = "this order is for an agent of another boot of this host: not obeyed"
    EXPIRED = "the lease of this order has run out on the way: not obeyed"
    PROMISED = "another host was promised that this one refuses the role"
    STAYS = "another host has left its VIP for good: this one refuses the role until the monitor has heard that host"


class Refusal(NamedTuple):
    """An order that is not obeyed; `seconds` is for how much longer, where that is known."""

    reason: Reason
    seconds: float = 0.0

    @property
    def stale(self) -> bool:
        """Tell whether it is refused for its token: the same order with a newer token may be obeyed."""
        return self.reason not in {Reason.PROMISED, Reason.STAYS}

    def __str__(self) -> str:
        return f"{self.reason} for {self.seconds:.1f} s more" if self.seconds else str(self.reason)


class Lease(NamedTuple):
    """The agent's side. Moments are on its own clock, which runs on while the host sleeps."""

    newest: float
    """No token up to this one is obeyed: the newest obeyed, or the agent's start."""
    until: float = NEVER
    """The end of the lease: the role is held before it."""
    promised: float = NEVER
    """The role is refused before this moment: another host was promised so."""
    heard: float = NEVER
    """The token of the last order that this agent obeyed."""
    returned: float = NEVER
    """The promises asked for up to this moment were given back: no answer to such a question counts any more."""
    booted: float = NEVER
    """The role is refused before this moment: what was promised before the host's boot is not known."""
    stays: bool = False
    """The role is refused: another host has left its VIP for good, and nobody has said yet that this is void."""

    def holds(self, now: float) -> bool:
        """Tell whether this host holds the role."""
        return now < self.until

    def refusal(self, grant: Grant, now: float, *, role: bool) -> Refusal | None:
        """Return why an order with this grant is not obeyed, None if it is; `role`: it is to hold the role."""
        if grant.token <= self.newest:
            return Refusal(Reason.OLDER)
        if grant.token > now:
            return Refusal(Reason.OTHER_BOOT)
        if not role:
            return None
        if now >= grant.token + grant.length:
            return Refusal(Reason.EXPIRED)
        refused = max(self.promised, self.booted)
        if now < refused and not self.holds(now):
            return Refusal(Reason.PROMISED, refused - now)
        return Refusal(Reason.STAYS) if self.stays else None

    def obeyed(self, grant: Grant, now: float, *, role: bool) -> "Lease":
        """Return the lease after an order that is not refused. What promises have added stays."""
        if not role:
            return self._replace(newest=grant.token, heard=grant.token, until=NEVER)
        renewed = self.until if self.holds(now) and self.until < FOREVER else NEVER
        until = max(renewed, grant.token + grant.length)
        return self._replace(newest=grant.token, heard=grant.token, until=until)

    def promise(self, length: float, now: float, after: float | None = None) -> "Lease | None":
        """Return the lease after another holder's request for a promise, None when it is refused.

        `after` is the margin, where it is not that of the length.
        """
        if self.holds(now):
            return None
        return self._replace(promised=max(self.promised, now + length + _margin(length, after)))

    def renewed(self, asked: float, length: float, now: float) -> "Lease":
        """Return the lease with all promises in hand that were asked for at `asked`; void if it has ended since."""
        counts = self.holds(now) and asked > self.returned
        return self._replace(until=max(self.until, asked + length)) if counts else self

    def outdone(self, asked: float) -> "Lease":
        """Return the lease of who asked for a promise at `asked` and hears that another host has the role.

        What this one knew of the monitor may be as old.
        """
        return self._replace(newest=max(self.newest, asked), until=NEVER, heard=NEVER)

    def giving_back(self, now: float) -> "Lease | None":
        """Return the lease of who gives back all promises that it has asked for; None while it holds the role."""
        return None if self.holds(now) else self._replace(returned=now)

    def given_back(self, asked: float, returned: float) -> "Lease":
        """Return the lease of who hears that a promise is given back; the newest it gave was asked for at `asked`.

        Both moments are on the clock of the one it was given to.
        """
        return self._replace(promised=NEVER) if asked <= returned else self

    def asking_to_stay(self, now: float) -> "Lease":
        """Return the lease of who asks all other hosts to let it stay: no order from before that counts any more."""
        return self._replace(newest=max(self.newest, now))

    def stayed(self, asked: float, now: float) -> "Lease":
        """Return the lease without an end of whom all let stay that it had asked at `asked`.

        Void if it has ended since, or an order was obeyed.
        """
        counts = self.holds(now) and asked == self.newest
        return self._replace(until=FOREVER) if counts else self

    def let_stay(self, now: float) -> "Lease | None":
        """Return the lease after another holder's request to let it stay, None when it is refused."""
        return None if self.holds(now) else self._replace(stays=True)

    def voided(self) -> "Lease":
        """Return the lease once all that another host was let stay for is void."""
        return self._replace(stays=False)

    def restarted(self, now: float) -> "Lease":
        """Return the lease of an agent that starts now: the kernel kept `until`, a file `promised`."""
        return self._replace(newest=now, heard=NEVER)

    def rebooted(self, now: float, length: float, after: float | None = None) -> "Lease":
        """Return the lease of an agent whose host has booted at `now`: what it has promised is not known.

        Whom it lets stay is on the disk.
        """
        return Lease(now, booted=now + length + _margin(length, after), stays=self.stays)


class Outstanding(NamedTuple):
    """The monitor's side, for one host. Moments are on the monitor's clock."""

    until: float = NEVER
    """The host may hold the role before this moment."""
    confirms: float = NEVER
    """What `until` becomes when the last order is answered OK."""

    def sent(self, length: float, received: float) -> "Outstanding":
        """Return what is given once an order is on its way to hold the role, by a token received then."""
        return Outstanding(max(self.until, received + length), received + length)

    def withdrawn(self) -> "Outstanding":
        """Return what is given once an order is on its way that does not name the role: as much as before."""
        return Outstanding(self.until, NEVER)

    def confirmed(self) -> "Outstanding":
        """Return what is given after the answer OK to the last order."""
        return Outstanding(self.confirms, self.confirms)

    def unanswered(self) -> "Outstanding":
        """Return what is given when the last order will not be answered: no answer to it counts any more."""
        return Outstanding(self.until, self.until)

    def restored(self, length: float, now: float) -> "Outstanding":
        """Return what a monitor that starts takes to be given; what has an end begins now."""
        return self if self.until in {NEVER, FOREVER} else Outstanding(now + length, now + length)

    def run_out(self, now: float, after: float) -> bool:
        """Tell whether the lease ended `after` seconds ago or more; with the margin another may have the role."""
        return now >= self.until + after


def _margin(length: float, given: float | None) -> float:
    return margin(length) if given is None else given


NOTHING = Outstanding()
"""What is given to a host that was never granted the role, or is proved to be without it."""
