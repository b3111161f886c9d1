"""A host that only ping does not reach (rule 10.9)."""

from dataclasses import replace

from mmm.lease.lead import HEARTBEAT
from mmm.monitor.apply.apply import apply
from mmm.monitor.report.log_lines import between
from mmm.monitor.world.check_results import PingChecked
from mmm.monitor.world.checks import CheckStatus, Outcome
from mmm.monitor.world.events import Answer
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import KillHost, Tell
from mmm.monitor.world.world import World
from tests import commanding
from tests.unit.worlds import (
    NOW,
    WRITER,
    checks,
    cluster,
    finds,
    settle,
    show,
    with_host,
    world,
)


def lost(began: float = NOW, failed: float = NOW, before: World | None = None, **other: float) -> World:
    """Return the world in which ping of db1 has not worked since `began`, and has failed at `failed`."""
    ping = CheckStatus(
        failed=True, finding=finds(Outcome.ERROR, "no echo"), changed=failed, error_since=began
    )
    return with_host(before or world(), "db1", checks={**checks(**other), "ping": ping})


def test_lost_ping_alone_changes_nothing_and_is_shown() -> None:
    after, orders = settle(lost(), NOW + HEARTBEAT)
    assert after.owner == world().owner
    assert after.hosts["db1"].state is State.ONLINE
    assert {order.host for order in orders if isinstance(order, Tell)} == {"db1", "db2", "db3"}
    assert "# Warning: host db1 does not answer ping, but its server does" in show(after)


def test_it_is_said_when_ping_has_failed() -> None:
    before = apply(world(), PingChecked("db1", finds(Outcome.ERROR, "no echo")), NOW)
    after = apply(before, PingChecked("db1", finds(Outcome.ERROR, "no echo")), NOW + 10)
    assert "db1: ping is lost, but its server answers: ignored" in [
        line for _, line in between(before, after)
    ]


def test_with_ping_alone_kills_the_host_is_dead() -> None:
    after, orders = settle(lost(before=world(conf=cluster(ping_alone_kills=True))))
    assert after.hosts["db1"].state is State.HARD_OFFLINE
    assert KillHost("db1", pings=False) in orders


def test_a_server_that_stopped_answering_with_ping_needs_no_trap_of_its_own() -> None:
    mysql = CheckStatus(finding=finds(Outcome.ERROR, "no answer"), error_since=NOW - 5.0)
    gone = lost(NOW - 10.0)
    gone = with_host(gone, "db1", checks={**gone.hosts["db1"].checks, "mysql": mysql})
    after, _ = settle(gone)
    assert after.hosts["db1"].state is State.HARD_OFFLINE
    assert str(after.hosts["db1"].why) == "ping: ERROR: no echo, mysql: ERROR: no answer"
    refusing = with_host(
        gone, "db1", checks={**gone.hosts["db1"].checks, "mysql": replace(mysql, refused=True)}
    )
    assert settle(refusing)[0].hosts["db1"].state is State.ONLINE
    later = replace(mysql, error_since=NOW + 7.1)
    filtered = with_host(gone, "db1", checks={**gone.hosts["db1"].checks, "mysql": later})
    assert settle(filtered, NOW + 8.0)[0].hosts["db1"].state is State.ONLINE


def test_where_ping_was_lost_long_before_a_dead_server_gives_its_roles_away_by_its_agent() -> None:
    dead = lost(NOW - 100.0, NOW - 90.0, mysql=NOW)
    after, orders = settle(dead)
    assert after.hosts["db1"].state is State.HARD_OFFLINE
    assert not any(isinstance(order, KillHost) for order in orders)
    assert after.owner[WRITER] == "db2"


def test_where_ping_was_lost_long_before_a_host_is_killed_once_its_agent_does_not_answer() -> None:
    dead = lost(NOW - 100.0, NOW - 90.0, mysql=NOW)
    _, orders = settle(dead, answers={"db1": Answer.REFUSED})
    assert [order for order in orders if order.host == "db1"][1] == KillHost("db1", pings=False)


def test_a_host_that_only_ping_does_not_reach_comes_back_and_can_be_set_online() -> None:
    before = lost(before=world({WRITER: "db2"}, {"db1": State.HARD_OFFLINE}))
    after, _ = settle(with_host(before, "db1", last_uptime=500.0, uptime=520.0))
    assert after.hosts["db1"].state is State.ONLINE
    waiting = lost(before=world({WRITER: "db2"}, {"db1": State.AWAITING_RECOVERY}))
    result = commanding.run(waiting, ["set_online", "db1"], NOW, pinged=True)
    assert result is not None
    assert result.text.startswith("OK")
