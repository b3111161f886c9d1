"""What one server says of the transactions it has, and what it has that another lacks. Pure.

extra = surplus(here.executed, there.executed, not_of=there.origin)
if extra: print(f"{extra} are missing there")
"""

from dataclasses import dataclass

from mmm.gtid.mariadb import Gtid, History, newest_everywhere, text
from mmm.gtid.mysql import GtidSet
from mmm.gtid.place import NOWHERE, LogPlace
from mmm.gtid.semi_sync import SemiSync

Executed = History | GtidSet
"""Transactions by GTID: MariaDB's last one of each server, MySQL's every one."""

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Transactions:
    """What a server has, and what it has received and applied of its source's, read at one moment."""

    seen: float
    """When it was asked, in monotonic seconds; the answers are not older."""
    origin: str = ""
    """What the transactions written on it carry: MariaDB's server_id, MySQL's server_uuid."""
    executed: Executed | None = None
    """None: it has no GTIDs."""
    end: LogPlace = NOWHERE
    """The end of its own binary log; NOWHERE when it has none or the monitor's user may not see it."""
    source_ip: str = ""
    """Whom it replicates from; empty without replication."""
    source_port: int = 0
    read: LogPlace = NOWHERE
    """How far it has received the source's binary log."""
    applied: LogPlace = NOWHERE
    """How far it has applied the source's binary log."""
    detached: bool = False
    """It was made unable to reach its source, and nothing more comes of that."""
    writable: bool = False
    """Ordinary users could still write to it: it may soon have more than it says, also what its binary log has already.

    A server is read-only when all commits under way have ended. One that waits for a semi-sync replica is in the binary
    log, from where replicas get it, and MySQL counts it among its GTIDs only afterwards.
    """
    server_id: int = 0
    """What the events written on it carry, in the binary log of whoever has them."""
    semi_sync: SemiSync | None = None
    """How far its commits wait for replicas, or it acknowledges to its source; None: not known."""
    received: Executed | None = None
    """What it has received of the source by GTID: MariaDB's last ones, MySQL's set since its relay log began."""

    @property
    def got(self) -> Executed | None:
        """Return what it has applied or received, None without GTIDs."""
        match self.executed, self.received:
            case History() as has, History() as more:
                return History((*has.applied, *more.applied), has.logged)
            case GtidSet() as has, GtidSet() as more:
                return has.plus(more)
        return self.executed


@dataclass(frozen=True, slots=True)
class Surplus:
    """Transactions that one server has and another lacks."""

    count: int
    exact: bool
    """False: `count` is the most that it can be; MariaDB's positions do not name every transaction."""
    names: tuple[str, ...]
    """The transactions, as ranges."""

    def __str__(self) -> str:
        most = "" if self.exact else "up to "
        shown = ", ".join(self.names[:_MOST_NAMED]) + (", …" if len(self.names) > _MOST_NAMED else "")
        return f"{most}{self.count} transaction{'' if self.count == 1 else 's'}{shown and f' ({shown})'}"


def surplus(here: Executed, there: Executed, *, not_of: str = "") -> Surplus | None:
    """Return the transactions here that are not there, None when there are none.

    Those written on the server of origin `not_of` do not count: what a server wrote itself it has, also when
    it was asked a little earlier than the other. Sets of two families cannot be compared: None.
    """
    match here, there:
        case GtidSet(), GtidSet():
            more = here.minus(there).without(not_of)
            return Surplus(len(more), True, tuple(more.names())) if more else None
        case History(), History():
            return named([gtid for gtid in lacking(here, there) if str(gtid.server) != not_of], here, there)
    return None


def got_between(before: Transactions, after: Transactions) -> int:
    """Return how many transactions a server got between two looks at it, the most that it can be; 0 without GTIDs.

    MariaDB gives what a server writes a number above all that it has of the domain. Where another server was the writer
    meanwhile, the numbers of that one are between its own last two, and are no transactions of its own.
    """
    match before.executed, after.executed:
        case History() as there, History() as here:
            newest, count = _newest_numbers(there), 0
            for gtid in lacking(here, there):
                last, known = newest.get(gtid.domain, 0), _known_of(gtid, here, there)
                own = str(gtid.server) == after.origin and gtid.sequence > last
                count += gtid.sequence - (max(last, known) if own else known)
            return count
        case GtidSet() as there, GtidSet() as here:
            return len(here.minus(there))
    return 0


