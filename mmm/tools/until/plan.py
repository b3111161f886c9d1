"""Which transactions of kept binary logs come after a backup, up to a goal. Pure: what files hold is handed in.

What the backup has is left out by its GTIDs. On MariaDB its position names the last transaction of each domain, and the
log has to hold that, or to begin right behind it; on MySQL it is a set, and the log must not begin later than that.
What stands before and behind it is the same in the logs of all hosts as long as the numbers of a domain only rise.
Where they fall, because a host took over what another one had written alone, a log is right for its own host's data.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from mmm.binlog.contents import Before, Logged
from mmm.binlog.transactions import AnyGtid, UnusableError, holds
from mmm.gtid import mariadb, mysql
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import GtidSet
from mmm.gtid.transactions import Executed
from mmm.tools.until.goal import Goal, UntilError

Read = Callable[[str], Iterable[Before | Logged]]
"""Returns what the file of that name holds, in its order; the iteration may raise UnusableError."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a file with nothing in it but what is wanted."""

    file: str
    begin: int
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be applied, in this order."""

    stretches: tuple[Stretch, ...] = ()
    first: str = ""
    last: str = ""
    when: int = 0
    """When the last one was begun, in seconds since 1970."""
    there: bool = False
    """The goal was met in the log: nothing that comes later can belong to it."""
    position: str = ""
    """What the data have afterwards: a gtid_slave_pos, or a set that is in MySQL's gtid_executed."""

    @property
    def count(self) -> int:
        """Return how many transactions they are."""
        return sum(each.count for each in self.stretches)

    @property
    def size(self) -> int:
        """Return how many bytes of the log they are."""
        return sum(each.end - each.begin for each in self.stretches)


def name_of(gtid: AnyGtid | None) -> str:
    """Return a GTID as its server writes it, empty for None."""
    if gtid is None:
        return ""
    return str(gtid) if isinstance(gtid, Gtid) else f"{gtid[0]}:{gtid[1]}"


def planned(
    files: Sequence[str], read: Read, has: str, goal: Goal, *, family: str, own: bool = False
) -> Plan:
    """Return what brings a backup that has `has`, of that family of servers, to the goal; raises UntilError.

    `files` are the names of the log's files, the older first. `own`: they are the log of the backup's host.
    """
    if not has:
        raise UntilError(
            "no_gtid", "the backup does not say by GTID where it stands: restore it without --until"
        )
    _see_no_gap(files)
    sieve: _Sieve = _OfMariaDb(has, own=own) if family == "MariaDB" else _OfMySql(has)
    chosen = _Chosen(sieve, goal)
    for number, file in enumerate(files):
        try:
            if chosen.take(file, read(file), first=number == 0):
                break
        except UnusableError as error:
            raise UntilError(error.problem.value, f"{file}: {error.why}") from error
    if lacks := sieve.not_met():
        raise UntilError(
            "no_start", f"{lacks}, which the backup ends with, is in none of the logs up to {files[-1]}"
        )
    if goal.moment is None and not chosen.there:
        raise UntilError(
            "not_there", f"{goal.text} is in none of the logs ({files[0]} to {files[-1]}) behind the backup"
        )
    return replace(
        chosen.plan, stretches=tuple(chosen.stretches), position=sieve.position, there=chosen.there
    )


def _see_no_gap(files: Sequence[str]) -> None:
    if not files:
        raise UntilError("no_logs", "there are no files of a binary log")
    numbers = [int(file.rpartition(".")[2]) for file in files]
    for before, after, file in zip(numbers, numbers[1:], files[1:], strict=False):
        if after != before + 1:
            raise UntilError("gap", f"the file before {file} is missing among the logs")


class _Sieve:
    """Tells which transactions the backup lacks."""

    position = ""

    def before(self, executed: Executed) -> str:
        """Return what was in the log before its first file and the backup lacks; empty: nothing."""
        raise NotImplementedError

    def holds(self, gtid: AnyGtid | None) -> bool:
        """Tell whether the backup has the next transaction of the log; raises UntilError where nobody can tell."""
        raise NotImplementedError

    def is_newest(self, gtid: AnyGtid | None) -> bool:
        """Tell whether the backup ends with that transaction."""
        raise NotImplementedError

    def add(self, gtid: AnyGtid | None) -> None:
        """Count a transaction as applied."""
        raise NotImplementedError

    def not_met(self) -> str:
        """Return what of the backup's last transactions has to be in the log, and was not; empty: nothing."""
        return ""


def _without_gtid() -> UntilError:
    return UntilError("no_gtids", "the log has a transaction without a GTID")


