"""The daemons' command line."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.process.arguments import Arguments, parse
from mmm.process.version import version
from mmm.tools.restore.command import restore
from pages.packaged import programs


@pytest.mark.parametrize(
    ("argv", "arguments"),
    [
        ([], Arguments()),
        (["@C1"], Arguments(cluster="C1")),
        (["@C1", "--config", "/x/y.conf"], Arguments(cluster="C1", config=Path("/x/y.conf"))),
        (["--check", "--foreground"], Arguments(check=True, foreground=True)),
        (["--print-conf"], Arguments(print_conf=True)),
    ],
)
def test_what_is_asked_for(argv: list[str], arguments: Arguments) -> None:
    assert parse("mmm_mond", argv) == arguments


@pytest.mark.parametrize(("option", "status"), [("--doctor", 3), ("--check", 2), ("--foreground", 2)])
def test_a_conf_that_cannot_be_used_has_a_status_of_its_own_where_2_means_errors_found(
    option: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mmm_agent.conf"
    path.write_text("<host db1\n")
    assert (
        importlib.import_module(programs()["mmm_agentd"][0]).main(["--config", str(path), option]) == status
    )
    assert str(path) in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("mmm_agentd", ["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.split()[:2] == ["mmm_agentd", "3.0.0"]


def test_version_of_the_tool_that_takes_the_version_of_a_backup_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        restore(["@C1", "--version"])
    assert end.value.code in (0, None)
    assert capsys.readouterr().out.split()[:2] == ["mmm_restore", "3.0.0"]


def test_a_clone_says_its_commit_and_an_installation_does_not(tmp_path: Path) -> None:
    assert version(tmp_path) == "3.0.0"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "--short=10", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert version(tmp_path) == f"3.0.0 (commit {commit})"


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Give SIGPIPE back what it did: mmm_control lets it end the process, which here runs other tests as well."""
    before = signal.getsignal(signal.SIGPIPE)
    yield
    signal.signal(signal.SIGPIPE, before)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("name", sorted(programs()))
def test_every_program_tells_its_help_by_the_short_option_too(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(programs()[name][0]).main
    told = []
    for option in ("-h", "--help"):
        monkeypatch.setattr(sys, "argv", [name, option])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    assert told[0].startswith("usage: mmm_")


@pytest.mark.parametrize(
    "argv", [["@"], ["@../x"], ["@a/b"], ["--foreground", "@C1"], ["start"], ["--frobnicate"], ["--fore"]]
)
def test_wrong_usage_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("mmm_agentd", argv)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("usage: mmm_agentd [@CLUSTER] [OPTION...]")
