"""What a caller learns of a server that answers, refuses, is silent, drips, or talks nonsense."""

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pymysql
import pymysql.constants.CLIENT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.mysql.session import deadline_socket
from mmm.mysql.session.connection import (
    Address,
    ErrorKind,
    MysqlError,
    connect,
)
from mmm.mysql.session.errors import classify
from mmm.mysql.session.question import only
from mmm.mysql.session.text_protocol import not_understood
from tests.ports import kept_port
from tests.servers import Server

LIMIT = 0.3
"""Seconds for what does not come."""
LONG = 30.0
"""Seconds for what comes."""


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A TCP server on loopback that hands each client to `serve`."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    client, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client:
                try:
                    serve(client)
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield Address("127.0.0.1", door.getsockname()[1], "mmm", "secret")
        door.shutdown(socket.SHUT_RDWR)


def failure(address: Address, timeout: float = LIMIT) -> MysqlError:
    with pytest.raises(MysqlError) as caught:
        connect(address, timeout).query("SELECT 1")
    return caught.value


def wait_for_the_client_to_leave(client: socket.socket) -> None:
    client.recv(1)


@pytest.mark.mysql
def test_a_password_beyond_ascii_is_the_one_that_was_set(server: Server) -> None:
    server.run("CREATE USER umlaut@'%' IDENTIFIED BY 'pässwörd€'")
    try:
        with connect(server.address("umlaut", "pässwörd€"), LONG) as connection:
            assert connection.query("SELECT 1 AS one") == [{"one": "1"}]
    finally:
        server.run("DROP USER umlaut@'%'")


def test_the_password_is_in_no_text_of_the_address() -> None:
    address = Address("10.0.0.4", 3306, "mmm_agent", "s3cret")
    assert "s3cret" not in f"{address} {address!r}"


def test_nothing_listens() -> None:
    with kept_port() as port:
        error = failure(Address("127.0.0.1", port, "mmm"), LONG)
    assert error.kind is ErrorKind.REFUSED
    assert not error.server_alive
    assert f"127.0.0.1:{port}" in error.text


def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    with listener(wait_for_the_client_to_leave) as address:
        error = failure(address)
    assert error.kind is ErrorKind.TIMED_OUT
    assert not error.server_alive


def test_a_server_that_drips_bytes_times_out_in_all() -> None:
    def drip(client: socket.socket) -> None:
        client.sendall(b"\xff\xff\x00\x00")
        while True:
            client.sendall(b"x")
            time.sleep(LIMIT / 20)

    with listener(drip) as address:
        assert failure(address).kind is ErrorKind.TIMED_OUT


def test_a_server_that_hangs_up_is_unreachable() -> None:
    with listener(socket.socket.close) as address:
        error = failure(address, LONG)
    assert error.kind is ErrorKind.UNREACHABLE
    assert not error.server_alive


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_socket, "MAX_ANSWER", 100_000)

    def flood(client: socket.socket) -> None:
        while True:
            client.sendall(b"\xff\xff\xff\x00" + b"x" * 0xFFFFFF)

    with listener(flood) as address:
        error = failure(address, LONG)
    assert error.kind is ErrorKind.UNREACHABLE
    assert "longer than" in error.text


@given(st.binary(max_size=300))
def test_whatever_answers_the_error_is_ours(answer: bytes) -> None:
    def talk(client: socket.socket) -> None:
        client.sendall(answer)

    with listener(talk) as address:
        assert failure(address, LONG).text


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1040, ErrorKind.SATURATED),
        (1203, ErrorKind.SATURATED),
        (1226, ErrorKind.SATURATED),
        (1045, ErrorKind.DENIED),
        (1129, ErrorKind.DENIED),
        (1130, ErrorKind.DENIED),
        (1227, ErrorKind.DENIED),
        (1064, ErrorKind.FAILED),
        (1205, ErrorKind.FAILED),
        (1053, ErrorKind.FAILED),
    ],
)
def test_any_error_packet_proves_the_server_alive(number: int, kind: ErrorKind) -> None:
    text = f"trouble {number}"
    packet = b"\xff" + number.to_bytes(2, "little") + text.encode()

    def turn_away(client: socket.socket) -> None:
        client.sendall(len(packet).to_bytes(3, "little") + b"\x00" + packet)
        wait_for_the_client_to_leave(client)

    with listener(turn_away) as address:
        error = failure(address, LONG)
    assert (error.kind, error.number, error.server_alive) == (kind, number, True)
    cut = 6 if pymysql.VERSION < (1, 1) else 0  # it takes six letters for an SQLSTATE
    assert text[cut:] in error.text


def test_a_fault_of_this_machine_says_nothing_against_the_server() -> None:
    error = classify(OSError(24, "Too many open files"), "10.0.0.4:3306 as mmm")
    assert error.server_alive
    assert "Too many open files" in error.text


