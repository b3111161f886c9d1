"""mmm_web on real sockets, in front of the port of a monitor that tells what the tests have happen."""

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmm.config.effective import fingerprint
from mmm.config.model import Cluster, Socket, Web
from mmm.lease.rules import FOREVER, Outstanding
from mmm.monitor.act.following import Followers
from mmm.monitor.act.journal import Chronicle
from mmm.monitor.decide.turn import Assigned
from mmm.monitor.report import answers, history
from mmm.monitor.report.clock import Clock
from mmm.monitor.report.history import Ledger
from mmm.monitor.states.table import Change
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.network.line_server import Limits, LineServer, Stream
from mmm.network.listener import Peer
from mmm.process.conf_file import UnusableError
from mmm.wire.command import without_json
from mmm.wire.control import decode_command
from mmm.wire.status import Status
from tests.authority import Authority
from tests.ports import kept_port
from tests.status import fits, status
from tests.unit.test_monitor_leading import LEADS, OTHER, OWN, THIRD, of_several
from tests.unit.test_monitor_silent_lag import look, mariadb
from tests.unit.worlds import (
    CLOCK,
    NOW,
    READER1,
    WRITER,
    because,
    checks,
    cluster,
    with_agent,
    with_host,
    world,
)

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("prometheus_client")
from prometheus_client.openmetrics import parser as openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from mmm.web.serving import inspect, serving  # noqa: E402

LIMIT = 60.0
TREE = Path(__file__).parents[2]
LEASE = Outstanding(NOW + 7.5)
DEAD = Change("db1", State.ONLINE, State.HARD_OFFLINE, because("host_failed", "no answer"))


class Monitor:
    """A monitor's port: it tells of `world`, and of what is in the chronicle."""

    def __init__(self, folder: Path, port: int, ip: str = "127.0.0.1") -> None:
        self.ip = ip
        self.world: World = world({WRITER: "db1", READER1: "db2"})
        self.elsewhere = ""
        self.chronicle = Chronicle(
            folder / "history", Clock(lambda _: 1000.0, CLOCK.local), int(ip != "127.0.0.1"), 2
        )
        self.followers = Followers(self.chronicle, alive=0.5, elsewhere=lambda: self.elsewhere)
        self.port = port
        self.clock = CLOCK
        self._stop: contextlib.AsyncExitStack | None = None

    async def start(self) -> None:
        self._stop = contextlib.AsyncExitStack()
        server = LineServer("monitor", self._answer, Limits(line=4096))
        await self._stop.enter_async_context(server.listen(self.ip, self.port))

    async def stop(self) -> None:
        if self._stop is not None:
            await self._stop.aclose()
        self._stop = None

    async def _answer(self, line: bytes, _: Peer) -> bytes | Stream | None:
        words = decode_command(line)
        if words is None or words == ("quit",):
            return None
        plain = without_json(words)
        if plain[0] == "follow":
            stream = self.followers.follow(plain)
            assert isinstance(stream, Stream)
            return stream
        text = answers.answer(self.world, words, NOW, self.clock, self.chronicle.entries)
        assert text is not None
        return text.encode()

    def moves(self, at: float = 1.0) -> None:
        """The writer moves, as its host has failed, at that moment in seconds since 1970."""
        ledger = Ledger()
        cause = history.cause_of({"db1": DEAD}, Assigned(WRITER, "db1", "db2"))
        ledger.assigned(self.world, Assigned(WRITER, "db1", "db2"), cause, 1.0, at)
        after = with_agent(world({WRITER: "db2"}), "db2", told=Status("ONLINE", (WRITER,)))
        self.chronicle._add(ledger.changed(DEAD, at))
        for entry in ledger.told(after, "db2", "OK", 0.02, 1.03):
            self.chronicle._add(entry)

    def goes_on(self, number: int) -> None:
        self.chronicle.noted(Happened("rejoin_taken_back", {"host": f"db{number}", "donor": "db1"}))


@pytest.fixture
async def monitor(tmp_path: Path) -> AsyncIterator[Monitor]:
    with kept_port() as port:
        made = Monitor(tmp_path, port)
        await made.start()
        yield made
        await made.stop()


@contextlib.asynccontextmanager
async def served(monitor: Monitor, settings: Web = Web(port=0), **more: Any) -> AsyncIterator[Any]:  # noqa: B008
    """Give a session with mmm_web, and its address."""
    conf = cluster()
    assert conf.monitor is not None
    watched = replace(conf.monitor, ip="127.0.0.1", port=monitor.port)
    async with (
        asyncio.timeout(LIMIT),
        serving(replace(conf, monitor=watched, web=settings), **more) as port,
    ):
        scheme = "https" if settings.cert_file else "http"
        async with aiohttp.ClientSession(f"{scheme}://127.0.0.1:{port}") as session:
            yield session


