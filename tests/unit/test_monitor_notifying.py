"""Being told, by real receivers: they get what happens, whatever they do to the monitor."""

import asyncio
import contextlib
import email
import json
import logging
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mmm.config.model import Notify
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.act.notifying import Notifier
from mmm.monitor.act.told import Told
from mmm.monitor.report.clock import Clock
from mmm.monitor.world.happened import Happened
from tests.ports import kept_port
from tests.unit.test_monitor_notices import BACK, LEFT, WAITS
from tests.unit.worlds import CLOCK, cluster

LIMIT = 60.0


def said(number: int) -> Happened:
    return Happened("rejoin_taken_back", {"host": f"db{number}", "donor": "db1"})


@contextlib.asynccontextmanager
async def telling(
    chronicle: Chronicle, *sections: Notify, clock: Clock = CLOCK, told: Told | None = None
) -> Any:
    """Have what happens told to the sections; tries that fail are made again at once, and two times more."""
    told = told or Told()
    notifiers = [Notifier(cluster(), section, chronicle, clock, told, (0.0, 0.0)) for section in sections]
    tasks = [asyncio.ensure_future(notifier.run()) for notifier in notifiers]
    try:
        async with asyncio.timeout(LIMIT):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def got(received: "queue.Queue[Any]") -> Any:
    return await asyncio.to_thread(received.get, timeout=LIMIT)