def test_errors_are_one_line() -> None:
    error = classify(pymysql.err.ProgrammingError(1064, "near 'A\n B'"), "10.0.0.4:3306 as mmm")
    assert error.text == "MySQL at 10.0.0.4:3306 as mmm: near 'A B' (1064)"


@pytest.mark.mysql
def test_rows_come_back_by_name_and_percent_signs_are_free(server: Server) -> None:
    with server.connect() as connection:
        assert connection.query("SELECT 'a%' AS a, 2 AS b") == [{"a": "a%", "b": "2"}]
        assert connection.query("SELECT %s AS a", ("it's %",)) == [{"a": "it's %"}]


@pytest.mark.mysql
def test_the_session_gives_up_locks_in_time(server: Server) -> None:
    with server.connect(timeout=1.5) as connection:
        row = connection.query("SELECT @@lock_wait_timeout AS wait, @@autocommit AS auto")[0]
    assert row == {"wait": "2", "auto": "1"}


@pytest.mark.mysql
def test_a_wrong_password_is_denied_and_proves_the_server_alive(server: Server) -> None:
    error = failure(server.address("nobody", "wrong"), LONG)
    assert (error.kind, error.number, error.server_alive) == (ErrorKind.DENIED, 1045, True)
    assert "check user and password" in error.text
    assert "wrong" not in error.text


@pytest.mark.mysql
def test_a_statement_that_takes_too_long_ends_the_connection(server: Server) -> None:
    with server.connect() as connection:
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT SLEEP(30)", timeout=0.1)
        assert caught.value.kind is ErrorKind.TIMED_OUT
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT 1")
        assert not caught.value.server_alive


@pytest.mark.mysql
def test_a_failed_statement_leaves_the_connection_usable(server: Server) -> None:
    with server.connect() as connection:
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT nonsense")
        assert caught.value.kind is ErrorKind.FAILED
        assert "nonsense" in caught.value.text
        assert connection.query("SELECT 1 AS one") == [{"one": "1"}]


@pytest.mark.mysql
def test_a_question_is_answered_in_text_and_in_pieces(server: Server) -> None:
    long = "x" * 300_000
    with server.connect() as connection:
        assert connection.ask(only(f"SELECT NULL AS none, 2 AS two, '{long}' AS more")) == [
            {"none": None, "two": "2", "more": long}
        ]
        assert connection.query("SELECT 2 AS two") == [{"two": "2"}]
        assert connection.ask(only("DO 1")) == []


@pytest.mark.mysql
@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOBUFS, "no room"), ssl.SSLError(1, "bad record"), ValueError()]
)
def test_no_answer_is_taken_for_that_of_the_next_question(
    server: Server, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fails(*_: object) -> bytes:
        raise fault

    with server.connect() as connection:
        with monkeypatch.context() as patched:
            patched.setattr(deadline_socket.Limited, "receive", fails)
            with pytest.raises(MysqlError):
                connection.ask(only("SELECT 1 AS stale"))
        with pytest.raises(MysqlError):
            connection.ask(only("SELECT 2 AS fresh"))


@pytest.mark.mysql
def test_a_session_that_the_server_has_ended_says_so(server: Server) -> None:
    with server.connect() as connection:
        number = connection.query("SELECT CONNECTION_ID() AS id")[0]["id"]
        server.run(f"KILL {number}")
        with pytest.raises(MysqlError) as caught:
            connection.query("SELECT 1")
        assert caught.value.kind is ErrorKind.UNREACHABLE


@pytest.mark.mysql
def test_a_frozen_server_times_out(server: Server) -> None:
    with server.frozen():
        assert failure(server.address()).kind is ErrorKind.TIMED_OUT
    server.connect().close()


@pytest.mark.mysql
def test_the_server_is_recognised(server: Server) -> None:
    with server.connect() as connection:
        assert connection.flavour.mariadb
        assert connection.flavour.version >= (10, 5, 0)


@pytest.mark.mysql
def test_a_login_that_agrees_on_what_is_not_read_here_is_refused_in_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a newer PyMySQL might, which then reads answers otherwise: MySQL and MariaDB 11.8 offer that already."""
    track = 1 << 23  # the state of sessions, which every server offers
    monkeypatch.setattr(
        "pymysql.connections.CLIENT.CAPABILITIES", pymysql.constants.CLIENT.CAPABILITIES | track
    )
    with pytest.raises(MysqlError) as caught:
        server.connect()
    assert caught.value.kind is ErrorKind.FAILED
    assert "not asked: PyMySQL" in str(caught.value)
    assert "(1 << 23) that MMM cannot read: install the PyMySQL of setup/constraints.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_answers_look_like_follows_from_what_was_agreed_on() -> None:
    flags = pymysql.constants.CLIENT
    assert not not_understood(flags.CAPABILITIES | flags.SSL | flags.CONNECT_WITH_DB | flags.LOCAL_FILES)
    assert not_understood(flags.CAPABILITIES | 1 << 24) == "1 << 24"
    assert not_understood(flags.COMPRESS | flags.MULTI_STATEMENTS) == "1 << 5, 1 << 16"
