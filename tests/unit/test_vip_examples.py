"""The examples of programs that move an address, with stand-ins for what they call."""

import os
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "etc/vip-scripts"
BOUND = ("aws", "gcp", "hetzner")
"""Those that have the system itself answer for the address."""
VIP, OTHER = "10.0.0.80", "10.0.0.81"
IP = """#!/bin/sh
echo "$*" >> {folder}/said
case "$*" in
*show*) cat {folder}/bound ;;
esac
"""


@pytest.fixture
def cut_off(tmp_path: Path) -> Path:
    """Give a folder of programs that reach nothing, but for ip: what it is told is in `said`, `bound` it shows."""
    for name in ("curl", "aws", "gcloud", "openstack", "jq"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "ip").write_text(IP.format(folder=tmp_path))
    for each in tmp_path.iterdir():
        each.chmod(0o755)
    return tmp_path


def status(folder: Path, example: str, verb: str, bound: str = "") -> int:
    (folder / "bound").write_text(f"2: lo    inet {bound}/32 scope global lo\n" if bound else "")
    done = subprocess.run(
        ["/bin/sh", EXAMPLES / example, verb, "writer", VIP, "lo"],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize("example", BOUND)
def test_a_host_that_reaches_nothing_gives_the_address_up(example: str, cut_off: Path) -> None:
    assert status(cut_off, example, "remove", VIP) == 0
    assert (cut_off / "said").read_text() == f"addr del {VIP}/32 dev lo\n"


@pytest.mark.parametrize("example", BOUND)
def test_an_address_that_is_not_bound_is_not_here_whatever_can_be_reached(
    example: str, cut_off: Path
) -> None:
    assert status(cut_off, example, "status", OTHER) == 1
    assert status(cut_off, example, "status", VIP) == 2, "that cannot be told"


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir()))
def test_what_cannot_be_done_has_failed(example: str, cut_off: Path) -> None:
    assert status(cut_off, example, "add") not in {0, 1}
    assert status(cut_off, example, "wipe") not in {0, 1}
    assert "replace" not in ((cut_off / "said").read_text() if (cut_off / "said").exists() else "")
