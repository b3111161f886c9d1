"""The shipped init scripts, unchanged, with a private /etc/default and a small daemon of the right name."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

LIMIT = 60
TREE = Path(__file__).parents[2]
DAEMONS = {"mysql-mmm-agent": "mmm_agentd", "mysql-mmm-monitor": "mmm_mond"}

DAEMON = """\
#!{python}
import signal, sys, time
from pathlib import Path
from mmm.process.arguments import parse

folder = Path({folder!r})
arguments = parse({name!r}, sys.argv[1:])
pid_path = folder / f"{{arguments.cluster or 'only'}}.pid"
if (folder / "pid_path").exists():
    pid_path = folder / (folder / "pid_path").read_text()
if (folder / "broken").exists():
    print("conf:1: wrong", file=sys.stderr)
    sys.exit(2)
if arguments.print_conf:
    print(f"this db1\\n<monitor>\\n    pid_path {{pid_path}}\\n</monitor>\\n<host db2>\\n    pid_path /other/host")
    print(f"</host>\\n<host db1>\\n    mysql_pidfile /x\\n    pid_path {{pid_path}}\\n</host>")
if arguments.print_conf or arguments.check:
    sys.exit(0)
from mmm.process.service import Service, serve  # takes far longer, and the scripts ask for the conf each time
if (folder / "stubborn").exists():
    signal.signal = lambda number, what: None
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.pthread_sigmask(signal.SIG_BLOCK, {{number}})
    signal.pthread_sigmask = lambda how, what: None
    signal.sigtimedwait = lambda signals, limit: time.sleep(3600)

def worker(ready):
    ready()
    while True:
        signal.pause()

service = Service({name!r}, arguments.cluster, pid_path, False, False, folder, log_dir=folder / "log")
sys.exit(serve(service, worker))
"""

SYSTEMCTL = """\
#!/bin/sh
# A systemd with one unit, which is loaded after daemon-reload and runs the init script as the shipped one does.
cd {folder}
echo "$*" >>calls
case "$*" in
    show*) [ -e loaded ] && echo loaded || echo not-found ;;
    daemon-reload) touch loaded ;;
    "--quiet is-active"*) [ -e active ] ;;
    "--quiet is-enabled"*) [ -e enabled ] ;;
    start*) MMM_UNIT=$2 /etc/init.d/{service} start >/dev/null && touch active ;;
    stop*) [ ! -e active ] || kill "$(cat only.pid)"; rm -f active ;;
esac
"""
SYSTEMD = """\
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount --bind "{folder}/sbin" /usr/local/sbin
mount --bind "{tree}/init.d" /etc/init.d
mount --bind "{folder}/default" /etc/default
exec "$@"
"""


class Init:
    """One init script with its own /etc/default."""

    def __init__(self, folder: Path, service: str) -> None:
        self.folder, self.service, self.name = folder, service, DAEMONS[service]
        self.daemon = folder / self.name
        self.daemon.write_text(DAEMON.format(python=sys.executable, folder=str(folder), name=self.name))
        self.daemon.chmod(0o755)
        (folder / "default").mkdir()
        self.default()

    def default(self, text: str = "", service: str | None = None) -> None:
        shipped = (TREE / "etc" / "default" / self.service).read_text()
        settings = f"{shipped}\nDAEMON={self.daemon}\n{text}\n"
        (self.folder / "default" / (service or self.service)).write_text(settings)

    def run(self, *arguments: str, script: Path | None = None) -> subprocess.CompletedProcess[str]:
        private = f'mount --bind "{self.folder}/default" /etc/default && exec "$@"'
        command = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            private,
            "sh",
            str(script or TREE / "init.d" / self.service),
        ]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False
        )

    def systemd(self, action: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the script as /etc/init.d/NAME on a machine where systemd runs."""
        (self.folder / "sbin").mkdir(exist_ok=True)
        systemctl = self.folder / "sbin/systemctl"
        systemctl.write_text(SYSTEMCTL.format(folder=self.folder, service=self.service))
        systemctl.chmod(0o755)
        private = SYSTEMD.format(folder=self.folder, tree=TREE)
        command = ["unshare", "--mount", "sh", "-c", private, "sh", f"/etc/init.d/{self.service}", action]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, env={**os.environ, **env}
        )

    @property
    def calls(self) -> list[str]:
        """Return what systemctl was told to do."""
        told = (self.folder / "calls").read_text().splitlines()
        return [line for line in told if line.split()[0] in {"start", "stop", "daemon-reload"}]

    def status(self) -> int:
        return self.run("status").returncode

    def pid(self, cluster: str = "only") -> int:
        return int((self.folder / f"{cluster}.pid").read_text())

    def family(self) -> list[int]:
        pids = []
        for path in self.folder.glob("*.pid"):
            angel = path.read_text().strip()
            pids += [int(angel), *map(int, Path(f"/proc/{angel}/task/{angel}/children").read_text().split())]
        return pids

    def kill(self) -> None:
        for pid in self.family():
            if pid == os.getpid():
                continue  # a pid file may name this very process
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(params=sorted(DAEMONS))
def init(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Init]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    init = Init(tmp_path, request.param)
    yield init
    with suppress(OSError):
        init.kill()