def union(here: Executed, there: Executed) -> Executed:
    """Return what both have together; sets of two families cannot be put together: what is `here`."""
    match here, there:
        case GtidSet(), GtidSet():
            return here.plus(there)
        case History(), History():
            return History(_last_of((*here.applied, *there.applied)), _last_of((*here.logged, *there.logged)))
    return here


def is_empty(executed: Executed) -> bool:
    """Tell whether it names no transaction at all: data that came without a binary log are in no GTID."""
    match executed:
        case History():
            return not (executed.applied or executed.logged)
        case GtidSet():
            return not executed


def is_past(got: Executed, has: Executed, origin: str) -> bool:
    """Tell whether `got` has come as far as the last transaction that the server `origin` has written in `has`.

    A replica gets them in order: what it lacks before its newest it never gets, and is no lag. So also where it has
    nothing of that line at all: it may leave it out on purpose.
    """
    match got, has:
        case GtidSet(), GtidSet():
            written = ((name, has.of[name]) for name in has.of if name.partition(":")[0] == origin.lower())
            return all(name not in got.of or got.of[name][-1][1] >= these[-1][1] for name, these in written)
        case History(), History():
            newest = _newest_numbers(got)
            own = (gtid for gtid in has.logged if str(gtid.server) == origin)
            return all(newest.get(gtid.domain, gtid.sequence) >= gtid.sequence for gtid in own)
    return True


def is_applied(got: Executed, has: Executed, origin: str) -> bool:
    """Tell whether the server `origin`, which has got that much from its source, has it all by now.

    What it wrote itself and gets back says how far replication was received. It has that from the beginning, so its log
    does not say that what came before it is applied; gtid_slave_pos does, which passes it only then.
    """
    match got, has:
        case History(), History():
            back = (gtid for gtid in got.applied if str(gtid.server) == origin)
            return all(map(has.has_passed, back)) and surplus(got, has) is None
    return surplus(got, has) is None


def _newest_numbers(history: History) -> dict[int, int]:
    """Return the newest number of each domain."""
    return {gtid.domain: gtid.sequence for gtid in newest_everywhere(history)}


def lacking(here: History, there: History) -> list[Gtid]:
    """Return the last transaction of each server that is here and is disproved there."""
    return [gtid for gtid in _last_ones(here) if not there.holds(gtid)]


def named(gtids: list[Gtid] | tuple[Gtid, ...], here: History, there: History) -> Surplus | None:
    """Return as ranges what ends with `gtids` here and goes on from what `there` has of the same servers."""
    if not gtids:
        return None
    count, exact, names = 0, True, []
    for gtid in gtids:
        before = _known_of(gtid, here, there)
        count += gtid.sequence - before
        others = (other for other in _last_ones(here) if other.domain == gtid.domain)
        if any(other.server != gtid.server and before < other.sequence for other in others):
            exact = False
        first = gtid._replace(sequence=before + 1)
        names.append(str(gtid) if first == gtid else f"{first} to {gtid}")
    return Surplus(count, exact or count == 1, tuple(names))


def _known_of(gtid: Gtid, here: History, there: History) -> int:
    """Return the number after which the first one begins that is not there."""
    known = [
        other.sequence
        for other in _last_ones(there)
        if (other.domain, other.server) == (gtid.domain, gtid.server)
    ]
    if not known:  # it is new there: its numbers go on from the last that both have of the domain
        known = [
            other.sequence
            for other in (*_last_ones(here), *_last_ones(there))
            if other.domain == gtid.domain and here.holds(other) and there.holds(other)
        ]
    return min(max(known, default=0), gtid.sequence - 1)


def _last_ones(history: History) -> list[Gtid]:
    """Return the last transaction of each server in each domain, as far as it is known."""
    return list(_last_of((*history.applied, *history.logged)))


def _last_of(gtids: tuple[Gtid, ...]) -> tuple[Gtid, ...]:
    """Return the last one of each server in each domain."""
    last: dict[tuple[int, int], Gtid] = {}
    for gtid in gtids:
        known = last.get((gtid.domain, gtid.server))
        if known is None or gtid.sequence > known.sequence:
            last[gtid.domain, gtid.server] = gtid
    return tuple(sorted(last.values()))


def shown(executed: Executed | None) -> str:
    """Return what a server has, as people read it."""
    match executed:
        case None:
            return "no GTIDs"
        case GtidSet():
            return str(executed) or "nothing"
        case History():
            return text(tuple(_last_ones(executed))) or "nothing"
