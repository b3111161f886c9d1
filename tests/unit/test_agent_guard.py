"""The last guard of a writer role without an address: what is left where worker and angel were killed."""

import os
import subprocess
import sys
from pathlib import Path

from mmm.agent.act.places import Places
from mmm.config.load import Cluster
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
