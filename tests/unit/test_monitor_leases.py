"""Who is granted the active master role for how long, and when it may go elsewhere (rule 11.1)."""

from dataclasses import replace

import pytest

from mmm.agent.decide.lease_watch import asks_at
from mmm.config.agreement import writer_hosts
from mmm.lease.rules import (
    FOREVER,
    NOTHING,
    PROBING,
    Outstanding,
    margin,
)
from mmm.monitor.act import status_file
from mmm.monitor.apply.apply import apply
from mmm.monitor.command import command_result
from mmm.monitor.command.preflight import PROMPT, Looked
from mmm.monitor.decide import leases
from mmm.monitor.decide.found import Found, Stored
from mmm.monitor.decide.reconcile import wanted
from mmm.monitor.decide.startup import start
from mmm.monitor.world.checks import CheckStatus
from mmm.monitor.world.events import Answer, Answered, Killed, VipLooked
from mmm.monitor.world.host import Opinion, State
from mmm.monitor.world.leadership import Leadership, Place
from mmm.monitor.world.link import (
    Kind,
    Silence,
    Token,
)
from mmm.monitor.world.move import Move
from mmm.monitor.world.orders import LookForVip, Order, Tell
from mmm.monitor.world.world import Mode, World
from mmm.wire.lead import CONF as CONF_DIFFERS
from mmm.wire.status import HAND_OVER_LIMIT, PROBE_STOP, LeaseOffer, Status
from mmm.wire.why import LEASE_OVER, PROMISED, STALE
from tests import commanding
from tests.unit.worlds import (
    NOW,
    WRITER,
    checks,
    cluster,
    show,
    take_turn,
    told_at,
    unreachable,
    with_agent,
    with_host,
    world,
)

LENGTH = 10.0
CONF = replace(cluster(readers=0, slaves=0, split_brain_guard=True, failover_block=0), vip_lease=LENGTH)


def answered(
    before: World, order: Order, how: Answer = Answer.OK, now: float = NOW, *, halting: bool = False
) -> World:
    assert isinstance(order, Tell)
    spoken = how in (Answer.OK, Answer.ERROR)
    token = f"boot.{now}" if spoken else ""
    closed = how is Answer.REFUSED
    uptime = 500.0 if spoken else None
    said = Answered(order.host, order.number, how, "", uptime, token, closed, halting=halting)
    return apply(before, said, now)


def rest(
    before: World, now: float, deaf: tuple[str, ...] = (), halting: tuple[str, ...] = ()
) -> tuple[World, list[Tell]]:
    """Let every agent but the deaf answer OK until nothing is left to say."""
    given = []
    for _ in range(20):
        before, orders = take_turn(before, now)
        told = [order for order in orders if isinstance(order, Tell)]
        given += told
        if not told:
            return before, given
        for order in told:
            how = Answer.SILENT if order.host in deaf else Answer.OK
            before = answered(before, order, how, now, halting=order.host in halting)
    raise AssertionError(given)


def quiet(now: float = NOW) -> World:
    return rest(world({WRITER: "db1"}, conf=CONF), now + 3.0)[0]


def cut_off(before: World, name: str, now: float) -> World:
    """Return the world in which nothing reaches the host, the others neither."""
    return with_host(before, name, checks=checks(ping=now, mysql=now), opinion=Opinion(now, known=True))


@pytest.mark.parametrize("length", [2.0, 3.0, 4.0, 5.0, 6.0, 10.0, 60.0])
def test_an_order_to_let_go_waits_no_longer_than_its_holder_asks_nobody(length: float) -> None:
    """By then the others may have been told who is to have the role: it would hear so, and give it up."""
    before = quiet()
    begun = replace(before, conf=replace(before.conf, vip_lease=length))
    least = 0.65 if length < 5 else 0.5  # a quarter went by since the last order, and its token was not new
    for left in (least * length, 0.75 * length, length):
        until = NOW + left
        waits = leases.spare(with_agent(begun, "db1", given=Outstanding(until, until)), "db1", NOW)
        assert 0 < waits < left - asks_at(length)


