"""Goes through every state of `tests.model.voting` that can be reached, the shortest way first."""

from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple

from mmm.lease.record import NOTHING
from mmm.lease.voter import Refuses
from tests.model import voting
from tests.model.ticks import NOW
from tests.model.voting import MONITORS, Rules
from tests.model.voting_states import HOSTS_AT, State, States, with_host

_LONG = 60
_PROGRESS = ("gets the order", "is heard", "tells", "is granted the role by")
"""What is sure to happen while nothing breaks."""


class Result(NamedTuple):
    """What was found: `way` are the steps to two holders, `stuck` those to where no writer comes back from."""

    states: int
    depth: int
    seconds: float
    way: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    whole: bool = True
    """All states were met."""


class Explorer(States):
    """The states that were met, and how."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._good: set[State] = set()

    def explore(self, most: int = 10**9, *, lively: bool = True) -> Result:
        """Return what all states come to, or the first `most` of them."""
        began = monotonic()
        first, holds = self.first(), self._holds
        came: dict[State, State] = {first: first}
        layer, depth = [first], 0
        while layer and len(came) < most:
            following = []
            for state in layer:
                for _, _, after in self.following(state):
                    if after in came:
                        continue
                    came[after] = state
                    if holds[after[HOSTS_AT]] and holds[after[HOSTS_AT + 1]]:
                        return Result(len(came), depth + 1, monotonic() - began, self._way(came, after))
                    following.append(after)
            layer, depth = following, depth + 1
        stuck = next((state for state in came if not self._comes_back(state)), None) if lively else None
        way = () if stuck is None else self._way(came, stuck)
        return Result(len(came), depth, monotonic() - began, stuck=way, whole=not layer)

    def follow(self, way: Iterable[str]) -> str:
        """Go along the steps; returns the first that is not possible, empty where there are two holders after all."""
        state = self.first()
        for step in way:
            following = {f"{who} {does}".strip(): after for who, does, after in self.following(state)}
            if step not in following:
                return step
            state = following[step]
        return "" if self._holds[state[HOSTS_AT]] and self._holds[state[HOSTS_AT + 1]] else "two holders"

    # What was found

    def _way(self, came: dict[State, State], state: State) -> tuple[str, ...]:
        names: list[str] = []
        while came[state] != state:
            before = came[state]
            names.append(
                next(f"{who} {does}".strip() for who, does, to in self.following(before) if to == state)
            )
            state = before
        return tuple(reversed(names))

    # When nothing breaks any more

    def _comes_back(self, state: State) -> bool:
        """Tell whether a host holds the role again when nothing breaks any more, from the state on."""
        self._goes_on = True
        met: set[State] = set()
        while state not in self._good and not self._is_held(state):
            if state in met or len(met) > _LONG:
                return False
            met.add(state)
            state = self._fair(state)
        self._good |= met
        return True

    def _is_held(self, state: State) -> bool:
        return self._holds[state[HOSTS_AT]] or self._holds[state[HOSTS_AT + 1]]

    def _fair(self, state: State) -> State:
        """Return the state after a round of who leads, or of who asks for the lead, and all that comes of it."""
        both = [self._monitor[number] for number in state[:2]]
        rested = [who for who in (0, 1) if both[who].word.refrains <= 0]
        asking = [who for who in (0, 1) if both[who].epoch is not None] or rested
        if not asking:
            return self._later(state)
        who = max(asking, key=lambda each: (both[each].round.leads, both[each].number))
        state = self._asks(self._stands_by(state, 1 - who), who)
        epoch = self._monitor[state[who]].epoch
        for at in range(self._rules.voters):
            refused = None if epoch is None else self._host[state[HOSTS_AT + at]].voter.refusal(epoch, NOW)
            if refused is Refuses.HIGHER:
                return self._later(self._stands_by(state, who))
            if self._monitor[state[who]].round.open:
                state = self._hears(state, who, at) or state
            elif refused is None:
                number = state[HOSTS_AT + at]
                after = self._made(
                    (number, "follows", epoch), voting.agreed, number, epoch, NOTHING, self._rules
                )
                state = with_host(state, at, after)
        if not self._monitor[state[who]].round.open:
            state = self._orders_arrive(state, who)
        return state if self._is_held(state) else self._later(state)

    def _orders_arrive(self, state: State, who: int) -> State:
        state = self._told(state, f"shows {MONITORS[who]} that it lets A stay")
        for at in (0, 1):
            for _ in range(6):
                done = dict(self._steps(state, at, state[HOSTS_AT + at]))
                sure = [name for name in done if MONITORS[who] in name]
                name = next((name for first in _PROGRESS for name in sure if name.startswith(first)), None)
                if name is None:
                    break
                state = with_host(state, at, done[name])
            state = self._told(state, "is told that A stays no more")
        return state

    def _told(self, state: State, what: str) -> State:
        """Return the state after what is said of a stay, the same where there is nothing to say."""
        said = self._stays(state) if self._rules.stays else ()
        return next((after for _, does, after in said if does == what), state)
