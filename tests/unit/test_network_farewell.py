"""A VIP has left and neighbours do not know yet: their connections are reset instead of hanging."""

import errno
import socket
from collections.abc import Iterator

import pytest

from mmm.network.farewell import Farewell
from mmm.network.socket_table import connections, destroy
from tests.namespaces import Neighbour, cable, ip, neighbour, own_network

pytestmark = pytest.mark.netns

NEAR, FAR = "near0", "far0"
OWN, CLIENT, PORT = "10.88.0.4", "10.88.0.9", 3306
VIPS = {4: "10.88.0.80", 6: "fd00:88::80"}


@pytest.fixture
def client() -> Iterator[Neighbour]:
    """Give a neighbour that takes every VIP to be at this host for good, as those do that missed the news."""
    with own_network(), neighbour() as far:
        cable(NEAR, FAR)
        ip(f"link set {FAR} netns {far.pid}")
        ip(f"addr add {OWN}/24 dev {NEAR}")
        ip(f"-6 addr add fd00:88::4/64 dev {NEAR} nodad")
        far.ip(f"link set {FAR} up")
        far.ip(f"addr add {CLIENT}/24 dev {FAR}")
        far.ip(f"-6 addr add fd00:88::9/64 dev {FAR} nodad")
        mac = ip(f"-o link show {NEAR}").split("link/ether ")[1].split()[0]
        for vip in VIPS.values():
            far.ip(f"neigh add {vip} lladdr {mac} dev {FAR} nud permanent")
        yield far


def bind(vip: str) -> None:
    ip(f"addr add {vip}/{128 if ':' in vip else 32} dev {NEAR}" + (" nodad" if ":" in vip else ""))


def unbind(vip: str) -> None:
    ip(f"addr del {vip}/{128 if ':' in vip else 32} dev {NEAR}")


@pytest.mark.parametrize("version", VIPS)
def test_who_connects_to_a_vip_that_has_just_left_is_refused_at_once(client: Neighbour, version: int) -> None:
    vip = VIPS[version]
    bind(vip)
    farewell = Farewell(NEAR)
    with farewell.of(vip):
        unbind(vip)
    with client.socket(socket.AF_INET if version == 4 else socket.AF_INET6) as late:
        late.settimeout(0.9)  # before TCP tries for the second time
        with pytest.raises(ConnectionRefusedError):
            late.connect((vip, PORT))
    farewell.stop(vip)


@pytest.mark.parametrize("version", VIPS)
def test_a_client_of_a_vip_that_has_just_left_is_reset(client: Neighbour, version: int) -> None:
    vip = VIPS[version]
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    bind(vip)
    with socket.create_server((vip, PORT), family=family), client.socket(family) as late:
        late.settimeout(10)
        late.connect((vip, PORT))
        farewell = Farewell(NEAR)
        with farewell.of(vip):
            unbind(vip)
        late.sendall(b"a question")
        with pytest.raises(ConnectionResetError):
            late.recv(1)
        farewell.stop(vip)


def test_who_connects_while_the_vip_leaves_is_reset_too(client: Neighbour) -> None:
    """It waits for the server's greeting, which cannot be sent any more, and says nothing that could be answered."""
    vip = VIPS[4]
    bind(vip)
    with socket.create_server((vip, PORT)), client.socket(socket.AF_INET) as late:
        late.settimeout(10)
        farewell = Farewell(NEAR)
        with farewell.of(vip):
            late.connect((vip, PORT))
            unbind(vip)
        with pytest.raises(ConnectionResetError):
            late.recv(1)
        farewell.stop(vip)


def test_a_vip_that_is_back_is_left_alone(client: Neighbour) -> None:
    vip = VIPS[4]
    farewell = Farewell(NEAR)
    with farewell.of(vip):
        pass
    farewell.stop(vip)
    bind(vip)
    with socket.create_server((vip, PORT)) as server, client.socket(socket.AF_INET) as there:
        there.settimeout(10)
        there.connect((vip, PORT))
        accepted, _ = server.accept()
        with accepted:
            there.sendall(b"a question")
            assert accepted.recv(100) == b"a question"


def test_an_interface_that_is_not_there_stops_nothing(client: Neighbour) -> None:
    done = []
    with Farewell("absent0").of(VIPS[4]):
        done.append("unbound")
    assert done


@pytest.mark.parametrize("listens", ["0.0.0.0", "::"])  # noqa: S104
def test_the_kernel_names_who_is_connected_through_a_vip_and_ends_them(
    client: Neighbour, listens: str
) -> None:
    vip = VIPS[4]
    bind(vip)
    family = socket.AF_INET6 if listens == "::" else socket.AF_INET
    with (
        socket.create_server((listens, PORT), family=family, dualstack_ipv6=listens == "::") as server,
        client.socket(socket.AF_INET) as through_vip,
        client.socket(socket.AF_INET) as to_host,
    ):
        for sock, address in ((through_vip, vip), (to_host, OWN)):
            sock.settimeout(10)
            sock.connect((address, PORT))
        found = connections(vip, PORT)
        assert [(one.ip, one.port) for one in found] == [through_vip.getsockname()]
        assert destroy(found) == 1
        assert destroy(found) == 0
        with pytest.raises(ConnectionResetError):
            through_vip.recv(1)
        accepted = [server.accept()[0] for _ in range(2)]
        to_host.sendall(b"a question")
        answers = []
        for each in accepted:
            with each:
                try:
                    answers.append(each.recv(100))
                except OSError as error:
                    assert error.errno == errno.ECONNABORTED  # noqa: PT017
        assert answers == [b"a question"]


def test_clients_of_an_ipv6_vip_are_named_too(client: Neighbour) -> None:
    bind(VIPS[6])
    with (
        socket.create_server(("::", PORT), family=socket.AF_INET6),
        client.socket(socket.AF_INET6) as through_vip,
    ):
        through_vip.settimeout(10)
        through_vip.connect((VIPS[6], PORT))
        found = connections(VIPS[6], PORT)
        assert [(one.ip, one.port) for one in found] == [through_vip.getsockname()[:2]]
        assert connections(VIPS[4], PORT) == []
