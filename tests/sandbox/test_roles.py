"""Two balanced roles beside the writer: level by themselves and together, and still while the network is away."""

from collections import Counter
from collections.abc import Iterator

import pytest

from mmm.config.model import Vip
from mmm.monitor.act import status_file
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines import network
from mmm.sandbox.machines.addresses import bound_addresses
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests import clusters
from tests.clusters import Kept, kept
from tests.scenarios import ALL_ONLINE, LIMIT, LONG_LEASE, Log, replicates, wait_failed

pytestmark = pytest.mark.sandbox

TOP = {"vip_lease": LONG_LEASE}
REPORT = """
<role report>
    hosts   db1, db2, db3
    ips     10.77.0.100, 10.77.0.101
    mode    balanced
</role>
"""


@pytest.fixture(scope="module")
def two_roles() -> Iterator[Kept]:
    """Give two masters and a slave with three reader VIPs and two of another balanced role."""
    conf = Conf(top=TOP, monitor={"flap_count": 0, "failover_block": 0}, extra={"mmm_common.conf": REPORT})
    with kept("roles", conf) as cluster:
        yield cluster


@pytest.fixture
def cluster(two_roles: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return two_roles.healthy()


def balanced(sandbox: Sandbox) -> dict[str, list[Vip]]:
    """Return the VIPs of the balanced roles that are bound on each host."""
    vips = [vip for vip in sandbox.layout.cluster.vips if vip.role != "writer"]
    return {
        name: [vip for vip in vips if vip.ip in bound_addresses(sandbox.machine(name))]
        for name in sandbox.hosts
    }


def spread(numbers: list[int]) -> int:
    return max(numbers) - min(numbers)


def is_level(held: list[list[Vip]]) -> bool:
    """Tell whether no host has two more than another, of a role or of all."""
    counts = [Counter(vip.role for vip in vips) for vips in held]
    roles = (spread([count[role] for count in counts]) for role in ("reader", "report"))
    return max(spread([len(vips) for vips in held]), *roles) <= 1


def wait_level(sandbox: Sandbox, hosts: int) -> None:
    """Wait until every VIP is bound once, level on so many hosts: two hosts may swap VIPs on the way."""

    def level() -> bool:
        held = [vips for vips in balanced(sandbox).values() if vips]
        return (len(held), sum(map(len, held))) == (hosts, 5) and is_level(held)

    sandbox.wait_until(level, LIMIT, f"5 VIPs are level on {hosts} hosts")


def test_each_balanced_role_is_level_and_so_are_all_together(cluster: Sandbox) -> None:
    wait_level(cluster, hosts=3)
    log = Log(cluster)
    inject(cluster, "kill-mysqld", "db3")
    log.wait_change("db3", "HARD_OFFLINE")
    wait_level(cluster, hosts=2)
    heal(cluster)
    log.wait_change("db3", "ONLINE")
    settle(cluster)
    wait_level(cluster, hosts=3)


def test_a_balanced_role_that_is_moved_off_a_host_goes_to_another(cluster: Sandbox) -> None:
    log, before = Log(cluster), balanced(cluster)["db3"]
    assert cluster.ask("move_role reader db3").startswith("OK")
    for vip in before:
        if vip.role == "reader":
            assert log.wait(rf"INFO {vip.role}\({vip.ip}\): db3 -> db[12]")
    settle(cluster)
    wait_level(cluster, hosts=3)


def test_nothing_changes_while_the_monitor_has_no_network(cluster: Sandbox) -> None:
    log, before, shown = Log(cluster), balanced(cluster), cluster.ask("show")
    switch, port = cluster.machine(SWITCH), cluster.layout.plugs[cluster.layout.monitor].port
    network.set_port(switch, port, up=False)
    try:
        log.wait(r"network: ")
        inject(cluster, "kill-mysqld", "db1")
        cluster.sql("db2", "SELECT SLEEP(4)")  # longer than period, trap and time-out of the check
        assert (balanced(cluster), cluster.states(), cluster.writer()) == (before, ALL_ONLINE, "db1")
        assert "network" in cluster.ask("explain")
        assert all(line in cluster.ask("show") for line in shown.splitlines())
    finally:
        network.set_port(switch, port, up=True)
    wait_failed(log, "db1", "mysql")
    log.wait_change("db1", "HARD_OFFLINE")
    cluster.wait_until(lambda: cluster.writer() == "db2", LIMIT, "db2 takes over")
    heal(cluster)
    log.wait_change("db1", "ONLINE")
    settle(cluster)


def test_a_host_that_is_left_out_of_a_role_replicates_on_and_stays_so_when_the_monitor_dies(
    cluster: Sandbox,
) -> None:
    log = Log(cluster)

    def on_db3() -> set[str]:
        return {vip.role for vip in balanced(cluster)["db3"]}

    def saved(host: str) -> frozenset[str]:
        return status_file.decode(clusters.status_file(cluster).read_text())[0][host].left_out

    assert cluster.ask("exclude_role reader db3").startswith("OK: Role 'reader' is kept away from 'db3'")
    cluster.wait_until(lambda: on_db3() <= {"report"}, LIMIT, "db3 has no reader VIP")
    cluster.wait_until(lambda: "reader" in saved("db3"), LIMIT, "the status file says it")
    inject(cluster, "kill-monitor")
    log.wait("db3: starts as ONLINE")
    cluster.wait_until(cluster.show, LIMIT, "the monitor answers again")
    assert "# Warning: reader is kept away from db3 by the admin" in cluster.ask("show")
    assert replicates(cluster, "db3")
    assert on_db3() <= {"report"}
    assert cluster.ask("include_role reader db3").startswith("OK")
    cluster.wait_until(lambda: "reader" in on_db3(), LIMIT, "db3 has a reader VIP again")
    settle(cluster)
