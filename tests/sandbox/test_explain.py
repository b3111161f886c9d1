"""What `mmm_control explain` and `history` say of a cluster at work (rule 11.3)."""

import re
from typing import Any

import pytest

from mmm.config.effective import fingerprint
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.trouble.faults import heal, inject
from mmm.sandbox.witness.health import settle
from tests.clusters import monitor_away
from tests.scenarios import LIMIT, Log, move_writer, wait_failed
from tests.status import status

pytestmark = pytest.mark.sandbox

MOMENT = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"


def explained(sandbox: Sandbox, *host: str) -> str:
    done = sandbox.control("explain", *host)
    assert done.returncode == 0, done
    return done.stdout


def history(sandbox: Sandbox, number: int) -> list[str]:
    done = sandbox.control("history", str(number))
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def test_a_healthy_cluster_has_nothing_to_explain_away(sandbox: Sandbox) -> None:
    said: list[str] = []

    def all_good() -> bool:
        said[:] = [explained(sandbox)]
        return "fail" not in said[0]

    sandbox.wait_until(all_good, LIMIT, "all checks are good since the cluster was put right")
    (told,) = said
    assert re.findall(rf"^(db\d): ONLINE since {MOMENT}", told, re.MULTILINE) == ["db1", "db2", "db3"]
    assert "nobody" not in told
    own = explained(sandbox, "db2")
    assert own.startswith("db2: ONLINE")
    assert own in told


def test_the_status_has_the_figures_of_a_healthy_cluster(sandbox: Sandbox) -> None:
    def told() -> dict[str, Any]:
        return status(sandbox.ask("status"))

    def figures() -> dict[str, Any]:
        return {host["name"]: host for host in told()["hosts"]}

    sandbox.wait_until(lambda: told()["health"]["writer"], LIMIT, "a host holds the writer role")
    writer = told()["health"]["writer"]
    others = sorted({"db1", "db2", "db3"} - {writer})
    sandbox.wait_until(
        lambda: [figures()[name]["missing"] for name in others] == [0, 0], LIMIT, "nothing is missing"
    )
    timeouts = {name: check.timeout for name, check in sandbox.layout.cluster.checks.items()}

    def each_took_its_time() -> bool:
        took = [
            (name, check["took"]) for host in figures().values() for name, check in host["checks"].items()
        ]
        return all(0 < seconds < timeouts[name] for name, seconds in took)

    def leased() -> bool:
        leases = {name: host["lease"] for name, host in figures().items() if host["lease"] is not None}
        left = [lease["left"] for lease in leases.values()]
        if list(leases) != [writer] or left[0] is None:  # it has no end yet where another agent was silent
            return False
        return bool(0 < left[0] <= sandbox.layout.cluster.vip_lease)

    sandbox.wait_until(each_took_its_time, LIMIT, "every check says how long it took")
    sandbox.wait_until(leased, LIMIT, "the writer alone has a lease")
    assert told()["monitor"]["conf"] == fingerprint(sandbox.layout.cluster)


def test_a_host_that_lags_shows_how_far_and_since_when(settled_sandbox: Sandbox) -> None:
    sandbox, log = settled_sandbox, Log(settled_sandbox)
    inject(sandbox, "lag", "db3")
    log.wait_change("db3", "REPLICATION_DELAY")
    said = explained(sandbox, "db3")
    assert re.search(
        rf"db3: REPLICATION_DELAY since {MOMENT} \(replication_delayed\): .*\d+ s behind, limit 2", said
    )
    assert re.search(rf"rep_backlog has failed since {MOMENT}", said)
    assert re.search(r"would become ONLINE by replication_good; missing: rep_backlog must be good", said)
    heal(sandbox)
    log.wait_change("db3", "ONLINE")
    settle(sandbox)


def test_a_dead_host_shows_what_is_missing_and_the_admin_what_to_say(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    inject(sandbox, "kill-mysqld", "db3")
    log.wait_change("db3", "HARD_OFFLINE")
    said = explained(sandbox, "db3")
    assert re.search(r"db3: HARD_OFFLINE since .* \(host_failed\): ", said)
    assert re.search(r"mysql has failed since ", said)
    assert re.search(r"would become AWAITING_RECOVERY by back; missing: its server must answer", said)
    heal(sandbox)
    log.wait_change("db3", "ONLINE")
    assert sandbox.control("set_offline", "db3").returncode == 0
    assert "the admin brings it back with: mmm_control set_online db3" in explained(sandbox, "db3")
    assert sandbox.control("set_online", "db3").returncode == 0
    settle(sandbox)


def test_a_host_nobody_has_heard_of_is_an_error(sandbox: Sandbox) -> None:
    done = sandbox.control("explain", "db9")
    assert (done.returncode, done.stdout.startswith("ERROR: ")) == (1, True)


def test_history_tells_a_failover_with_cause_and_steps_and_survives_the_monitor(sandbox: Sandbox) -> None:
    log = Log(sandbox)
    inject(sandbox, "kill-mysqld", "db1")
    wait_failed(log, "db1", "mysql")
    sandbox.wait_until(lambda: sandbox.writer() == "db2", LIMIT, "db2 takes over")
    heal(sandbox)
    log.wait_change("db1", "ONLINE")
    settle(sandbox)
    told = history(sandbox, 50)
    assert len(history(sandbox, 1)) == 1
    (failed,) = [line for line in told[-8:] if "db1: ONLINE -> HARD_OFFLINE: host_failed: " in line]
    (moved,) = [line for line in told[-8:] if f"writer({sandbox.layout.writer_ip}): db1 -> db2, " in line]
    assert re.match(rf"{MOMENT}  ", failed)
    assert re.search(
        r"db1 -> db2, \d+ ms: db1 HARD_OFFLINE by host_failed: .*mysql.* \[.*db2 OK after", moved
    )
    with monitor_away(sandbox):
        pass
    assert "\n".join(told) in "\n".join(history(sandbox, 100))
    settle(sandbox)


def test_a_change_by_the_admin_stands_in_the_history(sandbox: Sandbox) -> None:
    move_writer(sandbox, "db2")
    settle(sandbox)
    assert any(
        f"writer({sandbox.layout.writer_ip}): db1 -> db2, " in line and "ordered by the admin" in line
        for line in history(sandbox, 3)
    )
