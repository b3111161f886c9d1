"""Which of several monitors mmm_control asks: real sockets on loopback addresses."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from mmm.config.endpoint import Endpoint
from mmm.control import leader
from mmm.control.connection import NotAddressedError
from mmm.control.leader import addressed, leading, own
from mmm.wire.control import invalid_command

FIRST, SECOND, THIRD = "127.0.0.1", "127.7.0.2", "127.7.0.3"
LEADS = json.dumps({"ok": True, "code": "leads"}).encode()
STANDS_BY = json.dumps({"ok": False, "code": "stands_by"}).encode()
FOLLOWS_THIRD = json.dumps({"ok": False, "code": "stands_by", "fields": {"leader": "127.7.0.3"}}).encode()
SILENT = b""


@contextlib.contextmanager
def monitors(answers: dict[str, bytes]) -> Iterator[Endpoint]:
    """Give where monitors answer so; one that is SILENT accepts, and says nothing until the end."""
    over = threading.Event()
    port, servers = 0, []
    for ip in answers:
        servers.append(socket.create_server((ip, port)))
        port = servers[0].getsockname()[1]

    def serve(server: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = server.accept()[0]
                with connection:
                    connection.recv(4096)
                    if answer is SILENT:
                        over.wait(30)
                    connection.sendall(answer)

    for server, answer in zip(servers, answers.values(), strict=True):
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
    yield Endpoint("mmm_mon.conf", next(iter(answers)), port, {}, "", tuple(answers))
    over.set()
    for server in servers:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()


def found(endpoint: Endpoint) -> str | None:
    return leading(endpoint, lambda plain: plain).monitor.ip


def test_the_one_that_leads_is_asked_whatever_the_others_do() -> None:
    for answers in (
        {FIRST: STANDS_BY, SECOND: LEADS},
        {FIRST: LEADS, SECOND: STANDS_BY},
        {FIRST: SILENT, SECOND: LEADS, THIRD: STANDS_BY},
    ):
        with monitors(answers) as endpoint:
            assert answers[found(endpoint) or ""] is LEADS
    with monitors({SECOND: LEADS}) as endpoint:
        assert found(endpoint._replace(monitors=(FIRST, SECOND))) == SECOND


def test_where_none_leads_one_that_stands_by_answers_and_that_is_said() -> None:
    with monitors({FIRST: STANDS_BY, SECOND: STANDS_BY}) as endpoint:
        told = leading(endpoint, lambda plain: plain, here=SECOND)
        assert told.monitor.ip == SECOND
        assert "no monitor leads" in told.note


def test_a_leader_that_does_not_answer_is_named_as_such_and_not_that_none_leads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leader, "GLANCE", 0.3)
    with monitors({FIRST: FOLLOWS_THIRD, SECOND: STANDS_BY, THIRD: SILENT}) as endpoint:
        told = leading(endpoint, lambda plain: plain)
    assert (told.monitor.ip, told.silent) == (FIRST, THIRD)
    assert told.note == f"the monitor at {THIRD} leads and does not answer; {FIRST}, which stands by, answers"
    with monitors({FIRST: FOLLOWS_THIRD, THIRD: STANDS_BY}) as endpoint:
        told = leading(endpoint, lambda plain: plain)
    assert (told.silent, told.note) == ("", f"no monitor leads; {FIRST}, which stands by, answers")


def test_a_monitor_that_does_not_know_the_question_is_taken_to_lead() -> None:
    with monitors({FIRST: STANDS_BY, SECOND: invalid_command(b"json leads").encode()}) as endpoint:
        assert found(endpoint) == SECOND


def test_without_any_answer_the_command_goes_to_one_and_says_what_is_wrong_there() -> None:
    with monitors({FIRST: LEADS}) as endpoint:
        pass
    assert found(endpoint) == FIRST


def test_what_is_about_this_machines_monitor_is_asked_there_alone() -> None:
    with monitors({FIRST: STANDS_BY}) as endpoint:
        here = endpoint._replace(ip="203.0.113.1", monitors=("203.0.113.1", FIRST))
        assert addressed(here, lambda plain: plain, ["leads"]).monitor.ip == FIRST
        away = endpoint._replace(monitors=("203.0.113.1", "203.0.113.2"))
        with pytest.raises(NotAddressedError, match=r"203\.0\.113\.1, 203\.0\.113\.2"):
            addressed(away, lambda plain: plain, ["leads"])


def test_one_monitor_is_asked_without_looking() -> None:
    alone = Endpoint("mmm_mon.conf", "203.0.113.1", 9988, {})
    assert addressed(alone, lambda plain: plain, ["show"]).monitor is alone


def test_the_address_of_this_machine_is_found_among_others() -> None:
    assert own(("203.0.113.1", "127.0.0.1", "::1")) == "127.0.0.1"
    assert own(("203.0.113.1",)) == ""
