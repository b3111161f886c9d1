"""The limit of open files."""

import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
from mmm.process.limits import allow_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
allow_files(int(sys.argv[1]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("wanted", "allowed"), [(200, "200 512"), (9000, "512 512"), (10, "64 512")])
def test_as_many_files_are_allowed_as_are_wanted_and_may_be(wanted: int, allowed: str) -> None:
    argv = [sys.executable, "-c", _PROGRAM, str(wanted)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == allowed
