"""A program that moves an address: what it may do wrong, and what comes of that."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmm.agent.act import vip_script
from mmm.agent.act.vip_script import VipScript
from mmm.config.model import Vip
from mmm.network.vips import InterfaceError

VIP = Vip("writer", "10.88.0.80")
SCRIPT = """#!/bin/sh
# Where it is stands in a file; `mood` says what goes wrong.
cd {folder}
echo "$*" >> said
mood=$(cat mood.$1 2> /dev/null)
case $mood in
hangs) sleep 600 & echo $! > child; wait ;;
fails) echo "first line" >&2; echo "no such instance" >&2; exit 3 ;;
half) echo done > here; echo "gave up" >&2; exit 4 ;;
lies) exit 0 ;;
esac
case $1 in
add) touch here ;;
remove) rm -f here ;;
status) [ -e here ] ;;
esac
"""


@dataclass
class Cloud:
    """Where the address is, and the program that moves it."""

    folder: Path
    script: VipScript

    def goes_wrong(self, verb: str, how: str) -> None:
        (self.folder / f"mood.{verb}").write_text(how)

    def well(self) -> None:
        for mood in self.folder.glob("mood.*"):
            mood.unlink()

    @property
    def here(self) -> bool:
        return (self.folder / "here").exists()

    @property
    def said(self) -> list[str]:
        return (self.folder / "said").read_text().splitlines()

    def anew(self) -> VipScript:
        return VipScript({VIP: str(self.folder / "move it.sh").replace(" ", r"\ ")}, "eth0")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    for limit in ("ACT_LIMIT", "STATUS_LIMIT"):
        monkeypatch.setattr(vip_script, limit, 0.5)
    monkeypatch.setattr(vip_script, "NAP", 0.01)
    program = tmp_path / "move it.sh"
    program.write_text(SCRIPT.format(folder=shlex.quote(str(tmp_path))))
    program.chmod(0o755)
    made = Cloud(tmp_path, None)  # type: ignore[arg-type]
    made.script = made.anew()
    return made


def fails(do: Callable[[], object]) -> str:
    with pytest.raises(InterfaceError) as raised:
        do()
    return str(raised.value)


def runs(pid: int) -> bool:
    """Tell whether a process has not ended; whoever inherits it may not have asked for its status yet."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_is_told_what_to_do_and_only_where_that_is_not_so(cloud: Cloud) -> None:
    assert not cloud.script.is_here(VIP.ip)
    cloud.script.move(VIP.ip, here=False)
    assert cloud.said == ["status writer 10.88.0.80 eth0"]
    cloud.script.move(VIP.ip, here=True)
    assert (cloud.here, cloud.script.is_here(VIP.ip)) == (True, True)
    assert cloud.said[1:] == ["add writer 10.88.0.80 eth0", "status writer 10.88.0.80 eth0"]
    cloud.script.move(VIP.ip, here=False)
    assert (cloud.here, cloud.script.is_here(VIP.ip)) == (False, False)


def test_one_that_hangs_is_killed_with_its_children_and_tried_again(cloud: Cloud) -> None:
    cloud.goes_wrong("add", "hangs")
    said = fails(lambda: cloud.script.move(VIP.ip, here=True))
    assert said.endswith("add writer 10.88.0.80 eth0: has not ended within 0.5 s, and was killed")
    child = int((cloud.folder / "child").read_text())
    while runs(child):  # it is killed, and ends once it gets to run
        pass
    cloud.well()
    cloud.script.move(VIP.ip, here=True)
    assert cloud.here


def test_what_it_says_last_is_passed_on(cloud: Cloud) -> None:
    cloud.goes_wrong("add", "fails")
    said = fails(lambda: cloud.script.move(VIP.ip, here=True))
    assert said.endswith("ended with status 3: no such instance")
    cloud.goes_wrong("status", "fails")
    assert not cloud.anew().is_here(VIP.ip), "what cannot be told is not here"
    os.unlink(cloud.folder / "move it.sh")  # noqa: PTH108
    assert "cannot be run: No such file" in fails(lambda: cloud.script.move(VIP.ip, here=True))


def test_a_word_that_it_is_done_counts_for_nothing_where_status_differs(cloud: Cloud) -> None:
    cloud.goes_wrong("add", "lies")
    assert "ended with 0, but by `status` it is not here" in fails(
        lambda: cloud.script.move(VIP.ip, here=True)
    )
    assert not cloud.script.is_here(VIP.ip)
    cloud.well()
    cloud.script.move(VIP.ip, here=True)
    cloud.goes_wrong("remove", "lies")
    assert "by `status` it is still here" in fails(lambda: cloud.script.move(VIP.ip, here=False))
    assert cloud.script.is_here(VIP.ip)


def test_one_that_fails_half_way_is_looked_at_anew(cloud: Cloud) -> None:
    assert not cloud.script.is_here(VIP.ip)
    cloud.goes_wrong("add", "half")
    fails(lambda: cloud.script.move(VIP.ip, here=True))
    assert cloud.script.is_here(VIP.ip), "it may have to be taken away again"
    cloud.script.move(VIP.ip, here=False)
    assert not cloud.here


def test_somebody_else_may_move_it_and_nobody_waits_for_status(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.script.move(VIP.ip, here=True)
    (cloud.folder / "here").unlink()
    assert cloud.script.is_here(VIP.ip), "as it was some seconds ago"
    monkeypatch.setattr(vip_script, "FRESH", 0.0)
    while cloud.script.is_here(VIP.ip):
        pass
