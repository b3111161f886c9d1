"""VIPs on interfaces and ARP on the wire, as kernels and a neighbour see them."""

import socket

import pytest

from mmm.network.frames import announcement
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.witness.health import host_facts, settle
from mmm.sandbox.witness.probe_run import Probe
from tests.scenarios import LIMIT, PATIENCE, Log, move_writer
from tests.taps import Addresses, Arp, ArpTap, Towards, mac_of

pytestmark = pytest.mark.sandbox

UNDER_WAY = 3
"""Packets: of one connection that asks, is answered and closed at the moment of the announcement."""


def test_a_moved_vip_is_announced_by_its_new_host_and_by_nobody_else(sandbox: Sandbox) -> None:
    vip = sandbox.layout.writer_ip
    old, new = (mac_of(sandbox.machine(host)) for host in ("db1", "db2"))
    with ArpTap(sandbox.client) as tap:
        move_writer(sandbox, "db2")

        def said(packet: Arp) -> bool:
            return packet.mac == new

        def both_kinds() -> bool:
            return {packet.request for packet in filter(said, tap.claims(vip))} == {True, False}

        sandbox.wait_until(both_kinds, LIMIT, "a request and a reply for the VIP")
        began = next(filter(said, tap.claims(vip))).at
        # It goes on for seconds: neighbours that missed the first ones hear the next.
        sandbox.wait_until(
            lambda: any(packet.at - began > 1.5 for packet in filter(said, tap.claims(vip))),
            LIMIT,
            "it is announced again",
        )
    claims = tap.claims(vip)
    first = next(place for place, packet in enumerate(claims) if packet.mac == new)
    assert {packet.mac for packet in claims[first:]} == {new}
    assert {packet.mac for packet in claims[:first]} <= {old}
    kinds = [packet.request for packet in claims[first:]]
    assert kinds.count(True) >= 3 <= kinds.count(False)


def test_a_client_that_knows_the_old_mac_follows_at_once(sandbox: Sandbox) -> None:
    vip = sandbox.layout.writer_ip
    with Probe(sandbox, readers=False) as probe:
        assert mac_of(sandbox.machine("db1")) in sandbox.client.run(["ip", "neighbour", "show", vip]).stdout
        move_writer(sandbox, "db2")
        probe.wait_move(LIMIT)
        assert mac_of(sandbox.machine("db2")) in sandbox.client.run(["ip", "neighbour", "show", vip]).stdout


def test_nobody_goes_on_talking_to_the_old_host(sandbox: Sandbox) -> None:
    """A neighbour that is told of the new MAC sends to the old one what is under way, and nothing more."""
    vip = sandbox.layout.writer_ip
    old, new = (mac_of(sandbox.machine(host)) for host in ("db1", "db2"))
    with Towards(sandbox, "client", vip) as towards, Probe(sandbox, readers=False) as probe:
        probe.wait_writes(LIMIT, 100)
        assert set(towards.sent) == {old}
        move_writer(sandbox, "db2")
        probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT, 100)
    assert towards.late(old, new) <= UNDER_WAY
    assert towards.sent[-1] == new


def test_every_vip_is_bound_as_a_single_address(sandbox: Sandbox) -> None:
    shown = sandbox.machine("db1").run(["ip", "-o", "-4", "address", "show", "dev", "eth0"]).stdout
    assert f"inet {sandbox.layout.writer_ip}/32 scope global" in shown


@pytest.mark.parametrize("length", [24, 32])
@pytest.mark.parametrize("host", ["db2", "db3"])
def test_a_vip_bound_by_hand_on_a_wrong_host_goes_with_the_next_heartbeat(
    sandbox: Sandbox, host: str, length: int
) -> None:
    vip = sandbox.layout.writer_ip
    own = sandbox.layout.hosts[host].ip
    agent_log = Log(sandbox, host, "mmm_agentd")
    with Addresses(sandbox) as addresses:
        sandbox.machine(host).run(["ip", "address", "add", f"{vip}/{length}", "dev", "eth0"])
        sandbox.wait_until(lambda: sandbox.holders(vip) == ("db1",), LIMIT, f"{host} gives the VIP up")
    assert [(moved.host, moved.bound) for moved in addresses.of(vip)] == [(host, True), (host, False)]
    assert addresses.of(own) == []  # the first address of the subnet goes, and takes no other with it
    agent_log.wait("move: ")
    assert len(agent_log.lines("move: ")) == 1
    settle(sandbox)


