"""What programs print where the terminal lacks a character: all of it, and their exit status is what it was."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmm.sandbox.machines.conf import Conf
from tests.unit.test_control_client import Client

ENCODINGS = ["latin-1", "ascii", "utf-8"]
WHY = "db1: „Tabelle“ für 🐬 ist voll"
"""What a server may say."""
PROGRAMS = {
    "mmm.monitor.daemon": ("main", "mmm_mon.conf", "--print-conf"),
    "mmm.agent.daemon": ("main", "mmm_agent.conf", "--print-conf"),
    "mmm.control.main": ("run", "mmm_mon.conf", "proxy", "haproxy"),
    "mmm.tools.backup.command": ("main", "mmm_tools.conf", "--check"),
    "mmm.tools.clone.command": ("main", "mmm_tools.conf", "--check"),
    "mmm.tools.rejoin.command": ("main", "mmm_tools.conf", "--check"),
    "mmm.tools.restore.command": ("main", "mmm_tools.conf", "--check"),
}


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have programs that are started print in it; returns its name."""
    monkeypatch.setenv("PYTHONIOENCODING", str(request.param))
    return str(request.param)


def escaped(text: str, encoding: str) -> str:
    """Return the text with what the encoding lacks as JSON escapes it."""
    return "".join(each if _fits(each, encoding) else json.dumps(each)[1:-1] for each in text)


def _fits(character: str, encoding: str) -> bool:
    return character.encode(encoding, "ignore") != b""


def run(module: str, name: str, encoding: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.argv[0] = 'program'; from {module} import {name}; sys.exit({name}())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, encoding=encoding, check=False
    )


class _Client(Client):
    """A client whose output is in an encoding."""

    def __init__(self, folder: Path, encoding: str) -> None:
        super().__init__(folder)
        self._encoding = encoding

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run("mmm.control.main", "run", self._encoding, *arguments)


@pytest.fixture
def client(tmp_path: Path, encoding: str) -> _Client:
    return _Client(tmp_path, encoding)


def test_health_is_critical_where_its_words_are_in_another_language(client: _Client, encoding: str) -> None:
    answer = f"MMM CRITICAL: {WHY} | hosts=3\n"
    done, _ = client.ask(answer, "health")
    assert (done.returncode, done.stdout, done.stderr) == (2, escaped(answer, encoding), "")


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_can_be_read(client: _Client, form: str, read: Callable[[str], Any]) -> None:
    values = {"status": "CRITICAL", "why": WHY}
    done, _ = client.ask(json.dumps(values), "--format", form, "health")
    assert (done.returncode, read(done.stdout)) == (2, values)


@pytest.mark.parametrize("module", PROGRAMS)
def test_every_program_names_a_file_in_another_language(module: str, encoding: str, tmp_path: Path) -> None:
    folder = tmp_path / "données 数据"
    folder.mkdir()
    for name, text in Conf().files().items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o640)
    main, conf, *words = PROGRAMS[module]
    done = run(module, main, encoding, "--config", str(folder / conf), *words)
    assert done.returncode == 0, done.stderr
    assert escaped(str(folder / conf), encoding) in done.stdout
