"""IPv6 VIPs, beside IPv4 ones in the same role: bound, announced, moved, shown (rule 11.5)."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.witness.health import settle
from mmm.sandbox.witness.probe_run import Probe
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, LONG_LEASE, move_writer
from tests.taps import Towards, mac_of

pytestmark = pytest.mark.sandbox

WRITER, READER, OLD_READER = "fd77::80", "fd77::90", "10.77.0.90"
UNDER_WAY = 3


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters with an IPv6 writer VIP, and readers of both families; its conf writes IPv6 in long form."""
    roles = {"writer": {"ips": "FD77:0:0::0080"}, "reader": {"ips": f"{OLD_READER}, fd77:0::90"}}
    top = {"vip_lease": LONG_LEASE}
    conf = Conf(slaves=0, top=top, monitor={"flap_count": 0, "failover_block": 0}, roles=roles)
    with kept("dual", conf) as cluster:
        yield cluster


@pytest.fixture
def dual(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


def test_vips_of_both_families_are_held_shown_and_kept(dual: Sandbox) -> None:
    assert dual.writer() == "db1"
    shown = dual.show()
    assert {ip for host in shown.values() for _, ip in host.roles} == {WRITER, READER, OLD_READER}
    bound = dual.machine("db1").run(["ip", "-o", "-6", "address", "show", "dev", "eth0"]).stdout
    assert f"inet6 {WRITER}/128 scope global nodad deprecated" in bound
    assert f"writer({WRITER})" in dual.monitor.path("/var/lib/misc/mmm_mond.status").read_text()


def test_clients_of_an_ipv6_vip_follow_it_to_its_new_host(dual: Sandbox) -> None:
    old, new = (mac_of(dual.machine(host)) for host in ("db1", "db2"))
    with Towards(dual, "client", WRITER) as towards, Probe(dual) as probe:
        probe.wait_writes(LIMIT, 100)
        assert set(towards.sent) == {old}
        move_writer(dual, "db2")
        outage = probe.wait_move(LIMIT)
        probe.wait_writes(LIMIT, 100)
        assert new in dual.client.run(["ip", "-6", "neighbour", "show", WRITER]).stdout
    assert (outage.before, outage.after) == ("db1", "db2")
    assert towards.late(old, new) <= UNDER_WAY
    assert probe.report.missing == probe.report.doubled == ()
    settle(dual)


def test_an_ipv6_reader_vip_leaves_a_host_that_goes_offline(dual: Sandbox) -> None:
    settle(dual)
    (host,) = dual.holders(READER)
    assert dual.ask(f"set_offline {host}").startswith("OK")
    dual.wait_until(lambda: set(dual.holders(READER)) not in ({host}, set()), LIMIT, "the other host has it")
    assert dual.ask(f"set_online {host}").startswith("OK")
    settle(dual)
