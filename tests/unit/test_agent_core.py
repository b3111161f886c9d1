"""What the agent obeys, remembers, renews and announces, as states, events and moments."""

from dataclasses import replace
from math import inf

import pytest

from mmm.agent.decide import core as decide
from mmm.agent.decide import lease_watch
from mmm.agent.decide.actions import (
    Action,
    Announce,
    Answer,
    AnswerClear,
    AskPromises,
    Change,
    Deny,
    EndAnnouncing,
    GetReady,
    GiveBack,
    How,
    LeaseOver,
    Order,
    Outdone,
    Prepared,
    Renew,
    SayAgain,
    Unbind,
)
from mmm.agent.decide.core import Core, Site, Step
from mmm.agent.decide.failure import Failure, code_of, failures
from mmm.agent.decide.held_lease import begun
from mmm.agent.decide.obedience import Changed, Outcome
from mmm.agent.decide.plan import Facts
from mmm.agent.decide.seen import Seen
from mmm.agent.decide.steps import AllowWrites, Bind
from mmm.config.model import Vip
from mmm.lease.rules import Grant
from mmm.wire.promises import AskedPromise
from mmm.wire.status import PROBE_STOP, Status
from mmm.wire.why import LEASE_OVER, NO_PROMISE, SUPERSEDED, TAKEN
from tests.simulation.agent import next_look

NOW = 1000.0
WRITER, READER = Vip("writer", "10.0.0.80"), Vip("reader", "10.0.0.90")
SITE = Site(
    Facts("db1", slave=False, writer="writer", vips=(WRITER, READER), sources={}),
    rivals=("db2",),
    candidate=True,
    leases=True,
)
SEEN = Seen(frozenset())
DONE = Changed(Outcome(), SEEN)


def idle() -> Core:
    return decide.begun(SITE, begun(10.0, "boot", NOW - 100.0))


def order(
    *vips: Vip, number: int = 1, length: float = 10.0, token: float = NOW, grant: Grant | None = None
) -> Order:
    return Order(number, Status("ONLINE", vips, "db1"), grant or Grant(length, token))


def writer(
    *, length: float = 10.0, grant: Grant | float | None = inf, now: float = NOW, also: tuple[Vip, ...] = ()
) -> Core:
    """Return the state of a host that has taken the writer role and is at rest."""
    given = grant if isinstance(grant, Grant) or grant is None else Grant(length, now)
    core, _ = decide.ordered(idle(), Order(1, Status("ONLINE", (WRITER, *also), "db1"), given), now)
    return lease_watch.changed(core, DONE, now)[0]


def look(core: Core, now: float, *, agreed: bool = True, heard: float = NOW) -> Step:
    return lease_watch.look(core, now, agreed=agreed, heard=heard)


def kinds(step: Step) -> list[type]:
    return [type(action) for action in step[1]]


def only(step: Step, kind: type[Action]) -> Action:
    (found,) = (action for action in step[1] if isinstance(action, kind))
    return found


def test_an_order_is_carried_out_then_announced_then_answered() -> None:
    core, actions = decide.ordered(idle(), order(WRITER), NOW)
    assert Change(How.APPLY, core.status, core.past) in actions
    assert core.held.lease.until == NOW + 10.0
    step = lease_watch.changed(core, DONE, NOW + 0.1)
    assert kinds(step) == [Announce, Answer]
    assert step[1] == (
        Announce(frozenset({WRITER})),
        Answer(order(WRITER), Outcome(held=frozenset({WRITER}))),
    )
    assert step[0].work is None


