"""mmm_control where its output or input is not what it should be, and words in an order of their own."""

import subprocess

import pytest

from mmm.sandbox.machines.conf import Conf
from tests.unit.test_control_client import COMMAND, LIMIT, Client, Monitor, client, nobody

__all__ = ["client", "nobody"]


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("move_role writer db2 --dry-run", b"move_role --dry-run writer db2\nquit\n"),
        ("move_role writer --dry-run db2 --force", b"move_role --dry-run --force writer db2\nquit\n"),
        ("set_online db2 --force", b"set_online --force db2\nquit\n"),
        ("rejoin db2 --from db3", b"rejoin db2 --from db3\nquit\n"),
    ],
)
def test_options_may_stand_behind_the_names(client: Client, typed: str, sent: bytes) -> None:
    assert client.ask("OK", *typed.split())[1] == sent


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_one_that_nobody_reads(client: Client, closed: str) -> None:
    monitor = Monitor(b"OK: done")
    client.write_conf(monitor.port)
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *COMMAND, "--config", str(client.conf), "set_active"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=LIMIT, check=False)
    monitor.close()
    assert (done.returncode, done.stderr, monitor.received) == (0, "", b"set_active\nquit\n")
    assert done.stdout == ("" if ">&-" in closed.split() else "OK: done\n")


@pytest.mark.parametrize("command", [["show"], ["proxy", "haproxy"], ["health"], ["status"]])
def test_output_that_cannot_be_written_is_an_error_in_one_line(client: Client, command: list[str]) -> None:
    monitor = Monitor(b"{}")
    for name, text in Conf(monitor={"ip": "127.0.0.1", "port": monitor.port}).files().items():
        (client.conf.parent / name).write_text(text)
        (client.conf.parent / name).chmod(0o640)
    shell = ["sh", "-c", '"$@" >/dev/full', "sh", *COMMAND, "--config", str(client.conf), *command]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=LIMIT, check=False)
    monitor.close()
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


def test_help_needs_no_monitor(client: Client, nobody: int) -> None:
    """Who looks it up often does so because the monitor is down."""
    client.write_conf(nobody)
    done = client.run("--config", str(client.conf), "help")
    assert done.stdout.startswith("Valid commands are:\n")
    assert (done.returncode, "is mmm_mond running?" in done.stderr) == (3, True)
