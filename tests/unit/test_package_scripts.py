"""The scripts of the Debian packages where no systemd runs, with the real invoke-rc.d, on a copy of this machine."""

import os
import shutil
from pathlib import Path

import pytest

from tests.unit.test_deploy import SERVICES, TREE, Machine

ALLOW = "#!/bin/sh\nexit 0\n"
DENY = "#!/bin/sh\nexit 101\n"
SCRIPT = """\
#!/bin/sh
name=${0##*/}
case $1 in
    status) [ -e "/var/running/$name" ] || exit 3 ;;
    *) echo "$name $1" >>/var/told; [ ! -e "/var/broken/$name" ] || exit 6 ;;
esac
"""


class Installed:
    """A machine without systemd, where no service is started at boot."""

    def __init__(self, folder: Path) -> None:
        self._machine = Machine(folder)
        self.put = self._machine.put
        self.var = self._machine.root / "var"
        for name in ("running", "broken"):
            (self.var / name).mkdir()
        self.put("usr/sbin/policy-rc.d", ALLOW)

    def script(self, name: str, *, running: bool) -> None:
        """Put an init script there; its daemon runs or does not."""
        self.put(f"etc/init.d/{name}", SCRIPT)
        if running:
            (self.var / "running" / name).touch()

    def maintain(self, kind: str, *arguments: str) -> list[str]:
        """Run a package's script; return what init scripts were told, but for `status`."""
        text = (TREE / "debian" / kind).read_text().replace("#DEBHELPER#", "")
        self.put("etc/maintain", text)
        done = self._machine.run("/etc/maintain", *arguments)
        assert done.returncode == 0, done.stderr
        told = self.var / "told"
        return told.read_text().splitlines() if told.exists() else []


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    if os.geteuid():
        pytest.skip("only root may mount")
    if not shutil.which("invoke-rc.d"):
        pytest.skip("no system of Debian's")
    return Installed(tmp_path)


@pytest.mark.parametrize("name", SERVICES)
def test_an_upgrade_without_systemd_restarts_each_daemon_that_runs(name: str, installed: Installed) -> None:
    """It went on with the old program until somebody restarted it, and so did those of other clusters."""
    for service, running in ((name, True), (f"{name}-C2", True), (f"{name}-C3", False)):
        installed.script(service, running=running)
    told = installed.maintain(f"{name}.postinst", "configure", "3.0.0")
    assert told == [f"{name} force-reload", f"{name}-C2 force-reload"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_does_not_run_is_not_started_by_an_upgrade(name: str, installed: Installed) -> None:
    installed.script(name, running=False)
    assert installed.maintain(f"{name}.postinst", "configure", "3.0.0") == []


@pytest.mark.parametrize("name", SERVICES)
def test_a_first_installation_restarts_nothing(name: str, installed: Installed) -> None:
    installed.script(name, running=True)
    assert installed.maintain(f"{name}.postinst", "configure", "") == []


def test_a_conf_with_errors_fails_no_upgrade_and_keeps_no_other_daemon(installed: Installed) -> None:
    for name in ("mysql-mmm-monitor", "mysql-mmm-monitor-C2"):
        installed.script(name, running=True)
    (installed.var / "broken/mysql-mmm-monitor").touch()
    told = installed.maintain("mysql-mmm-monitor.postinst", "configure", "3.0.0")
    assert told == ["mysql-mmm-monitor force-reload", "mysql-mmm-monitor-C2 force-reload"]


def test_an_upgrade_restarts_nothing_where_the_machine_forbids_it(installed: Installed) -> None:
    installed.put("usr/sbin/policy-rc.d", DENY)
    installed.script("mysql-mmm-agent", running=True)
    assert installed.maintain("mysql-mmm-agent.postinst", "configure", "3.0.0") == []


@pytest.mark.parametrize("name", SERVICES)
def test_the_daemons_of_all_clusters_are_stopped_before_their_programs_go(
    name: str, installed: Installed
) -> None:
    for service in (name, f"{name}-C2"):
        installed.script(service, running=True)
    assert installed.maintain(f"{name}.prerm", "remove") == [f"{name} stop", f"{name}-C2 stop"]