def test_an_order_without_a_lease_to_lose_waits_for_as_long_as_any() -> None:
    assert leases.spare(quiet(), "db2", NOW) == FOREVER
    assert leases.spare(world({WRITER: "db1"}), "db1", NOW) == FOREVER


def test_an_agent_is_asked_for_a_token_before_it_is_granted_anything() -> None:
    _, orders = rest(world({WRITER: "db1"}, conf=CONF), NOW + 3.0)
    first, second = (order for order in orders if order.host == "db1")
    assert (first.greet, first.lease) == (True, None)
    assert second.lease is not None
    assert (second.lease.length, second.lease.token) == (LENGTH, f"boot.{NOW + 3.0}")


def test_a_lease_without_an_end_can_be_granted_once_nothing_is_under_way() -> None:
    """A monitor that is stopped waits for that: a grant on the heels of an order would be refused, or void."""
    calm = quiet()
    assert leases.is_at_rest(calm)
    assert leases.farewell(calm) is not None
    renewing, orders = take_turn(calm, NOW + 3.0 + LENGTH / leases.HEARTBEATS)
    assert (leases.is_at_rest(renewing), leases.farewell(renewing)) == (False, None)
    assert leases.is_at_rest(cut_off(renewing, "db1", NOW)), "it will not answer"
    order = next(order for order in orders if isinstance(order, Tell) and order.host == "db1")
    assert leases.is_at_rest(answered(renewing, order, now=NOW + 6.0))
    moving = replace(calm, move=Move(WRITER, "db1", "db2"))
    assert not leases.is_at_rest(moving)
    assert not leases.is_at_rest(replace(calm, forced="db2")), "it is to take the role, and was not told"


def test_the_holder_is_renewed_several_times_in_a_lease() -> None:
    after, orders = take_turn(quiet(), NOW + 3.0 + LENGTH / leases.HEARTBEATS)
    assert [order.host for order in orders] == ["db1"]
    assert after.hosts["db1"].agent.given.until == NOW + 3.0 + LENGTH


@pytest.mark.parametrize("classic", [False, True])
def test_a_role_goes_elsewhere_when_the_lease_has_run_out_with_its_margin_and_not_before(
    *, classic: bool
) -> None:
    """What a new holder asks on the wire first is the end of the margin; a classic one asks nothing."""
    begun = NOW + 3.0
    before, _ = take_turn(cut_off(quiet(), "db1", begun), begun)
    before = with_agent(
        apply(before, Killed("db1", "no such program"), begun),
        "db2",
        kind=Kind.UNLEASED if classic else Kind.LEASED,
    )
    told = begun + LENGTH + margin(LENGTH) - (0.0 if classic else PROBING)
    early, orders = take_turn(before, told - 0.1)
    assert early.owner[WRITER] == "db2"
    moment = leases.next_run_out(early, told - 0.1)
    assert moment == pytest.approx(told)
    assert leases.next_run_out(quiet(), begun) == leases.next_run_out(early, moment) == FOREVER
    assert not any(WRITER in order.status.vips for order in orders if isinstance(order, Tell))
    late, orders = take_turn(with_agent(early, "db2", in_flight=None, token=Token("boot.1", told)), moment)
    (taken,) = (order for order in orders if isinstance(order, Tell) and WRITER in order.status.vips)
    assert (taken.host, taken.status.probe) == ("db2", PROBE_STOP)
    assert late.hosts["db1"].agent.may_hold == frozenset()


def test_nobody_is_asked_on_the_wire_for_a_role_without_an_address_so_the_whole_margin_is_waited_for() -> (
    None
):
    begun = NOW + 3.0
    before = quiet()
    role = replace(before.conf.roles["writer"], vip_via="health")
    before = replace(before, conf=replace(before.conf, roles={**before.conf.roles, "writer": role}))
    before, _ = take_turn(cut_off(before, "db1", begun), begun)
    before = apply(before, Killed("db1", "no such program"), begun)
    told = begun + LENGTH + margin(LENGTH)
    early, _ = take_turn(before, told - 0.1)
    assert leases.next_run_out(early, told - 0.1) == pytest.approx(told)
    gone = with_host(early, "db1", checks=checks(mysql=begun))
    assert leases.to_look_for(gone, "db1", told) is None


