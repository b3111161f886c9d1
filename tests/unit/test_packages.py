"""What the Debian packages are made of: each program and page is in one of them. `make test-deb` installs them."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmm import __version__
from mmm.config.keys import SECTIONS
from mmm.config.reload import Taken
from mmm.sandbox.trouble.faults import FAULTS
from pages.packaged import SHELLS, SUMMARIES, conf_page, program, programs, sandbox_commands
from tests.sandbox.test_conf_dialects import MON_1X

TREE = Path(__file__).parents[2]
DEBIAN = TREE / "debian"
UNITS = ("mysql-mmm-agent", "mysql-mmm-monitor", "mysql-mmm-web")


def listed(kind: str) -> list[str]:
    """Return the first words of all packages' lists of a kind."""
    lines = (line for path in DEBIAN.glob(f"*.{kind}") for line in path.read_text().splitlines())
    return [line.split()[0] for line in lines]


def test_every_program_is_in_one_package_with_its_page() -> None:
    assert sorted(SUMMARIES) == sorted(programs())
    for name in programs():
        assert listed("install").count(f"build/debian/sbin/{name}") == 1
        assert listed("manpages").count(f"build/debian/man/{name}.8") == 1
        for shell, file in SHELLS.items():
            assert listed("install").count(f"build/debian/{shell}/{file.replace('PROGRAM', name)}") == 1


def test_a_packaged_program_finds_its_modules_where_the_package_has_them(tmp_path: Path) -> None:
    path = tmp_path / "mmm_control"
    path.write_text(program("mmm_control", TREE))
    path.chmod(0o755)
    done = subprocess.run(
        [path, "--version"],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": "/nowhere"},
    )
    assert done.stdout.split()[:2] == ["mmm_control", __version__]


def test_only_what_knows_where_the_package_has_its_modules_starts_one() -> None:
    """A child of another command line finds none of them: everybody else asks for the interpreter's folder alone."""
    asking = []
    for path in (TREE / "mmm").rglob("*.py"):
        used = [
            node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)
        ]
        said = [ast.unparse(node) for node in used]
        if said.count("sys.executable") > said.count("Path(sys.executable).parent"):
            asking.append(path.name)
    assert asking == ["own_module.py"]


@pytest.mark.parametrize("name", sorted(SUMMARIES))
def test_a_program_calls_itself_as_it_is_called(name: str, tmp_path: Path) -> None:
    path = tmp_path / "called"
    path.write_text(program(name, TREE))
    done = subprocess.run([sys.executable, path, "--help"], check=True, capture_output=True, text=True)
    assert done.stdout.split()[:2] == ["usage:", name]


def test_the_page_of_conf_files_has_every_key() -> None:
    page = conf_page()
    keys = {key.name for section in SECTIONS.values() if not section.old_only for key in section.keys}
    shown = {name.replace("\\_", "_") for name in re.findall(r"^\*\*(\S+)\*\* ", page, re.MULTILINE)}
    ignored = {key.name for section in SECTIONS.values() for key in section.keys if key.kind == "ignored"}
    assert shown | ignored >= keys
    assert "{" not in page
    assert all(f"| {each} | " in page and f" Reload: {each}." in page for each in Taken)


def test_the_page_of_the_sandbox_has_every_command_with_its_options() -> None:
    page = sandbox_commands().replace("\\-", "-")
    for command in ("up", "fault", "chaos", "down"):
        assert f".SS {command}\n" in page
    for written in ("--server SERVER\nmariadb, ", "--proxy {haproxy}", "--angel", "-f, --follow", "MACHINE"):
        assert f".B {written}" in page
    assert all(fault in page for fault in FAULTS)
    assert set(re.findall(r"^\.\w+", page, re.MULTILINE)) == {".SS", ".TP", ".B", ".PP", ".nf", ".fi"}


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_a_cluster_differs_from_the_other_by_its_name_alone(unit: str) -> None:
    one = (TREE / "systemd" / f"{unit}.service").read_text().splitlines()
    many = (TREE / "systemd" / f"{unit}@.service").read_text().splitlines()
    assert len(one) == len(many)
    differ = [line for line, other in zip(many, one, strict=True) if line != other]
    assert all("%i" in line for line in differ)
    assert len(differ) == 5


@pytest.mark.parametrize("unit", UNITS)
def test_a_daemon_whose_angel_was_killed_is_back_before_a_lease_is_over(unit: str) -> None:
    settings = settings_of(unit)
    # systemd ends what is left of it, an agent's guard too, so nobody else would act then; nor is there a failover
    # without the monitor.
    assert settings["KillMode"] == "mixed"
    assert settings["Restart"] == "on-failure"
    (lease,) = (key.default for key in SECTIONS["top"].keys if key.name == "vip_lease")
    assert float(settings["RestartSec"]) < float(lease or 0) / 4
    tries = int(settings["StartLimitBurst"]) * float(settings["RestartSec"])
    assert 60 <= tries < float(settings["StartLimitIntervalSec"])


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_waits_for_the_network_and_nothing_waits_for_it(unit: str) -> None:
    settings = settings_of(unit)
    assert settings["After"].split()[0] == settings["Wants"] == "network-online.target"
    assert "Before" not in settings


def test_every_example_of_the_tree_is_in_a_package() -> None:
    found = {str(path.relative_to(TREE)) for line in listed("examples") for path in TREE.glob(line)}
    elsewhere = {"etc/default", "etc/logrotate.d", "etc/completion"}
    assert found | elsewhere == {f"etc/{path.name}" for path in (TREE / "etc").iterdir()}