async def until(true: Callable[[], object]) -> None:
    """Wait for what other processes do; `telling` has the limit."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    await until(lambda: text in caplog.text)


@pytest.fixture
def chronicle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Chronicle:
    caplog.set_level(logging.INFO)
    return Chronicle(tmp_path / "history", CLOCK)


# --- webhooks


class Hook:
    """A webhook that answers as it is told to, and keeps what it has got."""

    def __init__(self) -> None:
        self.received: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: list[int] = []
        """Statuses of the next answers; 200 when there are none."""
        self.hangs = threading.Event()
        self.released = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.hangs.is_set():
                    hook.released.wait(LIMIT)
                    return
                status = hook.answers.pop(0) if hook.answers else 200
                if status == 200:
                    hook.received.put(body)
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                hook.received.put({"got": self.path})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


async def test_a_webhook_gets_what_happens_in_order(chronicle: Chronicle, hook: Hook) -> None:
    chronicle.noted(said(0))
    async with telling(chronicle, Notify("chat", webhook=hook.url)):
        await asyncio.sleep(0)
        for number in (1, 2):
            chronicle.noted(said(number))
        first = await got(hook.received)
        chronicle.noted(said(3))
        second = await got(hook.received)
    events = [*first["events"], *second["events"]]
    assert [event["event"]["fields"]["host"] for event in events] == ["db1", "db2", "db3"]
    assert first["count"] == len(first["events"])
    assert "db1: its rejoin from db1 was taken back" in first["text"]


@pytest.mark.parametrize("status", [500, 404, 302])
async def test_a_webhook_that_refuses_is_tried_again(
    chronicle: Chronicle, hook: Hook, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answers = [status, status]
    async with telling(chronicle, Notify("chat", webhook=hook.url)):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        assert (await got(hook.received))["count"] == 1
    assert "notify chat: " in caplog.text
    assert f"the webhook answered {status}" in caplog.text


async def test_what_is_given_up_is_said_and_what_comes_then_is_told(
    chronicle: Chronicle, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.answers = [500, 500, 500]
    async with telling(chronicle, Notify("chat", webhook=hook.url)):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        await logged(caplog, "given up")
        chronicle.noted(said(2))
        assert (await got(hook.received))["events"][0]["event"]["fields"]["host"] == "db2"
    assert (
        "notify chat: given up after 3 tries, 1 change not told, the first: db1: its rejoin from db1 was taken back"
    ) in caplog.text
    assert hook.url not in caplog.text, "it may have a secret in it"


async def test_a_webhook_that_hangs_delays_nobody_and_then_gets_the_flood_as_one_message(
    chronicle: Chronicle, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    other = Hook()
    hook.hangs.set()
    sections = Notify("hangs", webhook=hook.url, timeout=4.0), Notify("works", webhook=other.url)
    async with telling(chronicle, *sections):
        await asyncio.sleep(0)
        chronicle.noted(said(0))
        assert (await got(other.received))["count"] == 1
        assert "given up" not in caplog.text, "the other one still waits"
        for number in range(1, 200):
            chronicle.noted(said(number))
        await logged(caplog, "notify hangs: given up")
        hook.hangs.clear()
        assert (await got(hook.received))["count"] == 199
    other.close()
    assert "no end within 4 s: killed" in caplog.text


async def test_an_outage_that_was_over_before_it_was_read_is_told(tmp_path: Path, hook: Hook) -> None:
    clock = Clock(lambda moment: moment + 1_000_000.0, CLOCK.local)
    chronicle = Chronicle(tmp_path / "history", clock)
    async with telling(chronicle, Notify("chat", webhook=hook.url, after=30.0), clock=clock):
        await asyncio.sleep(0)
        now = clock.wall(time.monotonic())
        for entry, ago in ((LEFT, 70.0), (WAITS, 10.0), (BACK, 5.0)):
            chronicle._add(replace(entry, at=now - ago))
        told = await got(hook.received)
    assert [event["event"]["fields"]["after"] for event in told["events"]] == ["HARD_OFFLINE"]


async def test_a_receiver_that_is_not_there(chronicle: Chronicle, caplog: pytest.LogCaptureFixture) -> None:
    with kept_port() as port:
        sections = (
            Notify("chat", webhook=f"http://127.0.0.1:{port}/"),
            Notify("mail", mail_to=("admin@example.com",), smtp_host="127.0.0.1", smtp_port=port),
            Notify("run", command="/no/such/program --now"),
        )
        async with telling(chronicle, *sections):
            await asyncio.sleep(0)
            chronicle.noted(said(1))
            for section in sections:
                await logged(caplog, f"notify {section.name}: given up")
    assert caplog.text.count("Connection refused") >= 2
    assert "/no/such/program cannot be run: No such file or directory" in caplog.text


# --- mail


class Mailbox:
    """A real SMTP server that takes mails, or does what a bad one does."""

    def __init__(self, port: int) -> None:
        controller = pytest.importorskip("aiosmtpd.controller")
        self.received: queue.Queue[Message] = queue.Queue()
        self.answers: list[str] = []
        """Of the next mails; they are taken when there are none."""
        self.hangs = False
        self.unknown: frozenset[str] = frozenset()
        """Recipients that there are not."""
        self._controller = controller.Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()
        self.port = port

    async def handle_RCPT(  # noqa: N802
        self, _server: object, _session: object, envelope: Any, address: str, _options: object
    ) -> str:
        if address in self.unknown:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(  # noqa: N802
        self, _server: object, _session: object, envelope: Any
    ) -> str:
        if self.hangs:
            await asyncio.sleep(LIMIT)
        if self.answers:
            return self.answers.pop(0)
        self.received.put(email.message_from_bytes(envelope.content))
        return "250 taken"

    def close(self) -> None:
        self._controller.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with kept_port() as port:
        made = Mailbox(port)
        yield made
        made.close()


def by_mail(mailbox: Mailbox, **settings: Any) -> Notify:
    given = {"mail_to": ("admin@example.com", "night@example.com"), "smtp_host": "127.0.0.1"}
    return Notify("mail", **{**given, "smtp_port": mailbox.port, **settings})


async def test_a_mail_says_what_has_happened(chronicle: Chronicle, mailbox: Mailbox) -> None:
    async with telling(chronicle, by_mail(mailbox, mail_from="MMM <mmm@example.com>")):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        mail = await got(mailbox.received)
    assert (mail["From"], mail["To"]) == ("MMM <mmm@example.com>", "admin@example.com, night@example.com")
    assert mail["Subject"] == "MMM: db1: its rejoin from db1 was taken back, see mmm_tools.log there"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "db1: its rejoin from db1 was taken back" in mail.get_payload()


async def test_a_mail_server_that_refuses_is_tried_again(
    chronicle: Chronicle, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.answers = ["451 try later"]
    async with telling(chronicle, by_mail(mailbox)):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        await got(mailbox.received)
    assert "did not take the mail: 451 try later; it is tried again" in caplog.text


async def test_one_of_several_recipients_that_is_refused_is_said_and_the_others_get_one_mail(
    chronicle: Chronicle, mailbox: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.unknown = frozenset({"night@example.com"})
    async with telling(chronicle, by_mail(mailbox)):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        await got(mailbox.received)
        await logged(caplog, "notify mail: the mail was not taken for night@example.com: 550 no such user")
        mailbox.unknown |= {"admin@example.com"}
        chronicle.noted(said(2))
        await logged(caplog, "notify mail: given up after 3 tries")
    assert mailbox.received.empty()
    assert "admin@example.com: 550 no such user; night@example.com: 550 no such user" in caplog.text


@pytest.mark.parametrize("greets", [True, False])
async def test_a_mail_server_that_hangs_is_given_up(
    chronicle: Chronicle, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, *, greets: bool
) -> None:
    mailbox.hangs = True
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = mailbox.port if greets else silent.getsockname()[1]
        async with telling(chronicle, by_mail(mailbox, timeout=1.0, smtp_port=port)):
            await asyncio.sleep(0)
            chronicle.noted(said(1))
            await logged(caplog, "notify mail: given up after 3 tries")


# --- commands


async def test_a_command_gets_variables_and_json(chronicle: Chronicle, tmp_path: Path) -> None:
    script = tmp_path / "told"
    script.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "told = [sys.argv[1], os.environ['MMM_EVENT'], os.environ['MMM_HOST'], json.load(sys.stdin)['count']]\n"
        "open(sys.argv[2], 'a').write(json.dumps(told) + '\\n')\n"
    )
    script.chmod(0o755)
    out = tmp_path / "out"
    async with telling(chronicle, Notify("run", command=f"{script} 'two words' {out}")):
        await asyncio.sleep(0)
        for number in (1, 2):
            chronicle.noted(said(number))
        await until(lambda: out.exists() and out.read_text().count("\n") == 2)
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        ["two words", "rejoin_taken_back", "db1", 1],
        ["two words", "rejoin_taken_back", "db2", 1],
    ]


async def test_a_command_that_fails_says_why_and_one_that_hangs_is_killed_with_its_children(
    chronicle: Chronicle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pid = tmp_path / "pid"
    fails = Notify("fails", command="/bin/sh -c 'yes no room | head -c 1000000; exit 3'")
    hangs = Notify("hangs", command=f"/bin/sh -c 'sleep 1000 & echo $! > {pid}; wait'", timeout=1.0)
    async with telling(chronicle, fails, hangs):
        await asyncio.sleep(0)
        chronicle.noted(said(1))
        await logged(caplog, "notify fails: given up")
        await logged(caplog, "notify hangs: given up")
        await until(lambda: not Path(f"/proc/{pid.read_text().strip()}/cwd").exists())
    assert "/bin/sh ended with status 3: no room no room" in caplog.text
