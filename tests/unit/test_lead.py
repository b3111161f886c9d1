"""Whose orders an agent obeys: the rules, what they look like on the wire, and what a monitor makes of a refusal."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.agent.act.authority import Authority
from mmm.lease.lead import Following, Lead, authority, silence
from mmm.monitor.apply.apply import apply
from mmm.monitor.decide import leases
from mmm.monitor.report.log_lines import between
from mmm.monitor.world.events import Answer, Answered
from mmm.monitor.world.orders import Order, Tell
from mmm.monitor.world.world import Mode, World
from mmm.network.listener import Peer
from mmm.wire import agent as wire
from mmm.wire.lead import FREE, OTHER_MONITOR, follows_field, lead_of, signed_by, stranger_field
from mmm.wire.status import Status, ordered_status, set_status
from tests.commanding import run
from tests.unit.worlds import NOW, cluster, show, take_turn, world

FIRST = Lead(0, "10.0.0.8:9988", "a1")
AGAIN = Lead(0, "10.0.0.8:9988", "a2")
SECOND = Lead(0, "[fd00::9]:9988", "b1")
PEER = Peer("10.0.0.8", 1000, "10.0.0.1", 9989)
SILENCE = 11.0


class Clock:
    """A clock that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def order(lead: Lead | None, command: str = wire.SET_STATUS) -> wire.Request:
    request = (
        set_status("db1", Status("ONLINE", (), "db1"))
        if command == wire.SET_STATUS
        else wire.Request(command, "db1")
    )
    return request if lead is None else signed_by(lead, request)


def test_an_agent_obeys_the_monitor_that_it_heard_first_until_it_is_silent() -> None:
    following = Following().obeyed(FIRST, 0.0)
    assert following.refuses(FIRST, 1.0, SILENCE) is None
    assert following.refuses(SECOND, SILENCE - 0.1, SILENCE) == FIRST
    assert following.refuses(SECOND, SILENCE, SILENCE) is None
    assert following.obeyed(SECOND, SILENCE).refuses(FIRST, SILENCE, SILENCE) == SECOND


def test_a_monitor_that_was_started_again_is_obeyed_at_once_and_its_last_start_no_more() -> None:
    following = Following().obeyed(FIRST, 0.0)
    assert following.refuses(AGAIN, 0.1, SILENCE) is None
    following = following.obeyed(AGAIN, 0.1)
    assert following.refuses(FIRST, 0.2, SILENCE) == AGAIN
    assert following.refuses(AGAIN, 0.2, SILENCE) is None


def test_a_classic_monitor_is_obeyed_while_none_of_ours_is_heard() -> None:
    assert Following().refuses(None, 0.0, SILENCE) is None
    following = Following().obeyed(FIRST, 0.0)
    assert following.refuses(None, 1.0, SILENCE) == FIRST
    assert following.refuses(None, SILENCE, SILENCE) is None


def test_a_monitor_that_ends_lets_another_in_at_once() -> None:
    following = Following().obeyed(FIRST, 0.0)
    assert following.freed(SECOND).refuses(SECOND, 0.1, SILENCE) == FIRST
    assert following.freed(FIRST).refuses(SECOND, 0.1, SILENCE) is None
    assert following.freed(FIRST).refuses(None, 0.1, SILENCE) == FIRST
    assert following.freed(FIRST).obeyed(FIRST, 0.2).refuses(SECOND, 0.3, SILENCE) == FIRST


def test_no_agent_takes_the_silence_between_heartbeats_for_the_end_of_its_monitor() -> None:
    assert silence(10.0, 3) == 11.0
    assert silence(1.0, 3) == 9.0
    assert silence(0.0, 2000) == 60.0


@pytest.mark.parametrize(
    ("ip", "text"), [("10.0.0.8", "LEAD:0.10.0.0.8:9988.a1"), ("fd00::9", "LEAD:0.[fd00::9]:9988.a1")]
)
def test_a_lead_on_the_wire(ip: str, text: str) -> None:
    request = order(Lead(0, authority(ip, 9988), "a1"))
    assert request.params[-1] == text
    assert ordered_status(request) == Status("ONLINE", (), "db1")
    assert lead_of(request) == Lead(0, authority(ip, 9988), "a1")


@given(
    st.integers(0, 10**15 - 1),
    st.ip_addresses(),
    st.integers(1, 65535),
    st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True),
)
def test_leads_read_back(number: int, ip: object, port: int, nonce: str) -> None:
    lead = Lead(number, authority(str(ip), port), nonce)
    assert lead_of(wire.decode_request(wire.encode_request(order(lead)))) == lead


@pytest.mark.parametrize(
    "param", ["", "LEAD:", "LEAD:0.1", "LEAD:x.10.0.0.1.a", "LEAD:0.10.0.0.1.", "LEAD:0..a"]
)
def test_what_is_no_lead(param: str) -> None:
    assert lead_of(wire.Request(wire.SET_STATUS, "db1", ("ONLINE", "", "", param))) is None