@pytest.mark.parametrize("silent", [False, True])
def test_the_log_of_a_host_is_asked_for_though_its_lease_ran_out_over_an_order(*, silent: bool) -> None:
    """So a frozen server may have it; a host that nothing reaches would only be waited for."""
    begun = NOW + 3.0
    frozen = with_host(quiet(), "db1", checks=checks(mysql=begun), opinion=Opinion(begun, known=True))
    before, orders = take_turn(frozen, begun)
    assert [order.host for order in orders if isinstance(order, Tell)] == ["db1"]
    if silent:
        before = cut_off(before, "db1", begun + 1)
    given = rest(before, begun + LENGTH + margin(LENGTH))[1]
    assert _taking(given).host == "db2"
    assert _taking(given).status.salvage == ("" if silent else "db1")


def test_an_order_that_is_refused_for_its_token_is_repeated_at_once_with_the_new_one() -> None:
    """As by an agent that was started since it gave the old one; the second refusal is one."""
    begun = NOW + 30.0
    before, orders = take_turn(with_agent(quiet(), "db2", token=Token("boot.1", begun)), begun)
    (order,) = (each for each in orders if each.host == "db2" and isinstance(each, Tell))
    refusal = Answered("db2", order.number, Answer.ERROR, "ERROR", 1.0, "boot.2", why=STALE)
    refused = apply(before, refusal, begun)
    assert refused.hosts["db2"].agent.refusal == ""
    after, orders = take_turn(refused, begun)
    (again,) = (each for each in orders if each.host == "db2" and isinstance(each, Tell))
    assert again.status == order.status
    assert again.lease is not None
    assert again.lease.token == "boot.2"
    twice = apply(after, replace(refusal, number=again.number, token="boot.3"), begun)
    assert twice.hosts["db2"].agent.refusal == "ERROR"


def test_an_order_that_is_refused_for_a_promise_comes_again_the_moment_that_is_over() -> None:
    """With a lease of a second the next heartbeat would be up to half a second later."""
    begun, left = NOW + 30.0, LENGTH / leases.HEARTBEATS / 2
    before, orders = take_turn(with_agent(quiet(), "db2", token=Token("boot.1", begun)), begun)
    (order,) = (each for each in orders if each.host == "db2" and isinstance(each, Tell))
    refusal = Answered(
        "db2", order.number, Answer.ERROR, "ERROR", 1.0, "boot.2", why=PROMISED, promised_for=left
    )
    refused = apply(before, refusal, begun)
    early, orders = take_turn(refused, begun + left - 0.01)
    assert [each for each in orders if each.host == "db2"] == []
    after, orders = take_turn(early, begun + left)
    assert [each.host for each in orders if isinstance(each, Tell)].count("db2") == 1
    assert after.hosts["db2"].agent.orders.again is None


def test_an_order_whose_lease_was_over_before_it_was_done_is_repeated_at_once_with_a_young_token() -> None:
    begun = NOW + 30.0
    before, order = quiet().with_owner({WRITER: "db2"}), None
    while order is None:
        before, orders = take_turn(before, begun)
        for each in orders:
            if isinstance(each, Tell) and each.status.vips and not each.greet:
                order = each
            else:
                before = answered(before, each, now=begun)
    for token in (
        "boot.7",
        "boot.8",
        "boot.9",
    ):  # it gets further each time: to catch up, to allow writes, to bind
        late = Answered("db2", order.number, Answer.ERROR, "ERROR", 500.0, token, why=LEASE_OVER)
        before, orders = take_turn(apply(before, late, begun + 1.0), begun + 1.0)
        (again,) = (each for each in orders if each.host == "db2" and isinstance(each, Tell))
        assert again.status == order.status
        assert again.lease is not None
        assert again.lease.token == token
        order = again
    last = Answered("db2", order.number, Answer.ERROR, "ERROR", 500.0, "boot.99", why=LEASE_OVER)
    assert apply(before, last, begun + 1.0).hosts["db2"].agent.refusal == "ERROR"


