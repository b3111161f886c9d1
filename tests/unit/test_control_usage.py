"""What mmm_control says, below the classic's long list, of a command that the monitor did not take."""

from pathlib import Path

import pytest

from mmm.control.completion import commands
from mmm.control.usage import OLD_MONITOR, remark
from tests.unit.test_control_client import Client

MOVES = "move_role [--force] <role> <host>, or move_role --dry-run [--force] <role> <host>"

REJOINS = (
    "rejoin [--dry-run] [--from <host>] [--method rewind|clone] [--stay-offline] [--lose-extra <host>] <host>,"
    " or rejoin --abort <host>"
)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("shwo", "no command is called 'shwo'; did you mean show?"),
        ("SHOW", "no command is called 'SHOW'; did you mean show?"),
        ("C1 show", "no command is called 'C1'; mmm_control help lists them"),
        ("quit", "no command is called 'quit'; mmm_control help lists them"),
        ("show db1", "show takes no arguments"),
        ("health -v", "health takes no arguments"),
        ("checks db1 mysql ping", "usage: checks [<host>|all [<check>|all]]"),
        ("set_offline db1 db2", "usage: set_offline <host>"),
        ("move_role writer db2 --dry-run", f"usage: {MOVES}"),
        ("move_role --froce writer db2", f"usage: {MOVES}"),
        ("rejoin --method dump db1", f"usage: {REJOINS}"),
        ("explain db1", OLD_MONITOR),
        ("move_role --dry-run --force writer db2", OLD_MONITOR),
        ("rejoin --from db2 --method clone db1", OLD_MONITOR),
    ],
)
def test_a_command_that_is_not_taken_is_said_why(typed: str, said: str) -> None:
    assert remark(typed.split()) == said


def test_every_command_is_known_as_it_is_listed() -> None:
    for row in commands():
        assert remark(row.words) == OLD_MONITOR, row.written


@pytest.mark.parametrize("form", ["text", "json"])
def test_it_stands_below_the_answer_of_the_monitor(tmp_path: Path, form: str) -> None:
    answer = "Invalid command 'show db1'\n\nValid commands are:\n"
    done, _ = Client(tmp_path).ask(answer, "--format", form, "show", "db1")
    assert done.returncode == 1
    assert done.stderr == "mmm_control: show takes no arguments\n"
    assert form == "json" or done.stdout == answer, "byte by byte as the classic prints it"


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ("doctor db1", 3, "mmm_control: doctor takes no arguments\n"),
        ("quit", 2, "mmm_control: no command is called 'quit'; mmm_control help lists them\n"),
    ],
)
def test_what_no_monitor_is_asked_is_refused_at_once(
    tmp_path: Path, typed: str, status: int, said: str
) -> None:
    client = Client(tmp_path)
    client.write_conf(1)
    done = client.run("--config", str(client.conf), *typed.split())
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_health_with_an_argument_is_not_taken_for_an_old_monitor(tmp_path: Path) -> None:
    done, _ = Client(tmp_path).ask("Invalid command 'health x'\n\nValid commands are:\n", "health", "x")
    assert (done.returncode, done.stdout) == (3, "MMM UNKNOWN: health takes no arguments\n")
