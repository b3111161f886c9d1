"""The configurations of proxies that mmm_control prints: HAProxy itself reads its own."""

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from mmm.control.proxies.command import MAKERS, run
from mmm.monitor.report.history import Entry, entry
from mmm.monitor.report.notices import Message, environment
from mmm.monitor.world.happened import Happened
from mmm.monitor.world.host import State
from mmm.monitor.world.world import World
from mmm.sandbox.machines.conf import WRITER_IP, Conf
from mmm.wire.command import PROXIES
from tests.unit.worlds import WRITER, show, world

PROXIES_PAGE = Path(__file__).parents[2] / "docs/proxies.md"
LOADED = ["LOAD MYSQL SERVERS TO RUNTIME;", "SAVE MYSQL SERVERS TO DISK;"]
HEALTH = {"default": {"health_port": 9991}}
CONFS = {
    "by health": Conf(hosts=HEALTH),
    "by VIPs": Conf(),
    "some health ports": Conf(hosts={"db1": {"health_port": 9991}}),
    "IPv6": Conf(roles={"writer": {"ips": "fd00::80"}, "reader": {"ips": "fd00::90, 10.77.0.91"}}),
    "asked": Conf(hosts=HEALTH, roles={"writer": {"vip_via": "health"}, "reader": {"vip_via": "health"}}),
    "two masters": Conf(slaves=0, hosts=HEALTH),
}


def printed(
    folder: Path, capsys: pytest.CaptureFixture[str], conf: Conf, *words: str, status: int = 0
) -> str:
    for name, text in conf.files().items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o640)
    assert run(list(words), str(folder / "mmm_mon.conf"), None) == status
    said = capsys.readouterr()
    return said.err if status else said.out


