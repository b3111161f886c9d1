"""Whether the machine goes down: what `systemctl` says where systemd runs, else `runlevel`."""

from pathlib import Path

import pytest

from mmm.process.halt import machine_halts


def put(folder: Path, name: str, said: str, status: int = 0) -> None:
    """Have a program of that name say something."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{said}'\nexit {status}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("systemd", "state", "level", "halts"),
    [
        (True, "stopping", "N 5", True),
        (True, "running", "5 6", False),
        (True, "degraded", "N 5", False),
        (False, "stopping", "2 6", True),
        (False, "stopping", "5 0", True),
        (False, "stopping", "N 5", False),
        (False, "stopping", "unknown", False),
        (False, "stopping", "", False),
    ],
)
def test_the_machine_goes_down_by_the_word_of_its_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, level: str, *, systemd: bool, halts: bool
) -> None:
    put(tmp_path, "systemctl", state, status=1)
    put(tmp_path, "runlevel", level)
    monkeypatch.setenv("PATH", str(tmp_path))
    booted = tmp_path if systemd else tmp_path / "none"
    assert machine_halts(booted) is halts


def test_where_nobody_can_be_asked_the_agent_alone_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not machine_halts(tmp_path)
    assert not machine_halts(tmp_path / "none")
