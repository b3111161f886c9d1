"""What mmm_rejoin says where it cannot even begin: one line, and never a traceback."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmm.tools.rejoin import command, job
from mmm.tools.rejoin.journal_file import JobFolder
from mmm.tools.rejoin.run import Status
from tests.unit.worlds import cluster


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/x"),
            "No space left on device: '/var/lib/x'",
        ),
        (KeyboardInterrupt(), "interrupted before anything was changed"),
    ],
)
def test_what_ends_it_before_the_job_has_begun_is_one_line(
    raised: BaseException,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: Any) -> None:
        raise raised

    for name in ("log_to", "end_as_by_interrupt"):
        monkeypatch.setattr(command, name, lambda *_: None)
    monkeypatch.setattr(command, "_conf", lambda _: cluster())
    monkeypatch.setattr(job, "begin", fails)
    assert command.rejoin([], JobFolder(tmp_path)) == Status.TAKEN_BACK
    said = capsys.readouterr().err
    assert said.endswith(f"{line}\n")
    assert said.count("\n") == 1


def test_another_hosts_name_permits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("log_to", "end_as_by_interrupt"):
        monkeypatch.setattr(command, name, lambda *_: None)
    monkeypatch.setattr(command, "_conf", lambda _: replace(cluster(), this="db1"))
    for option in ("--in-place", "--lose-extra"):
        assert command.rejoin([option, "db2"], JobFolder(tmp_path)) == Status.REFUSED
        assert f"{option} db2: this host is db1" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["--ordered", "--expire"])
def test_old_data_are_removed_for_a_copy_by_an_admin_on_the_host_alone(
    more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.rejoin(["--in-place", "db1", more])
    assert ended.value.code == 2
    assert "mmm_rejoin: error: --" in capsys.readouterr().err
