"""Where conf files are found, which are refused, and that no content of a file ends in a traceback."""

import grp
import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmm.config.keys import KEYS, OLD_BLOCKS, SECTIONS
from mmm.config.load import (
    Cluster,
    ConfError,
    Memory,
    Program,
    check,
    effective,
    load,
    read,
)
from tests.unit.test_config_dialect1 import MON as OLD_MON
from tests.unit.test_config_dialect2 import COMMON, MON, MONITOR

PROGRAMS: tuple[Program, ...] = ("AGENT", "MONITOR", "CONTROL", "TOOLS", "REJOIN")


def put(path: Path, content: str | bytes, mode: int = 0o640) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def mon(*directories: Path, path: Path | None = None, cluster: str | None = None) -> Cluster:
    return load(path, "MONITOR", cluster=cluster, name="mmm_mon", directories=[str(d) for d in directories])


def refused(*directories: Path, path: Path | None = None, cluster: str | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfError) as raised:
        mon(*directories, path=path, cluster=cluster)
    return raised.value.errors


def test_the_first_folder_that_has_the_file(tmp_path: Path) -> None:
    found = put(tmp_path / "b/mmm_mon.conf", MON)
    put(tmp_path / "c/mmm_mon.conf", "broken")
    assert mon(*(tmp_path / name for name in "abc")).path == found


def test_cluster_name(tmp_path: Path) -> None:
    put(tmp_path / "mmm_mon.conf", MON)
    found = put(tmp_path / "mmm_mon_C1.conf", MON)
    assert mon(tmp_path, cluster="C1").path == found
    assert refused(tmp_path, cluster="C2") == (
        f"mmm_mon_C2: mmm_mon_C2.conf is not in {tmp_path}; create it in one of them",
    )
    assert "not the name of a cluster" in refused(tmp_path, cluster="../C1")[0]


def test_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = put(tmp_path / "x.conf", MON)
    monkeypatch.chdir(tmp_path)
    assert mon(path=Path("x.conf")).path == found
    assert mon(path=Path("x")).path == found
    assert refused(path=Path("y")) == (
        f"{tmp_path}/y: {tmp_path}/y does not exist; create it or name another file",
    )


def test_an_include_is_looked_for_beside_its_file_first(tmp_path: Path) -> None:
    put(tmp_path / "etc/common.conf", "broken")
    beside = put(tmp_path / "here/common.conf", COMMON)
    path = put(tmp_path / "here/x.conf", "include common\n" + MONITOR)
    assert mon(tmp_path / "etc", path=path).files == (path, beside)
    beside.unlink()
    put(tmp_path / "etc/common.conf", COMMON)
    assert mon(tmp_path / "etc", path=path).files == (path, tmp_path / "etc/common.conf")


@pytest.mark.parametrize(("mode", "may"), [(0o644, "read"), (0o642, "write"), (0o646, "write")])
def test_files_open_to_everybody_are_refused(tmp_path: Path, mode: int, may: str) -> None:
    path = put(tmp_path / "mmm_mon.conf", "include common\n" + MONITOR)
    common = put(tmp_path / "common.conf", COMMON, mode)
    sentence = f"everybody may {may} {common} (mode 0{mode:o}), which holds passwords; chmod 640 {common}"
    assert refused(tmp_path) == (f"{path}:1: include common: {sentence}",)
    path.chmod(mode)
    assert len(refused(tmp_path)) == 1
    path.chmod(0o660)
    common.chmod(0o600)
    assert mon(tmp_path).path == path


def test_who_may_not_read_the_conf_is_told_how_to_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mmm_mon.conf"
    path.write_text("")
    path.chmod(0o640)
    os.chown(path, 0, 1)
    real = os.open

    def denied(name: str, *args: int) -> int:
        if name == str(path):
            raise PermissionError(13, "Permission denied")
        return real(name, *args)

    monkeypatch.setattr(os, "open", denied)
    group = grp.getgrgid(1).gr_name
    said = f"may not read it: run this with sudo, or become a member of its group {group}"
    assert refused(tmp_path) == (f"{path}: {pwd.getpwuid(os.geteuid()).pw_name} {said}",)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "mmm_mon.conf").mkdir()
    assert refused(tmp_path)[0].endswith("mmm_mon.conf: it is a directory; name a file")
    os.mkfifo(tmp_path / "fifo.conf", 0o600)
    assert refused(path=tmp_path / "fifo.conf")[0].endswith("is not a plain file; name a plain file")
    large = put(tmp_path / "large.conf", b"# \n" * 2_000_000)
    assert "larger than" in refused(path=large)[0]
    put(tmp_path / "zip.conf", b"PK\0\1")
    assert "a NUL byte" in refused(path=tmp_path / "zip.conf")[0]
    put(tmp_path / "utf16.conf", MON.encode("utf-16"))
    assert "UTF-16" in refused(path=tmp_path / "utf16.conf")[0]


def test_include_loop(tmp_path: Path) -> None:
    a = put(tmp_path / "a.conf", "\ninclude b\n")
    b = put(tmp_path / "b.conf", "include a\n")
    (error,) = refused(path=a)
    assert error == f"{b}:1: include a goes round in a circle ({a} -> {b} -> {a}); remove this include"


def test_includes_that_multiply_come_to_an_end() -> None:
    files = {f"f{n}.conf": f"include f{n + 1}\ninclude f{n + 1}\n" for n in range(40)} | {"f40.conf": ""}
    assert any(problem.fault.code == "too_many_files" for problem in read(Memory(files), "f0").problems)


def test_a_missing_include_does_not_make_everything_else_missing(tmp_path: Path) -> None:
    path = put(tmp_path / "mmm_mon.conf", "include common\n" + MONITOR)
    assert refused(tmp_path) == (
        f"{path}:1: include common: common.conf is not in {tmp_path}; create it in one of them",
    )