def section(text: str, name: str) -> str:
    """Return a section of haproxy.cfg."""
    return re.split(r"^(?=\S)", text.split(f"listen {name}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("conf", CONFS.values(), ids=CONFS)
def test_haproxy_takes_what_is_printed(
    conf: Conf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("no haproxy: apt-get install haproxy")
    (tmp_path / "haproxy.cfg").write_text(printed(tmp_path, capsys, conf, "haproxy"))
    done = subprocess.run(
        ["/usr/sbin/haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize("conf", [CONFS["by health"], CONFS["by VIPs"]], ids=["by health", "by VIPs"])
def test_writes_go_over_the_address_of_the_role_alone(
    conf: Conf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(tmp_path, capsys, conf, "haproxy")
    servers = re.findall(r"server \S+ (\S+)", section(text, "mmm_writer"))
    assert servers == [f"{WRITER_IP}:3306"]
    assert "check" not in re.sub(r"#.*", "", section(text, "mmm_writer"))
    text = printed(tmp_path, capsys, conf, "proxysql")
    assert re.findall(r'address="(\S+)" , port=3306 , hostgroup=10 ', text) == [WRITER_IP]
    assert "mysql_replication_hostgroups=" not in text
    text = printed(tmp_path, capsys, conf, "mysqlrouter")
    assert f"destinations={WRITER_IP}:3306" in text


def test_reads_go_by_health_and_lag_where_all_hosts_have_a_port(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readers = section(printed(tmp_path, capsys, CONFS["by health"], "--lag", "2.5", "haproxy"), "mmm_readers")
    assert readers == section(
        printed(tmp_path, capsys, CONFS["by health"], "haproxy", "--lag", "2.5"), "mmm_readers"
    )
    assert "option httpchk GET /reader?lag=2.5\n" in readers
    assert "on-marked-down shutdown-sessions" in readers
    assert re.findall(r"server (db\d) (\S+) check port 9991", readers) == [
        ("db1", "10.77.0.4:3306"), ("db2", "10.77.0.5:3306"), ("db3", "10.77.0.7:3306"),
    ]  # fmt: skip
    for partly in ("some health ports", "by VIPs"):
        readers = section(printed(tmp_path, capsys, CONFS[partly], "haproxy"), "mmm_readers")
        assert "httpchk" not in readers
        assert re.findall(r"server \S+ (\S+):3306 ", readers) == ["10.77.0.90", "10.77.0.91", "10.77.0.92"]


def test_a_role_without_an_address_is_written_to_by_what_its_hosts_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(tmp_path, capsys, CONFS["asked"], "haproxy")
    writer, readers = section(text, "mmm_writer"), section(text, "mmm_readers")
    assert "option httpchk GET /writer\n" in writer
    assert "on-marked-down shutdown-sessions" in writer
    assert re.findall(r"server (db\d) (\S+) check port 9991", writer) == [
        ("db1", "10.77.0.4:3306"), ("db2", "10.77.0.5:3306"),
    ]  # fmt: skip
    assert re.findall(r"server \S+ (\S+) track (\S+) backup", readers) == [
        ("10.77.0.4:3306", "mmm_writer/db1"), ("10.77.0.5:3306", "mmm_writer/db2"),
    ]  # fmt: skip
    assert f"{WRITER_IP} must be that of a load balancer" in printed(
        tmp_path, capsys, CONFS["asked"], "proxysql"
    )


@pytest.mark.parametrize(("lag", "whole"), [("0", 1), ("0.4", 1), ("1", 1), ("2.5", 3), ("999999", 999999)])
def test_a_proxy_that_knows_whole_seconds_only_has_a_limit_of_lag_always(
    lag: str, whole: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(tmp_path, capsys, CONFS["by health"], "--lag", lag, "proxysql")
    assert set(re.findall(r"max_replication_lag=(\S+)", text)) == {str(whole)}
    text = printed(tmp_path, capsys, CONFS["by health"], "--lag", lag, "maxscale")
    assert re.findall(r"^max_slave_replication_lag=(\S+)$", text, re.MULTILINE) == [f"{whole}s"]
    assert f"no more than {whole} s behind" in text


def test_maxscale_moves_nothing_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(tmp_path, capsys, CONFS["by health"], "maxscale")
    assert "auto_failover=false" in text
    assert "auto_rejoin=false" in text
    assert text.count("servers=db1,db2,db3\n") == 2


class Told:
    """ProxySQL's program of docs/proxies.md, as the monitor runs it."""

    def __init__(self, folder: Path) -> None:
        (text,) = re.findall(r"^    #!/bin/sh\n(?:    .*\n)+", PROXIES_PAGE.read_text(), re.MULTILINE)
        self._text = textwrap.dedent(text)
        self._folder = folder
        self.program("mysql", f"cat > {folder}/told")

    def program(self, name: str, does: str) -> None:
        """Put a program in the PATH."""
        (self._folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (self._folder / name).chmod(0o755)

    def shows(self, now: World) -> None:
        """Have mmm_control answer `show` of cluster C1 by that world."""
        (self._folder / "show").write_text(show(now))
        self.program("mmm_control", f'[ "$*" = "@C1 show" ] && cat {self._folder}/show')

    def run(self, *entries: Entry) -> tuple[int, list[str]]:
        """Return the exit status of the program that is told this, and what ProxySQL gets."""
        variables = environment(Message(entries), "C1")
        done = subprocess.run(
            ["/bin/sh", "-u", "-c", self._text],
            env={**variables, "PATH": f"{self._folder}:{os.environ['PATH']}"},
            check=False,
        )
        told = self._folder / "told"
        return done.returncode, told.read_text().splitlines() if told.exists() else []


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def gone(host: str) -> Entry:
    return entry(1.0, Happened("state", {"host": host, "before": State.ONLINE, "after": State.HARD_OFFLINE}))


SEVERAL = world({WRITER: "db1"}, {"db2": State.HARD_OFFLINE, "db3": State.REPLICATION_DELAY})


@pytest.mark.parametrize("count", [1, 6])
def test_the_program_that_tells_proxysql_sets_each_host_to_what_it_is(told: Told, count: int) -> None:
    told.shows(SEVERAL)
    status, (*lines, load, save) = told.run(*(gone("db2") for _ in range(count)))
    assert (status, load, save) == (0, *LOADED)
    sets = re.compile(r"UPDATE mysql_servers SET status='(\w+)' WHERE hostgroup_id=20 AND hostname='(\S+)';")
    found = {match[2]: match[1] for match in map(sets.fullmatch, lines) if match}
    names = {"db1": "ONLINE", "db2": "OFFLINE_SOFT", "db3": "OFFLINE_SOFT"}
    assert found == {SEVERAL.conf.hosts[name].ip: each for name, each in names.items()}
    assert len(lines) == len(names)


@pytest.mark.parametrize(
    ("program", "does"),
    [
        ("mmm_control", "exit 3"),
        ("mmm_control", "echo nothing that it knows"),
        ("mysql", "cat >/dev/null; exit 1"),
    ],
)
def test_the_program_that_tells_proxysql_fails_where_it_could_not(
    told: Told, program: str, does: str
) -> None:
    told.shows(SEVERAL)
    told.program(program, does)
    assert told.run(gone("db2")) == (1, [])


def test_what_was_not_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (*MAKERS, "keepalived") == PROXIES
    for name in MAKERS:
        head = printed(tmp_path, capsys, Conf(), name).splitlines()[:2]
        assert ("NOT RUN" in head[1]) == (name != "haproxy")


def test_keepalived_follows_the_monitor_that_leads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(tmp_path, capsys, Conf(), "keepalived", status=2)
    assert "names no second monitor" in said
    text = printed(tmp_path, capsys, Conf(monitors=2), "keepalived")
    own, peer = re.findall(r"unicast_src_ip (\S+)\n    unicast_peer {\n        (\S+)\n", text)[0]
    assert own != peer
    assert 'script "/usr/sbin/mmm_control leads"' in text
    path = shutil.which("keepalived", path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.skip("no keepalived: apt-get install keepalived")
    (tmp_path / "keepalived.conf").write_text(text)
    done = subprocess.run(
        [path, "-t", "-l", "-f", str(tmp_path / "keepalived.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    wrong = [line for line in (done.stdout + done.stderr).splitlines() if str(tmp_path) in line]
    assert not wrong, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("squid",), "proxy takes one of haproxy, proxysql, maxscale, mysqlrouter, keepalived, not 'squid'"),
        (("--lag", "haproxy"), "proxy takes one of"),
        (("--lag", "soon", "haproxy"), "--lag is a number of seconds"),
        (("haproxy", "--lag"), "--lag is a number of seconds"),
        (("--lag", "inf", "haproxy"), "--lag is a number of seconds"),
        (("--lag", "9" * 400, "proxysql"), "--lag is a number of seconds"),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed(tmp_path, capsys, Conf(), *words, status=2).startswith(f"mmm_control: {said}")