def test_of_the_orders_that_wait_only_the_newest_is_carried_out() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core, actions = decide.ordered(core, order(READER, number=2, token=NOW + 1), NOW + 1)
    assert [type(each) for each in actions if isinstance(each, Answer | Change)] == []
    third = order(number=3, token=NOW + 2)
    core, actions = decide.ordered(core, third, NOW + 2)
    superseded = only((core, actions), Answer)
    assert isinstance(superseded, Answer)
    assert (superseded.order.number, code_of(superseded.outcome.failures)) == (2, SUPERSEDED)
    step = lease_watch.changed(core, DONE, NOW + 3)
    change = only(step, Change)
    assert isinstance(change, Change)
    assert change.status == third.status


def test_an_order_older_than_the_one_that_waits_is_refused() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core, _ = decide.ordered(core, order(number=2, token=NOW + 2), NOW + 3)
    assert decide.ordered(core, order(WRITER, number=3, token=NOW + 1), NOW + 3)[0] == core


def test_a_lease_that_ends_in_the_middle_of_a_change_leaves_nothing_held_or_announced() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core, actions = look(core, NOW + 9.9)
    assert [type(each) for each in actions] == [LeaseOver, Deny]
    core, actions = lease_watch.denied(core, "", NOW + 9.95)
    assert [type(each) for each in actions] == [EndAnnouncing, Unbind]
    core, _ = lease_watch.unbound(core, NOW + 10.0)
    bound = Changed(Outcome(), SEEN, (Bind(WRITER),), bound=frozenset({WRITER.ip}), writes=True)
    core, actions = lease_watch.changed(core, bound, NOW + 11.0)
    assert [type(each) for each in actions] == [Deny, EndAnnouncing, Unbind]
    core, actions = lease_watch.unbound(core, NOW + 11.05)
    assert actions == (), "what was allowed in just that moment is taken back first"
    core, actions = lease_watch.denied(core, "", NOW + 11.1)
    announced, answered = actions[:2]
    assert announced == Announce(frozenset())
    assert isinstance(answered, Answer)
    assert (code_of(answered.outcome.failures), answered.outcome.held, core.past.held) == (
        LEASE_OVER,
        frozenset(),
        frozenset(),
    )


def test_a_server_that_cannot_be_made_read_only_keeps_no_vip_and_is_tried_again() -> None:
    core, _ = look(writer(), NOW + 9.9)
    core, actions = look(core, NOW + 10.0)
    assert Unbind((WRITER,)) in actions, "the lease is over: nobody waits for the server any longer"
    core, _ = lease_watch.unbound(core, NOW + 10.05)
    core, _ = lease_watch.denied(core, "no answer", NOW + 11.0)
    assert lease_watch.is_due(core, NOW + 11.1)
    step = look(core, NOW + 11.2)
    assert kinds(step) == [Deny]
    assert not lease_watch.denied(step[0], "", NOW + 11.3)[0].watch.writable


def test_an_unbinding_that_takes_long_is_not_looked_after_without_a_pause() -> None:
    core, _ = look(writer(), NOW + 9.9)
    core, actions = lease_watch.denied(core, "", NOW + 9.95)
    assert Unbind((WRITER,)) in actions
    assert lease_watch.pause(core, NOW + 9.95) > 0
    assert lease_watch.pause(core, NOW + 12.0) == lease_watch.LOOK


def test_an_order_waits_until_the_role_is_taken_away() -> None:
    core, _ = look(writer(), NOW + 9.9)
    again = order(WRITER, number=2, token=NOW + 9.92)
    core, actions = decide.ordered(core, again, NOW + 9.95)
    assert not any(isinstance(each, Change) for each in actions)
    core, _ = lease_watch.denied(core, "", NOW + 9.96)
    step = lease_watch.unbound(core, NOW + 9.97)
    change = only(step, Change)
    assert isinstance(change, Change)
    assert change.status == again.status
    assert step[0].held.lease.until == NOW + 19.92


