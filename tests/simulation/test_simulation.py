"""A cluster's deciders under thousands of faults, in virtual time (docs/simulation.md)."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from random import SystemRandom
from typing import Any

import pytest

from mmm.agent.decide import lease_watch, plan, steps
from mmm.agent.decide.core import Core
from mmm.config.model import Vip
from mmm.lease.rules import Lease, Outstanding
from mmm.monitor.act.spoken import Spoken
from mmm.monitor.apply import answered
from mmm.monitor.assess import cut_off, loss, proof
from mmm.monitor.assess.cut_off import Known
from mmm.monitor.decide import reconcile, roles, startup
from mmm.monitor.states import table
from mmm.monitor.states.table import Consequence
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.link import AgentLink
from mmm.monitor.world.world import World
from tests.simulation import agent, monitor
from tests.simulation.run import Run
from tests.simulation.scenario import scenario
from tests.simulation.shrink import shortest, story
from tests.simulation.tally import run_seeds

FIXED = range(150)
NEW = 25


@pytest.mark.parametrize("part", [FIXED[start : start + 50] for start in range(0, len(FIXED), 50)], ids=str)
def test_fixed_seeds_hold(part: range, say: Callable[[str], None]) -> None:
    check(part, say)


def test_new_seeds_hold(say: Callable[[str], None]) -> None:
    first = SystemRandom().randrange(10**6, 10**9)
    check(range(first, first + NEW), say)


def check(seeds: range, say: Callable[[str], None]) -> None:
    tally = run_seeds(seeds)
    say(
        f"{len(seeds)} seeds, --first {seeds.start}: {tally.failures} failures, {len(tally.violations)} violations"
    )
    assert not tally.violations, f"{tally}\n\n{story(scenario(tally.violations[0].seed))}"


def test_a_seed_is_a_run_whatever_the_hash_order() -> None:
    program = (
        "from tests.simulation.run import Run; from tests.simulation.scenario import scenario;"
        "print('\\n'.join(line for seed in (3, 11) for line in Run(scenario(seed), tell=True).result().history))"
    )
    stories = {
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(stories) == 1
    assert len(stories.pop()) > 1000


def no_holders(_: World, __: Vip) -> frozenset[str]:
    return frozenset()


def keep_roles(world: World, _: str, __: Consequence) -> World:
    return world


def never_level(world: World) -> World:
    return world


def forgets_what_is_left(world: World, name: str, *_: Any) -> World:
    return _without(world, name)


def _without(world: World, name: str) -> World:
    return world.with_agent(name, replace(world.hosts[name].agent, may_hold=frozenset()))


def silence_is_refusal(world: World, event: Answered, *args: Any) -> AgentLink:
    after = _link_after(world, event, *args)
    return replace(after, may_hold=frozenset()) if event.answer is Answer.SILENT else after


def never_syncs(*args: Any) -> steps.Plan:
    planned = plan.plan(*args)
    return steps.Plan(
        tuple(tuple(step for step in chain if not isinstance(step, steps.Sync)) for chain in planned.chains)
    )


_link_after = answered.link_after


def never_refuses(*_: Any, **__: Any) -> None:
    return None


def keeps_no_promise(lease: Lease, *_: Any) -> Lease:
    return lease


def never_waits(*_: Any) -> bool:
    return True


def loses_nothing_unseen(*_: Any) -> float:
    return 0.0


def believes_ping_ips(_: Known, __: World, *___: float, answers: bool) -> Known:
    return Known(up=answers)


def renews_what_is_assigned(core: Core) -> tuple[Vip, ...]:
    return core.status.vips


def clearing_counts_alone(told: Spoken, clearing: Spoken) -> Spoken:
    return clearing if clearing.reply is None else told


PLANTED = [
    (Lease, "refusal", never_refuses, "have the writer's VIP"),
    (Lease, "promise", keeps_no_promise, "have the writer's VIP"),
    (Outstanding, "run_out", never_waits, "have the writer's VIP"),
    (reconcile, "holders", no_holders, "may still hold|is bound on"),
    (table, "_follow", keep_roles, "is HARD_OFFLINE"),
    (roles, "level", never_level, "spread unevenly"),
    (startup, "_note_what_is_left", forgets_what_is_left, "may still hold|is bound on"),
    (answered, "link_after", silence_is_refusal, "may still hold|is bound on|the status file"),
    (agent, "plan", never_syncs, "before it has applied"),
    (loss, "_written", loses_nothing_unseen, "are lost, said were at most"),
    (proof, "_says_nothing", never_refuses, "nobody has chosen it|it has nothing"),
    (lease_watch, "standing", renews_what_is_assigned, "holds the role by promises for .* s, and writer"),
    (cut_off, "judged", believes_ping_ips, "it is the monitor that is cut off"),
    (monitor, "with_clearing", clearing_counts_alone, "may still hold|is bound on"),
]

SHOWS = {
    "refusal": 128, "promise": 174, "run_out": 16, "_note_what_is_left": 7, "link_after": 3, "_written": 47,
    "judged": 16, "with_clearing": 291,
}  # fmt: skip
"""Seeds to begin with where a mistake shows late: any others find it too, and take longer."""
ENOUGH = 40
"""Runs that find each mistake from there on."""


@pytest.mark.parametrize(("module", "name", "wrong", "said"), PLANTED, ids=[bug[1] for bug in PLANTED])
def test_a_planted_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: object, said: str
) -> None:
    monkeypatch.setattr(module, name, wrong)
    if module in {Lease, Outstanding}:  # whom the rules let through finds the other one on the wire
        monkeypatch.setattr(reconcile, "_probe", lambda _: "")
    first = SHOWS.get(name, 0)
    runs = (Run(scenario(seed)).result() for seed in range(first, first + ENOUGH))
    found = next((result for result in runs if result.violation), None)
    assert found is not None, "no seed of these shows it: look for one that does, and put it into SHOWS"
    assert re.search(said, found.violation), found.violation


def test_the_history_of_a_failing_seed_is_made_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "holders", no_holders)
    seed = next(seed for seed in range(40) if Run(scenario(seed)).result().violation)
    before = scenario(seed)
    after, result = shortest(before)
    assert result.violation
    assert len(after.actions) <= 5 < len(before.actions)
    assert "VIOLATION" in story(before)
