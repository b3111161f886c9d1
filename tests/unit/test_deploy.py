"""setup/deploy and setup/undeploy as they are, on a copy of this machine's /etc, /opt, /usr and /var.

The copy vanishes with the test. The virtualenv is there already, with a Python that only says what pip would do:
nothing is fetched.
"""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pages.packaged import SHELLS, completion

TREE = Path(__file__).parents[2]
PROGRAMS = (
    "mmm_agentd",
    "mmm_control",
    "mmm_mond",
    "mmm_rejoin",
    "mmm_backup",
    "mmm_restore",
    "mmm_clone",
    "mmm_get_dump",
    "mmm_stream",
    "mmm_web",
    "mmm_sandbox",
)
SERVICES = ("mysql-mmm-agent", "mysql-mmm-monitor", "mysql-mmm-web")
CONFS = (
    "mmm_agent.conf.example",
    "mmm_common.conf.example",
    "mmm_mon.conf.example",
    "mmm_mon.fast.conf.example",
    "mmm_tools.conf.example",
)
LIMIT = 60

LAYERS = """
set -e
for place in etc opt usr/lib usr/local usr/sbin var; do
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$0/upper/$place,workdir=$0/work/$place" "/$place"
done
mount -t tmpfs tmpfs /run
exec "$@"
"""
PYTHON = f"""\
#!/bin/sh
case "$*" in *" install "*) ;; *) exit 0 ;; esac
for name in {" ".join(PROGRAMS)}; do
    printf '#!/bin/sh\\necho "'$name' 3.0.0"\\n' >/opt/mysql-mmm/bin/$name
    # There it is which backup to restore, as in MMM 1.x.
    [ $name != mmm_restore ] || echo '[ "$1" != --version ]' >>/opt/mysql-mmm/bin/$name
    chmod 755 /opt/mysql-mmm/bin/$name
done
"""


