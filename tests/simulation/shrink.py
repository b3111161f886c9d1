"""The shortest history of a failing run: faults and commands are dropped as long as it still fails."""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.run import Result
from tests.simulation.runs import run_of
from tests.simulation.scenario import Action, Scenario

_MOST_RUNS = 600


def shortest(scenario: Scenario) -> tuple[Scenario, Result]:
    """Return a scenario with as few actions, as short as can be found, that fails too, and its told result."""
    best, failed = scenario, run_of(scenario).result()
    runs = 0
    improved = True
    while improved and runs < _MOST_RUNS:
        improved = False
        for candidate in _shorter(best, failed.at):
            runs += 1
            result = run_of(candidate).result()
            if result.violation and _worth(candidate, result) < _worth(best, failed):
                best, failed, improved = candidate, result, True
                break
            if runs >= _MOST_RUNS:
                break
    return best, run_of(best, tell=True).result()


def _worth(scenario: Scenario, result: Result) -> tuple[int, int, float]:
    return len(scenario.actions), len(scenario.conf.vips), round(result.at, 1)


def _shorter(scenario: Scenario, failed_at: float) -> Iterator[Scenario]:
    """Return scenarios with less in them, most promising first."""
    actions = scenario.actions
    before = tuple(action for action in actions if action.at <= failed_at)
    if len(before) < len(actions):
        yield _with(scenario, before)
    size = len(actions) // 2
    while size >= 1:
        for start in range(0, len(actions), size):
            yield _with(scenario, actions[:start] + actions[start + size :])
        size //= 2
    yield from _earlier(scenario)


def _earlier(scenario: Scenario) -> Iterator[Scenario]:
    """Return scenarios with less time between what happens, and with shorter faults."""
    actions = scenario.actions
    for number, action in enumerate(actions):
        gap = action.at - (actions[number - 1].at if number else 0.0)
        for less in (gap * 0.9, gap * 0.5):
            if less > 1.0:
                moved = tuple(replace(later, at=later.at - less) for later in actions[number:])
                yield _with(scenario, actions[:number] + moved)
    if actions and scenario.end - actions[-1].at > 2.0:
        yield replace(scenario, end=(actions[-1].at + scenario.end) / 2)


def _with(scenario: Scenario, actions: tuple[Action, ...]) -> Scenario:
    last = actions[-1].at if actions else 1.0
    slack = scenario.end - (scenario.actions[-1].at if scenario.actions else 1.0)
    return replace(scenario, actions=actions, end=last + max(slack, 0.1))


def story(scenario: Scenario) -> str:
    """Return the shortest history that fails, as text."""
    best, result = shortest(scenario)
    return "\n".join(
        (
            str(best),
            f"{len(best.actions)} of {len(scenario.actions)} faults and commands are enough:",
            *result.history,
            f"{result.at:9.3f}  VIOLATION: {result.violation}",
        )
    )