class _OfMariaDb(_Sieve):
    def __init__(self, has: str, *, own: bool) -> None:
        self._has = {gtid.domain: gtid for gtid in mariadb.parse(has)}
        self._own = own
        self._highest: dict[int, Gtid] = {}
        self._met: set[int] = set()
        self._now = dict(self._has)

    @property
    def position(self) -> str:  # type: ignore[override]
        return mariadb.text(tuple(self._now[domain] for domain in sorted(self._now)))

    def before(self, executed: Executed) -> str:
        newest = mariadb.newest_everywhere(executed) if isinstance(executed, History) else ()
        for gtid in newest:
            known = self._has.get(gtid.domain)
            if known == gtid:
                self._met.add(gtid.domain)
            elif known is None or gtid.sequence >= known.sequence:
                return str(gtid)
        return ""

    def holds(self, gtid: AnyGtid | None) -> bool:
        if not isinstance(gtid, Gtid):
            raise _without_gtid()
        self._see_order(gtid)
        known = self._has.get(gtid.domain)
        if known is None or gtid.domain in self._met:
            return False
        if gtid == known:
            self._met.add(gtid.domain)
        return True

    def _see_order(self, gtid: Gtid) -> None:
        highest = self._highest.setdefault(gtid.domain, gtid)
        if gtid.sequence < highest.sequence and not self._own:
            raise UntilError(
                "out_of_order",
                f"{gtid} comes behind {highest} in this log, and the backup's host may have them the other way round:"
                " take that host's log (--logs), or a backup of the host whose log this is",
            )
        self._highest[gtid.domain] = max(gtid, highest, key=lambda each: each.sequence)

    def is_newest(self, gtid: AnyGtid | None) -> bool:
        return gtid in self._has.values()

    def add(self, gtid: AnyGtid | None) -> None:
        if isinstance(gtid, Gtid):
            self._now[gtid.domain] = gtid

    def not_met(self) -> str:
        return mariadb.text(tuple(gtid for domain, gtid in self._has.items() if domain not in self._met))


class _OfMySql(_Sieve):
    def __init__(self, has: str) -> None:
        self._has = mysql.parse(has)
        self._last: dict[str, int] = {}

    @property
    def position(self) -> str:  # type: ignore[override]
        return ",".join([str(self._has), *(f"{origin}:{number}" for origin, number in self._last.items())])

    def before(self, executed: Executed) -> str:
        return str(executed.minus(self._has)) if isinstance(executed, GtidSet) else ""

    def holds(self, gtid: AnyGtid | None) -> bool:
        if gtid is None or isinstance(gtid, Gtid):
            raise _without_gtid()
        return holds(self._has, gtid)

    def is_newest(self, gtid: AnyGtid | None) -> bool:
        return isinstance(gtid, tuple) and any(
            gtid[1] == last for _, last in self._has.of.get(str(gtid[0]), ())
        )

    def add(self, gtid: AnyGtid | None) -> None:
        if gtid is not None and not isinstance(gtid, Gtid):
            self._last[gtid[0]] = max(gtid[1], self._last.get(gtid[0], 0))


@dataclass(slots=True)
class _Chosen:
    """What was chosen so far."""

    sieve: _Sieve
    goal: Goal
    stretches: list[Stretch] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    there: bool = False
    """The goal was met."""

    def take(self, file: str, entries: Iterable[Before | Logged], *, first: bool) -> bool:
        """Choose from a file; tells whether the goal is reached."""
        for entry in entries:
            if isinstance(entry, Before):
                if first and (gone := self.sieve.before(entry.executed)):
                    text = f"{file}, the first of the logs, begins after {gone}, which the backup lacks"
                    raise UntilError("no_start", text)
                continue
            name = name_of(entry.gtid)
            held = self.sieve.holds(entry.gtid)
            passed, reached = self.goal.passed(file, entry, name), self.goal.reached(file, entry, name)
            if held and (passed or (reached and not self.sieve.is_newest(entry.gtid))):
                text = f"the backup has {name} already, which is past {self.goal.text}: take an older one by --version"
                raise UntilError("before_backup", text)
            if not held and not passed:
                self.sieve.add(entry.gtid)
                self._add(file, entry, name)
            self.there = passed or reached
            if self.there:
                return True
        return False

    def _add(self, file: str, entry: Logged, name: str) -> None:
        last = self.stretches[-1] if self.stretches else None
        if last is not None and (last.file, last.end) == (file, entry.begin):
            self.stretches[-1] = replace(last, end=entry.end, count=last.count + 1)
        else:
            self.stretches.append(Stretch(file, entry.begin, entry.end, 1))
        self.plan = replace(self.plan, first=self.plan.first or name, last=name, when=entry.when)


def wanted_in(stretch: Stretch, entries: Iterable[Before | Logged]) -> Iterator[Logged]:
    """Yield the transactions of a stretch, by what its file holds."""
    for entry in entries:
        if isinstance(entry, Logged) and entry.begin >= stretch.begin:
            if entry.end > stretch.end:
                return
            yield entry