def test_the_owner_speaks_up_when_another_host_lets_its_vip_go(sandbox: Sandbox) -> None:
    """Neighbours that asked meanwhile know the other host (rule 10.37); the owner's agent warns of it."""
    vip = sandbox.layout.writer_ip
    owner, other = (mac_of(sandbox.machine(host)) for host in ("db1", "db2"))
    agent_log = Log(sandbox, "db1", "mmm_agentd")
    with ArpTap(sandbox.client) as tap:
        sandbox.machine("db2").run(["ip", "address", "add", f"{vip}/32", "dev", "eth0"])
        for packet in announcement(vip, other):
            with sandbox.machine("db2").socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                wire.bind(("eth0", 0))
                wire.send(packet)
        assert other in agent_log.wait(f"WARN conflict: {vip} is held here")
        sandbox.wait_until(lambda: sandbox.holders(vip) == ("db1",), LIMIT, "db2 gives it up")
        sandbox.wait_until(lambda: tap.claims(vip)[-1].mac == owner, LIMIT, "db1 has the last word")
    settle(sandbox)


@pytest.mark.parametrize(("host", "role"), [("db1", "writer"), ("db3", "reader")])
def test_a_vip_removed_by_hand_is_bound_and_announced_again(sandbox: Sandbox, host: str, role: str) -> None:
    machine = sandbox.machine(host)
    vip = next(ip for name, ip in sandbox.show()[host].roles if name == role)
    with ArpTap(sandbox.client) as tap:
        machine.run(["ip", "address", "del", f"{vip}/32", "dev", "eth0"])
        sandbox.wait_until(lambda: sandbox.holders(vip) == (host,), LIMIT, f"{host} has {vip} again")
        sandbox.wait_until(lambda: tap.claims(vip), LIMIT, f"{vip} is announced")
        assert {packet.mac for packet in tap.claims(vip)} == {mac_of(machine)}
    settle(sandbox)


def test_a_vip_bound_with_another_length_on_its_own_host_stays_reachable_as_a_single_address(
    sandbox: Sandbox,
) -> None:
    vip = sandbox.layout.writer_ip
    machine = sandbox.machine("db1")
    with Probe(sandbox, readers=False, limit=PATIENCE) as probe:
        machine.run(["ip", "address", "add", f"{vip}/24", "dev", "eth0"])
        machine.run(["ip", "address", "del", f"{vip}/32", "dev", "eth0"])

        def single() -> bool:
            shown = machine.run(["ip", "-o", "-4", "address", "show", "to", vip]).stdout
            return f"{vip}/32" in shown and f"{vip}/24" not in shown

        sandbox.wait_until(single, LIMIT, "the VIP is bound as /32 only")
        probe.wait_writes(LIMIT)
    assert probe.report.outages == ()
    settle(sandbox)


@pytest.mark.parametrize(("host", "wanted"), [("db1", True), ("db2", False), ("db3", False)])
def test_read_only_changed_by_hand_is_put_right(sandbox: Sandbox, host: str, *, wanted: bool) -> None:
    """On the writer and on others (rule 10.36)."""
    log = Log(sandbox)
    sandbox.sql(host, f"SET GLOBAL read_only={int(wanted)}")
    # A session that is open when the server becomes read_only is ended: then it is asked again.
    sandbox.wait_until(
        lambda: host_facts(sandbox, host).writable is wanted, LIMIT, f"read_only={int(not wanted)} on {host}"
    )
    settle(sandbox)
    assert log.changes() == []
