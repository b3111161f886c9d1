"""Where a server stands once its last transactions are undone, by GTID. Pure.

The binary log says what it had before them. A server whose data were copied has older transactions than its log: then
gtid_slave_pos tells, unless what was replicated since has changed it. That all of this fits together the numbers
behind it prove: the first transaction that is undone in a domain has the next number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmm.binlog.contents import Before, Logged
from mmm.gtid.mariadb import Gtid, History
from mmm.tools.rewind.unfit import UnfitError


@dataclass(frozen=True, slots=True)
class Place:
    """What gtid_binlog_state and gtid_slave_pos become."""

    logged: tuple[Gtid, ...]
    """The last one of each server in each domain; the newest of a domain is the last of it here."""
    applied: tuple[Gtid, ...]


def logged_before(entries: Iterable[Before | Logged], begin: int) -> tuple[Gtid, ...]:
    """Return what a log had before the transaction that begins there, as gtid_binlog_state has it.

    `entries` are of its file, from its beginning.
    """
    last: dict[tuple[int, int], Gtid] = {}

    def add(gtid: Gtid) -> None:
        last.pop((gtid.domain, gtid.server), None)
        last[gtid.domain, gtid.server] = gtid

    for entry in entries:
        match entry:
            case Before(executed=History() as had):
                for gtid in had.logged:
                    add(gtid)
            case Logged(begin=at) if at >= begin:
                break
            case Logged(gtid=Gtid() as gtid):
                add(gtid)
    return tuple(last.values())


def place(logged: Sequence[Gtid], applied: Iterable[Gtid], undone: Sequence[Gtid], there: History) -> Place:
    """Return where it stands, of which the active master must have everything; raises UnfitError."""
    at = {gtid.domain: gtid for gtid in logged}
    gone = set(undone)
    for gtid in applied:
        if gtid not in gone and gtid.sequence > at.get(gtid.domain, Gtid(0, 0, -1)).sequence:
            at[gtid.domain] = gtid
    first: dict[int, Gtid] = {}
    for gtid in undone:
        first.setdefault(gtid.domain, gtid)
    for domain, gtid in first.items():
        before = at.get(domain)
        if gtid.sequence != (before.sequence if before else 0) + 1:
            about = {"domain": str(domain), "before": str(before or "nothing"), "first": str(gtid)}
            raise UnfitError("place", about)
    for gtid in at.values():
        if not there.holds(gtid):
            raise UnfitError("not_there", {"gtid": str(gtid)})
    return Place(tuple(logged), tuple(at[domain] for domain in sorted(at)))