def test_promises_are_asked_for_with_a_third_of_the_lease_left_and_renew_it_from_then() -> None:
    assert not any(isinstance(each, AskPromises) for each in look(writer(), NOW + 6)[1])
    core, actions = look(writer(), NOW + 7.0)
    assert only((core, actions), AskPromises) == AskPromises(NOW + 7.0, core.held.token(NOW + 7.0), ("db2",))
    renewed, actions = lease_watch.promised(core, NOW + 7.0, NOW + 7.5)
    assert renewed.held.lease.until == NOW + 17.0
    assert Renew((WRITER,)) in actions
    core, _ = lease_watch.not_promised(core, NOW + 7.0, NOW + 8.0)
    assert not any(isinstance(each, AskPromises) for each in look(core, NOW + 8.1)[1])
    assert any(isinstance(each, AskPromises) for each in look(core, NOW + 8.3)[1])


@pytest.mark.parametrize(("rivals", "agreed"), [(("db2",), False), (("db2",), True), ((), False), ((), True)])
def test_promises_count_only_when_the_monitor_knows_of_the_same_hosts(
    rivals: tuple[str, ...], *, agreed: bool
) -> None:
    core = replace(writer(), site=replace(SITE, rivals=rivals))
    assert any(isinstance(each, AskPromises) for each in look(core, NOW + 8, agreed=agreed)[1]) is agreed


def test_who_gives_the_role_up_answers_once_others_were_told() -> None:
    core, _ = look(writer(), NOW + 7.0)
    core, _ = decide.ordered(core, order(number=2, token=NOW + 7.1), NOW + 7.2)
    gone = Changed(Outcome(), SEEN, bound=frozenset(), writes=False)
    step = lease_watch.changed(core, gone, NOW + 7.3)
    assert kinds(step) == [Announce, GiveBack]
    assert lease_watch.promised(step[0], NOW + 7.0, NOW + 7.35)[0] == step[0], (
        "an answer that comes late is void"
    )
    step = decide.given_back(step[0], NOW + 7.4)
    assert kinds(step) == [Answer]


def test_a_role_that_could_not_be_taken_has_no_lease() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    chain = (AllowWrites(WRITER), Bind(WRITER))
    failed = Changed(
        Outcome(failures("bind: no")), SEEN, unfinished=(chain,), bound=frozenset(), writes=False
    )
    core, _ = lease_watch.changed(core, failed, NOW + 1)
    assert core.held.lease.until == -inf


def test_what_was_done_for_an_order_is_at_hand_for_the_next_before_the_answer() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core = replace(core, past=replace(core.past, ready=frozenset({WRITER})))
    work = core.work
    assert isinstance(work, decide.Changing)
    core = replace(core, work=replace(work, past=core.past))
    failed = Changed(
        Outcome(failures("late")), SEEN, unfinished=((Bind(WRITER),),), bound=frozenset(), writes=False
    )
    step = lease_watch.changed(core, failed, NOW + 1)
    assert kinds(step) == [Announce, GetReady]
    prepared = Prepared(NOW + 1.0, NOW + 1.05, SEEN)
    step = decide.ready(step[0], prepared, NOW + 1.1)
    assert kinds(step) == [Answer]
    change = only(decide.ordered(step[0], order(WRITER, number=2, token=NOW + 1.15), NOW + 1.2), Change)
    assert isinstance(change, Change)
    assert (change.seen, change.past.ready) == (SEEN, frozenset({WRITER}))


def test_an_order_that_comes_again_does_not_wait_for_a_rival_that_may_be_dead() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core, _ = look(core, NOW + 7.0)
    work = core.work
    assert isinstance(work, decide.Changing)
    core = replace(core, work=replace(work, past=replace(core.past, ready=frozenset({WRITER}))))
    late = Outcome((Failure("too late", LEASE_OVER),))
    over = Changed(late, SEEN, unfinished=((Bind(WRITER),),), bound=frozenset(), writes=False)
    step = lease_watch.changed(core, over, NOW + 7.5)
    assert kinds(step) == [Announce, GiveBack, GetReady]
    answered = decide.ready(step[0], Prepared(NOW + 7.5, NOW + 7.51, SEEN), NOW + 7.51)
    assert kinds(answered) == [Answer]
    assert decide.given_back(answered[0], NOW + 7.8) == (answered[0], ())


