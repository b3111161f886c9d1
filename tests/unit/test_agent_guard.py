"""The last guard of a writer role without an address: what is left where worker and angel were killed."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from mmm.agent.act import fence as fence_module
from mmm.agent.act import fence_note, guard
from mmm.agent.act.fence_note import FenceNote
from mmm.agent.act.places import Places
from mmm.agent.act.taken import Taken
from mmm.clock import clock
from mmm.config.load import Cluster
from mmm.config.model import Via
from mmm.process.conf_file import ConfFile
from mmm.process.watchdog import NONE, Ward
from tests.unit.test_process_inspection import conf, here, without_bound_writer

LIMIT = 60
TREE = Path(__file__).parents[2]
VIP = "10.0.0.80"

GUARD = """
import asyncio, os, sys
from dataclasses import replace
from pathlib import Path
from mmm.agent.act import guard
from tests.unit.test_agent_guard import leased

class File:
    said = False
    @property
    def conf(self):
        if not self.said:
            self.said = True
            os.write(writer, b"1")
        return conf

conf = leased(Path(sys.argv[1]))
reader, writer = os.pipe()
if os.fork():
    os.read(reader, 1)
    os._exit(0)
asyncio.run(guard.watch(File()))
"""


def leased(folder: Path) -> Cluster:
    """Return the conf of an agent whose writer role has no address, and whose server does not run."""
    text = here(without_bound_writer({"127.0.0.1": 9989, "127.0.0.2": 9989})).partition("<monitor>")[0]
    text = text.replace("pid_path /run/a.pid", f"pid_path {folder}/a.pid\n    mysql_port 1")
    return conf(f"this db1\n{text}", "AGENT")


def test_it_acts_by_the_conf_that_was_taken_though_the_file_is_broken_by_then(tmp_path: Path) -> None:
    """It read the file: half edited, or with a name that DNS did not know then, nobody fenced."""
    cluster = leased(tmp_path)
    assert not cluster.path.exists(), "there is none at all"
    with Places(cluster) as places:
        places.bind(VIP, 1)
    done = subprocess.run(
        [sys.executable, "-c", GUARD, str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False, cwd=TREE,
        env={**os.environ, "PYTHONPATH": str(TREE)},
    )  # fmt: skip
    assert "FATAL the lease of writer is over, and neither agent nor angel has acted" in done.stderr
    assert "Traceback" not in done.stderr
    with Places(cluster) as places:
        assert VIP not in places.overdue(), "it was given up"


def moved(known: Cluster, via: Via) -> Cluster:
    """Return the conf with another way to its writer role; a program, if that is one, succeeds at once."""
    writer = replace(known.roles["writer"], vip_via=via, vip_script="true")
    return replace(known, roles={**known.roles, "writer": writer})


@dataclass
class Fence:
    """A fence that fails a few times; a new lease of some seconds is granted while it first does."""

    conf: Cluster
    fails: int
    granted: int | None = None
    acts: int = 0

    def __call__(self, *_: object) -> bool:
        self.acts += 1
        with Places(self.conf) as places:
            places.unbind(VIP)
            if self.granted is not None:
                places.bind(VIP, self.granted)
        return self.acts > self.fails


@dataclass
class Looked(ConfFile):
    """A conf that needs no guard any more after a few looks."""

    known: Cluster
    looks: int = 20
    without: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.without = replace(self.known, vip_lease=0)

    @property
    def conf(self) -> Cluster:
        self.looks -= 1
        return self.known if self.looks > 0 else self.without


@pytest.fixture
def overdue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return the conf of a host whose lease is over."""
    monkeypatch.setattr(guard, "LOOK", 0.001)
    monkeypatch.setattr(guard, "AGAIN", 0.001)
    cluster = leased(tmp_path)
    with Places(cluster) as places:
        places.bind(VIP, 1)
        assert VIP in places.held_until([VIP])
    (file,) = tmp_path.glob(f"a.pid.holds.{VIP}")
    file.write_text(f"{file.read_text().split()[0]} {clock() - 5.0}")
    return cluster


@pytest.mark.parametrize("granted", [60, 0], ids=["a lease", "for good"])
async def test_a_fence_that_failed_is_not_tried_again_once_the_role_is_granted_anew(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch, granted: int
) -> None:
    """It would set the legitimate writer read_only, and end its clients, each second."""
    fence = Fence(overdue, 5, granted)
    monkeypatch.setattr(guard, "fence", fence)
    await guard.watch(Looked(overdue))
    assert fence.acts == 1


