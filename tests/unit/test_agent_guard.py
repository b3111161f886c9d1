"""The last guard of a writer role without an address: what is left where worker and angel were killed."""

import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mmm.agent.act import guard
from mmm.agent.act.places import Places
from mmm.clock import clock
from mmm.config.load import Cluster
from mmm.process.conf_file import ConfFile
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


@dataclass
class Fence:
    """A fence that fails a few times; a new lease of some seconds is granted while it first does."""

    conf: Cluster
    fails: int
    granted: int | None = None
    acts: int = 0

    def __call__(self, _: Cluster) -> bool:
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
