"""A host whose peer has broken replication is not set online, unless only its return mends that."""

from dataclasses import replace

import pytest

from mmm.gtid.mariadb import History, parse
from mmm.gtid.transactions import Transactions
from mmm.monitor.command import in_use
from mmm.monitor.world.checks import SOURCE_LACKS_LOG, Cause, Finding, Outcome
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from tests import commanding
from tests.unit.worlds import NOW, READER3, WRITER, checks, settle, with_host, world

IO = (("IO", "Got fatal error 1236 from master"),)
BOTH = (*IO, ("SQL", "Duplicate entry '7' for key 'PRIMARY'"))
OTHER = Cause("rows_differ", 1062)


def ring(
    stopped: tuple[tuple[str, str], ...] = IO,
    cause: Cause | None = None,
    source: str = "10.0.0.2",
    state: State = State.ADMIN_OFFLINE,
    writer: str | None = "db1",
    *,
    unknown: bool = False,
) -> World:
    """Give the world in which db2 is rebuilt and out of use, and the replication of db1, in use, has failed."""
    found = checks(rep_threads=1.0)
    found["rep_threads"] = replace(
        found["rep_threads"],
        finding=Finding("threads_stopped", {"stopped": stopped}, Outcome.ERROR),
        cause=cause or Cause(SOURCE_LACKS_LOG, 1236),
        unknown=unknown,
    )
    has = Transactions(NOW, "1", History((), parse("0-1-9")), source_ip=source, source_port=3306)
    made = world({WRITER: writer, READER3: "db3"}, {"db2": state})
    return with_host(with_host(made, "db1", checks=found, transactions=has), "db2", lost=False)


def refused(at: World, *, force: bool = False) -> str | None:
    verdict = in_use.refusal(at, NOW, "db2", force=force)
    return None if verdict is None else verdict.code


@pytest.mark.parametrize("state", [State.ADMIN_OFFLINE, State.AWAITING_RECOVERY])
@pytest.mark.parametrize("force", [False, True])
def test_a_host_whose_log_was_begun_anew_is_set_online_though_the_active_master_cannot_follow_it_yet(
    state: State, *, force: bool
) -> None:
    assert refused(ring(state=state), force=force) is None


@pytest.mark.parametrize("backlog", [0.0, None])
def test_it_stays_online_and_the_active_master_keeps_its_role(backlog: float | None) -> None:
    at = ring()
    if backlog is not None:
        failed = {**at.hosts["db1"].checks, "rep_backlog": checks(rep_backlog=backlog)["rep_backlog"]}
        at = with_host(at, "db1", checks=failed)
    assert refused(at) is None
    done = commanding.run(at, ["set_online", "db2"], NOW, pinged=True)
    assert done is not None
    after, _ = settle(done.world, NOW + 1)
    assert {name: host.state for name, host in after.hosts.items()} == dict.fromkeys(
        after.hosts, State.ONLINE
    )
    assert after.active_master == "db1"


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(ring(BOTH), id="it has met an error in what it received, too"),
        pytest.param(ring(cause=OTHER), id="another error"),
        pytest.param(ring(source="10.0.0.3"), id="another source"),
        pytest.param(ring(unknown=True), id="that is not known any more"),
    ],
)
def test_a_peer_whose_replication_its_return_does_not_mend_is_still_against_it(at: World) -> None:
    assert (refused(at), refused(at, force=True)) == ("peer_failed", "peer_failed")


def test_a_peer_that_does_not_write_does_not_go_on_by_itself_and_is_still_against_it() -> None:
    assert refused(ring(writer=None)) == "peer_failed"
