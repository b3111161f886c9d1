"""Why a daemon cannot write a file: its unit may be what keeps it from that."""

import errno
import os
from pathlib import Path

import pytest

from mmm.process.read_only import reason

PATH = Path("/usr/share/mmm/mmm.pid")
READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_under_a_unit_that_keeps_the_folder_read_only_it_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MMM_UNIT", "mysql-mmm-agent.service")
    assert reason(READ_ONLY, PATH) == (
        "Read-only file system: mysql-mmm-agent.service keeps it so; 'systemctl edit mysql-mmm-agent.service',"
        " in [Service] ReadWritePaths=/usr/share/mmm"
    )
    assert reason(OSError(errno.ENOSPC, "No space left on device"), PATH) == "No space left on device"
    assert reason(OSError("odd"), PATH) == "odd"


def test_without_a_unit_it_is_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMM_UNIT", raising=False)
    assert reason(READ_ONLY, PATH) == "Read-only file system"
