"""What the shells complete: commands, options and the names of the conf, from parsers and the list of commands."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mmm.control.completion import candidates, commands, complete
from mmm.process import completion
from mmm.wire.command import HELP
from pages.packaged import completion as shell_text
from pages.packaged import program, programs

TREE = Path(__file__).parents[2]
NAMES = {"host": ["db1", "db2"], "role": ["writer"], "ip": ["10.0.0.9"], "check": ["ping"]}
TOOLS = """\
<copy_method scp>
    backup_command scp -r %SSH_USER%@%IP%:%SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/
    restore_command cp -a %SRC_DIR%/* %DEST_DIR%/
    true_copy 1
</copy_method>
"""


def test_completion_follows_the_list_of_commands() -> None:
    rows = [line.split()[0] for line in HELP.splitlines()[1:] if line[4] != " "]
    assert [command.words[0] for command in commands()] == rows
    assert all(command.does for command in commands())
    assert candidates(["set_online"], NAMES) == ["db1", "db2", "--force"]
    assert candidates(["move_role", "--force", "writer"], NAMES) == ["db1", "db2", "--dry-run"]
    assert candidates(["rejoin", "--from"], NAMES) == ["db1", "db2"]
    assert candidates(["rejoin", "--method"], NAMES) == ["rewind", "clone"]
    assert candidates(["rejoin", "--from", "db1"], NAMES)[-2:] == ["db1", "db2"]
    assert candidates(["rejoin", "--abort"], NAMES) == ["db1", "db2"]
    assert candidates(["checks", "db1"], NAMES) == ["ping", "all"]
    assert candidates(["set_ip"], NAMES) == ["10.0.0.9"]
    assert not candidates(["show"], NAMES)
    assert not candidates(["nonsense"], NAMES)


def test_completion_knows_the_names_of_the_conf(tmp_path: Path) -> None:
    for name in ("mmm_common", "mmm_mon"):
        path = tmp_path / f"{name}.conf"
        path.write_text((TREE / "etc" / f"{name}.conf.example").read_text())
        path.chmod(0o640)
    conf = ["--config", str(tmp_path / "mmm_mon.conf")]
    assert {"db1", "db2"} <= set(complete([*conf, "set_online"]).split())
    mon = tmp_path / "mmm_mon.conf"
    witness = "\nmonitors 192.168.100.50\n<host web1>\n    ip 192.168.100.30\n    mode witness\n</host>\n"
    mon.write_text(mon.read_text().replace("127.0.0.1", "192.168.100.50") + witness)
    assert "web1" not in complete([*conf, "set_online"]).split()
    assert "db1" in complete([*conf, "set_online"]).split()
    assert {"writer", "reader"} <= set(complete([*conf, "move_role"]).split())
    done = subprocess.run(
        [sys.executable, "-c", "from mmm.control.main import run; run()", "--complete", *conf, "set_online"],
        check=True,
        capture_output=True,
        text=True,
        env={},
    )
    assert {"db1", "db2"} <= set(done.stdout.split())
    assert complete(["--format"]).split() == ["text", "json", "yaml"]
    assert (
        complete([*conf, "--monitor"]).split() == complete([*conf, "hand_over"]).split() == ["192.168.100.50"]
    )
    assert complete([*conf, "failover_method"]).split() == ["auto", "wait", "manual"]
    assert complete(["--config", str(tmp_path / "none.conf"), "--monitor"]) == ""
    assert "show" in complete(["@C1"]).split()
    assert "--format" in complete([]).split()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="mmm_x", add_help=False)
    made.add_argument("--host", metavar="HOST")
    made.add_argument("--way", choices=("one", "two"))
    made.add_argument("--version", nargs="?")
    made.add_argument("-q", "--quiet", action="store_true")
    made.add_argument("--ordered", action="store_true", help=argparse.SUPPRESS)
    below = made.add_subparsers(metavar="COMMAND")
    below.add_parser("up", add_help=False).add_argument("--fast", action="store_true")
    logs = below.add_parser("logs", add_help=False)
    logs.add_argument("machines", nargs="*", metavar="HOST")
    fault = below.add_parser("fault", add_help=False)
    fault.add_argument("fault", choices={"cut": 1, "kill": 2})
    fault.add_argument("host", nargs="?", metavar="HOST")
    return made


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["up", "logs", "fault", "--host", "--way", "--version", "--quiet"]),
        ("--quiet", ["up", "logs", "fault", "--host", "--way", "--version"]),
        ("--host", ["db1", "db2"]),
        ("--way", ["one", "two"]),
        ("--host db1 --way one -q --version", ["up", "logs", "fault"]),
        ("--host db1 up", ["--fast"]),
        ("up --fast", []),
        ("logs", ["db1", "db2"]),
        ("logs db1", ["db1", "db2"]),
        ("fault", ["cut", "kill"]),
        ("fault cut", ["db1", "db2"]),
        ("fault cut db1", []),
    ],
)
def test_completion_follows_the_parser(typed: str, found: Sequence[str]) -> None:
    assert completion.candidates(parser(), typed.split(), lambda: {"HOST": ("db1", "db2")}) == found


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """Give a folder with every program, and confs that name hosts."""
    for name in programs():
        path = tmp_path / name
        path.write_text(program(name, TREE).replace("/usr/bin/python3 -I", sys.executable))
        path.chmod(0o755)
    for name in ("mmm_common", "mmm_mon", "mmm_tools"):
        path = tmp_path / f"{name}.conf"
        more = TOOLS if name == "mmm_tools" else ""
        path.write_text((TREE / "etc" / f"{name}.conf.example").read_text() + more)
        path.chmod(0o640)
    return tmp_path


def by_bash(folder: Path, line: str) -> list[str]:
    name = line.split(maxsplit=1)[0]
    asked = f"COMP_LINE=$1; COMP_POINT=${{#1}}; _{name}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    script = f"{shell_text('bash', name)}\n{asked}"
    return ran(folder, "bash", "-c", script, "bash", line)


def by_zsh(folder: Path, *words: str) -> list[str]:
    stands_in = "compadd() { print -l -- ${(P)2} }; _files() { print FILES }"
    script = f'{stands_in}; words=("$@"); CURRENT=$#; {shell_text("zsh", words[0])}'
    return ran(folder, "zsh", "-f", "-c", script, "zsh", *words)


def ran(folder: Path, *argv: str) -> list[str]:
    path = f"{folder}:/usr/bin:/bin"
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=folder, env={"PATH": path})
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("name", sorted(programs()))
def test_bash_completes_the_options_of_every_program(shell: Path, name: str) -> None:
    assert by_bash(shell, f"{name} --hel") == ["--help"]
    assert by_bash(shell, f"{name} --no-such") == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("mmm_control --config mmm_mon.conf set_online db", ["db1", "db2", "db3"]),
        ("mmm_control @C1 set_onl", ["set_online"]),
        ("mmm_backup --config mmm_tools.conf --host ", ["db1", "db2", "db3"]),
        ("mmm_backup --config mmm_tools.conf --copy-method s", ["scp"]),
        ("mmm_backup --provider mari", ["mariadb-backup"]),
        ("mmm_rejoin @C1 --method ", ["rewind", "clone"]),
        ("mmm_sandbox fault kill-", ["kill-mysqld", "kill-agent", "kill-angel", "kill-monitor"]),
        ("mmm_mond --conf", ["--config"]),
    ],
)
def test_bash_completes_names_and_choices(shell: Path, line: str, found: Sequence[str]) -> None:
    assert by_bash(shell, line) == found


def test_bash_replaces_only_what_follows_a_colon(shell: Path) -> None:
    assert by_bash(shell, "mmm_sandbox up --server mariadb:11") == ["11.8"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_completes_names_and_leaves_files_to_its_own(shell: Path) -> None:
    conf = ("--config", "mmm_tools.conf")
    assert by_zsh(shell, "mmm_backup", *conf, "--host", "") == ["db1", "db2", "db3"]
    assert by_zsh(shell, "mmm_rejoin", "@C1", "--method", "") == ["rewind", "clone"]
    assert by_zsh(shell, "mmm_backup", "--dest-dir", "") == ["FILES"]