Found = dict[tuple[str, ...], float]


async def samples(session: Any) -> Found:
    """What /metrics says: values by name and by what labels say, in the order of their names."""
    async with session.get("/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = (value for _, value in sorted(sample.labels.items()))
            found[sample.name, *labels] = sample.value
    return found


async def until(session: Any, name: tuple[str, ...], value: float) -> Found:
    """What /metrics says once one of them has that value."""
    while (found := await samples(session)).get(name) != value:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return found


async def test_metrics_say_what_the_status_says(monitor: Monitor) -> None:
    monitor.world = with_host(
        world({WRITER: "db1", READER1: "db2"}, {"db3": State.REPLICATION_FAIL}),
        "db3",
        checks=checks(rep_threads=NOW),
    )
    async with served(monitor) as session:
        found = await samples(session)
        async with session.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as answer:
            assert list(openmetrics.text_string_to_metric_families(await answer.text()))
    states = {name[2]: value for name, value in found.items() if name[:2] == ("mmm_host_state", "db3")}
    assert (len(states), sum(states.values()), states["REPLICATION_FAIL"]) == (6, 1, 1)
    assert found["mmm_up",] == found["mmm_writer_held",] == found["mmm_health", "WARNING"] == 1
    assert (found["mmm_check_good", "rep_threads", "db3"], found["mmm_check_good", "ping", "db3"]) == (0, 1)
    held = [name[1:] for name, value in found.items() if name[0] == "mmm_role_held" and value]
    assert held == [("db1", "writer", WRITER.ip), ("db2", "reader", READER1.ip)]
    assert found["mmm_replication_lag_seconds", "db1"] == 0
    assert found["mmm_moves_total", "failover", "writer"] == 0, (
        "a counter that comes with its first event has no rise"
    )


async def test_metrics_say_the_figures_that_are_known_and_no_others(monitor: Monitor) -> None:
    of = replace(world({WRITER: "db1"}), last_writer="db1")
    of = look(look(of, "db1", mariadb(100), NOW), "db2", mariadb(88), NOW + 1)
    of = with_agent(of, "db1", given=LEASE)
    monitor.world = with_agent(of, "db3", given=Outstanding(FOREVER))
    runs = {("db1", "ping"): 0.002, ("db2", "mysql"): 1.5}
    monitor.clock = replace(CLOCK, took=lambda host, check: runs.get((host, check)))
    async with served(monitor) as session:
        found = await samples(session)

    def values(name: str) -> Found:
        return {tuple(labels): value for (each, *labels), value in found.items() if each == name}

    assert values("mmm_missing_transactions") == {("db2",): 12}
    assert values("mmm_extra_transactions") == {("db1",): 0, ("db2",): 0, ("db3",): 0}
    assert values("mmm_writer_lease_left_seconds") == {("db1",): 7.5}
    assert values("mmm_writer_lease_endless") == {("db1",): 0, ("db3",): 1}
    assert values("mmm_check_duration_seconds") == {("ping", "db1"): 0.002, ("mysql", "db2"): 1.5}


async def test_metrics_tell_that_the_conf_was_written_anew_and_not_taken_yet(monitor: Monitor) -> None:
    old = monitor.world.conf
    new = replace(old, sync_timeout=old.sync_timeout + 1)
    usable = True

    def read() -> Cluster:
        if not usable:
            raise UnusableError(("no such host",))
        return new

    async with served(monitor, read_conf=read) as session:
        found = await samples(session)
        usable = False
        later = await samples(session)
    assert found["mmm_conf_info", fingerprint(old)] == found["mmm_conf_file_info", fingerprint(new)] == 1
    assert fingerprint(old) != fingerprint(new)
    assert not any(name == "mmm_conf_file_info" for name, *_ in later), "it cannot be used"


async def test_metrics_say_which_of_several_monitors_leads(monitor: Monitor) -> None:
    monitor.world = of_several(**{**LEADS, "others": (OTHER,), "missing": ("db3",)})
    async with served(monitor) as session:
        found = await samples(session)
    assert [found["mmm_monitor_leads", ip] for ip in (OWN, OTHER, THIRD)] == [1, 0, 0]
    assert [found["mmm_monitor_answers", ip] for ip in (OWN, OTHER, THIRD)] == [1, 1, 0]
    assert [found["mmm_voter_answers", host] for host in ("db1", "db2", "db3")] == [1, 1, 0]


async def test_what_happens_is_counted_and_what_happened_before_is_not(monitor: Monitor) -> None:
    monitor.moves()
    async with served(monitor) as session:
        async with session.get("/api/follow", params={"position": "0"}) as stream:
            assert (await event(stream))["text"] == "db1: ONLINE -> HARD_OFFLINE", "it is followed"
        assert (await samples(session))["mmm_moves_total", "failover", "writer"] == 0
        monitor.moves()
        found = await until(session, ("mmm_moves_total", "failover", "writer"), 1)
    assert found["mmm_state_changes_total", "db1", "HARD_OFFLINE"] == 1
    assert found["mmm_moves_total", "planned", "writer"] == 0
    took = [found["mmm_move_duration_seconds_count", kind, "writer"] for kind in ("failover", "planned")]
    assert took == [1, 0]


async def test_the_status_and_the_health(monitor: Monitor) -> None:
    async with served(monitor) as session:
        async with session.get("/api/status") as answer:
            status(await answer.text())
            assert answer.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        async with session.get("/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "OK")
        async with session.head("/health") as answer:
            assert answer.status == 200
        monitor.world = world({}, {"db1": State.HARD_OFFLINE, "db2": State.HARD_OFFLINE})
        await asyncio.sleep(1.1)  # a status is told for a second
        async with session.get("/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "CRITICAL")
        async with session.post("/api/status") as answer:
            assert answer.status == 405, "it only reads"


async def test_a_monitor_that_is_away_is_said_with_what_it_said_last(monitor: Monitor) -> None:
    async with served(monitor) as session:
        async with session.get("/api/status") as answer:
            before = await answer.json()
        await monitor.stop()
        found = await until(session, ("mmm_up",), 0)
        assert not any(name[0] == "mmm_host_state" for name in found), "nobody knows"
        async with session.get("/api/status") as answer:
            told = await answer.json()
            assert (answer.status, told["last"]) == (503, before)
            assert "is mmm_mond running?" in told["away"]
        async with session.get("/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "UNKNOWN")


async def event(stream: Any) -> dict[str, Any]:
    """The next event of a stream."""
    said: dict[str, str] = {}
    while line := (await stream.content.readline()).decode().rstrip("\n"):
        name, _, value = line.partition(": ")
        said[name] = value
    if "data" not in said:
        return await event(stream)
    values = dict(json.loads(said["data"]))
    assert said["id"] == values["position"]
    fits(values, "line") if values["kind"] == "change" else None
    return values


async def test_who_comes_back_to_the_stream_misses_nothing_though_the_monitor_was_restarted(
    monitor: Monitor, tmp_path: Path
) -> None:
    async with served(monitor) as session:
        monitor.goes_on(1)
        async with session.get("/api/follow", params={"position": "0"}) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            last = (await event(stream))["position"]
            monitor.goes_on(2)
            assert (await event(stream))["event"]["fields"]["host"] == "db2"
        await monitor.stop()
        monitor.goes_on(3)
        monitor.chronicle = Chronicle(tmp_path / "history", Clock(lambda _: 1001.0, CLOCK.local))
        monitor.followers = Followers(monitor.chronicle, alive=0.5)
        monitor.goes_on(4)
        await monitor.start()
        async with session.get("/api/follow", headers={"Last-Event-ID": last}) as stream:
            hosts = [(await event(stream))["event"]["fields"]["host"] for _ in range(3)]
        assert hosts == ["db2", "db3", "db4"]
        async with session.get("/api/follow", params={"position": "9999999999-7"}) as stream:
            assert (await event(stream))["code"] == "unknown"
        async with session.get("/api/follow", params={"position": "yesterday"}) as answer:
            assert answer.status == 400


async def test_no_page_from_elsewhere_gets_here_by_a_name_of_its_making(monitor: Monitor) -> None:
    async with served(monitor) as session:
        for host, wanted in (
            ("evil.example.com", 421),
            ("127.0.0.1.evil.com:80", 421),
            ("localhost:9990", 200),
        ):
            async with session.get("/api/status", headers={"Host": host}) as answer:
                assert answer.status == wanted, host


async def test_over_tls_only_who_knows_the_password_is_answered(monitor: Monitor, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    files = authority.issue("web")
    settings = Web(port=0, cert_file=str(files.cert_file), key_file=str(files.key_file), password="s3cret")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with served(monitor, settings) as session:
        for auth, wanted in (
            (None, 401),
            (("mmm", "wrong"), 401),
            (("root", "s3cret"), 401),
            (("mmm", "s3cret"), 200),
        ):
            basic = "" if auth is None else "Basic " + b64encode(":".join(auth).encode()).decode()
            async with session.get("/metrics", ssl=trusting, headers={"Authorization": basic}) as answer:
                assert answer.status == wanted, auth
        port = session._base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic \xff\r\n\r\n")
        assert b" 401 " in await reader.readline(), "what is no UTF-8 is no password"
        writer.close()


async def test_a_certificate_that_is_renewed_is_shown_without_a_restart(
    monitor: Monitor, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ca")
    files, asks = authority.issue("web"), list[Callable[[], None]]()
    settings = Web(port=0, cert_file=files.cert_file, key_file=files.key_file, password="s3cret")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with served(monitor, settings, on_hang_up=asks.append) as session:

        async def shown() -> bytes:
            _, writer = await asyncio.open_connection("127.0.0.1", session._base_url.port, ssl=trusting)
            writer.close()
            return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

        old = await shown()
        authority.issue("web")
        assert await shown() == old
        asks[0]()
        while await shown() == old:
            pass


def test_where_others_reach_it_it_does_not_start_without_tls_and_a_password(tmp_path: Path) -> None:
    conf = cluster()

    def errors(**settings: Any) -> tuple[str, ...]:
        return inspect(replace(conf, web=Web(**settings), socket=Socket())).errors

    assert errors() == ()
    assert "no cert_file, key_file, password; add TLS" in errors(ip="10.0.0.9")[0]
    assert "no cert_file, key_file; add TLS" in errors(ip="0.0.0.0", password="x")[0]  # noqa: S104
    missing = {"cert_file": str(tmp_path / "cert"), "key_file": str(tmp_path / "key")}
    assert "cannot be used: [Errno 2]" in errors(ip="10.0.0.9", password="x", **missing)[0]


async def test_who_sends_no_whole_request_or_does_not_take_the_answer_is_cut_off(monitor: Monitor) -> None:
    async with served(monitor, request=2.0, answer=1.0) as session:
        port = session._base_url.port
        async with session.get("/api/follow") as stream:
            for sent in (b"", b"GET /api/status HTTP/1.1\r\nHost: local"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
                writer.close()
            monitor.goes_on(1)
            assert (await event(stream))["event"]["fields"]["host"] == "db1", "who follows stays"
        async with session.get("/health") as answer:
            assert answer.status == 200


CONF = """\
<monitor>
    ip 127.0.0.1
    port {monitor}
</monitor>
<web>
    port {port}
    pid_path {folder}/web.pid
</web>
<host db1>
    ip 10.0.0.1
</host>
"""


def program(folder: Path, monitor: int, port: int, before: str = "") -> "subprocess.Popen[str]":
    conf = folder / "mmm_mon.conf"
    conf.write_text(CONF.format(monitor=monitor, port=port, folder=folder))
    conf.chmod(0o640)
    start = f"import sys; {before}from mmm.web.main import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", start, "--foreground", "--config", str(conf)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


async def test_the_program_serves_without_a_monitor_and_ends_when_told(tmp_path: Path) -> None:
    with kept_port() as monitor, kept_port() as port, program(tmp_path, monitor, port) as process:
        assert process.stdout is not None
        while "mmm_web answers at 127.0.0.1" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/health") as answer,
        ):
            assert (answer.status, (await answer.json())["status"]) == (503, "UNKNOWN")
        process.terminate()
        assert process.wait(LIMIT) == 0


def test_without_its_libraries_it_says_what_to_install(tmp_path: Path) -> None:
    with program(tmp_path, 1, 2, "sys.modules['aiohttp'] = None; ") as process:
        said, _ = process.communicate(timeout=LIMIT)
    assert (process.returncode, said) == (2, "mmm_web: it needs aiohttp: pip install 'mysql-mmm[web]'\n")


async def test_rules_and_dashboard_name_metrics_that_there_are(monitor: Monitor) -> None:
    several = of_several(**LEADS)
    of = replace(monitor.world, conf=several.conf, leadership=several.leadership, last_writer="db1")
    of = with_agent(look(look(of, "db1", mariadb(1), NOW), "db2", mariadb(1), NOW), "db1", given=LEASE)
    monitor.world, monitor.clock = of, replace(CLOCK, took=lambda _host, _check: 0.1)
    async with served(monitor) as session:
        await samples(session)
        monitor.moves()
        known = {name[0] for name in await until(session, ("mmm_moves_total", "failover", "writer"), 1)}
    rules = yaml.safe_load((TREE / "etc/prometheus/mmm.rules.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((TREE / "etc/grafana/mmm.json").read_text())
    expressions += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(expressions) > 10
    for expression in expressions:
        assert set(re.findall(r"\bmmm_\w+", expression)) <= known, expression