def test_start_status_stop(init: Init) -> None:
    assert init.status() == 3
    assert init.run("start").returncode == 0
    pid = init.pid()
    assert init.status() == 0
    assert init.run("start").returncode == 0
    assert init.pid() == pid
    assert init.run("stop").returncode == 0
    assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert init.status() == 3
    assert init.run("stop").returncode == 0


def test_a_dead_daemon_with_its_pid_file(init: Init) -> None:
    init.run("start")
    pid = init.pid()
    init.kill()
    assert init.status() == 1
    assert init.run("start").returncode == 0
    assert init.pid() != pid
    assert init.status() == 0
    init.kill()
    assert init.run("stop").returncode == 0
    assert init.status() == 3


def test_a_worker_that_has_not_ended_yet_with_its_angel_is_no_daemon(init: Init) -> None:
    angel = orphaned_for_a_moment(init)
    assert init.run("start").returncode == 0
    assert init.pid() != angel
    assert len(init.family()) == 2


def test_nothing_is_left_of_a_daemon_whose_worker_was_stopped_after_it(init: Init) -> None:
    orphaned_for_a_moment(init)
    assert init.run("stop").returncode == 0
    assert init.status() == 3


def orphaned_for_a_moment(init: Init) -> int:
    """Have the angel killed and its worker go on until half a second later; returns the pid that was the angel's."""
    init.run("start")
    angel, worker = init.family()
    os.kill(worker, signal.SIGSTOP)
    os.kill(angel, signal.SIGKILL)
    threading.Timer(0.5, os.kill, (worker, signal.SIGCONT)).start()
    return angel


def test_a_pid_file_of_something_else_is_no_daemon(init: Init) -> None:
    (init.folder / "only.pid").write_text(f"{os.getpid()}\n")
    assert init.status() == 1
    assert init.run("stop").returncode == 0
    os.kill(os.getpid(), 0)


def test_a_pid_file_of_who_reads_the_log_is_no_daemon(init: Init) -> None:
    log = init.folder / f"{init.name}.log"
    log.touch()
    reader = subprocess.Popen(["tail", "-f", str(log)], stdout=subprocess.DEVNULL)
    try:
        (init.folder / "only.pid").write_text(f"{reader.pid}\n")
        assert init.status() == 1
        assert init.run("stop").returncode == 0
        assert reader.poll() is None
    finally:
        reader.kill()
        reader.wait()


@pytest.mark.parametrize("action", ["restart", "reload", "force-reload"])
def test_restart_and_reload(init: Init, action: str) -> None:
    init.run("start")
    pid = init.pid()
    assert init.run(action).returncode == 0
    takes_it_as_it_runs = action == "reload" and init.name != "mmm_web"
    assert (init.pid() == pid) == takes_it_as_it_runs
    assert init.status() == 0
    (init.folder / "broken").touch()
    pid = init.pid()
    init.default(f"PIDFILE={init.folder}/only.pid")
    refused = init.run(action)
    assert refused.returncode == 6
    assert "conf:1: wrong" in refused.stderr
    assert init.pid() == pid
    assert init.status() == 0


@pytest.mark.parametrize("action", ["restart", "force-reload"])
def test_what_runs_by_another_pid_path_is_found(init: Init, action: str) -> None:
    """Else a restart leaves the old daemon there, which goes on giving or obeying orders, and says that all is well."""
    init.run("start")
    pid = init.pid()
    (init.folder / "pid_path").write_text("new.pid")
    told = init.run("status")
    assert (told.returncode, f"pid {pid}, which is not in {init.folder}/new.pid" in told.stdout) == (0, True)
    assert f"runs already, with pid {pid}, which is not in" in init.run("start").stdout
    assert init.run(action).returncode == 0
    assert not (init.folder / "only.pid").exists()
    assert init.pid("new") != pid
    assert init.run("status").stdout.rstrip().endswith(f"pid {init.pid('new')}")
    assert init.run("stop").returncode == 0
    assert init.status() == 3