def test_a_look_that_began_before_writes_were_denied_does_not_count() -> None:
    prepared = Prepared(NOW, NOW + 0.02, SEEN)
    assert prepared.counts(NOW + 0.1, -inf)
    assert not prepared.counts(NOW + 0.1, NOW + 0.05)
    assert not prepared.counts(NOW + 1.0, -inf)


def test_what_is_assigned_is_put_right_after_every_connection_but_not_twice_a_second() -> None:
    core = writer()
    assert kinds(decide.reassert(core, NOW + 0.5)) == []
    change = only(decide.reassert(core, NOW + 1.5), Change)
    assert isinstance(change, Change)
    assert change.how is How.PUT_RIGHT
    assert decide.reassert(idle(), NOW)[1] == ()


def test_bad_roles_are_cleared_after_the_change_that_is_made() -> None:
    core, _ = decide.ordered(idle(), order(WRITER), NOW)
    core, actions = decide.clear(core, 7, NOW)
    assert actions == ()
    core, actions = lease_watch.changed(core, DONE, NOW + 1)
    assert only((core, actions), Change) == Change(How.CLEAR, core.status, core.past)
    step = lease_watch.changed(core, Changed(Outcome(removed=2)), NOW + 2)
    assert step[1] == (AnswerClear(7, Outcome(removed=2)),)


def test_readers_are_renewed_as_long_as_a_neighbour_is_heard() -> None:
    core = writer(also=(READER,))
    core, actions = look(core, NOW + 3.0)
    assert Renew((READER,)) in actions
    silent = look(replace(core, held=core.held.ended()), NOW + 20.0)
    assert not any(isinstance(each, Renew) for each in silent[1])


def test_nothing_is_begun_by_an_agent_that_ends() -> None:
    core = decide.close(writer())
    assert decide.look_after(core, NOW + 5)[1] == ()
    assert not any(
        isinstance(each, Change) for each in decide.ordered(core, order(token=NOW + 5), NOW + 5)[1]
    )


def test_a_promise_binds_and_is_refused_where_the_monitor_says_that_another_has_the_role() -> None:
    core, why = lease_watch.promise(idle(), AskedPromise("db2", 10.0, "t"), NOW)
    assert (why, core.held.bound(NOW)) == (None, True)
    assert refused(idle(), "db9", NOW) == (NO_PROMISE, "db9 is no other host of role writer")
    assert refused(writer(), "db2", NOW + 6) == (TAKEN, "this host holds the role itself")
    assert refused(writer(), "db2", NOW + 1)[0] == TAKEN, "the monitor has said so just now"


def refused(core: Core, holder: str, now: float) -> tuple[str, str]:
    """Return the code and the words by which a promise is refused."""
    _, why = lease_watch.promise(core, AskedPromise(holder, 10.0), now)
    assert why is not None
    return why.code, why.text


def contested(core: Core, now: float) -> Core:
    """Return the state once another MAC has claimed the VIP and others were asked for that."""
    core, asks = lease_watch.claimed(core, WRITER.ip, now)
    assert asks
    core, actions = look(core, now)
    assert actions == (AskPromises(now, core.held.token(now), ("db2",)),)
    return core


