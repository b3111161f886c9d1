"""Who gets a second try: a scenario that ran out of time, never one in which something was found wrong."""

import os
import re
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).parents[2]
MARK = """
from tests.second_try import second_try

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(second_try())
"""
SCENARIOS = """
import asyncio, pytest
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError

tries = []

def once(name, error):
    tries.append(name)
    if tries.count(name) == 1:
        raise error

def test_late(): once("late", NotInTimeError("not within 40 s: db1 goes ONLINE"))
def test_silent(): once("silent", TimeoutError("timed out"))
def test_wrong(): once("wrong", AssertionError("not in time, TimeoutError, NotInTimeError"))
def test_broken(): once("broken", SandboxError("db2 does not run"))

@pytest.fixture
def lasting():
    yield
    once("lasting", NotInTimeError("not within 40 s"))

def test_wrong_and_late(lasting): once("both", AssertionError("db2 is the writer"))

async def test_late_in_a_loop():
    if "loop" not in tries:
        tries.append("loop")
        async with asyncio.timeout(0):
            await asyncio.sleep(1)
"""


def test_only_a_time_out_has_a_second_try(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(MARK)
    (tmp_path / "test_scenarios.py").write_text(SCENARIOS)
    argv = [sys.executable, "-m", "pytest", "-q", "-rAR", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TREE)},
        capture_output=True,
        text=True,
        check=False,
    )
    ended: dict[str, set[str]] = {}
    for end, name in re.findall(r"^(FAILED|RERUN|PASSED) \S+::test_(\w+)", done.stdout, re.MULTILINE):
        ended.setdefault(name, set()).add(end)
    again, failed = {"RERUN", "PASSED"}, {"FAILED"}
    assert ended.pop("wrong_and_late") >= failed, done.stdout
    assert ended == {
        "late": again,
        "silent": again,
        "late_in_a_loop": again,
        "wrong": failed,
        "broken": failed,
    }, done.stdout
