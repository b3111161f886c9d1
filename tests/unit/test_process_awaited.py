"""A start at a boot: the network is said to be there, and the address, or DNS, comes later."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mmm.config.load import Cluster, ConfError, Memory, check, read
from mmm.monitor import duties as monitor
from mmm.process import awaited
from mmm.process.arguments import USAGE
from mmm.process.conf_file import UnusableError
from mmm.process.inspection import Inspection
from tests.namespaces import cable, ip, own_network
from tests.unit.test_config_dialect2 import COMMON, MONITOR
from tests.unit.test_process_inspection import NOWHERE, conf

LIMIT = 30.0
GOOD = conf(COMMON + MONITOR, "MONITOR")
ABSENT = Inspection(("no such address",), absent=("no such address",))
WRONG = Inspection(("no such address", "three masters"), absent=("no such address",))
UNKNOWN = UnusableError(("db1 is a name that this system does not know",), may_pass=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "AGAIN", 0.0)


def looks(*found: Inspection) -> Callable[[Cluster], Inspection]:
    """Return what finds one after the other."""
    each = iter(found)
    return lambda _: next(each)


def reads(found: Iterable[Cluster | UnusableError]) -> Callable[[], Cluster]:
    """Return what reads, or fails to read, one after the other."""
    each = iter(found)

    def read() -> Cluster:
        if isinstance(one := next(each), UnusableError):
            raise one
        return one

    return read


def test_an_address_that_comes_late_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    found = awaited.awaited(GOOD, lambda: GOOD, looks(ABSENT, ABSENT, Inspection()))
    assert found.path == GOOD.path
    assert str(found.warnings[-1]).endswith("s for what this machine had not yet: m.conf: no such address")
    assert capsys.readouterr().err == "m.conf: no such address\nwaiting for that, 50 s at most\n", "said once"


def test_a_name_that_dns_knows_late_is_waited_for() -> None:
    found = awaited.awaited(None, reads([UNKNOWN, UNKNOWN, GOOD]), lambda _: Inspection())
    assert "does not know" in str(found.warnings[-1])


def test_a_good_conf_is_taken_as_it_was_read() -> None:
    assert awaited.awaited(GOOD, reads(()), lambda _: Inspection()) is GOOD


def test_what_never_comes_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaited, "PATIENCE", 0.0)
    with pytest.raises(UnusableError, match="no such address") as raised:
        awaited.awaited(GOOD, lambda: GOOD, lambda _: ABSENT)
    assert raised.value.may_pass


@pytest.mark.parametrize("wrong", ["inspected", "changed meanwhile"])
def test_what_stands_in_the_files_is_not_waited_for(wrong: str) -> None:
    broken = UnusableError(("m.conf:1: nonsense",))
    look = looks(WRONG) if wrong == "inspected" else looks(ABSENT)
    with pytest.raises(UnusableError) as raised:
        awaited.awaited(GOOD, reads([broken]), look)
    assert not raised.value.may_pass


def test_names_alone_may_pass_and_nothing_else_in_a_conf() -> None:
    text = COMMON.replace("ip 10.0.0.1\n", "ip nobody.example\n")
    for more, may_pass in (("", True), ("nonsense 1\n", False)):
        with pytest.raises(ConfError) as raised:
            check(
                read(Memory({"m.conf": text + MONITOR + more}), "m.conf"),
                "MONITOR",
                "",
                lambda _: "",
                lambda _: (),
            )
        assert raised.value.may_pass is may_pass, str(raised.value)


def test_what_the_monitor_lacks_and_what_is_wrong_with_its_conf_are_told_apart() -> None:
    elsewhere = COMMON + MONITOR.replace("ip 127.0.0.1", f"ip {NOWHERE}")
    assert monitor.inspect(conf(elsewhere, "MONITOR")).may_pass
    assert not monitor.inspect(conf(COMMON + MONITOR, "MONITOR")).may_pass
    three = elsewhere.replace("hosts db1, db2\n", "hosts db1, db2, db3\n")
    assert not monitor.inspect(conf(three, "MONITOR")).may_pass


CODE = """
import signal
import sys
from pathlib import Path
from mmm.process import awaited, service
from mmm.process.logs import LogSetup
import mmm.process.logs as logs
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests beside others has it ignored
awaited.PATIENCE, awaited.AGAIN = float(sys.argv[1]), 0.05
logs.LOG_DIR = service.LOG_DIR = folder = Path(sys.argv[2])
service.Service.__init__.__defaults__ = tuple(
    folder if str(each) == "/var/log/mysql-mmm" else each for each in service.Service.__init__.__defaults__
)
from mmm.agent.daemon import main
sys.exit(main(sys.argv[3:]))
"""


def agent(folder: Path, patience: float) -> "subprocess.Popen[str]":
    """Start an agent whose address is on no machine."""
    path = folder / "mmm_agent.conf"
    text = COMMON.replace("10.0.0.1\n", f"{NOWHERE}\n").replace("/run/a.pid", f"{folder}/a.pid")
    path.write_text(f"this db1\n{text}")
    path.chmod(0o600)
    argv = [
        sys.executable,
        "-c",
        CODE,
        str(patience),
        str(folder / "log"),
        "--config",
        str(path),
        "--foreground",
    ]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_agent_whose_address_never_comes_does_not_end_as_with_a_wrong_conf(tmp_path: Path) -> None:
    """Units have RestartPreventExitStatus=2: it was never tried again."""
    process = agent(tmp_path, 0.2)
    said = process.communicate(timeout=LIMIT)[1]
    assert process.returncode not in {0, USAGE}, said
    assert f"is {NOWHERE}, which is no address of this machine" in said
    assert "not started, for this machine has not yet what the conf needs" in said
    assert "Traceback" not in said
    assert (
        f"ERROR not started: {tmp_path}/mmm_agent.conf: " in (tmp_path / "log" / "mmm_agentd.log").read_text()
    )


def test_who_types_it_is_told_at_once_and_can_break_it_off(tmp_path: Path) -> None:
    process = agent(tmp_path, LIMIT)
    assert process.stderr is not None
    assert NOWHERE in process.stderr.readline()
    assert "waiting for that" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=LIMIT)[1] == ""
    assert process.returncode == 1


def test_an_agent_serves_as_soon_as_its_address_is_there(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    with own_network():
        cable("eth0", "far")
        with agent(tmp_path, LIMIT) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                assert NOWHERE in process.stderr.readline()
                ip(f"address add {NOWHERE}/24 dev eth0")
                said = next(line for line in process.stdout if "the start waited" in line)
                assert f"for what this machine had not yet: {tmp_path}/mmm_agent.conf: " in said
            finally:
                process.terminate()
            process.communicate(timeout=LIMIT)
        assert process.returncode == 0