class Machine:
    """A machine to install on; `root` shows what differs from the real one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "upper"
        for place in ("etc", "opt", "usr/lib", "usr/local", "usr/sbin", "var"):
            (self.root / place).mkdir(parents=True)
            (folder / "work" / place).mkdir(parents=True)
        python = self.root / "opt/mysql-mmm/bin/python3"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        python.chmod(0o755)
        (self.root / "opt/mysql-mmm/pyvenv.cfg").touch()
        self.run("rm", "-rf", "/var/log/mysql-mmm")  # of a program of MMM that was run on the real one

    def deploy(self) -> subprocess.CompletedProcess[str]:
        return self.run(str(TREE / "setup/deploy"))

    def undeploy(self) -> subprocess.CompletedProcess[str]:
        return self.run(str(TREE / "setup/undeploy"))

    def files(self) -> set[str]:
        """Return what there is beside what this machine has; of what was taken away there is a device."""
        found = (path for path in self.root.rglob("*") if not path.is_dir() and not path.is_char_device())
        return {str(path.relative_to(self.root)) for path in found}

    def put(self, place: str, text: str) -> None:
        """Put an executable file there."""
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        argv = ["unshare", "--mount", "sh", "-c", LAYERS, str(self._folder), *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT, check=False, umask=0o077)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if os.geteuid():
        pytest.skip("only root may mount")
    return Machine(tmp_path)


def test_it_installs_programs_scripts_settings_and_examples(machine: Machine) -> None:
    done = machine.deploy()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MMM 3.0.0 is installed.")
    for name in PROGRAMS:
        assert (machine.root / "usr/sbin" / name).readlink() == Path("/opt/mysql-mmm/bin", name)
    for name in SERVICES:
        script = machine.root / "etc/init.d" / name
        assert script.read_text() == (TREE / "init.d" / name).read_text()
        assert script.stat().st_mode & 0o777 == 0o755
        assert (machine.root / "etc/default" / name).is_file()
        for unit in (f"{name}.service", f"{name}@.service"):
            there = machine.root / "usr/lib/systemd/system" / unit
            assert there.read_text() == (TREE / "systemd" / unit).read_text()
    etc = machine.root / "etc/mysql-mmm"
    assert sorted(path.name for path in etc.iterdir()) == sorted(CONFS)
    assert {path.stat().st_mode & 0o777 for path in etc.iterdir()} == {0o640}
    assert (machine.root / "var/log/mysql-mmm").is_dir()
    assert (machine.root / "etc/logrotate.d/mysql-mmm").is_file()
    share = machine.root / "usr/local/share"
    for shell, folder in (("bash", "bash-completion/completions"), ("zsh", "zsh/site-functions")):
        for name in PROGRAMS:
            there = share / folder / SHELLS[shell].replace("PROGRAM", name)
            assert there.read_text() == completion(shell, name)


def test_again_it_keeps_confs_and_settings_and_brings_the_rest_up_to_date(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    conf = machine.root / "etc/mysql-mmm/mmm_mon.conf"
    settings = machine.root / "etc/default/mysql-mmm-agent"
    script = machine.root / "etc/init.d/mysql-mmm-agent"
    example = machine.root / "etc/mysql-mmm/mmm_mon.conf.example"
    logrotate = machine.root / "etc/logrotate.d/mysql-mmm"
    for path in (conf, settings, script, example, logrotate):
        path.write_text("my own\n")
    done = machine.deploy()
    assert (done.returncode, done.stderr) == (0, "")
    assert conf.read_text() == settings.read_text() == logrotate.read_text() == "my own\n"
    assert script.read_text() == (TREE / "init.d/mysql-mmm-agent").read_text()
    assert (machine.root / "var/backups/mysql-mmm-agent.init").read_text() == "my own\n"
    assert example.read_text() == (TREE / "etc/mmm_mon.conf.example").read_text()
    assert "mysql-mmm-agent.init" in done.stdout


@pytest.mark.parametrize("place", ["usr/sbin/mmm_control", "opt/mysql-mmm"])
def test_what_is_not_its_own_it_leaves_alone(machine: Machine, place: str) -> None:
    if place == "opt/mysql-mmm":
        (machine.root / place / "pyvenv.cfg").unlink()
    else:
        (machine.root / place).write_text("#!/usr/bin/env perl\n")
    done = machine.deploy()
    assert done.returncode == 1
    assert done.stderr.startswith(f"setup/deploy: /{place} ")
    assert len(done.stderr.splitlines()) == 1
    assert not (machine.root / "etc/init.d").exists()


def test_programs_that_do_not_run_are_not_linked(machine: Machine) -> None:
    python = machine.root / "opt/mysql-mmm/bin/python3"
    python.write_text(PYTHON.replace("echo \"'$name' 3.0.0\"", "exit 1"))
    done = machine.deploy()
    assert done.returncode == 1
    assert done.stderr == "setup/deploy: /opt/mysql-mmm/bin/mmm_agentd does not run\n"
    assert not any((machine.root / "usr/sbin").iterdir())


def test_undeploy_leaves_what_the_admin_has_made_and_nothing_else(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    assert machine.undeploy().stdout == (
        "MMM is removed. Yours, and left alone: /etc/default/mysql-mmm-agent /etc/default/mysql-mmm-monitor"
        " /etc/default/mysql-mmm-web\n"
    )
    assert machine.files() == {f"etc/default/{name}" for name in SERVICES}


def test_undeploy_keeps_confs_logs_other_programs_and_a_changed_logrotate_file(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    own = {"etc/mysql-mmm/mmm_agent.conf", "etc/logrotate.d/mysql-mmm", "var/log/mysql-mmm/mmm_agentd.log"}
    for name in own:
        (machine.root / name).write_text("my own\n")
    other = machine.root / "usr/sbin/mmm_control"
    other.unlink()
    other.write_text("#!/usr/bin/env perl\n")
    done = machine.undeploy()
    assert (done.returncode, done.stderr) == (0, "")
    settings = {f"etc/default/{name}" for name in SERVICES}
    assert machine.files() == own | settings | {"usr/sbin/mmm_control"}
    assert all(
        f" /{name.removesuffix('/mmm_agent.conf').removesuffix('/mmm_agentd.log')}" in done.stdout
        for name in own
    )


def test_undeploy_refuses_while_a_daemon_runs(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    script = machine.root / "etc/init.d/mysql-mmm-monitor"
    script.write_text("#!/bin/sh\nexit 0\n")
    before = machine.files()
    done = machine.undeploy()
    assert done.returncode == 1
    assert done.stderr == "setup/undeploy: its daemon runs: /etc/init.d/mysql-mmm-monitor stop\n"
    assert machine.files() == before


DPKG_QUERY = """\
#!/bin/sh
shift 3
for name in "$@"; do
    case $name in
        mysql-mmm-common | mysql-mmm-agent) echo "installed $name" ;;
        mysql-mmm-web) echo "config-files $name" ;;
        *) echo "dpkg-query: no packages found matching $name" >&2 ;;
    esac
