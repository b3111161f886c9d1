"""What agents ask and tell each other, and the monitor, of a dead server's binary log."""

from dataclasses import replace

import pytest

from mmm.wire import agent as wire
from mmm.wire.agent import WireError
from mmm.wire.ahead import ask_ahead, asked_ahead
from mmm.wire.binlog import (
    LONGEST,
    Asked,
    Extent,
    Piece,
    ask_binlog,
    asked_binlog,
    extent_field,
    extent_in,
    piece,
    piece_fields,
)
from mmm.wire.salvaged import Cause, Salvaged, salvaged_fields, salvaged_in
from mmm.wire.status import LeaseOffer, Status, ordered_status, set_status

GOT = Salvaged("db1", 3, "0-1-4711", "0-1-4713", 1234, 2, Cause.DENIED, True, 0.085, "0-1-4714", 480 << 20)


def reply(*fields: str) -> wire.Reply:
    return wire.decode_reply(wire.encode_reply(wire.Reply("OK: here!", fields, 1.0, "12.5")))


@pytest.mark.parametrize("asked", [Asked(1, "bin.000002", 4711, 4096), Asked(0, "", 4, LONGEST)])
def test_what_is_asked_for_arrives(asked: Asked) -> None:
    line = wire.encode_request(ask_binlog("db1", asked))
    assert asked_binlog(wire.decode_request(line)) == asked


@pytest.mark.parametrize(
    "params",
    [(), ("1", "bin.1", "4"), ("x", "bin.1", "4", "9"), ("1", "../x", "4", "9"), ("1", "b", "-4", "9")],
)
def test_what_names_no_part_of_a_log_is_refused(params: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        asked_binlog(wire.Request("BINLOG", "db1", params))


@pytest.mark.parametrize("other", ["db1", ""])
def test_whose_log_is_to_be_got_in_advance_arrives(other: str) -> None:
    assert asked_ahead(wire.decode_request(wire.encode_request(ask_ahead("db2", other)))) == other


@pytest.mark.parametrize("params", [(), ("a b",), ("../x",)])
def test_what_names_no_host_is_refused(params: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        asked_ahead(wire.Request("AHEAD", "db2", params))


def test_the_longest_part_of_a_log_is_a_line_as_any_other() -> None:
    sent = Piece("mysql-bin.000002", 4711, 10**12, "mysql-bin.000003", bytes(range(256)) * (LONGEST // 256))
    assert piece(reply(*piece_fields(sent))) == sent


@pytest.mark.parametrize("broken", ["", "AAAA", "not base64", "AAAA" * LONGEST])
def test_bytes_that_are_not_those_that_were_sent_are_refused(broken: str) -> None:
    fields = piece_fields(Piece("bin.000002", 4, 100, "", b"what was committed"))
    with pytest.raises(WireError):
        piece(replace(reply(), fields=(*fields[:-1], broken)))


@pytest.mark.parametrize("extent", [Extent(480 << 20, 12, ended=True), Extent(0, 0, ended=False)])
def test_how_much_there_is_arrives(extent: Extent) -> None:
    sent = piece_fields(Piece("bin.000002", 4, 100, "", b""))
    assert extent_in(reply(*sent, extent_field(extent))) == extent
    assert extent_in(reply(*sent)) is None


@pytest.mark.parametrize("got", [GOT, Salvaged("db1", known=True), replace(GOT, cause=None, left=0)])
def test_what_was_got_arrives(got: Salvaged) -> None:
    assert salvaged_in(reply("TOOK:x=1.0", *salvaged_fields(got))) == got


def test_a_reason_of_a_later_version_is_a_reason() -> None:
    (field,) = salvaged_fields(GOT)
    got = salvaged_in(reply(field.replace("why=denied", "why=moon")))
    assert got is not None
    assert not got.complete


def test_one_that_does_not_name_where_it_stopped_is_read() -> None:
    (field,) = salvaged_fields(GOT)
    without = field.replace(",at=0-1-4714,at_bytes=503316480", "")
    assert salvaged_in(reply(without)) == replace(GOT, at="", at_size=0)


def test_one_that_is_large_is_named_with_its_size() -> None:
    assert "2 missing from 0-1-4714 (480 MB) on: denied" in str(GOT)
    assert "from 0-1-4714 on" in str(replace(GOT, at_size=4711))


def test_an_order_names_whose_log_is_to_be_got_behind_what_others_know() -> None:
    status = Status("ONLINE", (), "db2", detach=True, salvage="db1")
    request = set_status("db2", status, LeaseOffer(10, "12.5"))
    assert request.params[3:] == ("LEASE:10:12.5", "DETACH", "SALVAGE:db1")
    assert ordered_status(request) == status
