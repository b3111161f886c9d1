"""A sandbox comes, goes, survives a crash of its maker, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmm.sandbox.cluster import Sandbox, directory, names
from mmm.sandbox.machines.conf import Conf
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.up import down, up

pytestmark = pytest.mark.sandbox


@pytest.fixture
def name() -> Iterator[str]:
    """Give a name that no other sandbox has; what bears it is taken down."""
    name = f"life{os.getpid()}"
    yield name
    down(name)


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def holders(name: str) -> list[str]:
    """Return the command lines of what belongs to the sandbox."""
    lines = (cmdline(int(path.name)) for path in Path("/proc").glob("[0-9]*"))
    return [line for line in lines if f"/{name}/machines" in line]


def test_nothing_is_left_after_down(name: str) -> None:
    links, mounts = Path("/proc/net/dev").read_text().count("\n"), Path("/proc/mounts").read_text()
    sandbox = up(name, conf=Conf(slaves=0), daemons=False)
    assert holders(name)
    pids = [process.pid for each in sandbox.layout.machines for process in sandbox.machine(each).processes()]
    assert pids
    assert Path("/proc/net/dev").read_text().count("\n") == links
    assert Path("/proc/mounts").read_text() == mounts
    down(name)
    assert holders(name) == []
    assert not (directory() / name).exists()
    assert not [pid for pid in pids if cmdline(pid)]
    assert name not in names()
    assert Path("/proc/mounts").read_text() == mounts


def test_several_stand_side_by_side_with_the_same_addresses(bare_sandbox: Sandbox, name: str) -> None:
    other = up(name, conf=Conf(slaves=0), daemons=False)
    assert other.layout.hosts["db1"].ip == bare_sandbox.layout.hosts["db1"].ip
    other.sql("db1", "CREATE DATABASE only_here")
    assert not bare_sandbox.sql("db1", "SHOW DATABASES LIKE 'only_here'")
    down(name)
    assert bare_sandbox.sql("db1", "SELECT 1 AS one") == [{"one": 1}]


def test_one_that_is_up_is_not_built_again(bare_sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="is up already"):
        up(bare_sandbox.name, daemons=False)
    assert bare_sandbox.sql("db1", "SELECT 1 AS one") == [{"one": 1}]


def test_the_next_up_removes_what_a_killed_one_has_left(name: str) -> None:
    program = f"from mmm.sandbox.up import up; up({name!r}, daemons=False, say=print)"
    with subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()  # machines are being started
        maker.send_signal(signal.SIGKILL)
    assert holders(name)
    sandbox = up(name, conf=Conf(slaves=0), daemons=False)
    assert sandbox.hosts == ("db1", "db2")
    down(name)
    assert holders(name) == []


def test_an_interrupted_up_leaves_nothing(name: str) -> None:
    program = f"from mmm.sandbox.main import main; main(['up', '--name', {name!r}])"
    argv = [sys.executable, "-uc", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        maker.send_signal(signal.SIGTERM)
    assert holders(name) == []
    assert not (directory() / name).exists()


def test_only_one_builds_at_a_time(name: str) -> None:
    program = f"from mmm.sandbox.up import up; up({name!r}, daemons=False, say=print)"
    with subprocess.Popen([sys.executable, "-uc", program], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        maker.stdout.readline()
        with pytest.raises(SandboxError, match="by another program"):
            down(name)
        maker.communicate()
    assert maker.returncode == 0


def test_a_server_that_does_not_start_is_said_and_nothing_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / "share").symlink_to("/usr/share")
    broken = tmp_path / "sbin" / "mariadbd"
    broken.parent.mkdir()
    broken.write_text(
        '#!/bin/sh\n[ "$2" = --version ] && exec mariadbd --version\necho ERROR no such luck >&2; exit 1\n'
    )
    broken.chmod(0o755)
    with pytest.raises(SandboxError, match="no such luck"):
        up(name, server=str(broken))
    assert holders(name) == []
    assert not (directory() / name).exists()


def test_a_chroot_is_named_before_anything_is_built(tmp_path: Path) -> None:
    script = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    argv = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        str(tmp_path),
        sys.executable,
        "-m",
        "mmm.sandbox.main",
        "up",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mmm_sandbox: this is a chroot, ")
    assert done.stderr.count("\n") == 1
