"""The agent protocol: recorded lines of the classic, and reading back what was written."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmm.config.model import Vip
from mmm.wire import agent, questions
from mmm.wire.agent import Reply, Request, WireError
from mmm.wire.caught_up import CaughtUp, Cause, caught_up_fields, caught_up_in
from mmm.wire.questions import Reach
from mmm.wire.status import (
    LeaseOffer,
    Status,
    SystemStatus,
    agent_status,
    agent_status_fields,
    bound_field,
    bound_in,
    ordered_status,
    set_status,
    system_status,
    system_status_fields,
    took_fields,
    took_in,
)

RECORDED_REQUESTS = [
    (b"PING|1|db1\n", Request("PING", "db1")),
    (b"SET_STATUS|1|db1|ONLINE||\n", Request("SET_STATUS", "db1", ("ONLINE", "", ""))),
    (
        b"SET_STATUS|1|db1|ONLINE|reader(10.77.0.90),writer(10.77.0.80)|db1\n",
        set_status(
            "db1",
            Status("ONLINE", (Vip("writer", "10.77.0.80"), Vip("reader", "10.77.0.90")), "db1"),
        ),
    ),
]


@pytest.mark.parametrize(("line", "request_"), RECORDED_REQUESTS)
def test_recorded_requests(line: bytes, request_: Request) -> None:
    assert agent.encode_request(request_) == line
    assert agent.decode_request(line) == request_


def test_recorded_replies() -> None:
    unknown = b"OK: Returning status!|UNKNOWN|||UP:2672.20\n"
    reply = agent.decode_reply(unknown)
    assert agent_status(reply) == Status("UNKNOWN")
    assert reply.uptime == 2672.2
    assert agent.encode_reply(reply) == unknown
    slave = agent.decode_reply(b"OK: Returning status!|||10.77.0.5|UP:2672.43\n")
    assert system_status(slave) == SystemStatus(writable=False, source_ip="10.77.0.5")


def test_what_only_newer_agents_know_is_said_behind_what_the_classic_ones_read() -> None:
    status = Status("ONLINE", (Vip("writer", "10.77.0.80"),), "db1", force=True, detach=True)
    request = set_status("db1", status, LeaseOffer(10.0, "abc"))
    line = b"SET_STATUS|1|db1|ONLINE|writer(10.77.0.80)|db1|LEASE:10:abc|FORCE|DETACH\n"
    assert agent.encode_request(request) == line
    assert ordered_status(agent.decode_request(line)) == status


def test_a_host_without_the_role_is_told_to_replicate_again() -> None:
    status = Status("ONLINE", attach=True)
    line = b"SET_STATUS|1|db1|ONLINE|||ATTACH\n"
    assert agent.encode_request(set_status("db1", status)) == line
    assert ordered_status(agent.decode_request(line)) == status


def test_what_a_newer_monitor_adds_is_ignored() -> None:
    request = agent.decode_request(b"SET_STATUS|2|db1|ONLINE||db2|LEASE:10:abc\n")
    assert request.version == 2
    assert ordered_status(request) == Status("ONLINE", (), "db2")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"PING",
        b"PING|1",
        b"PING|x|db1",
        b"PING|-1|db1",
        b"PING||db1",
        b"\xff|1|db1",
        b"PING|1|db1\nX",
    ],
)
def test_half_requests_are_refused(line: bytes) -> None:
    with pytest.raises(WireError):
        agent.decode_request(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"OK",
        b"OK: fine",
        b"OK|UP:",
        b"OK|UP:x",
        b"OK|UP:" + b"9" * 400,  # infinite
        b"FINE|UP:1.00",
        b"OK|UP:1.00|",
        b"OK\n|UP:1.00",
    ],
)
def test_only_a_whole_answer_is_an_answer(line: bytes) -> None:
    with pytest.raises(WireError):
        agent.decode_reply(line)


FIELD = st.text(st.characters(exclude_characters="|\r\n\0", exclude_categories=["Cs"]), max_size=40)
WORD = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,12}", fullmatch=True)
VIPS = st.frozensets(st.builds(Vip, WORD, st.ip_addresses().map(str)), max_size=4).map(
    lambda v: tuple(sorted(v, key=str))
)
STATUS = st.builds(Status, WORD, VIPS, WORD | st.just(""))
SYSTEM = st.builds(SystemStatus, st.booleans(), VIPS, st.ip_addresses().map(str) | st.just(""))
UPTIME = st.integers(0, 10**9).map(lambda hundredths: hundredths / 100)
NAMED = str.maketrans(",=|\n", "    ")
TEXT = st.tuples(st.sampled_from(["OK", "ERROR"]), FIELD).map("".join)


@given(st.builds(Request, FIELD, FIELD, st.lists(FIELD).map(tuple), st.integers(0, 999_999_999)))
def test_requests_read_back(request_: Request) -> None:
    assert agent.decode_request(agent.encode_request(request_)) == request_


CODE = st.just("") | st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
TOKEN = st.just("") | st.from_regex(r"[a-f0-9]{12}\.[0-9]{1,20}", fullmatch=True)


@given(st.builds(Reply, TEXT, st.lists(FIELD).map(tuple), UPTIME, TOKEN, CODE))
def test_replies_read_back(reply: Reply) -> None:
    assert agent.decode_reply(agent.encode_reply(reply)) == reply


@given(
    st.dictionaries(st.sampled_from(["freeze", "bind reader(10.0.0.90)", "odd,=|\n"]), st.integers(0, 10**6))
)
def test_durations_read_back(tenths: dict[str, int]) -> None:
    fields = took_fields((name, number / 10_000) for name, number in tenths.items())
    reply = agent.decode_reply(agent.encode_reply(Reply("OK", fields)))
    assert [round(seconds * 10_000) for _, seconds in took_in(reply)] == list(tenths.values())
    assert {name for name, _ in took_in(reply)} == {name.translate(NAMED) for name in tenths}


@given(st.lists(FIELD))
def test_any_field_may_stand_where_durations_do(fields: list[str]) -> None:
    took_in(Reply("OK", tuple(fields)))


@given(STATUS, WORD)
def test_statuses_read_back(status: Status, host: str) -> None:
    request = agent.decode_request(agent.encode_request(set_status(host, status)))
    assert ordered_status(request) == status
    assert agent_status(Reply("OK", agent_status_fields(status))) == status


def test_whom_to_catch_up_from_and_what_came_of_it_read_back() -> None:
    status = Status("ONLINE", (Vip("writer", "10.77.0.80"),), "db2", detach=True, catch_up=("db3", "db4"))
    assert ordered_status(agent.decode_request(agent.encode_request(set_status("db2", status)))) == status
    done = (
        CaughtUp("db3", 3, ("0-1-11 to 0-1-12", "7-1-1"), seconds=0.085),
        CaughtUp("db4", 0, (), 7, ("0-1-13 to 0-1-19",), exact=False, cause=Cause.LATE),
    )
    fields = (*caught_up_fields(done), "CAUGHTUP:host=,count=x", "TOOK:sync=1.0")
    reply = agent.decode_reply(agent.encode_reply(Reply("OK", fields)))
    assert caught_up_in(reply) == done
    later = Reply("OK", ("CAUGHTUP:host=db3,count=0,names=,left=0,lacks=,exact=1,why=new,ms=1",))
    assert [one.cause for one in caught_up_in(later)] == [Cause.STOPPED]


@given(st.builds(Reach, st.booleans(), st.booleans(), *[st.sampled_from((None, True, False))] * 2))
def test_reach_reads_back(reach: Reach) -> None:
    line = agent.encode_reply(Reply("OK: Returning reach!", questions.reach_fields(reach)))
    assert questions.reach(agent.decode_reply(line)) == reach


def test_notes_read_back_and_what_cannot_be_read_is_left_out() -> None:
    notes = (questions.Note(questions.DISK_FULL, 37.0), questions.Note(questions.EVENTS))
    line = agent.encode_reply(agent.Reply("OK: Returning notes!", questions.notes_fields(notes)))
    assert line.startswith(b"OK: Returning notes!|disk_full=37|events=0|UP:")
    assert questions.notes(agent.decode_reply(line)) == notes
    odd = agent.Reply("OK", ("", "events", "=3", "LATER=1", "new_kind=2"))
    assert questions.notes(odd) == (questions.Note("new_kind", 2.0),)


@given(SYSTEM)
def test_system_statuses_read_back(status: SystemStatus) -> None:
    line = agent.encode_reply(Reply("OK", system_status_fields(status)))
    assert system_status(agent.decode_reply(line)) == status


@given(st.text(st.characters()))
@example("a file name that is no text: \udcff | \r\n")
def test_anything_can_be_made_sayable(text: str) -> None:
    reply = Reply("ERROR: " + agent.sayable(text))
    assert agent.decode_reply(agent.encode_reply(reply)) == reply


def test_the_code_of_a_reason_stands_before_the_token() -> None:
    reply = Reply("ERROR: too old", ("x",), 5.0, "b.1", "stale")
    assert agent.encode_reply(reply) == b"ERROR: too old|x|WHY:stale|T:b.1|UP:5.00\n"


GARBAGE = st.binary() | st.lists(st.sampled_from([b"OK", b"|", b"UP:1.00", b"1", b"\n", b"r(1)", b","])).map(
    b"".join
)


def ordered(line: bytes) -> Status:
    return ordered_status(agent.decode_request(line))


def told(line: bytes) -> Status:
    return agent_status(agent.decode_reply(line))


def seen(line: bytes) -> SystemStatus:
    return system_status(agent.decode_reply(line))


@given(GARBAGE)
def test_garbage_is_refused_with_a_wire_error_only(line: bytes) -> None:
    for read in (ordered, told, seen):
        with contextlib.suppress(WireError):
            read(line)


@given(st.text())
def test_vips_are_read_or_refused(text: str) -> None:
    try:
        vips = agent.decode_vips(text)
    except WireError:
        return
    assert agent.decode_vips(agent.encode_vips(vips)) == tuple(sorted(vips, key=str))


def test_an_error_names_what_stands_on_the_host_all_the_same() -> None:
    for ips in (frozenset({"10.0.0.91", "fd00::5"}), frozenset[str]()):
        reply = Reply("ERROR: follow db2: no", (bound_field(ips),), 501.0, "b.1")
        assert bound_in(agent.decode_reply(agent.encode_reply(reply))) == ips
    assert bound_in(Reply("ERROR: no")) is None
