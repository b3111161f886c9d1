"""Which transactions only one server has, by its binary log and what another one says it has. Pure.

A file of the log begins with what the log had before, so that one is read after the other, the newest first, until all
that is older is with the other server too.

MariaDB's positions do not name every transaction. What the other server is thought to have, and nothing proves it, is
kept as uncertain where nothing behind it in its domain is proved: it is better saved than lost. Where what follows has
its number, or a lower one, the other server has not got it: a slave that somebody wrote to goes on replicating so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mmm.binlog.contents import Before, Logged
from mmm.binlog.transactions import AnyGtid, Problem, holds
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import GtidSet
from mmm.gtid.place import LogPlace
from mmm.gtid.transactions import Executed


@dataclass(frozen=True, slots=True)
class Extra:
    """A transaction that only this server has."""

    name: str
    """Its GTID as the server writes it; `FILE:POSITION` where it has none."""
    server_id: int
    """Of the server that it was written on first."""
    when: int
    """When it was begun, in seconds since 1970."""
    file: str
    begin: int
    end: int
    """Where it begins, and what follows it, in the file of the log."""
    said: bool = False
    """It holds a statement, or may: not all of it is rows."""
    certain: bool = True
    """False: the other server may have it; its GTIDs do not tell."""


class Part(NamedTuple):
    """A file of the log that holds some of them."""

    name: str
    path: Path
    size: int
    """Bytes, as it was read."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What was found, in the order of the log."""

    transactions: tuple[Extra, ...] = ()
    parts: tuple[Part, ...] = ()
    mariadb: bool = True
    problem: Problem | None = None
    """Why there may be more of them; None: these are all."""
    why: str = ""
    """The same in words."""

    def __len__(self) -> int:
        return len(self.transactions)

    @property
    def size(self) -> int:
        """Return the bytes of the files that hold them."""
        return sum(part.size for part in self.parts)

    @property
    def uncertain(self) -> int:
        """Return how many of them the other server may have."""
        return sum(not extra.certain for extra in self.transactions)

    @property
    def names(self) -> str:
        """Return first and last, as people read it; empty without any."""
        if not self.transactions:
            return ""
        first, last = self.transactions[0].name, self.transactions[-1].name
        return first if first == last else f"{first} to {last}"

    def highest(self) -> dict[int, int]:
        """Return the highest number of a MariaDB GTID in each domain: a number up to it must not be used again."""
        numbers: dict[int, int] = {}
        for extra in self.transactions if self.mariadb else ():
            domain, _, number = (int(part) for part in extra.name.split("-"))
            numbers[domain] = max(number, numbers.get(domain, 0))
        return numbers


@dataclass(slots=True)
class Sieve:
    """Tells what the other server lacks, by what it says it has; asked file by file, the newest first."""

    there: Executed
    _behind: dict[int, int] = field(default_factory=dict)
    """Domains of which something is there for certain in the files read so far, and the lowest number of that."""

    def lacking(self, logged: Iterable[Logged]) -> list[tuple[Logged, bool]]:
        """Return what is lacking of a file's transactions, and whether that is certain.

        Of one without a GTID nobody can tell.
        """
        found: list[tuple[Logged, bool]] = []
        doubtful: dict[int, list[tuple[int, Logged]]] = {}
        lowest: dict[int, int] = {}
        for each in logged:
            if each.gtid is None:
                found.append((each, False))
            elif not holds(self.there, each.gtid):
                found.append((each, True))
            elif isinstance(each.gtid, Gtid) and isinstance(self.there, History):
                domain, _, number = each.gtid
                if self.there.proves(each.gtid):
                    found += _not_followed(doubtful.pop(domain, ()), number)
                    lowest[domain] = min(number, lowest.get(domain, number))
                else:
                    doubtful.setdefault(domain, []).append((number, each))
        for domain, rest in doubtful.items():
            found += _not_followed(rest, self._behind.get(domain))
        self._behind |= {domain: min(at, self._behind.get(domain, at)) for domain, at in lowest.items()}
        return sorted(found, key=lambda one: one[0].begin)

    def covers(self, before: Before | None) -> bool:
        """Tell whether nothing is lacking of what was in the log before a file; None: the file does not say it."""
        match before and before.executed, self.there:
            case GtidSet() as had, GtidSet() as there:
                return not had.minus(there)
            case History() as had, History() as there:
                newest: dict[int, int] = {}
                for gtid in had.logged:
                    newest[gtid.domain] = max(gtid.sequence, newest.get(gtid.domain, -1))
                # Newer than what follows: older ones are there with that.
                return all(
                    there.proves(gtid)
                    or (
                        there.holds(gtid)
                        and gtid.sequence < self._behind.get(gtid.domain, newest[gtid.domain])
                    )
                    for gtid in had.logged
                )
        return False


def _not_followed(doubtful: Iterable[tuple[int, Logged]], number: int | None) -> list[tuple[Logged, bool]]:
    """Return those that are not there with the next one of their domain that is, which has this number.

    The numbers of a domain grow: who has them all gives the next one a higher number. None: nothing follows.
    """
    return [(one, number is not None) for at, one in doubtful if number is None or at >= number]


def sifted(file: str, found: Iterable[tuple[Logged, bool]]) -> tuple[Extra, ...]:
    """Return what a sieve has left of a file, by name."""
    return tuple(
        Extra(
            name_of(file, each.gtid, each.begin),
            each.server_id,
            each.when,
            file,
            each.begin,
            each.end,
            each.said,
            certain,
        )
        for each, certain in found
    )


def name_of(file: str, gtid: AnyGtid | None, begin: int) -> str:
    """Return a transaction's GTID as the server writes it, its place where it has none."""
    match gtid:
        case Gtid():
            return str(gtid)
        case (origin, number):
            return f"{origin}:{number}"
    return str(LogPlace(file, begin))


def not_logged(here: Executed, there: Executed, found: Iterable[Extra]) -> str:
    """Return what a server says it has, the other lacks, and its log does not show; empty: nothing.

    MariaDB tells the last one of each server, MySQL every one.
    """
    names = [extra.name for extra in found]
    match here, there:
        case GtidSet(), GtidSet():
            logged: dict[str, list[tuple[int, int]]] = {}
            for origin, _, number in (name.rpartition(":") for name in names):
                logged.setdefault(origin, []).append((int(number), int(number)))
            rest = here.minus(there).minus(
                GtidSet({origin: tuple(sorted(these)) for origin, these in logged.items()})
            )
            return str(rest)
        case History(), History():
            shown = set(names)
            return ",".join(
                str(gtid) for gtid in here.logged if not there.holds(gtid) and str(gtid) not in shown
            )
    return ""