def test_a_move_whose_old_holder_never_answers_ends_when_its_lease_has_run_out_and_is_not_called_done() -> (
    None
):
    result = commanding.run(quiet(), ["move_role", "writer", "db2"], NOW + 3.0, pinged=True, looked=Looked())
    assert result is not None
    assert result.awaits is not None
    after, orders = take_turn(result.world, NOW + 3.0)
    assert [order.host for order in orders] == ["db1"]
    assert command_result.outcome(after, result.awaits) is None
    after, _ = rest(after, NOW + 3.0 + LENGTH + margin(LENGTH))
    assert after.hosts["db2"].agent.may_hold == {WRITER}
    assert after.move is None
    said = command_result.outcome(after, result.awaits)
    assert said is not None
    assert str(said).startswith("ERROR: writer is on db2, but db1 has not confirmed that it let go")


def test_a_role_that_was_let_go_in_order_is_taken_without_asking_on_the_wire() -> None:
    begun = NOW + 3.0
    moving = quiet().with_owner({WRITER: "db2"})
    after, orders = rest(moving, begun)
    assert after.hosts["db2"].agent.may_hold == {WRITER}
    assert not any(order.status.probe for order in orders)


def without_agent(before: World, now: float) -> World:
    """Return the world in which the agent of db1 has been killed, which a renewal has found."""
    before, orders = take_turn(before, now)
    for order in orders:
        if isinstance(order, Tell):
            before = answered(before, order, Answer.REFUSED if order.host == "db1" else Answer.OK, now)
    assert before.hosts["db1"].agent.closed
    return before


def test_a_host_whose_agent_was_killed_has_the_role_no_longer_than_its_lease() -> None:
    """A port that refuses says nothing of the VIP: only a grant without an end has left it there for good."""
    begun = NOW + 6.0
    before = without_agent(quiet(), begun)
    assert before.hosts["db1"].agent.given.until == NOW + 3.0 + LENGTH
    before, _ = take_turn(cut_off(before, "db1", begun + 1.0), begun + 1.0)
    before = apply(before, Killed("db1", "no such program"), begun + 1.0)
    before, orders = rest(before, begun + 2.0)
    assert not any(WRITER in order.status.vips for order in orders)
    after, _ = rest(before, NOW + 3.0 + LENGTH + margin(LENGTH))
    assert after.hosts["db2"].agent.may_hold == {WRITER}


def test_an_agent_that_is_being_stopped_is_granted_the_role_for_good_at_once() -> None:
    begun = NOW + 6.0
    before, orders = take_turn(quiet(), begun)
    (order,) = (each for each in orders if each.host == "db1")
    assert isinstance(order, Tell)
    leaving = Answered("db1", order.number, Answer.OK, "", 500.0, "boot.9", leaving=True)
    before, orders = take_turn(apply(before, leaving, begun), begun)
    (stay,) = (each for each in orders if each.host == "db1")
    assert isinstance(stay, Tell)
    assert stay.lease == LeaseOffer(FOREVER, "boot.9")
    gone = answered(before, stay, Answer.REFUSED, begun + 0.1)
    assert gone.hosts["db1"].agent.given.until == FOREVER, "it may have obeyed, and its answer be lost"
    before = answered(before, stay, now=begun + 0.1)
    assert not any(order.host == "db1" for order in take_turn(before, begun + 0.2)[1]), "once is enough"
    back, _ = rest(before, begun + 3.0)
    assert back.hosts["db1"].agent.given.until < FOREVER, "it runs again: its lease ends again"


