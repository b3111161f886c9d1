"""What the Debian packages are made of: each program and page is in one of them. `make test-deb` installs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mmm import __version__
from mmm.config.keys import SECTIONS
from mmm.control.completion import candidates, commands, complete
from mmm.wire.command import HELP
from pages.packaged import SUMMARIES, conf_page, program, programs

TREE = Path(__file__).parents[2]
DEBIAN = TREE / "debian"
NAMES = {"host": ["db1", "db2"], "role": ["writer"], "ip": ["10.0.0.9"], "check": ["ping"]}
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


def test_the_page_of_conf_files_has_every_key() -> None:
    page = conf_page()
    keys = {key.name for section in SECTIONS.values() if not section.old_only for key in section.keys}
    shown = {name.replace("\\_", "_") for name in re.findall(r"^\*\*(\S+)\*\* ", page, re.MULTILINE)}
    ignored = {key.name for section in SECTIONS.values() for key in section.keys if key.kind == "ignored"}
    assert shown | ignored >= keys


@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_of_a_cluster_differs_from_the_other_by_its_name_alone(unit: str) -> None:
    one = (TREE / "systemd" / f"{unit}.service").read_text().splitlines()
    many = (TREE / "systemd" / f"{unit}@.service").read_text().splitlines()
    assert len(one) == len(many)
    differ = [line for line, other in zip(many, one, strict=True) if line != other]
    assert all("%i" in line for line in differ)
    assert len(differ) == 5


def test_completion_follows_the_list_of_commands() -> None:
    rows = [line.split()[0] for line in HELP.splitlines()[1:] if line[4] != " "]
    assert [command.words[0] for command in commands()] == rows
    assert all(command.does for command in commands())
    assert candidates(["set_online"], NAMES) == ["db1", "db2", "--force"]
    assert candidates(["move_role", "--force", "writer"], NAMES) == ["db1", "db2", "--dry-run"]
    assert candidates(["rejoin", "--from"], NAMES) == ["db1", "db2"]
    assert candidates(["rejoin", "--method"], NAMES) == ["rewind", "clone"]
    assert candidates(["rejoin", "--from", "db1"], NAMES)[-2:] == ["db1", "db2"]
    assert candidates(["rejoin", "--abort"], NAMES) == ["db1", "db2"]
    assert candidates(["checks", "db1"], NAMES) == ["ping", "all"]
    assert candidates(["set_ip"], NAMES) == ["10.0.0.9"]
    assert not candidates(["show"], NAMES)
    assert not candidates(["nonsense"], NAMES)


def test_completion_knows_the_names_of_the_conf(tmp_path: Path) -> None:
    for name in ("mmm_common", "mmm_mon"):
        path = tmp_path / f"{name}.conf"
        path.write_text((TREE / "etc" / f"{name}.conf.example").read_text())
        path.chmod(0o640)
    conf = ["--config", str(tmp_path / "mmm_mon.conf")]
    assert {"db1", "db2"} <= set(complete([*conf, "set_online"]).split())
    mon = tmp_path / "mmm_mon.conf"
    witness = "\nmonitors 192.168.100.50\n<host web1>\n    ip 192.168.100.30\n    mode witness\n</host>\n"
    mon.write_text(mon.read_text().replace("127.0.0.1", "192.168.100.50") + witness)
    assert "web1" not in complete([*conf, "set_online"]).split()
    assert "db1" in complete([*conf, "set_online"]).split()
    assert {"writer", "reader"} <= set(complete([*conf, "move_role"]).split())
    done = subprocess.run(
        [sys.executable, "-c", "from mmm.control.main import run; run()", "--complete", *conf, "set_online"],
        check=True,
        capture_output=True,
        text=True,
        env={},
    )
    assert {"db1", "db2"} <= set(done.stdout.split())
    assert complete(["--format"]).split() == ["text", "json", "yaml"]
    assert (
        complete([*conf, "--monitor"]).split() == complete([*conf, "hand_over"]).split() == ["192.168.100.50"]
    )
    assert complete([*conf, "failover_method"]).split() == ["auto", "wait", "manual"]
    assert complete(["--config", str(tmp_path / "none.conf"), "--monitor"]) == ""
    assert "show" in complete(["@C1"]).split()
    assert "--format" in complete([]).split()