def test_hundreds_of_errors_are_counted() -> None:
    with pytest.raises(ConfError) as raised:
        check(
            read(Memory({"x": "nonsense\n" * 5 + "".join(f"k{n} v\n" for n in range(500))}), "x"),
            "TOOLS",
            "",
            str,
        )
    assert len(raised.value.errors) == 101
    assert "errors more" in raised.value.errors[-1]


def test_examples_load_when_renamed(tmp_path: Path) -> None:
    etc = Path(__file__).parents[2] / "etc"
    for example in etc.glob("*.conf.example"):
        put(tmp_path / example.stem, example.read_bytes())
    programs: tuple[tuple[str, Program], ...] = (
        ("mmm_mon", "MONITOR"),
        ("mmm_mon", "CONTROL"),
        ("mmm_agent", "AGENT"),
        ("mmm_tools", "TOOLS"),
    )
    for name, program in programs:
        cluster = load(None, program, name=name, directories=[str(tmp_path)])
        assert list(cluster.hosts) == ["db1", "db2", "db3"]
        assert cluster.warnings == ()


def test_the_fast_example_goes_with_the_ordinary_one(tmp_path: Path) -> None:
    etc = Path(__file__).parents[2] / "etc"
    for example in etc.glob("*.conf.example"):
        put(tmp_path / example.stem, example.read_bytes())
    slow = load(None, "MONITOR", name="mmm_mon", directories=[str(tmp_path)]).checks
    with (tmp_path / "mmm_mon.conf").open("a") as file:
        file.write("include mmm_mon.fast.conf\n")
    conf = load(None, "MONITOR", name="mmm_mon", directories=[str(tmp_path)])
    assert conf.warnings == ()
    assert conf.checks.keys() == slow.keys()
    assert all(conf.checks[name].check_period < slow[name].check_period for name in slow)
    assert all(conf.checks[name].trap_period < slow[name].trap_period for name in slow)


def checked(text: bytes | str, program: Program) -> None:
    """Read a conf, and go through with the model or the errors that come of it."""
    errors: tuple[str, ...] = ()
    try:
        effective(
            check(read(Memory({"m.conf": text, "o.conf": "include m\n"}), "m"), program, "", lambda _: "")
        )
    except ConfError as e:
        errors = e.errors
    assert all("\n" not in error and "; " in error for error in errors)


@given(st.binary(), st.sampled_from(PROGRAMS))
def test_any_bytes(content: bytes, program: Program) -> None:
    checked(content, program)


WORDS = sorted(
    {name for keys in KEYS.values() for name in keys}
    | {
        *SECTIONS,
        *OLD_BLOCKS,
        "db1",
        "db2",
        "writer",
        "default",
        "10.0.0.1",
        "10.0.0.1, 10.0.0.2",
        "include",
        "o",
        "m",
    }
    | {
        "master",
        "exclusive",
        "balanced",
        "active",
        "ssl",
        "ping",
        "1",
        "0.5",
        "-1",
        "",
        "#",
        "<",
        ">",
        "/",
        "=",
        "é",
    },
)
LINES = st.builds(
    "{}{} {}{}".format,
    st.sampled_from(["", "", " ", "\t", "<", "</"]),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from(["", "", ">", "/>", " ", "\r"]),
)


@given(st.lists(LINES, max_size=30), st.sampled_from(PROGRAMS))
def test_any_lines(lines: list[str], program: Program) -> None:
    checked("\n".join(lines), program)


@given(st.data(), st.sampled_from([MON, OLD_MON]), st.sampled_from(PROGRAMS))
def test_a_good_conf_with_lines_lost_doubled_or_added(
    data: st.DataObject, text: str, program: Program
) -> None:
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(lines)))
        lines[at : at + data.draw(st.integers(0, 3))] = data.draw(st.lists(LINES, max_size=2))
    checked("\n".join(lines), program)


def test_reading_a_conf_imports_nothing_heavy() -> None:
    code = "import sys, mmm.config; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert not {"yaml", "difflib", "socket", "logging", "ssl"} & set(loaded.split())


NOBODY = 65534


def as_nobody(folder: Path) -> list[str]:
    """Return what is wrong with the conf there for a process of user nobody."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writing, "\n".join(refused(folder)).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        return answer.read().splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_key_that_this_user_may_not_read_is_told_from_one_that_is_not_there() -> None:
    """The monitor as user mmm was told to correct the path."""
    user = f"user {pwd.getpwuid(NOBODY).pw_name}"
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tls = folder / "tls"
        tls.mkdir(0o700)
        key = tls / "key.pem"
        key.touch(0o600)
        files = "".join(f"{what}_file {key}\n" for what in ("cert", "key", "ca"))
        conf = put(folder / "mmm_mon.conf", f"{MON}<socket>\ntype ssl\n{files}</socket>\n")
        os.chown(conf, 0, NOBODY)
        line = MON.count("\n") + 3

        def said(why: str) -> list[str]:
            return [
                f"{conf}:{line + nth}: {what}_file {key} {why}"
                for nth, what in enumerate(("cert", "key", "ca"))
            ]

        assert as_nobody(folder) == said(
            f"cannot be reached by {user}, whom the folder {tls} keeps out; chgrp that to a group of the user's"
            " and chmod 750 it"
        )
        tls.chmod(0o755)
        assert as_nobody(folder) == said(
            f"cannot be read by {user}; chgrp it to a group of the user's and chmod 640 it"
        )
        key.unlink()
        assert as_nobody(folder) == said("is not a file; correct the path or put the file there")
