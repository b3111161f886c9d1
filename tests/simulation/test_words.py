"""Nothing is decided by the words of a sentence: with all of them scrambled a cluster does the same, to the order."""

import codecs
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any, get_args

import pytest

from mmm.agent.decide.failure import Failure
from mmm.agent.decide.steps import Step
from mmm.lease.rules import Refusal
from mmm.monitor.apply import answered
from mmm.monitor.apply.apply import apply
from mmm.monitor.assess import trap
from mmm.monitor.decide.turn import Turn, turn
from mmm.monitor.world import warnings
from mmm.monitor.world.checks import NO_CAUSE, Cause, CheckStatus, Finding, Outcome
from mmm.monitor.world.events import Answer, Answered, Event
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.said import Said
from mmm.monitor.world.world import World
from tests.simulation.run import Run
from tests.simulation.scenario import scenario

SEEDS = range(12)
STEPS = get_args(Step)
STEP = trap.step
WORDS = {"text", "failure", "error", "refuses_to_follow"}
"""Fields of events that are for people."""
TOLD = {"text", "error"}
"""Fields of what checks find in which a server says something."""


def noise(text: str) -> str:
    """Return words that nobody knows, other ones for other words."""
    return codecs.encode(text, "rot13")[::-1]


def decisions(seed: int, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what a run comes to: each turn that ordered or changed something, and how it all ended."""
    found: list[object] = []

    def noted(world: World, now: float) -> Turn:
        result = turn(world, now)
        states = {name: host.state for name, host in result.world.hosts.items()}
        orders = [
            (type(order).__name__, order.host, order.status if isinstance(order, Tell) else None)
            for order in result.orders
        ]
        if orders or result.changes:
            found.append((now, result.world.mode, states, dict(result.world.owner), orders))
        return result

    with monkeypatch.context() as patched:
        patched.setattr("tests.simulation.monitor.turn", noted)
        ended = Run(scenario(seed)).result()
    return [*found, replace(ended, history=())]


def without_words(value: Any) -> Any:
    """Return an event, or a part of one, whose sentences are noise; what is empty stays so."""
    if isinstance(value, Said):
        told = {name: noise(text) if name in TOLD and text else text for name, text in value.fields.items()}
        return replace(value, fields=told)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {}
    for each in fields(value):
        now = getattr(value, each.name)
        new = noise(now) if each.name in WORDS and isinstance(now, str) and now else without_words(now)
        if new is not now:
            changes[each.name] = new
    return replace(value, **changes) if changes else value


def scramble(patched: pytest.MonkeyPatch) -> None:
    """Have every sentence be noise, or a code, wherever one is made."""

    def taken(world: World, event: Event, now: float) -> World:
        return apply(world, without_words(event), now)

    patched.setattr("tests.simulation.monitor.apply", taken)
    patched.setattr(Said, "__str__", lambda said: said.code)
    patched.setattr(Failure, "__str__", lambda _: "no")
    patched.setattr(Refusal, "__str__", lambda _: "no")
    for step in STEPS:
        patched.setattr(step, "__str__", lambda done: noise(type(done).__name__))
    patched.setattr(warnings, "SENTENCES", {code: code for code in warnings.SENTENCES})


def test_with_scrambled_sentences_a_cluster_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [decisions(seed, monkeypatch) for seed in SEEDS]
    assert sum(map(len, plain)) > 1000
    with monkeypatch.context() as patched:
        scramble(patched)
        for seed, expected in zip(SEEDS, plain, strict=True):
            assert decisions(seed, monkeypatch) == expected, f"seed {seed}"


def stale_by_words(event: Answered, link: AgentLink) -> bool:
    refused = event.answer is Answer.ERROR and event.text.endswith("not obeyed")
    return refused and not link.orders.stale and bool(event.token)


def error_by_words(
    status: CheckStatus, finding: Finding, now: float, trap_period: float, cause: Cause = NO_CAUSE
) -> CheckStatus:
    if finding.outcome is Outcome.ERROR and "down" not in str(finding):
        finding = replace(finding, outcome=Outcome.OK)
    return STEP(status, finding, now, trap_period, cause)


@pytest.mark.parametrize(
    ("module", "name", "planted", "first"),
    [(answered, "_is_stale", stale_by_words, 7), (trap, "step", error_by_words, 0)],
    ids=["an agent's answer", "what a check finds"],
)
def test_what_decides_by_words_is_found(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, planted: Callable[..., object], first: int
) -> None:
    monkeypatch.setattr(module, name, planted)
    assert any(not says_the_same_in_noise(seed, monkeypatch) for seed in range(first, first + len(SEEDS)))


def says_the_same_in_noise(seed: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    plain = decisions(seed, monkeypatch)
    with monkeypatch.context() as patched:
        scramble(patched)
        return decisions(seed, monkeypatch) == plain