@pytest.mark.parametrize("length", [10.0, inf])
def test_who_hears_that_another_has_the_role_gives_it_up_at_once_whatever_is_left_of_its_lease(
    length: float,
) -> None:
    asked = NOW + 1.0
    core = contested(writer(grant=Grant(length, NOW)), asked)
    core, actions = lease_watch.outdone(core, asked, "db2, which answers", asked + 0.1)
    assert [type(each) for each in actions] == [Outdone, Deny, EndAnnouncing, Unbind]
    assert not core.held.lease.holds(asked + 0.1)
    core = lease_watch.unbound(lease_watch.denied(core, "", asked + 0.2)[0], asked + 0.2)[0]
    old, new = (decide.ordered(core, order(WRITER, token=asked + by), asked + 0.3)[1] for by in (-0.1, 0.2))
    assert isinstance(old[0], Answer), "it was sent before the other host had the role, and lay in a buffer"
    assert any(isinstance(each, Change) for each in new), "the monitor has decided meanwhile"
    assert lease_watch.promise(core, AskedPromise("db2", 10.0), asked + 0.3)[1] is None, "it believes it"


def test_a_stranger_that_claims_the_vip_is_answered_once_the_others_have_promised() -> None:
    core = contested(writer(length=10.0, grant=Grant(10.0, NOW)), NOW + 1.0)
    assert lease_watch.claimed(core, WRITER.ip, NOW + 1.5) == (core, True), "it was asked about just now"
    core, actions = lease_watch.promised(core, NOW + 1.0, NOW + 1.1)
    assert SayAgain((WRITER,)) in actions
    assert core.held.left(NOW + 1.0) == 10.0
    assert not lease_watch.is_due(core, NOW + 1.2)


def test_a_claim_that_nobody_knows_about_is_answered_and_asked_about_again() -> None:
    core = contested(writer(length=10.0, grant=Grant(10.0, NOW)), NOW + 1.0)
    core, actions = lease_watch.not_promised(core, NOW + 1.0, NOW + 1.5)
    assert actions == (SayAgain((WRITER,)),)
    assert core.held.lease.holds(NOW + 1.5)
    core, actions = look(core, NOW + 2.5)
    assert [type(each) for each in actions] == [AskPromises]


def test_who_has_just_taken_the_role_from_a_silent_host_is_sure_of_it() -> None:
    taken = Order(1, Status("ONLINE", (WRITER,), "db1", probe=PROBE_STOP), Grant(10.0, NOW))
    core, _ = decide.ordered(idle(), taken, NOW)
    core = lease_watch.changed(core, DONE, NOW)[0]
    assert lease_watch.claimed(core, WRITER.ip, NOW + 1.0) == (core, False)
    assert lease_watch.asked_by_rival(core, NOW + 1.0) is core
    assert lease_watch.stood(core, 5.0, NOW + 1.0) is not None, "but for its own clocks"


def test_only_a_writer_with_a_lease_asks_when_its_clocks_or_another_host_contradict_it() -> None:
    core = writer(length=10.0, grant=Grant(10.0, NOW))
    assert lease_watch.claimed(core, READER.ip, NOW + 1.0) == (core, False)
    assert lease_watch.stood(core, 0.01, NOW + 1.0) is None
    for nobody in (idle(), writer(grant=None), core):
        assert lease_watch.stood(nobody, -3600.0, NOW + 11.0) is None
        assert lease_watch.claimed(nobody, WRITER.ip, NOW + 11.0) == (nobody, False)
    waits = lease_watch.asked_by_rival(core, NOW + 1.0)
    assert look(waits, NOW + 1.0)[1] == (), "the other one is the first to give up"
    assert any(isinstance(each, AskPromises) for each in look(waits, NOW + 1.5)[1])


@pytest.mark.parametrize("length", [1.0, 3.0, 10.0, 60.0])
def test_the_simulation_skips_no_look_that_would_find_something(length: float) -> None:
    core = writer(length=length, grant=Grant(length, NOW))
    for part in range(100):
        now = NOW + part * length / 100
        rests = replace(core, watch=replace(core.watch, renewed=now))  # readers are renewed besides
        if lease_watch.is_due(rests, now):
            assert next_look(rests, now) <= lease_watch.pause(rests, now)
        else:
            moment = now + next_look(rests, now) - 1e-6
            assert moment > now
            assert not lease_watch.is_due(replace(rests, watch=replace(core.watch, renewed=moment)), moment)
