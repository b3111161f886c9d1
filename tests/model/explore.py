"""Goes through every state that can be reached, the shortest way first.

A state is two masters, how long the first one's clock has run evenly, and how many faults are left, as one number.
What can happen to a master is worked out once by the rules, and then looked up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from mmm.lease.rules import NEVER
from tests.model import protocol
from tests.model.master import Master, Rules, holds

_BITS = 24
_MASK = (1 << _BITS) - 1
NOTHING = -1
"""Stands for the number of a master where a step is not taken."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found: `way` are the steps to two holders, `stuck` those to where no writer comes back from."""

    states: int
    masters: int
    depth: int
    seconds: float
    way: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """What is known of a master once it was met."""

    master: Master
    holds: bool
    free: bool
    steps: dict[bool, list[tuple[str, int]]] = field(default_factory=dict)
    faults: list[tuple[str, int]] | None = None
    fair: dict[bool, int] = field(default_factory=dict)


class _Afters(dict[int, int]):
    """What becomes of masters by one step, by their numbers, worked out once for each; NOTHING: it is not taken."""

    def __init__(self, step: Callable[[int], int]) -> None:
        self._step = step

    def __missing__(self, number: int) -> int:
        after = self[number] = self._step(number)
        return after


class Explorer:
    """The states that were met, and how."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._numbers: dict[Master, int] = {}
        self._known: list[_Known] = []
        self._returns: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._good: set[tuple[int, int]] = set()
        self._even = rules.length + rules.margin
        self._later = self._afters(partial(protocol.passed, agent=True))
        self._lagged = self._afters(partial(protocol.passed, agent=False))
        """A tick later, when its own clock has lost that tick."""
        self._forgotten = self._afters(protocol.forgotten)
        self._shown = self._afters(protocol.shown)
        self._gives_promise = self._afters(protocol.gives_promise)
        self._is_promised = self._afters(protocol.is_promised)
        self._lets_stay = self._afters(protocol.lets_stay)
        self._is_let_stay = self._afters(protocol.is_let_stay)
        self._is_told_void = self._afters(protocol.is_told_void)
        self._hears_void = self._afters(protocol.hears_void)

    def _afters(self, step: Callable[[Master, Rules], Master | None]) -> _Afters:
        def after(number: int) -> int:
            found = step(self._known[number].master, self._rules)
            return NOTHING if found is None else self._number(found)

        return _Afters(after)

    def explore(self, say: Callable[[str], None] = lambda _: None) -> Result:
        """Return what all states come to."""
        began = monotonic()
        a, b = (self._number(protocol.start(self._rules, first=each)) for each in (True, False))
        first = self._pack(a, b, self._even, self._rules.faults)
        came = {first: first}
        layer, depth = [first], 0
        known = self._known
        while layer:
            following = []
            for state in layer:
                for after in self._following(state):
                    if after in came:
                        continue
                    came[after] = state
                    if known[after >> _BITS & _MASK].holds and known[after & _MASK].holds:
                        way = self._way(came, after)
                        return Result(len(came), len(known), depth + 1, monotonic() - began, way)
                    following.append(after)
            layer, depth = following, depth + 1
            say(f"depth {depth}: {len(came)} states, {monotonic() - began:.0f} s")
        states = len(came)
        stuck = next((self._way(came, state) for state in came if not self._comes_back(state)), ())
        return Result(states, len(known), depth, monotonic() - began, stuck=stuck)

    def _comes_back(self, state: int) -> bool:
        """Tell whether a host holds the role again when nothing breaks any more, from the state on."""
        a, b = state >> _BITS & _MASK, state & _MASK
        met: set[tuple[int, int]] = set()
        while not (self._known[a].holds or self._known[b].holds or (a, b) in self._good):
            if (a, b) in met:
                return False
            met.add((a, b))
            a = self._fair(a, self._known[b].free)
            b = self._fair(b, self._known[a].free)
            a, b = self._all_told(a, b)
            if not (self._known[a].holds or self._known[b].holds):
                a, b = self._later[a], self._later[b]
        self._good |= met
        return True

    def _fair(self, number: int, other_free: bool) -> int:  # noqa: FBT001
        known = self._known[number]
        if other_free not in known.fair:
            after = protocol.fair(known.master, self._rules, other_free=other_free)
            known.fair[other_free] = self._number(after)
        return known.fair[other_free]

    def _all_told(self, a: int, b: int) -> tuple[int, int]:
        """Return both once each has heard which stays of the other are void."""
        if self._rules.stays:
            a, b = self._told_void(a, b) or (a, b)
            b, a = self._told_void(b, a) or (b, a)
        return a, b

    def _following(self, state: int) -> list[int]:
        a, b = state >> _BITS & _MASK, state & _MASK
        rest = state >> 2 * _BITS
        even, left = rest & 15, rest >> 4
        first, second = self._known[a], self._known[b]
        found = [self._pack(self._later[a], self._later[b], min(even + 1, self._even), left)]
        if self._rules.drift and even >= self._even:
            found.append(self._pack(self._lagged[a], self._later[b], 0, left))
        same = rest << 2 * _BITS
        found += [same | after << _BITS | b for _, after in self._steps(a, second.free)]
        found += [same | a << _BITS | after for _, after in self._steps(b, first.free)]
        if (pair := self._promise(a, b)) is not None:
            found.append(same | pair[0] << _BITS | pair[1])
        if (pair := self._promise(b, a)) is not None:
            found.append(same | pair[1] << _BITS | pair[0])
        if self._rules.returns:
            if (pair := self._give_back(a, b)) is not None:
                found.append(same | pair[0] << _BITS | pair[1])
            if (pair := self._give_back(b, a)) is not None:
                found.append(same | pair[1] << _BITS | pair[0])
        if self._rules.stays:
            found += [same | x << _BITS | y for _, x, y in self._stays(a, b)]
        if left:
            less = (rest - 16) << 2 * _BITS
            found += [less | after << _BITS | b for _, after in self._faults(a)]
            found += [less | a << _BITS | after for _, after in self._faults(b)]
            found.append(less | self._forgotten[a] << _BITS | self._forgotten[b])
        return found

    def _pack(self, a: int, b: int, even: int, left: int) -> int:
        return (left << 4 | even) << 2 * _BITS | a << _BITS | b

    def _number(self, master: Master) -> int:
        number = self._numbers.get(master)
        if number is None:
            number = self._numbers[master] = len(self._known)
            self._known.append(_Known(master, holds(master), protocol.is_free(master, self._rules)))
        return number

    def _steps(self, number: int, other_free: bool) -> list[tuple[str, int]]:  # noqa: FBT001
        known = self._known[number]
        found = known.steps.get(other_free)
        if found is None:
            made = protocol.steps(known.master, self._rules, other_free=other_free)
            found = known.steps[other_free] = self._numbered(number, made)
        return found

    def _faults(self, number: int) -> list[tuple[str, int]]:
        known = self._known[number]
        if known.faults is None:
            known.faults = self._numbered(number, protocol.faults(known.master, self._rules))
        return known.faults

    def _numbered(self, number: int, made: Iterator[tuple[str, Master]]) -> list[tuple[str, int]]:
        found = [(name, self._number(after)) for name, after in made]
        return [(name, after) for name, after in found if after != number]

    def _promise(self, asker: int, other: int) -> tuple[int, int] | None:
        asked = self._is_promised[asker]
        if asked == NOTHING or (gave := self._gives_promise[other]) == NOTHING:
            return None
        return asked, gave

    def _give_back(self, holder: int, other: int) -> tuple[int, int] | None:
        known = self._known
        if known[holder].master.returned == NEVER:
            return None
        key = (holder, other)
        if key not in self._returns:
            pair = protocol.give_back(known[holder].master, known[other].master, self._rules)
            self._returns[key] = None if pair is None else (self._number(pair[0]), self._number(pair[1]))
        return self._returns[key]

    def _stays(self, a: int, b: int) -> Iterator[tuple[str, int, int]]:
        """Return what can happen between both, and the monitor, for the sake of stays."""
        if (pair := self._let_stay(a, b)) is not None:
            yield "B lets A stay", *pair
        if (pair := self._let_stay(b, a)) is not None:
            yield "A lets B stay", pair[1], pair[0]
        if (pair := self._told_void(a, b)) is not None:
            yield "B is told that the stay of A is void", *pair
        if (pair := self._told_void(b, a)) is not None:
            yield "A is told that the stay of B is void", pair[1], pair[0]
        if (after := self._shown[a]) != a:
            yield "B shows the stay of A", after, b
        if (after := self._shown[b]) != b:
            yield "A shows the stay of B", a, after

    def _let_stay(self, asker: int, other: int) -> tuple[int, int] | None:
        asked = self._is_let_stay[asker]
        if asked == NOTHING or (lets := self._lets_stay[other]) == NOTHING:
            return None
        return asked, lets

    def _told_void(self, holder: int, other: int) -> tuple[int, int] | None:
        told = self._is_told_void[holder]
        if told == NOTHING:
            return None
        return told, other if self._known[told].master.stays.held else self._hears_void[other]

    def _way(self, came: dict[int, int], state: int) -> tuple[str, ...]:
        names: list[str] = []
        while came[state] != state:
            names.append(self._name(came[state], state))
            state = came[state]
        return tuple(reversed(names))

    def _name(self, before: int, after: int) -> str:
        """Return what leads from one state to the next, for people."""
        a, b = before >> _BITS & _MASK, before & _MASK
        x, y = after >> _BITS & _MASK, after & _MASK
        first, second = self._known[a], self._known[b]
        for who, old, new, free in (("A", a, x, second.free), ("B", b, y, first.free)):
            for name, to in (*self._steps(old, free), *self._faults(old)):
                if to == new and (a == x or b == y):
                    return f"{who} {name}"
        if (x, y) == (self._later[a], self._later[b]):
            return "a tick"
        if (x, y) == (self._lagged[a], self._later[b]):
            return "a tick, which A's clock loses"
        if (x, y) == (self._forgotten[a], self._forgotten[b]):
            return "the monitor restarts"
        for name, first_after, second_after in self._stays(a, b):
            if (first_after, second_after) == (x, y):
                return name
        if self._give_back(a, b) == (x, y):
            return "B is told that A gives its promises back"
        if (back := self._give_back(b, a)) is not None and back == (y, x):
            return "A is told that B gives its promises back"
        return "A is given the promise" if self._promise(a, b) == (x, y) else "B is given the promise"