async def test_a_fence_that_failed_is_tried_again_until_it_succeeds(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = Fence(overdue, 2)
    monkeypatch.setattr(guard, "fence", fence)
    await guard.watch(Looked(overdue))
    assert fence.acts == 3


@pytest.mark.parametrize(("granted", "acts"), [(60, 1), (0, 1), (None, 3)])
def test_who_outlasts_the_angel_goes_by_the_same(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch, granted: int | None, acts: int
) -> None:
    fence = Fence(overdue, 2, granted)
    monkeypatch.setattr(guard, "fence", fence)
    guard.outlast(overdue)
    assert fence.acts == acts


@pytest.mark.parametrize(("denied", "acts"), [(True, 0), (False, 1)])
def test_who_outlasts_the_angel_goes_on_with_what_is_on_record(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch, *, denied: bool, acts: int
) -> None:
    """The role was let go, the server hung, worker and angel were killed: it ended, and the server woke writable."""
    monkeypatch.setattr(fence_note, "SETTLE", LIMIT)
    note = FenceNote(overdue.here.pid_path)
    note.keep(fenced=denied)
    note.settle()
    with Places(overdue) as places:
        places.unbind(VIP)
    fence = Fence(overdue, 0)
    monkeypatch.setattr(guard, "fence", fence)
    guard.outlast(overdue)
    assert fence.acts == acts


@pytest.mark.parametrize("via", ["health", "script"])
def test_a_lease_that_is_granted_while_the_fence_is_under_way_is_left_alone(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, via: Via
) -> None:
    """Its note was dropped: load balancers were told that nobody holds the role, until the next order."""

    def granted(places: Places, ip: str) -> list[str]:
        places.bind(ip, 60)
        return ["lo"]

    ended, overdue = Mock(), moved(overdue, via)
    monkeypatch.setattr(fence_module, "_where", granted)
    monkeypatch.setattr(fence_module, "end_clients_of", ended)
    assert fence_module.fence(overdue)
    with Places(overdue) as places:
        assert places.held_until([VIP])[VIP] > clock() + 50
    ended.assert_not_called()
    assert "is gone" not in caplog.text


def test_a_fence_that_is_not_due_any_more_takes_nothing(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    deny = Mock(return_value="")
    monkeypatch.setattr(fence_module, "deny", deny)
    assert fence_module.fence(overdue, lambda: False)
    deny.assert_not_called()
    with Places(overdue) as places:
        assert VIP in places.held_until([VIP])


def test_a_server_that_answers_when_the_role_is_granted_anew_is_left_writable(
    overdue: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, session = Mock(), Mock()
    monkeypatch.setattr(fence_module, "deny_writes", made)
    assert fence_module.deny(session, overdue, lambda: False) is None
    session.close.assert_called_once()
    made.assert_not_called()


def test_only_what_was_found_is_dropped_also_where_another_process_holds_it_anew_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = Taken(f"{tmp_path}/a.pid"), Taken(f"{tmp_path}/a.pid")
    ours.hold(VIP, 30)
    found = ours.until(VIP)
    theirs.hold(VIP, 60)
    assert not ours.drop(VIP, found)
    assert ours.left(VIP) > 50
    again, rename = ours.until(VIP), Path.rename

    def late(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        theirs.hold(VIP, 90)  # after it was looked at, and before it is taken aside
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    assert not ours.drop(VIP, again)
    assert ours.left(VIP) > 80
    assert ours.drop(VIP, ours.until(VIP))
    assert ours.drop(VIP, found), "nothing is held any more"
    assert list(tmp_path.iterdir()) == []


def test_what_another_thread_lets_go_while_it_is_renewed_is_not_held_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Load balancers were told for a whole lease that this host holds the role, which another one had by then."""
    with Places(leased(tmp_path)) as places:
        places.bind(VIP, 10)
        left = places._taken.left

        def looked(ip: str) -> float:
            found = left(ip)
            monkeypatch.setattr(places._taken, "left", left)
            places.unbind(VIP)
            return found

        monkeypatch.setattr(places._taken, "left", looked)
        places.renew(VIP, 10)
        assert places.left(VIP) == 0


def test_the_angels_act_is_told_when_its_worker_lives_after_all() -> None:
    def act(due: Callable[[], bool]) -> bool:
        before = due()
        ward.set(NONE)  # as the worker does
        return before and not due()

    ward = Ward(act)
    ward.set(0.0)
    ward.look()
    os.waitid(os.P_PID, ward._pid, os.WEXITED | os.WNOWAIT)
    assert os.waitstatus_to_exitcode(os.waitpid(ward._pid, 0)[1]) == 0
