"""mmm_control as a process, against a socket that answers with what a classic monitor was recorded to say."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mmm.control.vouch import NotVouchedError, user, vouched
from tests.authority import Authority
from tests.ports import kept_port
from tests.unit.test_tls import server_of

LIMIT = 30

CONF = """\
<monitor>
    ip 127.0.0.1
    port PORT
    pid_path /run/mmm_mond.pid
    bin_path /usr/libexec/mysql-mmm
    status_path /var/lib/misc/mmm_mond.status
    ping_ips 127.0.0.1
</monitor>
<host db1>
    ip 10.77.0.4
    mode slave
</host>
"""

SHOW = """\
# --- Monitor is in PASSIVE MODE ---
# Cause: Admin switched to passive mode.
  db1(10.77.0.4) master/ONLINE. Roles: writer(10.77.0.80)
  db2(10.77.0.5) master/HARD_OFFLINE. Roles: 
# Role writer is assigned to it's preferred host db1.
"""  # noqa: W291 - the classic ends these lines with a blank

CHECKS = """\
db1  ping         [last change: 2026/11/21 03:07:23]  OK
db1  rep_backlog  [last change: 2026/11/21 03:07:23]  ERROR: Backlog: 99 s
"""


class Monitor:
    """Answers every client with the same bytes, and keeps what it was sent; one that is `classic` knows no JSON."""

    def __init__(self, answer: bytes, tls: Authority | None = None, *, classic: bool = False) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(LIMIT)
        self.port: int = self.listener.getsockname()[1]
        self.received = b""
        self.answer, self._tls, self._classic = answer, tls, classic
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                self._serve_one(self.listener.accept()[0])

    def _serve_one(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = server_of(self._tls.issue("monitor")).wrap_socket(connection, server_side=True)
        with connection:
            connection.settimeout(LIMIT)
            asked = b""
            while b"quit\n" not in asked and not asked.startswith(
                b"\x16\x03"
            ):  # TLS, to one that speaks none
                asked += connection.recv(4096)
            self.received += asked
            unknown = self._classic and asked.startswith(b"json ")
            line = asked.partition(b"\n")[0]
            connection.sendall(
                b"Invalid command '%s'\n\nValid commands are:\n" % line if unknown else self.answer
            )

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(LIMIT)
        self.listener.close()


COMMAND = (sys.executable, "-c", "from mmm.control.main import run; run()")


class Client:
    """Runs mmm_control against monitors with given answers."""

    def __init__(self, folder: Path) -> None:
        self.conf = folder / "mmm_mon.conf"
        self.extra = ""

    def write_conf(self, port: int) -> None:
        self.conf.write_text(CONF.replace("PORT", str(port)) + self.extra)
        self.conf.chmod(0o640)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False
        )

    def ask(
        self, answer: str, *arguments: str, tls: Authority | None = None, classic: bool = False
    ) -> tuple[subprocess.CompletedProcess[str], bytes]:
        monitor = Monitor(answer.encode(), tls, classic=classic)
        self.write_conf(monitor.port)
        done = self.run("--config", str(self.conf), *arguments)
        monitor.close()
        return done, monitor.received


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


@pytest.fixture
def nobody() -> Iterator[int]:
    """Return a port on which nobody listens."""
    with kept_port() as port:
        yield port


@pytest.mark.parametrize(
    ("answer", "printed", "status"),
    [
        (SHOW, SHOW, 0),
        ("ACTIVE", "ACTIVE\n", 0),
        ("OK: Pinged successfully!", "OK: Pinged successfully!\n", 0),
        ("ERROR: Unknown host name 'nohost'!", "ERROR: Unknown host name 'nohost'!\n", 1),
    ],
)
def test_the_answer_is_printed_as_it_is(client: Client, answer: str, printed: str, status: int) -> None:
    done, _ = client.ask(answer, "ping")
    assert (done.stdout, done.stderr, done.returncode) == (printed, "", status)


def test_options_of_commands_are_sent_on(client: Client) -> None:
    _, received = client.ask("OK", "move_role", "--force", "writer", "db2", "--format", "json")
    assert received == b"json move_role --force writer db2\nquit\n"


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_show_in_structured_forms(client: Client, form: str, read: Callable[[str], object]) -> None:
    done, received = client.ask(SHOW, "--format", form, "show", classic=True)
    assert received == b"json show\nquit\nshow\nquit\n"
    assert read(done.stdout) == {
        "passive": True,
        "cause": "Admin switched to passive mode.",
        "why": None,
        "warnings": [],
        "hosts": [
            {
                "name": "db1",
                "ip": "10.77.0.4",
                "mode": "master",
                "state": "ONLINE",
                "roles": [{"role": "writer", "ip": "10.77.0.80"}],
            },
            {"name": "db2", "ip": "10.77.0.5", "mode": "master", "state": "HARD_OFFLINE", "roles": []},
        ],
        "preferences": [{"role": "writer", "prefer": "db1", "holder": "db1"}],
    }
    assert done.returncode == 0


def test_checks_and_mode_in_structured_forms(client: Client) -> None:
    done, _ = client.ask(CHECKS, "checks", "db1", "--format=json", classic=True)
    assert json.loads(done.stdout)["checks"][1] == {
        "host": "db1",
        "check": "rep_backlog",
        "last_change": "2026/11/21 03:07:23",
        "result": "ERROR",
        "message": "Backlog: 99 s",
        "code": None,
        "fields": {},
    }
    done, _ = client.ask("MANUAL", "--format", "json", "mode", classic=True)
    assert json.loads(done.stdout) == {"mode": "MANUAL"}


def test_a_command_is_answered_by_values_and_of_a_classic_monitor_by_its_words(client: Client) -> None:
    values = {"ok": True, "code": "moved", "fields": {"role": "writer"}, "message": "OK: moved"}
    done, received = client.ask(json.dumps(values), "--format", "json", "move_role", "writer", "db2")
    assert (json.loads(done.stdout), done.returncode) == (values, 0)
    assert received == b"json move_role writer db2\nquit\n"
    done, received = client.ask("OK: moved", "--format", "json", "move_role", "writer", "db2", classic=True)
    assert json.loads(done.stdout) == {"ok": True, "code": None, "fields": {}, "message": "OK: moved"}
    assert received == b"json move_role writer db2\nquit\nmove_role writer db2\nquit\n"


def test_a_refusal_ends_with_1_in_every_form(client: Client) -> None:
    values = {"ok": False, "code": "unknown_host", "fields": {"host": "dbx"}, "message": "ERROR: no"}
    done, _ = client.ask(json.dumps(values), "--format", "yaml", "explain", "dbx")
    assert (yaml.safe_load(done.stdout), done.returncode) == (values, 1)
    done, _ = client.ask("ERROR: no", "--format", "json", "checks", "dbx", classic=True)
    assert json.loads(done.stdout) == {"ok": False, "code": None, "fields": {}, "message": "ERROR: no"}
    assert done.returncode == 1


def test_the_warnings_of_a_classic_monitor_have_no_codes(client: Client) -> None:
    shown = f"# Warning: db1 is not watched\n{SHOW}"
    done, _ = client.ask(shown, "--format", "json", "show", classic=True)
    assert json.loads(done.stdout)["warnings"] == [{"code": None, "text": "db1 is not watched"}]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("MMM OK: writer on db1, 3 of 3 hosts ONLINE | hosts=3\n", 0),
        ("MMM WARNING: db3 is REPLICATION_FAIL | hosts=3\n", 1),
        ("MMM CRITICAL: no host holds writer | hosts=3\n", 2),
    ],
)
def test_health_ends_as_a_plugin_of_nagios(client: Client, answer: str, status: int) -> None:
    done, received = client.ask(answer, "health")
    assert (done.stdout, done.stderr, done.returncode) == (answer, "", status)
    assert received == b"health\nquit\n"
    done, _ = client.ask(json.dumps({"status": answer.split()[1][:-1]}), "--format", "json", "health")
    assert done.returncode == status


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_health_that_cannot_be_told_is_unknown(client: Client, nobody: int, form: str) -> None:
    client.write_conf(nobody)
    done = client.run("--config", str(client.conf), "--format", form, "health")
    assert (done.returncode, done.stderr) == (3, "")
    assert "UNKNOWN" in done.stdout
    assert "is mmm_mond running?" in done.stdout
    done, _ = client.ask("Invalid command 'health'\n\nValid commands are:\n", "--format", form, "health")
    assert done.returncode == 3
    assert "does not know this command" in done.stdout
    assert len(done.stdout.splitlines()) <= 2
    done = client.run("--config", str(client.conf.parent / "none.conf"), "health")
    assert (done.returncode, done.stderr) == (3, "")


def test_an_answer_that_cannot_be_read_is_said(client: Client) -> None:
    done, _ = client.ask("something else", "--format", "json", "show")
    assert done.returncode == 3
    assert "cannot be shown as json: 'something else' is no line of an answer to show" in done.stderr


def test_no_monitor_ends_with_3(client: Client, nobody: int) -> None:
    client.write_conf(nobody)
    done = client.run("--config", str(client.conf), "show")
    assert done.returncode == 3
    assert done.stderr == (
        f"mmm_control: cannot talk to monitor at 127.0.0.1:{nobody}: Connection refused; is mmm_mond running?\n"
    )


def test_a_monitor_that_says_nothing_ends_with_3(client: Client) -> None:
    done, _ = client.ask("", "show")
    assert done.returncode == 3
    assert "closed the connection without an answer" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["--format", "xml", "show"], ["--frobnicate", "show"], ["@../C1", "show"], ["--config"], ["sh\now"]],
)
def test_wrong_usage_ends_with_2(client: Client, arguments: list[str]) -> None:
    done = client.run(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "needs"),
    [
        (["set_online"], "set_online needs a host: set_online [--force] HOST"),
        (["set_online", "--force"], "set_online needs a host"),
        (["move_role", "--dry-run", "writer"], "move_role needs a role and a host"),
        (["set_ip", "1.2.3.4"], "set_ip needs an IP and a host"),
    ],
)
def test_a_command_that_lacks_something_is_told_what(client: Client, command: list[str], needs: str) -> None:
    client.write_conf(1)
    done = client.run("--config", str(client.conf), *command)
    assert done.returncode == 2
    assert done.stderr.startswith(f"mmm_control: {needs}")


def test_a_monitor_that_speaks_no_tls_is_named(client: Client, tmp_path: Path) -> None:
    settings = Authority(tmp_path, "ours").issue("admin")
    client.extra = (
        f"<socket>\n    type ssl\n    cert_file {settings.cert_file}\n    key_file {settings.key_file}\n"
        f"    ca_file {settings.ca_file}\n</socket>\n"
    )
    done, _ = client.ask("ACTIVE", "mode")
    assert done.returncode == 3
    assert "TLS failed (" in done.stderr
    assert "is <socket> the same in its conf and here?" in done.stderr


def test_a_bad_conf_ends_with_2(client: Client) -> None:
    client.extra = "nonsense 1\n"
    client.write_conf(1)
    done = client.run("--config", str(client.conf), "show")
    assert done.returncode == 2
    assert f"{client.conf}:" in done.stderr
    assert "nonsense" in done.stderr


def test_help_lists_the_commands(client: Client) -> None:
    done = client.run("--help")
    assert done.returncode == 0
    assert "move_role [--force] <role> <host>" in done.stdout


def test_tls_as_the_conf_says(client: Client, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    settings = authority.issue("admin")
    client.extra = (
        f"<socket>\n    type ssl\n    cert_file {settings.cert_file}\n    key_file {settings.key_file}\n"
        f"    ca_file {settings.ca_file}\n</socket>\n"
    )
    done, received = client.ask("ACTIVE", "mode", tls=authority)
    assert (done.stdout, done.stderr, done.returncode) == ("ACTIVE\n", "", 0)
    assert received == b"mode\nquit\n"


def test_unusable_tls_files_end_with_2(client: Client, tmp_path: Path, nobody: int) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    client.extra = (
        f"<socket>\n type ssl\n cert_file {rubbish}\n key_file {rubbish}\n ca_file {rubbish}\n</socket>\n"
    )
    client.write_conf(nobody)
    done = client.run("--config", str(client.conf), "mode")
    assert done.returncode == 2
    assert f"ca_file {rubbish} holds no usable CA certificate" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(client: Client) -> None:
    monitor = Monitor(SHOW.encode() * 5000)
    client.write_conf(monitor.port)
    command = (
        f'"{sys.executable}" -c "from mmm.control.main import run; run()" '
        f'--config "{client.conf}" show | head -n 1'
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=LIMIT, check=False)
    monitor.close()
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_an_answer_that_cannot_be_written_is_told_in_one_line(client: Client) -> None:
    monitor = Monitor(SHOW.encode())
    client.write_conf(monitor.port)
    command = [*COMMAND, "--config", str(client.conf), "show"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False
        )
    monitor.close()
    assert done.returncode == 3
    assert done.stderr == "mmm_control: the monitor's answer cannot be written: No space left on device\n"


def test_a_closed_stderr_does_not_change_the_exit_status(client: Client) -> None:
    monitor = Monitor(SHOW.encode())
    client.write_conf(monitor.port)
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh"]
    command = [*shell, *COMMAND, "--config", str(client.conf), "show"]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT, check=False)
    monitor.close()
    assert (done.returncode, b"db1" in done.stdout) == (0, True)


def test_it_starts_without_what_it_does_not_need() -> None:
    program = (
        "import sys, mmm.control.main; heavy = {'pymysql', 'pyroute2', 'scapy', 'yaml', 'ssl', 'asyncio', 'daemon', "
        "'argparse', 'dataclasses', 'json'}; "
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
        env=os.environ,
    )
    assert done.stdout == "\n"


def test_confirm_dead_is_sent_with_the_name_of_its_user_once_it_is_vouched_for(client: Client) -> None:
    done, received = client.ask("OK: 'db1' counts as off now", "confirm_dead", "db1", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert received == f"confirm_dead db1 {user()}\nquit\n".encode()
    _, received = client.ask("OK: off", "--format", "json", "confirm_dead", "--yes", "db1")
    assert received == f"json confirm_dead db1 {user()}\nquit\n".encode()


def test_confirm_dead_without_a_terminal_and_without_yes_is_not_sent(client: Client, nobody: int) -> None:
    client.write_conf(nobody)
    done = client.run("--config", str(client.conf), "confirm_dead", "db1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "asks for confirmation on a terminal, and this is not one; --yes skips the question" in done.stderr
    done = client.run("--config", str(client.conf), "confirm_dead", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "confirm_dead needs the name of one host: confirm_dead [--yes] HOST" in done.stderr


def test_confirm_dead_asks_what_it_means_and_takes_nothing_but_yes() -> None:
    asked: list[str] = []

    def answering(text: str) -> Callable[[str], str]:
        def ask(question: str) -> str:
            asked.append(question)
            return text

        return ask

    assert vouched(["confirm_dead", "db1"], answering("Yes\n")) == ["confirm_dead", "db1", user()]
    assert "two servers take writes" in asked[0]
    for text in ("y\n", "no\n", ""):
        with pytest.raises(NotVouchedError, match="nothing was sent"):
            vouched(["confirm_dead", "db1"], answering(text))
    assert vouched(["set_offline", "--yes", "db1"]) == ["set_offline", "--yes", "db1"]


def test_who_vouches_is_named_with_the_user_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    alone = user()
    monkeypatch.setenv("SUDO_USER", "alice")
    assert user() == f"{alone}(alice)"
    monkeypatch.setenv("SUDO_USER", "a|b c")
    assert user() == f"{alone}(a_b_c)"


def test_status_is_json_for_people_too(client: Client) -> None:
    done, received = client.ask('{"version": 1}', "status")
    assert (done.returncode, json.loads(done.stdout), done.stdout.count("\n")) == (0, {"version": 1}, 3)
    assert received == b"json status\nquit\n"


def test_follow_prints_what_happens_and_says_where_to_go_on(client: Client) -> None:
    begin = {"kind": "begin", "position": "7-1", "version": 1}
    change = {"kind": "change", "position": "7-2", "text": "db1: ONLINE -> HARD_OFFLINE"}
    alive = {"kind": "alive", "position": "7-2"}
    slow = {"kind": "cut_off", "position": "7-2", "code": "slow", "text": "too slow"}
    lines = "".join(json.dumps(line) + "\n" for line in (begin, alive, change, slow))
    done, received = client.ask(lines, "follow", "7-1")
    assert received == b"json follow 7-1\nquit\n"
    assert [json.loads(line) for line in done.stdout.splitlines()] == [begin, change]
    assert (done.returncode, done.stderr) == (
        3,
        "mmm_control: too slow; go on with: mmm_control follow 7-2\n",
    )


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        ('{"ok": false, "code": "no_position", "message": "ERROR: no"}', 1, "ERROR: no"),
        ("Invalid command 'json follow'\n\nValid commands are:\n", 1, "Invalid command 'json follow'"),
        ("", 3, "the monitor has ended the connection"),
    ],
)
def test_a_monitor_that_cannot_be_followed(client: Client, answer: str, status: int, why: str) -> None:
    done, _ = client.ask(answer, "follow")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"mmm_control: {why}\n")