def test_what_the_readme_has_copied_are_the_examples_of_confs() -> None:
    (named,) = re.findall(
        r"cp -n /usr/share/doc/mysql-mmm-common/examples/(\S+) ", (TREE / "README.md").read_text()
    )
    copied = {path.name for path in (TREE / "etc").glob(named)}
    assert copied == {path.name for path in (TREE / "etc").glob("mmm_*.conf.example")}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_units_are_as_closed_as_the_documentation_says() -> None:
    analyze = ["systemd-analyze", "--no-pager"]
    said = subprocess.run([*analyze, "--version"], check=True, capture_output=True, text=True).stdout
    version = int(said.split()[1])
    if 252 < version < 257:
        pytest.skip("no Debian has it")
    numbers = re.search(
        r"gives the monitor ([\d.]+) and the agent ([\d.]+), of 10 \(Debian 13:\n([\d.]+) and ([\d.]+)\)",
        (TREE / "docs/install.md").read_text(),
    )
    assert numbers is not None
    monitor, agent = numbers.groups()[2:] if version >= 257 else numbers.groups()[:2]
    for unit, number in (("mysql-mmm-monitor", monitor), ("mysql-mmm-agent", agent)):
        command = [*analyze, "security", "--offline=true", str(TREE / f"systemd/{unit}.service")]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert f"{unit}.service: {number} " in done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_the_files_of_a_conf_of_1x_may_be_written_under_a_unit(unit: str) -> None:
    """They lie below /usr, which the units keep read-only: by hand the daemons started, by their units they did not."""
    written = re.findall(r"^\s*(?:pid_path|status_path|file) (/\S+)", MON_1X, re.MULTILINE)
    assert len(written) >= 4
    writable = settings_of(unit)["ReadWritePaths"].split()
    assert all(any(f"-{folder}" in writable for folder in Path(path).parents) for path in written)


def settings_of(unit: str) -> dict[str, str]:
    """Return what a unit sets, the last of each name."""
    lines = (TREE / "systemd" / f"{unit}.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_user_of_a_monitor_without_root_is_made_as_its_unit_names_it() -> None:
    folder = TREE / "systemd/as-mmm"
    ((kind, name, number, _, home),) = (
        shlex.split(line)
        for line in (folder / "mmm.sysusers").read_text().splitlines()
        if not line.startswith("#")
    )
    assert (kind, number) == ("u", "-")
    for path in folder.glob("*.conf"):
        assert f"\nUser={name}\nGroup={name}\n" in path.read_text()
    assert f"StateDirectory={Path(home).name}\n" in (folder / "mysql-mmm-monitor.conf").read_text()


BUILD = """\
#!/bin/sh
touch ../mysql-mmm_3.0.1_all.deb ../mysql-mmm-agent_3.0.1_all.deb
"""


def test_the_folder_of_packages_has_those_of_the_last_build_alone(tmp_path: Path) -> None:
    """With an older one beside it `apt install ./mysql-mmm-agent_*.deb` may install that."""
    tree, out, bin_ = tmp_path / "tree", tmp_path / "out", tmp_path / "bin"
    for folder in (tree / "setup", out, bin_):
        folder.mkdir(parents=True)
    shutil.copy(TREE / "setup/deb", tree / "setup")
    for path, text in ((tree / "setup/packages", "#!/bin/sh\n"), (bin_ / "dpkg-buildpackage", BUILD)):
        path.write_text(text)
        path.chmod(0o755)
    by = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "."], [*by, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tree, check=True)
    for name in ("mysql-mmm_3.0.0_all.deb", "mysql-mmm-agent_3.0.0_all.deb", "other_1_all.deb"):
        (out / name).touch()
    env = {"PATH": f"{bin_}:/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run([tree / "setup/deb", out], check=True, capture_output=True, env=env)
    assert {each.name for each in out.iterdir()} == {
        "mysql-mmm_3.0.1_all.deb",
        "mysql-mmm-agent_3.0.1_all.deb",
        "other_1_all.deb",
    }


STANDS_IN = """\
#!/bin/sh
case ${0##*/} in
    systemctl) cat "$UNIT" ;;
    systemd-run) printf '%s\\n' "$@" ;;
esac
"""


def test_a_program_is_tried_with_all_the_limits_of_the_monitors_unit(tmp_path: Path) -> None:
    (command,) = re.findall(
        r"```sh\n(systemctl cat mysql-mmm-monitor .*?)```", (TREE / "docs/install.md").read_text(), re.DOTALL
    )
    for name in ("systemctl", "systemd-run"):
        (tmp_path / name).write_text(STANDS_IN)
        (tmp_path / name).chmod(0o755)
    unit = TREE / "systemd/mysql-mmm-monitor.service"
    done = subprocess.run(
        ["sh", "-c", command],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "UNIT": str(unit)},
    )
    *options, program = done.stdout.splitlines()
    assert program == "PROGRAM"
    service = unit.read_text().split("[Service]")[1].split("[Install]")[0].splitlines()
    settings = [line for line in service if "=" in line and not line.startswith("#")]
    daemon = ("Type", "Notify", "Environment", "Exec", "Kill", "Timeout", "Restart", "Watchdog")
    limits = [f"--property={line}" for line in settings if not line.startswith(daemon)]
    assert [each for each in options if each.startswith("--property")] == limits
    assert "--property=SystemCallErrorNumber=EPERM" in limits


@pytest.mark.parametrize("path", sorted((TREE / "systemd").glob("*.service")), ids=lambda path: path.name)
def test_a_system_call_that_a_unit_forbids_fails_and_kills_nobody(path: Path) -> None:
    """A program of the conf that only tried `ulimit` was killed by SIGSYS."""
    text = path.read_text()
    assert ("SystemCallFilter=" in text) == ("\nSystemCallErrorNumber=EPERM\n" in text)
