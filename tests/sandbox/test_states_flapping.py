"""auto_set_online, and hosts that fail too often, in a cluster with a conf of its own."""

from collections.abc import Iterator

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import settle
from tests.clusters import Kept, kept
from tests.scenarios import SHORT_OUTAGE, Log, switch_off

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and two slaves; the second failure within 15 s is too many, waiting ends after 2 s."""
    conf = Conf(slaves=2, monitor={"flap_count": 1, "flap_duration": 15, "auto_set_online": 2})
    with kept("moody", conf) as cluster:
        yield cluster


@pytest.fixture
def moody(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


def fail(sandbox: Sandbox, log: Log, host: str, times: int) -> None:
    """Let a host fail and come back to AWAITING_RECOVERY, for the `times`th time."""
    inject(sandbox, "kill-mysqld", host)
    log.wait_change(host, "HARD_OFFLINE", times)
    sandbox.start_server(host)
    log.wait_change(host, "AWAITING_RECOVERY", times)


def test_a_flapping_host_waits_for_the_admin_or_until_it_is_calm(moody: Sandbox) -> None:
    log = Log(moody)
    for host in ("db2", "db3"):  # db2 will wait until nothing has changed for 15 s, db3 for the admin
        fail(moody, log, host, 1)
        log.wait_change(host, "ONLINE")
        fail(moody, log, host, 2)
        log.wait(f"{host}: told AWAITING_RECOVERY, no roles: OK", 2)
    assert log.story("db3") == [*SHORT_OUTAGE, *SHORT_OUTAGE[:2]]

    assert moody.ask("set_online db3").startswith("OK")
    fail(moody, log, "db3", 3)  # the count begins anew: once is not too often
    log.wait_change("db3", "ONLINE", 3)
    flapped = [*SHORT_OUTAGE, *SHORT_OUTAGE[:2]]
    assert log.story("db3") == [*flapped, ("AWAITING_RECOVERY", "ONLINE", "set_online"), *SHORT_OUTAGE]

    # Neither its short outage nor auto_set_online has brought it back.
    calm = log.wait_change("db2", "ONLINE", 2)
    assert log.story("db2")[: len(flapped)] == flapped
    assert calm.rule == "calm_again"
    assert "no check has changed for 15 s" in calm.sentence
    fail(moody, log, "db2", 3)
    log.wait_change("db2", "ONLINE", 3)
    assert log.story("db2")[-3:] == SHORT_OUTAGE
    settle(moody)


def test_a_rebooted_host_comes_back_by_itself_where_auto_set_online_says_so(moody: Sandbox) -> None:
    log = Log(moody)
    switch_off(moody, log, "db4")
    moody.power_on("db4")
    change = log.wait_change("db4", "ONLINE")
    assert (change.before, change.rule) == ("AWAITING_RECOVERY", "auto_set_online")
    assert "auto_set_online is 2" in change.sentence
    assert len(log.changes()) == 3
    settle(moody)