done
exit 1
"""


def test_undeploy_takes_nothing_away_from_packages(machine: Machine) -> None:
    """Their init scripts and units have the same names, and went with the virtualenv."""
    assert machine.deploy().returncode == 0
    machine.put("usr/local/sbin/dpkg-query", DPKG_QUERY)
    before = machine.files()
    done = machine.undeploy()
    assert done.returncode == 1
    assert done.stderr == (
        "setup/undeploy: MMM is here as packages, which this does not remove: apt remove mysql-mmm-common"
        " mysql-mmm-agent. What source has left beside them goes as docs/install.md says\n"
    )
    assert machine.files() == before


def test_packages_that_left_only_their_confs_keep_nothing_from_undeploy(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    machine.put("usr/local/sbin/dpkg-query", DPKG_QUERY.replace("installed", "config-files"))
    assert machine.undeploy().stdout.startswith("MMM is removed.")


SYSTEMCTL = """\
#!/bin/sh
echo "$@" >>/var/told
case "$*" in
    list-units*" mysql-mmm-agent.service mysql-mmm-agent@*.service") cat /var/running 2>/dev/null ;;
esac
exit 0
"""


def with_systemd(machine: Machine, running: str = "") -> None:
    """Have systemd run there, with these units of the agent."""
    machine.put("usr/local/sbin/systemctl", SYSTEMCTL)
    (machine.root / "var/running").write_text(running)


UNDER_SYSTEMD = ("sh", "-c", f"mkdir -p /run/systemd/system && exec {TREE}/setup/undeploy")


def test_undeploy_refuses_while_the_daemon_of_another_cluster_runs(machine: Machine) -> None:
    """Its programs were taken away from under it: a worker that failed then was never started again."""
    assert machine.deploy().returncode == 0
    with_systemd(machine, "mysql-mmm-agent@C2.service loaded active running MMM agent, cluster C2\n")
    before = machine.files()
    done = machine.run(*UNDER_SYSTEMD)
    assert done.returncode == 1
    assert done.stderr == "setup/undeploy: its daemon runs: systemctl stop mysql-mmm-agent@C2.service\n"
    assert machine.files() - {"var/told"} == before


def test_undeploy_disables_the_units_of_all_clusters(machine: Machine) -> None:
    assert machine.deploy().returncode == 0
    with_systemd(machine)
    wants = machine.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "mysql-mmm-agent@C2.service").symlink_to("/lib/systemd/system/mysql-mmm-agent@.service")
    done = machine.run(*UNDER_SYSTEMD)
    assert (done.returncode, done.stderr) == (0, "")
    told = (machine.root / "var/told").read_text().splitlines()
    disabled = [line.split()[-1] for line in told if " disable " in line]
    assert {f"{name}.service" for name in SERVICES} <= set(disabled)
    assert "mysql-mmm-agent@C2.service" in disabled
    assert told.index("daemon-reload") > told.index("--quiet disable mysql-mmm-agent@C2.service")


def test_the_versions_that_are_installed_satisfy_what_the_project_asks_for() -> None:
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    lines = (TREE / "setup/constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    wanted = [
        Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["test"])
    ]
    assert all(one.specifier.contains(pinned[one.name.lower()]) for one in wanted)
    assert all("<" in str(one.specifier) for one in map(Requirement, project["dependencies"]))