def test_a_host_that_pings_without_server_and_agent_has_not_got_a_vip_that_nothing_answers_for() -> None:
    begun = NOW + 3.0
    refused = replace(checks(mysql=begun)["mysql"], refused=True)
    before = with_host(quiet(), "db1", checks={**checks(), "mysql": refused})
    looks = []
    for _ in range(8):
        before, orders = take_turn(before, begun + 0.1)
        for order in orders:
            if isinstance(order, LookForVip):
                looks.append(order)
            elif isinstance(order, Tell):
                how = Answer.REFUSED if order.host == "db1" else Answer.OK
                before = answered(before, order, how, begun + 0.1)
            else:
                before = apply(before, Killed(order.host, "no such program"), begun + 0.1)
    assert looks == [LookForVip("db1", WRITER)]
    before = apply(before, VipLooked("db1", WRITER, absent=True), begun + 0.2)
    assert (before.hosts["db1"].agent.given, before.hosts["db1"].agent.may_hold) == (NOTHING, frozenset())


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.MANUAL, Mode.WAIT])
@pytest.mark.parametrize(
    "state", [State.ONLINE, State.ADMIN_OFFLINE, State.REPLICATION_FAIL, State.AWAITING_RECOVERY]
)
def test_a_lease_has_an_end_in_every_mode_while_the_other_hosts_agent_can_promise(
    mode: Mode, state: State
) -> None:
    """Else a holder that loses power then would be waited for by a standby that is set online later."""
    after, _ = rest(world({WRITER: "db1"}, {"db2": state}, CONF, mode), NOW + 3.0)
    assert after.hosts["db1"].agent.given.until == NOW + 3.0 + LENGTH


def able_to_promise(name: str, **changes: object) -> World:
    return with_agent(world({WRITER: "db1"}, conf=CONF), name, **changes)


@pytest.mark.parametrize(
    "before",
    [
        unreachable(world({WRITER: "db1"}, conf=CONF), "db2"),
        able_to_promise("db2", kind=Kind.UNLEASED),
        able_to_promise("db2", differs=("vip_lease",)),
        with_host(
            world({WRITER: "db1"}, {"db2": State.HARD_OFFLINE}, CONF),
            "db2",
            checks=checks(ping=NOW, mysql=NOW),
        ),
        world(
            {WRITER: "db1"},
            conf=replace(CONF, roles={"writer": replace(CONF.roles["writer"], hosts=("db1",))}),
        ),
    ],
    ids=["agent away", "agent of the Perl MMM", "another conf", "host away", "no other host"],
)
def test_a_lease_has_no_end_where_nobody_could_promise_that_it_goes_on(before: World) -> None:
    """The monitor's death alone would take the role from a holder that is well."""
    before = with_agent(before, "db1", token=Token("boot.1", NOW + 4.0), ended=None)
    order = leases.with_lease(before, Tell("db1", 5, wanted(before, "db1", NOW + 4.0)), NOW + 4.0)
    assert order.lease is not None
    assert order.lease.length == FOREVER


def test_an_answer_without_a_token_is_of_an_agent_that_holds_what_it_was_sent_for_good() -> None:
    """An agent of the Perl MMM that took the place of ours between two heartbeats obeys an order with a lease."""
    begun = NOW + 3.0 + LENGTH / leases.HEARTBEATS
    before, (order,) = take_turn(quiet(), begun)
    assert isinstance(order, Tell)
    assert before.hosts["db1"].agent.given.until == NOW + 3.0 + LENGTH
    for how in (Answer.OK, Answer.ERROR):
        after = apply(before, Answered("db1", order.number, how, "", 500.0), begun)
        assert (after.hosts["db1"].agent.given.until, after.hosts["db1"].agent.about.classic) == (
            FOREVER,
            True,
        )


def test_the_first_lease_has_an_end_though_the_other_host_has_not_answered_yet() -> None:
    before = quiet()
    for (
        name
    ) in CONF.hosts:  # as after a start: the status file and the agents say ONLINE, nothing was told yet
        before = with_agent(before, name, told=None, ended=None)
    after, orders = take_turn(before, NOW + 4.0)
    grant = next(order.lease for order in orders if isinstance(order, Tell) and order.host == "db1")
    assert grant is not None
    assert grant.length == LENGTH
    assert after.hosts["db1"].agent.given.confirms < FOREVER


def test_a_role_leaves_a_host_whose_machine_goes_down_as_it_does_by_the_admins_order() -> None:
    begun = NOW + 4.0
    halts = with_agent(quiet(), "db1", halting=True)
    before, _ = take_turn(halts, begun)
    assert before.owner[WRITER] == "db2"
    assert before.move is not None
    after, orders = rest(told_at(halts, "db1", None), begun, halting=("db1",))
    moved = [each.host for each in orders if (WRITER in each.status.vips) is (each.host == "db2")]
    assert moved[:2] == ["db1", "db2"], "it lets go, and then the other host takes the role"
    assert "db1" in [each.host for each in orders[orders.index(_taking(orders)) + 1 :]], (
        "it is needed no more"
    )
    assert (after.failed_over, after.move) == (None, None)


