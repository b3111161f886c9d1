"""Who is obeyed without TLS: root by its port or its socket, and who can sign."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.agent.act.authority import Authority
from mmm.agent.act.credentials import NEEDED, WINDOW, Credentials
from mmm.agent.decide.held_lease import begun
from mmm.config.agreement import HOSTS, VIP_LEASE, digests
from mmm.config.model import Cluster, Role, Socket, Vip
from mmm.control.signing import is_signed
from mmm.lease.lead import Lead
from mmm.monitor.act.admission import KEPT, Admission
from mmm.network import privileged_port, socket_table
from mmm.network.agent_port import AgentPort, UnsignedError
from mmm.network.line_server import Limits, LineServer
from mmm.network.listener import Peer
from mmm.network.root import is_root
from mmm.wire import agent as wire
from mmm.wire import promises, signature
from mmm.wire.command import command_mac
from mmm.wire.lead import AUTH, CONF, FREE, STALE, differs_field, signed_by, with_conf
from mmm.wire.status import LeaseOffer, Status, set_status
from tests.unit.worlds import READER1, WRITER, cluster

KEY = "a secret of the cluster"
ROOT = Peer("10.0.0.8", 1000, "10.0.0.1", 9989)
USER = Peer("10.0.0.8", 50000, "10.0.0.1", 9989)
LEAD = Lead(0, "10.0.0.8:9988", "a1")
NOBODY = 65534


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def conf(key: str = "", kind: str = "plain") -> Cluster:
    made = replace(cluster(), vip_lease=10.0, auth_key=key)
    return made if kind == "plain" else replace(made, socket=Socket("ssl"))


def order(*vips: Vip, lead: Lead | None = LEAD) -> wire.Request:
    request = set_status("db1", Status("ONLINE", vips, "db1"))
    return request if lead is None else signed_by(lead, request)


def lack(made: Cluster, request: wire.Request, peer: Peer) -> str:
    found = Credentials(made, Clock(), lambda _: None).lack(request, peer)
    return "" if found is None else found.why


# --- ports and sockets


@pytest.mark.parametrize("command", sorted(NEEDED - {wire.SET_STATUS, wire.CLEAR_BAD_ROLES}))
def test_what_only_daemons_of_ours_say_has_to_come_from_root(command: str) -> None:
    request = wire.Request(command, "db1", ("db2", "999999"))
    assert lack(conf(), request, USER) == AUTH
    assert lack(conf(), request, ROOT) == ""
    assert lack(conf(kind="ssl"), request, USER) == ""


def test_an_order_of_ours_has_to_come_from_root() -> None:
    leased = set_status("db1", Status("ONLINE"), LeaseOffer(10.0, "boot.1"))
    for request in (order(), leased, signed_by(LEAD, wire.Request(wire.PING, "db1", (FREE,)))):
        assert (lack(conf(), request, USER), lack(conf(), request, ROOT)) == (AUTH, "")


def test_questions_and_orders_of_a_classic_monitor_come_from_anywhere() -> None:
    for request in (
        wire.Request(wire.PING, "db1"),
        wire.Request(wire.GET_AGENT_STATUS, "db1"),
        wire.Request(wire.GET_SYSTEM_STATUS, "db1"),
        order(lead=None),
        wire.Request(wire.CLEAR_BAD_ROLES, "db1"),
    ):
        assert lack(conf(), request, USER) == ""


def test_any_user_is_refused_while_a_monitor_of_ours_is_obeyed_and_after_a_start_of_the_agent() -> None:
    clock = Clock()
    said = Authority(conf(), clock)
    assert said.refusal(order(), ROOT) is None
    assert said.refusal(order(WRITER, lead=None), USER) is not None
    begun = Authority(conf(), clock)
    begun.followed_before()
    assert begun.refusal(order(WRITER, lead=None), USER) is not None
    assert begun.refusal(order(), ROOT) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may bind these ports, and become another user")
def test_connections_come_from_a_port_below_1024_and_a_port_serves_many_at_once() -> None:
    seen: list[Peer] = []

    async def answer(line: bytes, peer: Peer) -> bytes:
        seen.append(peer)
        return line + b"\n"

    async def run() -> None:
        async with LineServer("test port", answer, Limits(line=100, clients=900)).listen(
            "127.0.0.1", 0
        ) as port:
            for _ in range(3):
                ends = [await privileged_port.open_connection("127.0.0.1", port) for _ in range(250)]
                for reader, writer in ends:
                    writer.write(b"x\n")
                    assert await reader.readline() == b"x\n"
                    writer.close()

    asyncio.run(run())
    assert len(seen) == 750
    assert all(peer.port < 1024 and is_root(peer) for peer in seen)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_the_kernel_tells_whose_socket_it_is_and_not_that_of_one_that_is_closed(
    listening: socket.socket,
) -> None:
    own = listening.getsockname()
    with closing(socket.create_connection(own)) as mine:
        accepted = Peer(*mine.getsockname(), *own)
        assert is_root(accepted)
        listening.accept()[0].close()
    child = os.fork()
    if not child:
        os.setuid(NOBODY)
        theirs = socket.create_connection(own)
        theirs.recv(1)
        os._exit(0)
    connection, peer = listening.accept()
    assert socket_table.owner(*peer, *own) == NOBODY
    assert not is_root(Peer(*peer, *own))
    connection.send(b"x")
    os.waitpid(child, 0)
    assert socket_table.owner(*peer, *own) is None
    assert not is_root(Peer(*peer, *own))
    connection.close()


# --- signatures


def test_a_signed_request_is_obeyed_once_and_while_its_token_is_young() -> None:
    clock = Clock()
    held = begun(10.0, "boot", clock.now)
    admission = Credentials(conf(KEY), clock, held.given)

    def why(request: wire.Request) -> str:
        found = admission.lack(request, USER)
        return "" if found is None else found.why

    clock.now += 1.0
    signed = signature.sign(KEY, order(), held.token(clock.now), "0123456789abcdef")
    assert (why(order()), why(signed), why(signed)) == (AUTH, "", STALE)
    assert why(signature.sign("another", order(), held.token(clock.now), "0123456789abcdef")) == AUTH
    changed = replace(signed, params=("ONLINE", f"{WRITER}", *signed.params[2:]))
    assert why(changed) == AUTH
    late = signature.sign(KEY, order(), held.token(clock.now), "0123456789abcdef")
    clock.now += WINDOW
    assert why(late) == STALE
    for token in ("boot.1", f"other.{int(clock.now * 1e9)}", f"boot.{int((clock.now + 1) * 1e9)}"):
        assert why(signature.sign(KEY, order(), token, "0123456789abcdef")) == STALE


def test_a_reply_is_signed_for_its_request_alone() -> None:
    one = signature.sign(KEY, order(), "boot.1", "0123456789abcdef")
    two = signature.sign(KEY, order(), "boot.1", "0123456789abcdea")
    reply = wire.Reply("OK: done", ("TOOK:bind=1.0",), 5.0, "boot.7")
    signed = wire.decode_reply(wire.encode_reply(signature.sign_reply(KEY, reply, one)))
    assert signature.verified(KEY, signed, one) == reply
    assert signature.verified(KEY, signed, two) is None
    assert signature.verified("another", signed, one) is None
    assert signature.verified(KEY, reply, one) is None
    assert signature.verified(KEY, replace(signed, text="OK: something else"), one) is None


def spoken(key: str, agent_key: str, *, started_again: bool = False) -> tuple[list[bytes], wire.Reply | str]:
    """Return what an agent with `agent_key` heard from a monitor with `key`, and what that made of the answer."""
    heard: list[bytes] = []
    clock = Clock()
    held = begun(10.0, "boot", clock.now)
    admission = Credentials(conf(agent_key), clock, held.given)

    async def answer(line: bytes, peer: Peer) -> bytes:
        request = wire.decode_request(line)
        heard.append(line.partition(b"|")[0])
        clock.now += 0.1
        found = admission.lack(request, peer)
        reply = wire.Reply(
            f"ERROR: {found.text}" if found else "OK: done",
            (),
            5.0,
            held.token(clock.now),
            found.why if found else "",
        )
        return wire.encode_reply(signature.sign_reply(agent_key, reply, request))

    async def run() -> wire.Reply:
        async with LineServer("test port", answer, Limits(line=10000)).listen("127.0.0.1", 0) as port:
            way = AgentPort(key)
            if started_again:
                way._tokens["db1"] = ("boot.1", 1e12)
            ends = await way.connect("127.0.0.1", port)
            reply = await way.exchange(ends, order())
            ends[1].close()
            return reply

    try:
        return heard, asyncio.run(run())
    except UnsignedError as error:
        return heard, str(error)


def test_a_monitor_gets_a_token_first_where_it_has_none_and_again_from_an_agent_that_was_restarted() -> None:
    heard, reply = spoken(KEY, KEY)
    assert heard == [b"PING", b"SET_STATUS"]
    assert isinstance(reply, wire.Reply)
    assert reply.ok
    heard, reply = spoken(KEY, KEY, started_again=True)
    assert heard == [b"SET_STATUS", b"SET_STATUS"]
    assert isinstance(reply, wire.Reply)
    assert reply.ok


def test_an_answer_by_another_key_is_none() -> None:
    assert spoken(KEY, "another")[1] == "the answer is not signed by auth_key: is it the same there?"


# --- the monitor's port


def test_a_command_that_changes_something_is_roots_or_signed() -> None:
    clock = Clock()
    here, elsewhere = Peer("127.0.0.1", 50000, "127.0.0.1", 1), Peer("10.0.0.9", 50000, "10.0.0.8", 9988)
    plain, signing = Admission(conf(), clock), Admission(conf(KEY), clock)
    assert plain.lack(here)
    assert not plain.lack(elsewhere)
    assert not plain.lack(here._replace(port=1000))
    assert signing.lack(here)
    assert signing.lack(elsewhere)
    assert not Admission(conf(kind="ssl"), clock).lack(here)
    words = ["set_offline", "db1"]
    nonce = signing.challenge()
    assert not signing.is_signed(words, nonce, command_mac("another", nonce, words))
    nonce = signing.challenge()
    assert signing.is_signed(words, nonce, command_mac(KEY, nonce, words))
    assert not signing.is_signed(words, nonce, command_mac(KEY, nonce, words))
    nonce = signing.challenge()
    clock.now += KEPT
    assert not signing.is_signed(words, nonce, command_mac(KEY, nonce, words))


def test_a_command_that_asks_for_json_is_signed_where_the_command_is() -> None:
    for command in (["set_offline", "db1"], ["json", "set_offline", "db1"]):
        assert is_signed(KEY, command)
    for question in (["show"], ["json", "show"]):
        assert not is_signed(KEY, question)


# --- another conf


def test_nothing_prolongs_a_lease_that_rests_on_another_conf() -> None:
    own = conf()
    writer = own.roles["writer"]
    fewer = replace(own, roles={**own.roles, "writer": replace(writer, hosts=("db1",))})
    said = Authority(fewer, Clock())

    def asked(request: wire.Request, by: Cluster) -> tuple[str, tuple[str, ...]]:
        found = said.refusal(with_conf(request, digests(by)), ROOT)
        return ("", said.fields()) if found is None else (found.why, found.fields)

    told = (differs_field((HOSTS,)),)
    assert asked(order(WRITER), own) == (CONF, told)
    assert asked(order(READER1), own) == ("", told)
    assert not said.is_agreed()
    assert asked(promises.promise("db1", promises.AskedPromise("db2", 10.0, "boot.1")), own) == (CONF, told)
    assert asked(promises.promise("db1", promises.AskedPromise("db2", 10.0, "boot.1")), fewer) == (CONF, told)
    assert asked(order(WRITER), replace(fewer, vip_lease=20.0)) == (CONF, (differs_field((VIP_LEASE,)),))
    assert asked(order(WRITER), fewer) == ("", ())
    assert said.is_agreed()
    assert asked(promises.promise("db1", promises.AskedPromise("db2", 10.0, "boot.1")), fewer) == ("", ())


def test_an_agent_that_is_started_with_another_conf_hears_the_monitor_before_promises_count(
    tmp_path: Path,
) -> None:
    own, file = conf(), tmp_path / "agreed"
    fewer = replace(own, roles={**own.roles, "writer": replace(own.roles["writer"], hosts=("db1",))})
    said = Authority(own, Clock(), file=file)
    assert not said.is_agreed()
    assert said.refusal(with_conf(order(READER1), digests(own)), ROOT) is None
    assert said.is_agreed()
    assert Authority(own, Clock(), file=file).is_agreed()
    again = Authority(fewer, Clock(), file=file)
    assert not again.is_agreed()
    assert again.refusal(with_conf(order(READER1), digests(fewer)), ROOT) is None
    assert again.is_agreed()


def test_a_conf_that_does_not_name_the_hosts_of_the_role_agrees() -> None:
    own = conf()
    silent = replace(own, roles={"writer": Role("writer", "exclusive", (), (WRITER.ip,))})
    assert Authority(silent, Clock()).refusal(with_conf(order(WRITER), digests(own)), ROOT) is None
