"""Servers from Debian's other suites: had, or refused with one clear line and nothing left behind."""

from pathlib import Path

import pytest

from mmm.sandbox.machines import fetch
from mmm.sandbox.machines.machine import SandboxError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMM_SERVERS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_mirror_that_cannot_be_reached_is_one_clear_line_and_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cache / ".mysql-9.7.killed"
    (left / "bin").mkdir(parents=True)
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setattr(fetch, "_mirror", lambda: "http://127.0.0.1:1/debian")
    with pytest.raises(
        SandboxError, match=r"^mysql:9.7 cannot be had from Debian's sid: apt-get: E: .*$"
    ) as raised:
        fetch.fetched("mysql:9.7")
    assert "\n" not in str(raised.value)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_server_that_is_there_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_mirror", lambda: pytest.fail("asked for the mirror"))
    (cache / "mariadb-11.8").mkdir(parents=True)
    assert fetch.fetched("mariadb:11.8") == cache / "mariadb-11.8"