def test_what_runs_is_stopped_though_the_conf_cannot_be_read(init: Init) -> None:
    init.run("start")
    (init.folder / "broken").touch()
    init.default(f"PIDFILE={init.folder}/default.pid")
    assert init.status() == 0
    assert init.run("stop").returncode == 0
    assert not (init.folder / "only.pid").exists()
    assert init.status() == 3


def test_a_daemon_with_other_arguments_is_another_one(init: Init) -> None:
    init.default("CLUSTER=C1")
    assert init.run("start").returncode == 0
    init.default("DAEMON_OPTS=--debug")
    assert init.status() == 3
    init.default("CLUSTER=C1")
    assert init.status() == 0


@pytest.mark.parametrize(
    "command",
    [
        ["tail", "-vf"],
        [sys.executable, f"-cimport os, time; os.setuid(65534); print(flush=True); time.sleep({LIMIT})"],
    ],
    ids=["who-reads-the-program", "somebody-else-s"],
)
def test_who_only_looks_like_the_daemon_is_left_alone(init: Init, command: list[str]) -> None:
    """Nor may a user keep the daemon from its start by a process that is called like it."""
    with subprocess.Popen([*command, str(init.daemon)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            assert init.status() == 3
            assert init.run("stop").returncode == 0
            assert process.poll() is None
        finally:
            process.kill()


CONTAINER = """\
set -e
mount -t tmpfs tmpfs "$1"
for folder in /*; do
    [ -d "$folder" ] && [ ! -L "$folder" ] && mkdir "$1$folder" && mount --rbind "$folder" "$1$folder"
    [ ! -L "$folder" ] || cp -P "$folder" "$1$folder"
done
exec chroot "$1" "$2"
"""


def test_the_daemon_of_a_container_that_shares_network_and_processes_is_another_one(
    init: Init, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shown = ["unshare", "--mount", "sh", "-c", CONTAINER, "sh", str(root), str(init.daemon)]
    subprocess.run(shown, check=True, timeout=LIMIT)
    pid = init.pid()
    (init.folder / "pid_path").write_text("ours.pid")
    assert init.status() == 3
    assert init.run("start").returncode == 0
    assert init.pid("ours") != pid
    assert init.run("stop").returncode == 0
    os.kill(pid, 0)


@pytest.mark.parametrize(("action", "status"), [("restart", 0), ("reload", 7), ("force-reload", 7)])
def test_restart_and_reload_of_what_does_not_run(init: Init, action: str, status: int) -> None:
    assert init.run(action).returncode == status
    assert init.status() == (0 if action == "restart" else 3)


def test_a_bad_conf_is_no_start(init: Init) -> None:
    (init.folder / "broken").touch()
    done = init.run("start")
    assert done.returncode == 6
    assert "conf:1: wrong" in done.stderr


def test_a_failing_start(init: Init) -> None:
    (init.folder / "log").write_text("in the way")
    (init.folder / "only.pid").mkdir()
    assert init.run("start").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "status"), [([], 2), (["frob"], 2), (["start", "x"], 2), (["try-restart"], 3)]
)
def test_usage(init: Init, arguments: list[str], status: int) -> None:
    done = init.run(*arguments)
    assert done.returncode == status
    assert "start|stop|restart|reload|force-reload|status" in done.stderr


def test_disabled(init: Init) -> None:
    init.default("ENABLED=0")
    done = init.run("start")
    assert done.returncode == 0
    assert "not enabled" in done.stdout
    assert init.status() == 3


def test_not_installed(init: Init) -> None:
    init.default("DAEMON=/no/such/daemon")
    assert init.run("start").returncode == 5
    assert init.status() == 3
    assert init.run("stop").returncode == 0


def test_two_clusters_side_by_side(init: Init) -> None:
    script = init.folder / f"{init.service}-C2"
    script.symlink_to(TREE / "init.d" / init.service)
    init.default("CLUSTER=C1")
    init.default("CLUSTER=C2", script.name)
    assert init.run("start").returncode == 0
    assert init.run("start", script=script).returncode == 0
    assert init.pid("C1") != init.pid("C2")
    assert init.run("stop").returncode == 0
    assert init.status() == 3
    assert init.run("status", script=script).returncode == 0
    assert init.run("stop", script=script).returncode == 0


def test_the_daemon_of_another_cluster_at_a_pid_that_was_left_behind_is_let_be(init: Init) -> None:
    """After a crash of the machine pids are used again: a start did nothing, and a stop ended the other cluster."""
    other = init.folder / f"{init.service}-C2"
    other.symlink_to(TREE / "init.d" / init.service)
    init.default("CLUSTER=C2", other.name)
    assert init.run("start", script=other).returncode == 0
    for own, name in (("CLUSTER=C1", "C1"), ("", "only")):
        init.default(own)
        stale = init.folder / f"{name}.pid"
        stale.write_text(f"{init.pid('C2')}\n")
        assert init.status() != 0
        assert init.run("stop").returncode == 0
        stale.write_text(f"{init.pid('C2')}\n")
        started = init.run("start")
        assert (started.returncode, "started" in started.stdout) == (0, True), started
        assert init.pid(name) != init.pid("C2")
        assert init.run("stop").returncode == 0
    assert init.run("status", script=other).returncode == 0
    assert init.run("stop", script=other).returncode == 0


def test_a_daemon_that_does_not_end_is_killed(init: Init) -> None:
    (init.folder / "stubborn").touch()
    init.default("STOP_LIMIT=1")
    assert init.run("start").returncode == 0
    family = init.family()
    assert len(family) == 2
    done = init.run("stop")
    assert done.returncode == 0
    assert "did not end within 1 s: killing it" in done.stderr
    assert init.status() == 3
    for pid in family:
        assert not Path(f"/proc/{pid}").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_boot_scripts_name_is_no_other_service(init: Init) -> None:
    script = init.folder / f"S20{init.service}"
    script.symlink_to(TREE / "init.d" / init.service)
    assert init.run("start", script=script).returncode == 0
    assert init.status() == 0


def test_under_systemd_the_daemon_is_its_units_whoever_starts_it(init: Init) -> None:
    started = init.systemd("start")
    assert started.returncode == 0
    assert f"systemctl enable {init.service}" in started.stdout
    pid = init.pid()
    assert (init.systemd("status").returncode, init.systemd("start").returncode) == (0, 0)
    (init.folder / "enabled").touch()
    restarted = init.systemd("restart")
    assert restarted.returncode == 0
    assert "enable" not in restarted.stdout
    assert init.pid() != pid
    assert init.systemd("stop").returncode == 0
    assert init.systemd("status").returncode == 3
    unit = f"{init.service}.service"
    assert init.calls == ["daemon-reload", *(f"{what} {unit}" for what in ("start", "stop", "start", "stop"))]


def test_a_daemon_started_outside_of_its_unit_is_named_and_put_there_by_restart(init: Init) -> None:
    assert init.run("start").returncode == 0
    pid = init.pid()
    again = init.systemd("start")
    assert again.returncode == 0
    assert (
        f"it was not started by its unit: '/etc/init.d/{init.service} restart' puts it there" in again.stdout
    )
    refused = init.systemd("start", MMM_UNIT="x.service")
    assert refused.returncode == 1
    assert f"runs already, with pid {pid}, outside of x.service" in refused.stderr
    assert init.pid() == pid
    assert init.systemd("restart").returncode == 0
    assert init.pid() != pid
    assert init.calls[-1] == f"start {init.service}.service"
    assert (init.folder / "active").exists()


def test_under_systemd_a_bad_conf_is_told_where_it_was_typed(init: Init) -> None:
    (init.folder / "broken").touch()
    done = init.systemd("start")
    assert done.returncode == 6
    assert "conf:1: wrong" in done.stderr
    assert init.calls == ["daemon-reload"]


def test_the_script_of_mmm_web_is_that_of_the_monitor_but_for_names() -> None:
    monitor, web = ((TREE / "init.d" / f"mysql-mmm-{name}").read_text() for name in ("monitor", "web"))
    for one, other in (("mysql-mmm-monitor", "mysql-mmm-web"), ("mmm_mond", "mmm_web"), ("monitor>", "web>")):
        monitor = monitor.replace(one, other)
    lenient = monitor[monitor.index("conf_will_do() {") : monitor.index("good_conf() {")]
    monitor = monitor.replace(lenient, "").replace("conf_will_do", "daemon --check >/dev/null")
    behind = "\nPATH="
    same, own = (text.partition(behind)[2].splitlines() for text in (monitor, web))
    by_signal = same[same.index("    reload)") : same.index("    force-reload)")]
    place = same.index("    reload)")
    same[place : place + len(by_signal) + 1] = ["    reload | force-reload)"]
    assert [line for line in own if not line.lstrip().startswith("#")] == [
        line for line in same if not line.lstrip().startswith("#")
    ]
