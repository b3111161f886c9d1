"""Whose orders an agent obeys: those of one monitor at a time (rule 14.1). Pure; times are handed in.

A *lead* names one start of a monitor: a number, the address of its control port, and a nonce. Nobody else can serve on
that address while the monitor lives, so another nonce at the same address is the same monitor, started anew, and is
taken over at once; the one before it is never obeyed again. Any other monitor is refused until the followed one has
been silent for a while. So two monitors with one conf do not give orders in turn: one of them learns of the other.

Orders of the classic monitor carry no lead: they are obeyed while none of ours is followed.
"""

from math import inf
from typing import NamedTuple

from mmm.lease.rules import margin

HEARTBEAT = 3.0
"""Seconds between two orders to an agent when nothing changes, in clusters of up to HEARTBEAT * PACE hosts."""
PACE = 100.0
"""Orders a second that say nothing new, in larger ones: they would cost a monitor of a thousand hosts a third of its
time. A lease is renewed when it has to be."""
MISSED = 3
"""Heartbeats that may be lost before an agent follows another monitor."""
KEPT = 100
"""Starts of monitors that were replaced which an agent keeps in mind."""


class Lead(NamedTuple):
    """One start of one monitor."""

    number: int
    address: str
    """Of its control port, `IP:PORT`, IPv6 in brackets."""
    nonce: str
    """What tells this start of the daemon from every other."""


UNKNOWN = Lead(0, "unknown", "")
"""A monitor of ours that an earlier start of the agent has followed."""


class Following(NamedTuple):
    """Which monitor an agent follows. Moments are on the agent's clock."""

    lead: Lead | None = None
    """The last one whose order was obeyed; None: none of ours."""
    heard: float = -inf
    """When that was."""
    free: bool = False
    """That one has said that it ends: another one of ours may follow at once."""
    replaced: tuple[Lead, ...] = ()
    """Earlier starts of a monitor that has been started again since: whoever still says so is not it."""

    def followed(self, now: float, silence: float) -> Lead | None:
        """Return the monitor that is followed: it was heard within `silence` seconds."""
        return self.lead if now < self.heard + silence else None

    def refuses(self, lead: Lead | None, now: float, silence: float) -> Lead | None:
        """Return the monitor for whose sake an order of `lead` is refused, None when it may be obeyed.

        `lead` is None for an order of a classic monitor.
        """
        followed = self.followed(now, silence)
        if followed is None or lead == followed or (self.free and lead is not None):
            return None
        restarted = lead is not None and lead.address == followed.address and lead not in self.replaced
        return None if restarted else followed

    def obeyed(self, lead: Lead | None, now: float) -> "Following":
        """Return what is followed after an order that was not refused."""
        if lead is None:
            return self._replace(lead=None)
        if self.lead is None or lead == self.lead or lead.address != self.lead.address:
            return self._replace(lead=lead, heard=now, free=False)
        return Following(lead, now, replaced=(*self.replaced, self.lead)[-KEPT:])

    def freed(self, lead: Lead | None) -> "Following":
        """Return what is followed after a monitor has said that it ends."""
        return self._replace(free=True) if lead is not None and lead == self.lead else self


def heartbeat(hosts: int) -> float:
    """Return the seconds between two orders to an agent when nothing changes, in a cluster of `hosts` hosts."""
    return max(HEARTBEAT, hosts / PACE)


def silence(vip_lease: float, hosts: int) -> float:
    """Return the seconds without an order after which an agent follows another monitor."""
    return max(vip_lease + margin(vip_lease), MISSED * heartbeat(hosts))


def authority(ip: str, port: int) -> str:
    """Return the address of a control port as a lead names it."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def is_at(address: str, ip: str) -> bool:
    """Tell whether the address of a control port, as an epoch has it, is one of the host with that IP address."""
    return address.startswith(authority(ip, 0)[:-1])
