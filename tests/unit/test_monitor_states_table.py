"""The table of state rules itself: no row in vain, no dead end, and the page that is made from it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import islice, product
from pathlib import Path

from mmm.agent.decide import plan as agent_plan
from mmm.agent.decide.sound import _STATE as STATES_THE_AGENT_TAKES
from mmm.gtid.mariadb import History, parse
from mmm.gtid.transactions import Transactions
from mmm.monitor.states.host_view import View
from mmm.monitor.states.table import RULES, Consequence, missing, rule_for, said
from mmm.monitor.world.attempt import Attempt, Step
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.host import (
    Opinion,
    Reference,
    State,
    Writable,
)
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import World
from mmm.wire.job import Job
from mmm.wire.questions import DISK_FULL, Note
from pages.states import page
from tests.unit.worlds import (
    FLAPPING,
    NOW,
    READER1,
    WRITER,
    checks,
    cluster,
    settle,
    with_host,
    world,
)

THERE = Transactions(
    NOW, "1", History(parse("0-2-7"), parse("0-1-9")), source_ip="10.0.0.2", source_port=3306
)
HAS = {
    "unknown": None,
    "more": Transactions(NOW, "2", History((), parse("0-2-8"))),
    "less": Transactions(NOW, "2", History((), parse("0-1-9,0-2-7")), source_ip="10.0.0.1", source_port=3306),
}
CHECKS = ("ping", "mysql", "rep_threads", "rep_backlog")


CONF = cluster(auto_set_online=30.0, flap_duration=600.0)


@cache
def pair(state: State, peer: str, *, writer: bool) -> World:
    """A world in which db2 has the state, and its peer is what it is called."""
    peer_state = State.HARD_OFFLINE if peer == "gone" else State.ONLINE
    peer_state = State.AWAITING_RECOVERY if peer == "lost" else peer_state
    owner = "db2" if writer else None if peer == "lost" else "db1"
    made = world({WRITER: owner, READER1: "db3"}, {"db2": state, "db1": peer_state}, CONF)
    return with_host(made, "db1", online_since=NOW - 1 if peer == "new" else 0.0, transactions=THERE)


@cache
def checked(good: tuple[bool, ...], changed: float) -> dict[str, CheckStatus]:
    failed = dict.fromkeys((name for name, ok in zip(CHECKS, good, strict=True) if not ok), 0.0)
    return {name: replace(check, changed=changed) for name, check in checks(**failed).items()}


def situations(step: int = 1) -> Iterator[View]:
    """Every state with every combination of checks, peer, flapping and waiting that rules look at, or each `step`th."""
    combined = product(
        State,
        product((True, False), repeat=4),
        ("good", "new", "gone", "lost"),
        product((True, False), repeat=5),
        ("unknown", "more", "less"),
    )
    for state, good, peer, flags, has in islice(combined, 0, None, step):
        writer, flapping, long_ago, writable, refuses = flags
        before = pair(state, peer, writer=writer)
        after = with_host(
            before,
            "db2",
            checks=checked(good, 0.0 if long_ago else NOW),
            flaps=FLAPPING if flapping else None,
            since=0.0 if long_ago else NOW,
            uptime=900.0 if long_ago else 520.0,
            writable=Writable(0.0, NOW) if writable else None,
            lost=True,
            transactions=HAS[has],
            reference=Reference("db1", THERE),
            agent=replace(before.hosts["db2"].agent, refuses_to_follow="no" if refuses else ""),
        )
        yield View(after, "db2", NOW)
    yield from silences()
    yield from full_disks()
    job = Job("rejoin", "db3", "fetch")
    out = world(states={"db2": State.AWAITING_RECOVERY}, conf=cluster(auto_rejoin=("clone",)))
    yield View(with_host(out, "db2", job=job), "db2", NOW)
    yield View(with_host(out, "db2", attempt=Attempt(Step.DONE, NOW), uptime=900.0), "db2", NOW)


def full_disks() -> Iterator[View]:
    """The writer's disk is full, and afterwards that of the host which has lost the role for it."""
    conf = cluster(disk_full_failover=10.0)
    for state, owner in ((State.ONLINE, "db2"), (State.HARD_OFFLINE, "db1")):
        before = world({WRITER: owner}, {"db2": state}, conf)
        yield View(with_host(before, "db2", notes=(Note(DISK_FULL, 20.0),), noted_at=NOW), "db2", NOW)


def silences() -> Iterator[View]:
    """A host in use whose server fell silent, and all that others may say of it."""
    conf = cluster(split_brain_guard=True)
    said = (
        Opinion(NOW),
        Opinion(NOW, pending=True),
        Opinion(NOW, known=True, heard=("db1",), reached=("db1",)),
    )
    for opinion, failed in product((None, *said, Opinion(NOW, known=True)), ({"ping": 0.0}, {})):
        before = world({WRITER: "db2"}, {"db2": State.ONLINE}, conf)
        yield View(
            with_host(before, "db2", checks=checks(mysql=NOW - 1, **failed), opinion=opinion), "db2", NOW
        )


def test_no_row_is_shadowed_by_an_earlier_one() -> None:
    fired = {rule.name for view in situations() if (rule := rule_for(view)) is not None}
    assert fired == {rule.name for rule in RULES}


def test_every_state_is_reached_by_a_rule_or_the_admin_and_left_by_one() -> None:
    others = set(State) - {State.ADMIN_OFFLINE}  # the admin's alone
    assert {rule.to for rule in RULES if rule.to is not None} == others
    assert {state for rule in RULES if rule.to is not None for state in rule.sources} == others
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_every_sentence_and_every_missing_condition_can_be_said_of_any_host() -> None:
    for view in situations(step=7):
        for rule in RULES:
            assert "{" not in str(said(rule, view))
            for fact in rule.when:
                assert "{" not in str(missing(fact, view))


def test_only_failures_take_roles_and_kill() -> None:
    for rule in RULES:
        if rule.follows & (
            Consequence.TAKE_ROLES | Consequence.KILL_UNLESS_TOLD | Consequence.KILL_IN_ANY_MODE
        ):
            assert rule.to not in (None, State.ONLINE)


def test_every_order_that_can_be_given_is_one_that_the_agent_knows() -> None:
    assert all(STATES_THE_AGENT_TAKES.fullmatch(state) for state in State)
    assert {State.ONLINE, State.ADMIN_OFFLINE} == {agent_plan.ONLINE, agent_plan.ADMIN_OFFLINE}
    dead = with_host(world(), "db1", checks=checks(ping=NOW, mysql=NOW))
    assert {type(order) for order in settle(dead)[1]} == {Tell, KillHost}


def test_the_page_of_states_is_fresh() -> None:
    written = (Path(__file__).parents[2] / "docs" / "states.md").read_text()
    assert written == page(), "run: python -m pages.states > docs/states.md"
