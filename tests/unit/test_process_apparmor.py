"""What AppArmor would keep a server from is read from what the kernel says; this kernel need not have it."""

import sys
from pathlib import Path

import pytest

from mmm.process import apparmor


@pytest.mark.parametrize(
    ("label", "profile"),
    [
        ("/usr/sbin/mysqld (enforce)\n", "/usr/sbin/mysqld"),
        ("mysqld (kill)", "mysqld"),
        ("mariadbd (complain)\n", ""),
        ("mariadbd (unconfined)", ""),
        ("unconfined\n", ""),
        ("", ""),
        ("a name with (brackets) (enforce)\0", "a name with (brackets)"),
    ],
)
def test_a_process_is_confined_by_a_profile_that_is_enforced(label: str, profile: str) -> None:
    assert apparmor.confining(label) == profile


@pytest.mark.parametrize(
    ("pattern", "program", "attached"),
    [
        ("/usr/sbin/mysqld", "/usr/sbin/mysqld", True),
        ("/usr/sbin/mysqld", "/usr/sbin/mysqld2", False),
        ("/usr/{,local/}sbin/m*d", "/usr/local/sbin/mariadbd", True),
        ("/usr/{,local/}sbin/m*d", "/usr/sbin/x/mysqld", False),
        ("/opt/**/mysqld", "/opt/a/b/mysqld", True),
        ("/usr/sbin/mysql?", "/usr/sbin/mysqld", True),
        ("/usr/sbin/mysqld.1", "/usr/sbin/mysqldx1", False),
        ("/usr/{sbin/mysqld", "/usr/sbin/mysqld", False),
    ],
)
def test_a_profile_is_for_programs_by_their_paths(pattern: str, program: str, *, attached: bool) -> None:
    assert apparmor.attaches(pattern, program) is attached


def loaded(profiles: Path, number: int, **texts: str) -> None:
    folder = profiles / f"a.{number}"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")


def test_a_program_is_confined_by_the_enforced_profile_for_it(tmp_path: Path) -> None:
    (tmp_path / "mysqld").symlink_to(sys.executable)
    program = str(Path(sys.executable).resolve())
    loaded(tmp_path / "p", 1, name="other", mode="enforce", attach="/usr/bin/other")
    loaded(tmp_path / "p", 2, name="lax", mode="complain", attach=program)
    assert apparmor.of_program(str(tmp_path / "mysqld"), tmp_path / "p") == ""
    loaded(tmp_path / "p", 3, name=program, mode="enforce", attach="<unknown>")
    (tmp_path / "p" / "half").mkdir()
    assert apparmor.of_program(str(tmp_path / "mysqld"), tmp_path / "p") == program
    assert apparmor.of_program(str(tmp_path / "mysqld"), tmp_path / "none") == ""
