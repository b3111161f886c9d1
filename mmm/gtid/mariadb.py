"""MariaDB's global transaction ids: who has which transaction. Pure.

An id is `domain-server-sequence`. Within one domain a server's own ids only grow, so "the last one logged of
that server" (gtid_binlog_state) proves which of its transactions somebody has. gtid_slave_pos, the last one
applied in each domain, says it for servers that keep no log of it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_GTID = re.compile(r"(?<![0-9])([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})(?![0-9])")


class Gtid(NamedTuple):
    """One transaction's id."""

    domain: int
    server: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.domain}-{self.server}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class History:
    """What a server says of the transactions it has."""

    applied: tuple[Gtid, ...]
    """gtid_slave_pos: the last one replicated in each domain."""
    logged: tuple[Gtid, ...]
    """gtid_binlog_state: the last one in the binary log of each server in each domain."""

    def holds(self, gtid: Gtid) -> bool:
        """Tell whether the transaction is here, as far as can be told."""
        return self.proves(gtid) or (self._log_of(gtid) is None and self.has_passed(gtid))

    def proves(self, gtid: Gtid) -> bool:
        """Tell whether the transaction is here for certain."""
        logged = self._log_of(gtid)
        if logged is not None and logged >= gtid.sequence:
            return True
        return any(
            (here.domain, here.server) == (gtid.domain, gtid.server) and here.sequence >= gtid.sequence
            for here in self.applied
        )

    def _log_of(self, gtid: Gtid) -> int | None:
        """Return the last sequence logged of the transaction's own server, if any."""
        return next(
            (
                here.sequence
                for here in self.logged
                if (here.domain, here.server) == (gtid.domain, gtid.server)
            ),
            None,
        )

    def has_passed(self, gtid: Gtid) -> bool:
        """Tell whether replication in the transaction's domain is past its number."""
        return any(here.domain == gtid.domain and here.sequence >= gtid.sequence for here in self.applied)


@lru_cache(maxsize=2048)  # a thousand replicas tell the same places, and each of them twice
def parse(position: str) -> tuple[Gtid, ...]:
    """Return the ids in a position such as `0-1-7,1-3-20`, in its order."""
    return tuple(Gtid(int(found[1]), int(found[2]), int(found[3])) for found in _GTID.finditer(position))


def surplus(replica: History, source: History) -> tuple[Gtid, ...]:
    """Return transactions of the replica that the source does not have, the last of each server.

    The newest of each domain must be proved to be in the source, for it is the place to go on from;
    older ones only must not be disproved, for a source that was set up from a backup has no log of them.
    """
    here = sorted({*replica.applied, *replica.logged})
    newest = {
        domain: max(g.sequence for g in here if g.domain == domain) for domain in {g.domain for g in here}
    }
    return tuple(
        gtid
        for gtid in here
        if not (source.proves(gtid) if gtid.sequence == newest[gtid.domain] else source.holds(gtid))
    )


def missing(history: History, wanted: tuple[Gtid, ...]) -> tuple[Gtid, ...]:
    """Return those of the wanted ids that are not here yet."""
    return tuple(gtid for gtid in wanted if not history.holds(gtid))


def newest_everywhere(history: History) -> tuple[Gtid, ...]:
    """Return the newest id here of each domain, replicated or written here."""
    newest: dict[int, Gtid] = {}
    for gtid in (*history.applied, *history.logged):
        if gtid.domain not in newest or gtid.sequence > newest[gtid.domain].sequence:
            newest[gtid.domain] = gtid
    return tuple(newest[domain] for domain in sorted(newest))


def goes_on_behind(replica: History, source: History) -> tuple[Gtid, ...]:
    """Return behind which ids a replica goes on in the log of a source that has all that the replica has.

    In a domain of which it has all that the source has: behind the last one in that log. Numbers fall there where the
    source took over what another server had written alone, and behind the newest one comes what the replica has.
    """
    places: list[Gtid] = []
    for newest in newest_everywhere(replica):
        logged = [gtid for gtid in source.logged if gtid.domain == newest.domain]
        same = newest in logged and all(map(replica.proves, logged))
        places.append(logged[-1] if same else newest)  # gtid_binlog_state names the last one of a domain last
    return tuple(places)


def newest_of_each(history: History) -> tuple[Gtid, ...]:
    """Return the newest id here of each server in each domain, as gtid_binlog_state has it.

    The server takes the last one of a domain in it for the domain's last transaction: that is the one applied last.
    """
    newest: dict[tuple[int, int], Gtid] = {}
    for gtid in (*history.applied, *history.logged):
        if gtid.sequence >= newest.get(gtid[:2], gtid).sequence:
            newest[gtid[:2]] = gtid
    last = {gtid[:2] for gtid in history.applied}
    return tuple(sorted(newest.values(), key=lambda gtid: (gtid.domain, gtid[:2] in last, gtid.sequence)))


def text(position: tuple[Gtid, ...]) -> str:
    """Return a position as the server writes it."""
    return ",".join(map(str, position))
