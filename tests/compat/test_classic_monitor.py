"""A classic monitor with our agents: all that it was recorded to say, answered byte for byte."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.compat.cluster import (
    AGENT_PORT,
    HOSTS,
    LIMIT,
    OTHER_READER,
    READER,
    WRITER,
    Cluster,
    Daemon,
    talk,
)
from tests.compat.recorded import Exchange, exchanges, without_uptime

pytestmark = [pytest.mark.netns, pytest.mark.mysql]


@pytest.fixture
def agents(hosts: Cluster) -> Iterator[dict[str, Daemon]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(hosts.agent(name)) for name in HOSTS}


def classic_question(exchange: Exchange) -> bytes:
    """Ask as the classic monitor does: read one line, then close; the agent closes then."""
    with socket.create_connection((HOSTS[exchange.host], AGENT_PORT), LIMIT) as connection:
        connection.sendall(exchange.sent)
        with connection.makefile("rb") as stream:
            answer = stream.readline()
            connection.shutdown(socket.SHUT_WR)
            assert stream.read() == b"", "one line is the whole answer"
    return answer


@pytest.mark.parametrize("gtid", [True, False], ids=["gtid", "position"])
def test_a_day_of_the_classic_monitor(hosts: Cluster, agents: dict[str, Daemon], gtid: bool) -> None:  # noqa: FBT001
    """Start, set_online of all, idling, passive to active, set_offline, set_online, the writer moved twice.

    db3 follows by GTID, or by file and position as the classic agents made it.
    """
    hosts.replicate(gtid=gtid)
    for exchange in exchanges("monitor and agents"):
        answer = classic_question(exchange)
        assert without_uptime(answer) == without_uptime(exchange.answer), (
            exchange.sent, agents[exchange.host].log(),
        )  # fmt: skip
    assert hosts.bound("db1") == {WRITER}
    assert hosts.bound("db2") == {OTHER_READER}
    assert hosts.bound("db3") == {READER}
    writable = [name for name, server in hosts.servers.items() if server.value("@@global.read_only") == "0"]
    assert writable == ["db1"]


def in_a_field(answer: bytes) -> bytes:
    """Return an answer in which nothing that was received breaks the line or a field, as in ours."""
    return answer.replace(b"PING|1'", b"PING 1'").replace(b"db1\r)", b"db1 )")


def as_repeated(answer: bytes) -> bytes:
    """Return an answer to GET_AGENT_STATUS as ours say it: masters repeat the active master too."""
    head, bar, tail = answer.partition(b"||UP:")
    return head + b"|db1|UP:" + tail if bar and b"|ONLINE|" in head else answer


def test_requests_by_hand(hosts: Cluster, agents: dict[str, Daemon]) -> None:
    """Wrong names, missing and additional fields, CR, several requests on one connection."""
    for sent in ("db1|ONLINE|writer(10.77.0.80)|db1", "db3|ONLINE|reader(10.77.0.90)|db1"):
        assert talk(HOSTS[sent[:3]], AGENT_PORT, f"SET_STATUS|1|{sent}\n".encode()).startswith(b"OK")
    ordered = b"SET_STATUS|1|db2|ONLINE|reader(10.77.0.100)|db1\n"
    assert talk(HOSTS["db2"], AGENT_PORT, ordered).startswith(b"OK")
    for exchange in exchanges("by hand to agents"):
        expected = b"".join(
            as_repeated(without_uptime(in_a_field(line)))
            for line in re.findall(rb"[^\n]*\n", exchange.answer)
        )
        answer = talk(HOSTS[exchange.host], AGENT_PORT, exchange.sent)
        assert without_uptime(answer) == expected, exchange.sent


def test_what_a_newer_monitor_would_add_is_ignored(hosts: Cluster, agents: dict[str, Daemon]) -> None:
    ordered = b"SET_STATUS|2|db1|ONLINE|writer(10.77.0.80)|db1|LEASE:later:abc|x||\n"
    assert (
        without_uptime(talk(HOSTS["db1"], AGENT_PORT, ordered)) == b"OK: Status applied successfully!|UP:\n"
    )
    assert hosts.bound("db1") == {WRITER}
    assert "speaks 1" in agents["db1"].log()
