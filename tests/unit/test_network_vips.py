"""VIPs on a real interface: whatever somebody else did to it before."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyroute2.netlink import NETLINK_ROUTE
from pyroute2.netlink.rtnl import RTMGRP_IPV6_IFADDR

from mmm.network.netlink import Kernel
from mmm.network.socket_table import listening, takes
from mmm.network.vips import UNUSED, Interface, InterfaceError, NoInterfaceError
from tests.namespaces import addresses, cable, ip, neighbour, own_network

pytestmark = pytest.mark.netns

NEAR, FAR, OWN, VIP, OTHER = "near0", "far0", "10.88.0.4", "10.88.0.80", "10.88.0.90"
ALTNAME = "enp3s0"
OWN_6, VIP_6 = "fd00:88::4", "fd00:88::80"


@pytest.fixture
def interface() -> Iterator[Interface]:
    with own_network():
        cable(NEAR, FAR)
        with Interface(NEAR) as opened:
            yield opened


def test_a_vip_is_bound_as_a_host_address_and_only_once(interface: Interface) -> None:
    ip(f"addr add {OWN}/24 dev {NEAR}")
    interface.bind(VIP)
    interface.bind(VIP)
    assert addresses(NEAR) == {f"{OWN}/24", f"{VIP}/32"}
    assert interface.bound() == {OWN: (24,), VIP: (32,)}


def test_addresses_of_other_interfaces_are_not_ours(interface: Interface) -> None:
    ip(f"addr add {VIP}/32 dev {FAR}")
    assert VIP not in interface.bound()
    interface.unbind(VIP)
    assert addresses(FAR) == {f"{VIP}/32"}


def test_addresses_of_other_interfaces_are_found_and_removed_when_asked_for(interface: Interface) -> None:
    for address in (f"{OWN}/24", f"{VIP}/24", f"{VIP}/32"):
        ip(f"addr add {address} dev {FAR}")
    interface.bind(VIP)
    assert interface.elsewhere([VIP, OTHER]) == {VIP: (FAR,)}
    interface.unbind_elsewhere(VIP)
    interface.unbind_elsewhere(OTHER)
    assert interface.elsewhere([VIP]) == {}
    assert addresses(FAR) == {f"{OWN}/24"}
    assert addresses(NEAR) == {f"{VIP}/32"}


def test_another_interface_that_goes_meanwhile_takes_its_addresses_along_and_holds_up_nothing(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable("near1", "far1")
    ip(f"addr add {VIP}/32 dev near1")
    ip(f"addr add {VIP}/32 dev {FAR}")
    others = interface._others(frozenset({VIP}))
    monkeypatch.setattr(interface, "_others", lambda _: sorted(others, reverse=True))
    ip("link del near1")
    assert interface.elsewhere([VIP]) == {VIP: (FAR,)}
    interface.unbind_elsewhere(VIP)
    assert addresses(FAR) == set()


def test_an_interface_that_does_not_exist_has_all_others(interface: Interface) -> None:
    interface.bind(VIP)
    with Interface("none0") as missing:
        assert missing.elsewhere([VIP]) == {VIP: (NEAR,)}
        missing.unbind_elsewhere(VIP)
    assert interface.bound() == {}


@pytest.mark.parametrize("own", ["10.88.0.4", "0.0.0.0", "::", "127.0.0.1"])  # noqa: S104
def test_who_listens_is_seen(interface: Interface, own: str) -> None:
    assert interface.name == NEAR
    ip("link set lo up")
    ip(f"addr add {OWN}/24 dev {NEAR}")
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    with socket.create_server((own, 0), family=family, dualstack_ipv6=own == "::") as server:
        port = server.getsockname()[1]
        assert listening(port) == {own}
        assert takes(listening(port), VIP) == (own in {"0.0.0.0", "::"})  # noqa: S104
        assert takes(listening(port), own)
    assert listening(port) == frozenset()


@pytest.mark.parametrize("length", [0, 64, 128])
def test_an_ipv6_vip_is_bound_as_a_host_address_whatever_it_was(interface: Interface, length: int) -> None:
    ip(f"-6 addr add {OWN_6}/64 dev {NEAR} nodad")
    ip(f"addr add {OWN}/24 dev {NEAR}")
    if length:
        ip(f"-6 addr add {VIP_6}/{length} dev {NEAR}")
    interface.bind(VIP_6)
    interface.bind(VIP_6)
    assert interface.bound() == {OWN: (24,), OWN_6: (64,), VIP_6: (128,)}
    interface.unbind(VIP_6)
    interface.unbind(VIP_6)
    assert interface.bound() == {OWN: (24,), OWN_6: (64,)}


def test_an_ipv6_vip_is_there_at_once_and_no_source_of_connections(interface: Interface) -> None:
    ip(f"-6 addr add {OWN_6}/64 dev {NEAR} nodad")
    interface.bind(VIP_6)
    shown = ip(f"-6 -o addr show dev {NEAR} to {VIP_6}")
    assert "tentative" not in shown
    assert "deprecated" in shown
    assert f"src {OWN_6}" in ip("-6 route get fd00:88::9")


def test_an_ipv6_vip_that_another_host_had_as_it_was_bound_here_is_bound_anew(interface: Interface) -> None:
    """The kernel keeps such an address and does not use it, whatever becomes of the other host."""
    with neighbour() as other, Kernel(NETLINK_ROUTE, limit=10.0, groups=RTMGRP_IPV6_IFADDR) as kernel:
        ip(f"link set {FAR} netns {other.pid}")
        other.ip(f"-6 addr add {VIP_6}/64 dev {FAR} nodad")
        other.ip(f"link set {FAR} up")
        ip(f"-6 addr add {VIP_6}/128 dev {NEAR}")
        while "dadfailed" not in ip(f"-6 -o addr show dev {NEAR} to {VIP_6}"):
            kernel.news()
        assert interface.bound([VIP_6]) == {VIP_6: (UNUSED,)}
        assert interface.left(VIP_6) == 0.0
        interface.bind(VIP_6, 10)
        assert interface.bound([VIP_6]) == {VIP_6: (128,)}
        assert "tentative" not in ip(f"-6 -o addr show dev {NEAR} to {VIP_6}")
        assert 0 < interface.left(VIP_6) <= 10


@pytest.mark.parametrize("length", [8, 24, 32])
def test_a_vip_leaves_whatever_its_prefix_length(interface: Interface, length: int) -> None:
    ip(f"addr add {OWN}/24 dev {NEAR}")
    ip(f"addr add {VIP}/{length} dev {NEAR}")
    interface.unbind(VIP)
    interface.unbind(VIP)
    assert addresses(NEAR) == {f"{OWN}/24"}


def test_a_vip_that_is_bound_twice_leaves_whole(interface: Interface) -> None:
    for length in (16, 24, 32):
        ip(f"addr add {VIP}/{length} dev {NEAR}")
    assert interface.bound()[VIP] == (16, 24, 32)
    interface.unbind(VIP)
    assert interface.bound() == {}


@pytest.mark.parametrize("name", [NEAR, ALTNAME])
def test_the_hosts_own_address_survives_a_vip_that_was_there_first(interface: Interface, name: str) -> None:
    switch = Path("/proc/sys/net/ipv4/conf", NEAR, "promote_secondaries")
    switch.write_text("0\n")
    ip(f"addr add {VIP}/24 dev {NEAR}")
    ip(f"addr add {OWN}/24 dev {NEAR}")
    ip(f"link property add dev {NEAR} altname {ALTNAME}")
    with Interface(name) as called_so:
        called_so.unbind(VIP)
    assert addresses(NEAR) == {f"{OWN}/24"}
    assert switch.read_text() == "0\n"


def test_a_vip_with_a_wide_prefix_becomes_a_host_address(interface: Interface) -> None:
    ip(f"addr add {VIP}/24 dev {NEAR}")
    ip(f"addr add {OWN}/24 dev {NEAR}")
    interface.bind(VIP)
    assert addresses(NEAR) == {f"{OWN}/24", f"{VIP}/32"}


def test_a_missing_interface_is_named(interface: Interface) -> None:
    with Interface("absent0") as absent:
        for call in (absent.bound, lambda: absent.bind(VIP), lambda: absent.unbind(VIP)):
            with pytest.raises(
                NoInterfaceError, match=r"interface absent0 does not exist .*cluster_interface"
            ):
                call()


def test_an_interface_that_is_made_anew_is_found(interface: Interface) -> None:
    interface.bind(VIP)
    ip(f"link del {NEAR}")
    with pytest.raises(NoInterfaceError):
        interface.bound()
    cable(NEAR, FAR)
    interface.bind(OTHER)
    assert interface.bound() == {OTHER: (32,)}


def test_what_the_kernel_refuses_is_said_in_one_line(interface: Interface) -> None:
    ip("link set lo mtu 60")  # too small for IPv4
    with (
        Interface("lo") as loopback,
        pytest.raises(InterfaceError, match=rf"interface lo: cannot bind {VIP}: ") as refused,
    ):
        loopback.bind(VIP)
    assert "\n" not in str(refused.value)


def test_several_threads_share_an_interface() -> None:
    def bind_and_look(number: int) -> bool:
        address = f"10.88.1.{number}"
        near.bind(address)
        return address in near.bound()

    with own_network():
        cable(NEAR, FAR)
        # Threads are started after the namespace was entered, and so are in it.
        with Interface(NEAR) as near, ThreadPoolExecutor(4) as threads:
            assert all(threads.map(bind_and_look, range(1, 41)))
            assert len(near.bound()) == 40
