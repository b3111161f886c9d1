"""Which processes count as the server of a data folder."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mmm.tools.rejoin.server_control import ServerControl


@contextmanager
def working_in(folder: Path, program: Path) -> Iterator[int]:
    """Have a copy of `sleep` run in the folder under the name of a program, and give its pid."""
    shutil.copy(os.path.realpath(shutil.which("sleep") or ""), program)
    with subprocess.Popen([program, "infinity"], cwd=folder) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["mariadbd", "mysqld", "mysqld-debug"])
def test_a_server_that_has_not_opened_its_data_yet_has_them_all_the_same(tmp_path: Path, name: str) -> None:
    (datadir := tmp_path / "data").mkdir()
    with working_in(datadir, tmp_path / name) as pid:
        assert ServerControl((), datadir).processes() == (pid,)
    assert ServerControl((), datadir).processes() == ()


def test_so_has_one_whose_program_was_removed_since(tmp_path: Path) -> None:
    (datadir := tmp_path / "data").mkdir()
    with working_in(datadir, tmp_path / "mariadbd") as pid:
        (tmp_path / "mariadbd").unlink()
        assert ServerControl((), datadir).processes() == (pid,)


@pytest.mark.parametrize("name", ["bash", "mysqldump"])
def test_what_an_admin_runs_in_the_data_folder_is_no_server(tmp_path: Path, name: str) -> None:
    (datadir := tmp_path / "data").mkdir()
    with working_in(datadir, tmp_path / name):
        assert ServerControl((), datadir).processes() == ()
