"""What can happen in a state of `tests.model.voting`: two monitors, two or three hosts, their clocks, faults.

What can happen to a host is worked out once by the rules, and then looked up.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

from mmm.lease.lead import Lead
from mmm.lease.leading import Others, WordRefused
from mmm.lease.quorum import keep
from mmm.lease.record import NOTHING, Record
from mmm.lease.rules import FOREVER, NEVER
from tests.model import voting
from tests.model.ticks import NOW
from tests.model.voting import HOSTS, MONITORS, Host, Monitor, Rules, View
from tests.model.voting_shape import canonical

State = tuple[int, ...]
"""First monitor, second, how evenly A's clock has run, faults left, hosts."""
Step = tuple[str, str, State]
"""Who, does what, and what comes of it."""
HOSTS_AT = 4


class States:
    """What can happen in a state; each host's part of it is worked out once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._even = rules.length + rules.margin if rules.drift else 0
        self._hosts: dict[Host, int] = {}
        self._host: list[Host] = []
        self._holds: list[bool] = []
        self._free: list[tuple[bool, bool]] = []
        self._monitors: dict[Monitor, int] = {}
        self._monitor: list[Monitor] = []
        self._kept: dict[object, list[tuple[str, int]]] = {}
        self._one: dict[object, int] = {}
        self._pairs: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._goes_on = False
        """All states were met: monitors may ask for the lead as often as they like."""

    def first(self) -> State:
        """Return the state that all begins with."""
        idle = self._of(Monitor(round=self._rules.round()))
        first = self._put(voting.start(self._rules, first=True))
        host = self._put(voting.start(self._rules))
        return (idle, idle, self._even, self._rules.faults, first, *(host,) * (self._rules.voters - 1))

    def following(self, state: State) -> Iterator[Step]:
        """Return what can happen in a state, and what comes of it."""
        rules = self._rules
        yield "", "a tick", self._later(state)
        if self._even and state[2] >= self._even:
            yield "", "a tick, which A's clock loses", self._later(state, lags=True)
        yield from self._monitor_steps(state, 0)
        yield from self._monitor_steps(state, 1)
        for at, host in enumerate(state[HOSTS_AT:]):
            for name, after in self._steps(state, at, host):
                yield HOSTS[at], name, with_host(state, at, after)
        if rules.releases:
            yield from self._released(state)
        if rules.promises:
            for asker, other in ((0, 1), (1, 0)):
                if (pair := self._promise(state[HOSTS_AT + asker], state[HOSTS_AT + other])) is not None:
                    yield (
                        HOSTS[other],
                        "promises",
                        with_host(with_host(state, asker, pair[0]), other, pair[1]),
                    )
        if rules.stays:
            yield from self._stays(state)
        if state[3]:
            less = (*state[:3], state[3] - 1, *state[HOSTS_AT:])
            for at, host in enumerate(state[HOSTS_AT:]):
                for name, after in self._faults(host):
                    yield HOSTS[at], name, with_host(less, at, after)

    def _stays(self, state: State) -> Iterator[Step]:
        """Return what comes of it that the first master has asked to stay."""
        first, other = state[HOSTS_AT : HOSTS_AT + 2]
        for name, change in (
            ("lets A stay", voting.let_stay),
            ("is told that A stays no more", voting.told_void),
        ):
            pair = change(self._host[first], self._host[other])
            if pair is not None:
                one, two = (self._put(canonical(each, self._rules)) for each in pair)
                yield "B", name, with_host(with_host(state, 0, one), 1, two)
        for who in (0, 1):
            if self._monitor[state[who]].round.leads:
                after = self._made((first, "shown", who), voting.shown, first, who)
                yield "B", f"shows {MONITORS[who]} that it lets A stay", with_host(state, 0, after)

    def _released(self, state: State) -> Iterator[Step]:
        """Return what comes of it when a voter hears that the monitor it is bound to leads no more."""
        for at, number in enumerate(state[HOSTS_AT:]):
            epoch = self._host[number].voter.epoch
            if epoch is not None and self._monitor[state[MONITORS.index(epoch.address)]].epoch != epoch:
                after = self._made((number, "released"), voting.released, number)
                yield HOSTS[at], f"is released by {epoch.address}", with_host(state, at, after)
        for who in (0, 1):
            it, given = self._monitor[state[1 - who]], self._monitor[state[1 - who]].word.given
            if given is not None and self._monitor[state[who]].epoch != given:
                free = self._with_monitor(state, 1 - who, it._replace(word=it.word.released(given)))
                yield MONITORS[1 - who], f"has its word back from {MONITORS[who]}", free

    # Monitors

    def _monitor_steps(self, state: State, who: int) -> Iterator[Step]:
        it, name, rules = self._monitor[state[who]], MONITORS[who], self._rules
        if it.epoch is not None:
            yield name, "stands by", self._stands_by(state, who)
        elif it.number >= rules.epochs or not it.word.may_take(0.0):
            if rules.others:
                yield from self._restarts(state, who)
                if it.word.given is None and self._monitor[state[1 - who]].epoch is None:
                    free = self._with_monitor(state, who, it._replace(word=it.word.uncounted()))
                    yield name, "hears that the other stands by", free
            return
        if rules.others:
            yield from self._restarts(state, who)
        if it.epoch is not None and it.round.open:
            yield from self._answers(state, who, "agrees to the round")
            return
        yield from self._answers(self._asks(state, who), who, "agrees to a new round")
        if it.round.leads and rules.forever:
            for host in self._changes(state, who, it):
                asked = self._asks(state, who, frozenset((host,)))
                yield from self._answers(asked, who, f"agrees to a new round, the record changed for {host}")

    def _answers(self, state: State, who: int, name: str) -> Iterator[Step]:
        for at in range(self._rules.voters):
            if (after := self._hears(state, who, at)) is not None:
                yield HOSTS[at], f"{name} of {MONITORS[who]}", after
        if self._rules.others and (after := self._word(state, who)) is not None:
            yield MONITORS[1 - who], f"gives {MONITORS[who]} its word", after

    def _changes(self, state: State, who: int, it: Monitor) -> list[str]:
        """Return the hosts that may be put into the record, or taken out of it."""
        ends = [
            self._host[number].links[who].given.until < FOREVER for number in state[HOSTS_AT : HOSTS_AT + 2]
        ]
        ahead = it.sequence < 2
        return [
            host for host, end in zip(HOSTS, ends, strict=False) if ahead and (host not in it.held or end)
        ]

    def _asks(self, state: State, who: int, change: frozenset[str] = frozenset()) -> State:
        it = self._monitor[state[who]]
        first = it.epoch is None
        number = it.number + 1 if first else it.number
        epoch = Lead(number, MONITORS[who], "")
        if first:
            it = Monitor(number, round=self._rules.round(), word=it.word)
            if self._rules.others:
                it = it._replace(word=it.word.heard(epoch))
        held = it.held ^ change
        after = it._replace(
            epoch=epoch,
            round=it.round.asked(),
            held=held,
            counts=it.counts & held,
            sequence=it.sequence + len(change),
        )
        key = number * 4 + who * 2 + first
        hosts = [
            self._asked(host, who, epoch, key, ordered=self._is_ordered(at, who))
            for at, host in enumerate(state[HOSTS_AT:])
        ]
        return self._with_monitor((*state[:HOSTS_AT], *hosts), who, after)

    def _asked(self, host: int, who: int, epoch: Lead, key: int, *, ordered: bool) -> int:
        key = key * 2 + ordered
        return self._made((host, key), voting.asked, host, who, epoch, first=bool(key & 2), ordered=ordered)

    def _is_ordered(self, at: int, who: int) -> bool:
        """Tell whether a monitor sends a host orders."""
        return self._rules.disks or (at < 2 and (not self._rules.own or at == who))

    def _hears(self, state: State, who: int, at: int) -> State | None:
        """Return the state once a voter has agreed to the round, and the monitor has heard of it."""
        it, number = self._monitor[state[who]], state[HOSTS_AT + at]
        host, epoch, name = self._host[number], it.epoch, HOSTS[at]
        assert epoch is not None
        if name in it.round.agreed or host.voter.refusal(epoch, NOW) is not None:
            return None
        record = Record(epoch, it.sequence, held=it.held) if it.round.leads else NOTHING
        key = (number, epoch, record)
        after = self._made(key, voting.agreed, number, epoch, record, self._rules)
        new = host.voter.new and not self._rules.new_counts
        it = it._replace(round=it.round.heard(name, new=new))
        return self._completed(with_host(state, at, after), who, it)

    def _word(self, state: State, who: int) -> State | None:
        """Return the state once the other monitor has given its word not to take the lead."""
        it, other, rules = self._monitor[state[who]], self._monitor[state[1 - who]], self._rules
        assert it.epoch is not None
        refused = other.word.refuses(it.epoch, stands_by=other.epoch is None)
        if not it.round.leads or (
            refused is not None and not (refused is WordRefused.HIGHER and rules.any_word)
        ):
            return None
        word = other.word.gives(it.epoch, 0.0, rules.lead, rules.margin)
        state = self._with_monitor(state, 1 - who, other._replace(word=word))
        return self._completed(state, who, it, others=True)

    def _completed(self, state: State, who: int, it: Monitor, *, others: bool = False) -> State:
        if not it.round.is_complete(self._rules.voters, others=others):
            return self._with_monitor(state, who, it)
        hosts, first = state[HOSTS_AT:], not it.round.leads
        if first:
            voters = [host for host, name in zip(hosts, HOSTS, strict=False) if name in it.round.agreed]
            record = max((self._host[host].voter.record for host in voters), key=Record.age)
            it = it._replace(held=record.held, counts=frozenset())
        elif it.round.counts_record(self._rules.voters):
            it = it._replace(counts=it.held)
        it = it._replace(round=it.round.complete())
        after = [self._made((host, "complete", who), voting.complete, host, who) for host in hosts]
        if first:
            masters = [
                self._taken(host, who, held=name in it.held)
                for host, name in zip(after[:2], HOSTS, strict=False)
            ]
            after[:2] = masters
        return self._with_monitor((*state[:HOSTS_AT], *after), who, it)

    def _taken(self, host: int, who: int, *, held: bool) -> int:
        return self._made((host, "taken", who, held), voting.taken, host, who, self._rules, held=held)

    def _stands_by(self, state: State, who: int) -> State:
        """Return the state once a monitor leads no more, and knows the highest epoch that was agreed to."""
        it = self._monitor[state[who]]
        met = [
            voter.highest.number
            for voter in (self._host[host].voter for host in state[HOSTS_AT:])
            if voter.highest
        ]
        after = Monitor(max([it.number, *met]), round=self._rules.round(), word=it.word)
        return self._with_monitor(self._left(state, who), who, after)

    def _restarts(self, state: State, who: int) -> Iterator[Step]:
        """Yield a monitor's start, with the voters that then tell it of the highest epoch."""
        rules = self._rules
        waits = float(rules.lead + rules.margin) if rules.restart_waits else NEVER
        number, left = self._monitor[state[who]].number, self._left(state, who)
        for voters in combinations(range(rules.voters), keep(rules.voters)):
            word = Others(waits)
            for at in () if rules.uninformed else voters:
                word = word.heard(self._host[state[HOSTS_AT + at]].voter.highest)
            heard = "".join(HOSTS[at] for at in voters)
            after = Monitor(number, round=rules.round(), word=word)
            yield MONITORS[who], f"is restarted, and hears {heard}", self._with_monitor(left, who, after)

    def _left(self, state: State, who: int) -> State:
        hosts = [self._made((host, "left", who), voting.left, host, who) for host in state[HOSTS_AT:]]
        return (*state[:HOSTS_AT], *hosts)

    # Time and hosts

    def _later(self, state: State, *, lags: bool = False) -> State:
        one, two, even, left, *hosts = state
        after = [self._host_later(host, own=not lags or at > 0) for at, host in enumerate(hosts)]
        even = 0 if lags else min(even + 1, self._even)
        return (self._monitor_later(one), self._monitor_later(two), even, left, *after)

    def _host_later(self, host: int, *, own: bool) -> int:
        return self._made((host, own), voting.passed, host, agent=own)

    def _monitor_later(self, number: int) -> int:
        it = self._monitor[number]
        word = it.word
        if word.refrains == NEVER:
            return number
        return self._of(it._replace(word=word._replace(refrains=word.refrains - 1)))

    def _view(self, state: State, at: int, who: int) -> View:
        it = self._monitor[state[who]]
        leads = it.epoch if it.round.leads else None
        if not self._is_ordered(at, who):
            leads = None
        free = at < 2 and leads is not None and self._free[state[HOSTS_AT + 1 - at]][who]
        forever = HOSTS[at] in (it.counts if self._rules.recorded else HOSTS) and self._rules.forever
        record = Record(leads, it.sequence, held=it.held) if self._rules.disks and leads else None
        return View(leads, free, forever, record)

    def _steps(self, state: State, at: int, host: int) -> list[tuple[str, int]]:
        other = self._free[state[HOSTS_AT + 1 - at]] if at < 2 else None
        key = (host, at, state[0], state[1], other)
        found = self._kept.get(key)
        if found is None:
            views = self._view(state, at, 0), self._view(state, at, 1)
            made = voting.steps(self._host[host], views, self._rules, role=at < 2)
            found = self._kept[key] = self._numbered(host, made)
        return found

    def _faults(self, host: int) -> list[tuple[str, int]]:
        if host not in self._kept:
            self._kept[host] = self._numbered(host, voting.faults(self._host[host], self._rules))
        return self._kept[host]

    def _numbered(self, host: int, made: Iterator[tuple[str, Host]]) -> list[tuple[str, int]]:
        found = [(name, self._put(canonical(after, self._rules))) for name, after in made]
        return [(name, after) for name, after in found if after != host]

    def _promise(self, asker: int, other: int) -> tuple[int, int] | None:
        if self._host[asker].asked == NEVER:
            return None
        key = (asker, other)
        if key not in self._pairs:
            pair = voting.promise(self._host[asker], self._host[other], self._rules)
            numbers = pair and tuple(self._put(canonical(each, self._rules)) for each in pair)
            self._pairs[key] = (numbers[0], numbers[1]) if numbers else None
        return self._pairs[key]

    def _made(
        self, key: object, change: Callable[..., Host], host: int, *rest: object, **more: object
    ) -> int:
        found = self._one.get(key)
        if found is None:
            found = self._one[key] = self._put(
                canonical(change(self._host[host], *rest, **more), self._rules)
            )
        return found

    def _put(self, host: Host) -> int:
        number = self._hosts.get(host)
        if number is None:
            number = self._hosts[host] = len(self._host)
            self._host.append(host)
            self._holds.append(voting.holds(host))
            first, second = (link.given.run_out(0.0, self._rules.margin) for link in host.links)
            self._free.append((first, second))
        return number

    def _of(self, monitor: Monitor) -> int:
        if monitor.word.refrains <= 0:
            monitor = monitor._replace(word=monitor.word._replace(refrains=NEVER, given=None))
        if monitor.epoch is None and monitor.number > self._rules.epochs and not self._goes_on:
            monitor = monitor._replace(number=self._rules.epochs)
        number = self._monitors.get(monitor)
        if number is None:
            number = self._monitors[monitor] = len(self._monitor)
            self._monitor.append(monitor)
        return number

    def _with_monitor(self, state: State, who: int, monitor: Monitor) -> State:
        number = self._of(monitor)
        return (number, *state[1:]) if who == 0 else (state[0], number, *state[2:])


def with_host(state: State, at: int, host: int) -> State:
    at += HOSTS_AT
    return (*state[:at], host, *state[at + 1 :])