class HandOver:
    """The writer's machine goes down; time goes by in turns of 0.25 s, and the next writer takes its time."""

    def __init__(self) -> None:
        self.now = NOW + 4.0
        self.world = with_agent(quiet(), "db1", halting=True)
        self.taking: Tell | None = None
        self.told: list[tuple[float, Tell]] = []
        """What db1 is ordered once it has let go, with when that is, in seconds after it."""
        self._let_go: float | None = None

    def run(self, seconds: float) -> None:
        """Let agents answer OK for that long, but db2 not to the order to take the role."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.25
            for _ in range(8):
                self.world, orders = take_turn(self.world, self.now)
                for order in (each for each in orders if isinstance(each, Tell)):
                    self._obey(order)

    def _obey(self, order: Tell) -> None:
        if order.host == "db2" and WRITER in order.status.vips and not order.greet:
            self.taking = order
            return
        if order.host == "db1" and self._let_go is not None and not order.greet:
            self.told.append((self.now - self._let_go, order))
        self.world = answered(self.world, order, now=self.now, halting=order.host == "db1")
        if order.host == "db1" and self._let_go is None and not order.status.vips:
            self._let_go = self.now


def handing_over() -> HandOver:
    """Return the hand-over 8 s after db1 has let go, while db2 is still catching up."""
    over = HandOver()
    over.run(8.0)
    assert over.taking is not None, "db2 is told to take the role"
    return over


def test_a_machine_that_goes_down_is_told_nothing_while_the_next_writer_gets_what_it_lacks() -> None:
    """Its agent takes the next order for the word that its server is needed no more."""
    over = handing_over()
    assert not over.told
    assert over.taking is not None
    over.world = answered(over.world, over.taking, now=over.now)
    over.run(0.5)
    (told,) = over.told
    assert told[0] < 8.5


def test_what_else_changes_meanwhile_does_not_end_the_hand_over() -> None:
    over = handing_over()
    over.world = with_host(over.world, "db1", checks=checks(rep_threads=over.now))
    over.run(2.0)
    assert over.world.hosts["db1"].state is not State.ONLINE
    over.world = over.world.with_owner({WRITER: None})
    over.run(0.5)
    assert not over.told, "another host may take the role yet"


def test_a_hand_over_ends_in_time_where_the_next_writer_says_nothing() -> None:
    over = handing_over()
    over.run(HAND_OVER_LIMIT - 7.75)
    (told,) = over.told
    assert told[0] == HAND_OVER_LIMIT


def _taking(orders: list[Tell]) -> Tell:
    return next(each for each in orders if each.host == "db2" and WRITER in each.status.vips and each.lease)


@pytest.mark.parametrize("mode", [Mode.MANUAL, Mode.PASSIVE])
def test_a_role_stays_at_a_host_whose_machine_goes_down_where_roles_do_not_move_by_themselves(
    mode: Mode,
) -> None:
    halts = replace(with_agent(quiet(), "db1", halting=True), mode=mode)
    assert take_turn(halts, NOW + 4.0)[0].owner[WRITER] == "db1"


@pytest.mark.parametrize("other", [{"halting": True}, {"failure": Silence("", None, unreachable=True)}])
def test_a_role_that_nobody_else_can_take_has_a_lease_that_ends_where_its_machine_goes_down(
    other: dict[str, object],
) -> None:
    halts = with_agent(with_agent(quiet(), "db1", halting=True), "db2", **other)
    after, orders = rest(told_at(halts, "db1", None), NOW + 4.0, deaf=("db2",), halting=("db1",))
    assert after.owner[WRITER] == "db1"
    grants = [each.lease.length for each in orders if each.host == "db1" and each.lease is not None]
    assert grants
    assert set(grants) == {LENGTH}


def test_the_role_leaves_a_host_that_refuses_it_for_its_conf_and_is_without_it() -> None:
    begun = NOW + 4.0
    before, orders = take_turn(told_at(quiet(), "db1", None), begun)
    (order,) = (each for each in orders if isinstance(each, Tell) and each.host == "db1")
    assert order.lease is not None
    refused = Answered(
        "db1", order.number, Answer.ERROR, "ERROR", 500.0, "b.9", why=CONF_DIFFERS, differs=("hosts",)
    )
    holds, _ = rest(apply(before, refused, begun), begun)
    assert holds.owner[WRITER] == "db1", "what is left of its lease it keeps"
    without = apply(before, replace(refused, without=True), begun)
    assert "writer" not in next(line for line in show(without).splitlines() if line.startswith("  db1"))
    assert without.hosts["db1"].agent.given == NOTHING
    other = with_agent(without, "db2", differs=("hosts",))
    assert take_turn(other, begun)[0].owner[WRITER] == "db1", "the other one would refuse it too"
    after, told = rest(without, begun)
    assert after.owner[WRITER] == "db2"
    assert any(each.host == "db2" and WRITER in each.status.vips for each in told)


@pytest.mark.parametrize(("why", "grants"), [(CONF_DIFFERS, False), ("another", True)])
def test_an_order_that_an_agent_refuses_for_its_conf_has_granted_nothing(why: str, *, grants: bool) -> None:
    """As where both agents still have the conf from before: the other one cannot promise, so it has no end."""
    before = with_agent(quiet(), "db2", differs=("vip_lease",))
    given = before.hosts["db1"].agent.given
    sent, orders = take_turn(with_agent(before, "db1", token=Token("boot.9", NOW + 6.0)), NOW + 6.0)
    (order,) = (each for each in orders if isinstance(each, Tell) and each.host == "db1")
    assert sent.hosts["db1"].agent.given.until == FOREVER
    refused = Answered("db1", order.number, Answer.ERROR, "ERROR", 500.0, "boot.10", why=why)
    after = apply(sent, refused, NOW + 6.0).hosts["db1"].agent
    assert after.given.until == (FOREVER if grants else given.until)


def test_passive_mode_begins_with_a_lease_without_an_end_and_says_nothing_more() -> None:
    passive = replace(quiet(), mode=Mode.PASSIVE)
    passive, orders = take_turn(passive, NOW + 4.0)
    (order,) = orders
    assert isinstance(order, Tell)
    assert (order.host, order.lease and order.lease.length) == ("db1", FOREVER)
    passive = answered(passive, order)
    assert take_turn(passive, NOW + 60.0)[1] == ()


def test_agents_without_tokens_hold_what_they_are_told_for_good() -> None:
    before, orders = take_turn(world({WRITER: "db1"}, conf=CONF), NOW + 3.0)
    for order in orders:
        before = apply(
            before, Answered(order.host, getattr(order, "number", 0), Answer.OK, "", 5.0), NOW + 3.0
        )
    before, orders = take_turn(before, NOW + 3.0)
    assert all(isinstance(order, Tell) and order.lease is None for order in orders)
    assert before.hosts["db1"].agent.given.until == FOREVER


def test_the_status_file_tells_a_monitor_that_restarts_what_was_granted() -> None:
    text = status_file.encode(quiet())
    hosts = writer_hosts(CONF)
    assert text == f"db1|ONLINE|{WRITER}|finite:10:{hosts}\ndb2|ONLINE|\n"
    stored, warnings = status_file.decode(text)
    assert (stored["db1"], warnings) == (Stored("ONLINE", (WRITER,), "finite", length=10.0, hosts=hosts), ())
    found = {name: Found(stored[name]) for name in CONF.hosts}
    seen = {name: dict.fromkeys(checks(), CheckStatus()) for name in CONF.hosts}
    again = start(CONF, seen, found, NOW).world
    assert again.hosts["db1"].agent.given == Outstanding(NOW + LENGTH, NOW + LENGTH)
    assert again.hosts["db2"].agent.given == Outstanding(NOW + LENGTH, NOW + LENGTH)
    shorter = start(
        replace(CONF, vip_lease=3.0), seen, found, NOW
    ).world  # the host may have the longer one still
    assert shorter.hosts["db1"].agent.given == Outstanding(NOW + LENGTH, NOW + LENGTH)
    twice, _ = status_file.decode(status_file.encode(shorter))  # nor is that forgotten at one more start
    assert twice["db1"].length == LENGTH
    confirmed, _ = rest(shorter, NOW + 3.0)
    assert confirmed.hosts["db1"].agent.granted_before == 0.0
    unknown = start(CONF, seen, {**found, "db1": Found(Stored("ONLINE", (WRITER,)))}, NOW).world
    assert unknown.hosts["db1"].agent.given.until == FOREVER


@pytest.mark.parametrize("name", ["db1", "db2"])
def test_no_move_is_begun_while_an_agent_has_not_answered_the_last_order(name: str) -> None:
    begun = NOW + 30.0
    before, orders = take_turn(told_at(quiet(), name, None), begun)
    for order in orders:
        if order.host != name:
            before = answered(before, order, now=begun)
    assert before.hosts[name].agent.in_flight is not None

    def answer(now: float) -> str:
        result = commanding.run(before, ["move_role", "writer", "db2"], now, pinged=True, looked=Looked())
        assert result is not None
        return result.text

    assert answer(begun + PROMPT / 2).startswith("OK")
    assert f"the agent of {name} has not answered the last order" in answer(begun + 4.0)


def test_no_lease_without_an_end_is_granted_that_the_status_file_does_not_tell_of() -> None:
    """Where it cannot be written, a monitor that dies and starts would wait for a lease that ends."""
    endless = Tell("db1", 5, Status("ONLINE", (WRITER,), "db1"), lease=LeaseOffer(FOREVER, "boot.1"))
    behind, told = f"db1|ONLINE|{WRITER}|finite\n", f"db1|ONLINE|{WRITER}|forever\n"
    assert status_file.as_recorded(behind, endless, LENGTH) == replace(
        endless, lease=LeaseOffer(LENGTH, "boot.1")
    )
    assert status_file.as_recorded(told, endless, LENGTH) == endless
    ends = replace(endless, lease=LeaseOffer(LENGTH, "boot.1"))
    assert status_file.as_recorded("", ends, LENGTH) == ends


def leaving(held: frozenset[str], *differs: str) -> World:
    """The world of a monitor that leads two, in which the agent of the writer, just told, is being stopped."""
    conf = replace(CONF, monitors=("127.0.0.1", "127.0.0.2"), voters=("db1", "db2"), lead_lease=LENGTH)
    lead = Leadership(Place.LEADS, held=held, sure_until=FOREVER)
    before = replace(world({WRITER: "db1"}, conf=conf), leadership=lead)
    given = Outstanding(NOW + LENGTH, NOW + LENGTH)
    before = with_agent(told_at(before, "db2", NOW), "db1", given=given, leaving=True, differs=differs)
    return with_agent(before, "db1", token=Token("boot.9", NOW), ended=NOW)


def to_db1(before: World, now: float) -> list[Tell]:
    return [each for each in take_turn(before, now)[1] if isinstance(each, Tell) and each.host == "db1"]


def test_an_agent_that_is_being_stopped_is_told_with_a_pause_until_its_lease_without_an_end_is_on_record() -> (
    None
):
    """It was sent order upon order, each granting what it had."""
    assert to_db1(leaving(frozenset()), NOW) == []
    (again,) = to_db1(leaving(frozenset()), NOW + leases.LEAVES_AGAIN)
    assert again.lease == LeaseOffer(LENGTH, "boot.9")
    (granted,) = to_db1(leaving(frozenset({"db1"})), NOW)
    assert granted.lease == LeaseOffer(FOREVER, "boot.9")


def test_one_that_refuses_it_for_its_conf_is_told_no_sooner_than_any_other() -> None:
    before = leaving(frozenset({"db1"}), "hosts")
    assert to_db1(before, NOW + LENGTH / 4 - 0.1) == []
    assert to_db1(before, NOW + LENGTH / 4)
