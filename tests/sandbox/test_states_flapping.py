"""auto_set_online, and hosts that fail too often, in a cluster with a conf of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.conf import Conf, fast
from mmm.sandbox.trouble.faults import inject
from mmm.sandbox.witness.health import settle
from tests.clusters import Kept, kept
from tests.scenarios import LIMIT, SHORT_OUTAGE, Log, switch_off, without_relapses

pytestmark = pytest.mark.sandbox

CALM = 5


def conf(flap_duration: int) -> Conf:
    monitor = {"flap_count": 1, "flap_duration": flap_duration, "auto_set_online": 2}
    return Conf(slaves=2, monitor=monitor)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Kept]:
    """Give two masters and two slaves; the second failure within an hour is too many, waiting ends after 2 s."""
    with kept("moody", conf(flap_duration=3600)) as cluster:
        yield cluster


@pytest.fixture
def moody(own_cluster: Kept) -> Sandbox:
    """Give it healthy, db1 being the writer."""
    return own_cluster.healthy()


@contextmanager
def soon_calm(sandbox: Sandbox) -> Iterator[None]:
    """Have the monitor take a flapping host for calm after a few seconds: an hour is only for counting."""
    file = sandbox.monitor.etc / "mmm_mon.conf"
    before = file.read_text()
    file.write_text(fast(conf(CALM)).files()[file.name])
    try:
        assert sandbox.ask("reload").startswith("OK: The conf is taken.")
        yield
    finally:
        file.write_text(before)
        sandbox.ask("reload")


def fail(sandbox: Sandbox, host: str) -> Log:
    """Let a host fail and come back to AWAITING_RECOVERY; returns the log since."""
    log = Log(sandbox)
    inject(sandbox, "kill-mysqld", host)
    log.wait_change(host, "HARD_OFFLINE")
    sandbox.start_server(host)
    log.wait_change(host, "AWAITING_RECOVERY")
    return log


def test_a_flapping_host_waits_for_the_admin_or_until_it_is_calm(moody: Sandbox) -> None:
    log = Log(moody)
    for host in ("db2", "db3"):  # db2 will wait until nothing has changed for a while, db3 for the admin
        fail(moody, host).wait_change(host, "ONLINE")
        fail(moody, host).wait(f"{host}: told AWAITING_RECOVERY, no roles: OK")

    online = "set_online db3"
    moody.wait_until(lambda: moody.ask(online).startswith("OK"), LIMIT, online)
    fail(moody, "db3").wait_change("db3", "ONLINE")  # the count begins anew: once is not too often
    flapped = [*SHORT_OUTAGE, *SHORT_OUTAGE[:2]]
    by_the_admin = ("AWAITING_RECOVERY", "ONLINE", "set_online")
    assert without_relapses(log.story("db3")) == [*flapped, by_the_admin, *SHORT_OUTAGE]

    # Neither its short outage nor auto_set_online has brought it back.
    with soon_calm(moody):
        calm = log.wait_change("db2", "ONLINE", 2)
        assert f"no check has changed for {CALM} s" in calm.sentence
        fail(moody, "db2").wait_change("db2", "ONLINE")
    by_itself = ("AWAITING_RECOVERY", "ONLINE", "calm_again")
    assert without_relapses(log.story("db2")) == [*flapped, by_itself, *SHORT_OUTAGE]
    settle(moody)


def test_a_rebooted_host_comes_back_by_itself_where_auto_set_online_says_so(moody: Sandbox) -> None:
    log = Log(moody)
    switch_off(moody, log, "db4")
    moody.power_on("db4")
    change = log.wait_change("db4", "ONLINE")
    assert "auto_set_online is 2" in change.sentence
    by_itself = ("AWAITING_RECOVERY", "ONLINE", "auto_set_online")
    assert without_relapses(log.story("db4")) == [*SHORT_OUTAGE[:2], by_itself]
    assert [other for other in log.changes() if other.host != "db4"] == []
    settle(moody)