def test_questions_go_out_as_ever() -> None:
    for command in (wire.PING, wire.GET_AGENT_STATUS, wire.GET_SYSTEM_STATUS, wire.REACHABLE):
        assert order(FIRST, command) == wire.Request(command, "db1")


@pytest.mark.parametrize(
    "command", [wire.SET_STATUS, wire.CLEAR_BAD_ROLES, wire.PREPARE, wire.CLIENTS, wire.AHEAD]
)
def test_an_agent_refuses_another_monitor_and_names_each_to_the_other(command: str) -> None:
    clock = Clock()
    said = Authority(replace(cluster(), vip_lease=10.0), clock)
    assert said.refusal(order(FIRST), PEER) is None
    assert said.fields() == ()
    refused = said.refusal(order(SECOND, command), Peer("fd00::9", 1000, "fd00::1", 9989))
    assert refused is not None
    assert (refused.why, refused.fields) == (OTHER_MONITOR, ("FOLLOWS:10.0.0.8:9988",))
    assert said.refusal(order(FIRST), PEER) is None
    assert said.fields() == ("STRANGER:[fd00::9]:9988",)
    clock.now += SILENCE
    assert said.fields() == ()
    assert said.refusal(order(SECOND, command), PEER) is None


def test_an_agent_names_a_classic_monitor_by_where_it_comes_from() -> None:
    said = Authority(replace(cluster(), vip_lease=10.0), Clock())
    assert said.refusal(order(FIRST), PEER) is None
    assert said.refusal(order(None), Peer("10.0.0.9", 1000, "10.0.0.1", 9989)) is not None
    assert said.fields() == ("STRANGER:10.0.0.9",)


def test_two_monitors_at_loopback_addresses_are_two() -> None:
    said = Authority(replace(cluster(), vip_lease=10.0), Clock())
    here = Lead(0, "127.0.0.1:9988", "a1")
    assert said.refusal(order(here), PEER) is None
    assert (
        said.refusal(order(here._replace(nonce="b1")), Peer("10.0.0.9", 1000, "10.0.0.1", 9989)) is not None
    )
    assert said.refusal(order(here._replace(nonce="a2")), PEER) is None


def test_only_the_word_of_its_monitor_frees_an_agent() -> None:
    said = Authority(replace(cluster(), vip_lease=10.0), Clock())
    assert said.refusal(order(FIRST), PEER) is None
    free = wire.Request(wire.PING, "db1", (FREE,))
    assert said.refusal(signed_by(SECOND, free), PEER) is None
    assert said.refusal(order(SECOND), PEER) is not None
    assert said.refusal(signed_by(FIRST, free), PEER) is None
    assert said.refusal(order(SECOND), PEER) is None


def tells(orders: Sequence[Order]) -> dict[str, Tell]:
    return {order.host: order for order in orders if isinstance(order, Tell)}


def refused(before: World, told: Tell) -> World:
    text = "ERROR: this agent obeys the monitor at 10.0.0.8:9988, not another one at 10.0.0.9:9988"
    event = Answered(told.host, told.number, Answer.ERROR, text, 500.0, follows=FIRST.address)
    return apply(before, event, NOW)


def test_a_monitor_that_an_agent_refuses_gives_no_more_orders_until_the_admin_says_so() -> None:
    before, orders = take_turn(world(conf=cluster()), NOW + 3.0)
    met = refused(before, tells(orders)["db2"])
    assert (met.mode, met.other_monitor) == (Mode.PASSIVE, FIRST.address)
    assert f"the one at {FIRST.address}" in show(met)
    assert any(FIRST.address in line for _, line in between(before, met))
    assert take_turn(met, NOW + 10.0)[1] == ()
    assert leases.farewell(replace(met, conf=replace(met.conf, vip_lease=10.0))) is None
    result = run(met, ["set_active"], NOW + 10.0, pinged=True)
    assert result is not None
    assert (result.world.mode, result.world.other_monitor, result.world.passive_cause) == (
        Mode.ACTIVE,
        "",
        None,
    )
    assert set(tells(take_turn(result.world, NOW + 10.0)[1])) == {"db2"}


def test_the_monitor_that_is_obeyed_says_that_there_is_another() -> None:
    before, orders = take_turn(world(), NOW + 3.0)
    told = tells(orders)["db2"]
    after = apply(before, Answered("db2", told.number, Answer.OK, "OK", 500.0, stranger="10.0.0.9:9988"), NOW)
    warning = "another monitor, at 10.0.0.9:9988, gives orders to the agent of db2, which refuses them"
    assert warning in show(after)
    assert [line for _, line in between(before, after) if warning in line]
    assert after.mode is Mode.ACTIVE


def test_fields_of_replies_read_back() -> None:
    reply = wire.decode_reply(
        wire.encode_reply(
            wire.Reply("ERROR: no", (follows_field(SECOND), stranger_field("10.0.0.9")), why=OTHER_MONITOR)
        )
    )
    assert reply.fields == ("FOLLOWS:[fd00::9]:9988", "STRANGER:10.0.0.9")
