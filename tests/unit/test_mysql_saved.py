"""What only one server has is found in its binary log, and saved whole, once, and so that a loss of it is noticed."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from mmm.binlog.transactions import Problem
from mmm.gtid.mariadb import Gtid, History
from mmm.gtid.mysql import parse
from mmm.process.to_disk import settle
from mmm.tools.saved import save as saving
from mmm.tools.saved.extras import Extras
from mmm.tools.saved.find import NoLogError, find
from mmm.tools.saved.save import SaveError, Target, save, verify
from mmm.tools.saved.texts import Sources
from tests.servers import Servers
from tests.unit.saving import KINDS, build, found, has, home, inserts, saved

pytestmark = pytest.mark.mysql


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_what_was_written_since_is_named_with_the_log_that_holds_it(servers: Servers) -> None:
    server = build(servers)
    there = has(server)
    assert len(found(server, there)) == 0
    server.run(
        *inserts("a"), "FLUSH BINARY LOGS", "FLUSH BINARY LOGS", *inserts("b", "c"), "FLUSH BINARY LOGS"
    )
    where, here = home(server), has(server)
    extras = find(where, there, here)
    assert (len(extras), extras.problem, extras.uncertain) == (3, None, 0), extras.why
    assert [extra.file for extra in extras.transactions] == ["bin.000001", "bin.000003", "bin.000003"]
    assert [part.name for part in extras.parts] == ["bin.000001", "bin.000003"]
    last = here.logged[-1] if isinstance(here, History) else str(here).rpartition("-")[2]
    assert extras.names.endswith(str(last))
    server.kill()
    assert find(where, there) == extras


def test_a_log_that_does_not_reach_back_is_not_taken_for_all(servers: Servers) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"), "FLUSH BINARY LOGS", *inserts("b"))
    where = home(server)
    server.kill()
    index = Path(where.index)
    index.write_text(index.read_text().partition("\n")[2])
    extras = find(where, there)
    assert (len(extras), extras.problem) == (1, Problem.GAP)


@pytest.mark.parametrize("servers", ["mysql:9.7"], indirect=True)
def test_what_the_log_never_had_is_noticed(servers: Servers) -> None:
    server = build(servers)
    there, origin = has(server), server.value("@@server_uuid")
    assert found(server, there).problem is None
    extras = find(home(server), there, parse(f"{there},{origin}:1-900"))
    assert extras.problem is Problem.GAP
    assert "900" in extras.why


def test_a_log_that_is_damaged_gives_what_stands_before_it(servers: Servers) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a", "ZZZZZ", "c"))
    where = home(server)
    server.kill()
    log = server.directory / "data/bin.000001"
    log.write_bytes(log.read_bytes().replace(b"ZZZZZ", b"ZZYZZ"))
    extras = find(where, there)
    assert (len(extras), extras.problem) == (1, Problem.DAMAGED)
    assert str(log) in extras.why


def test_every_domain_is_looked_at(servers: Servers) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"), "SET gtid_domain_id=7", *inserts("b"), "FLUSH BINARY LOGS")
    extras = found(server, there)
    assert [extra.name for extra in extras.transactions] == ["0-1-5", "7-1-1"]
    assert extras.highest() == {0: 5, 7: 1}


def test_what_only_a_position_speaks_for_is_saved_too(servers: Servers) -> None:
    server = build(servers)
    server.run(*inserts("a"))
    past = History((Gtid(0, 3, 9),), ())
    extras = found(server, past)
    assert (len(extras), extras.uncertain) == (5, 5)
    proved = History((Gtid(0, 3, 9),), (Gtid(0, 1, 5),))
    assert len(found(server, proved)) == 0


@pytest.mark.parametrize("between", [(), ("FLUSH BINARY LOGS",)], ids=["one_file", "two_files"])
def test_what_a_slave_has_written_before_it_got_more_is_its_own(
    servers: Servers, between: tuple[str, ...]
) -> None:
    """Its source, which goes on with the same number, tells that it is past that."""
    server = build(servers)
    server.run(*inserts("own"), *between)
    for number in (5, 6):
        server.run(f"SET SESSION server_id=2, gtid_seq_no={number}", *inserts("theirs"))
        server.run(*inserts("own"))
    there = (Gtid(0, 2, 6),)
    extras = found(server, History(there, there))
    assert ([extra.name for extra in extras.transactions], extras.uncertain) == (
        ["0-1-5", "0-1-6", "0-1-7"],
        0,
    )


@pytest.mark.parametrize("servers", ["mysql:9.7"], indirect=True)
def test_gtids_with_a_tag_are_told_apart(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    server.run("GRANT TRANSACTION_GTID_TAG ON *.* TO root@'127.0.0.1'")
    server.run("SET gtid_next='AUTOMATIC:common'", *inserts("a", "b"))
    there = has(server)
    server.run("FLUSH BINARY LOGS", "SET gtid_next='AUTOMATIC:common'", *inserts("c"))
    server.run("SET gtid_next='AUTOMATIC:own'", *inserts("d"))
    extras, origin = found(server, there), server.value("@@server_uuid")
    assert extras.problem is None, extras.why
    assert [extra.name for extra in extras.transactions] == [f"{origin}:common:3", f"{origin}:own:1"]
    assert [part.name for part in extras.parts] == ["bin.000002"]
    assert saved(server, extras, tmp_path / "saved").rows == "INSERT shop.orders 2"


@pytest.mark.parametrize("servers", ["mariadb:11.8"], indirect=True)
def test_an_encrypted_log_is_named_for_one(servers: Servers, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("1;" + "a1" * 32 + "\n")
    own = (
        "--plugin-load-add=file_key_management",
        f"--file-key-management-filename={keys}",
        "--encrypt-binlog=1",
    )
    server = build(servers, *own)
    there = has(server)
    server.run(*inserts("a"))
    extras = found(server, there)
    assert (len(extras), extras.problem) == (0, Problem.ENCRYPTED)
    assert "bin.000001" in extras.why


def test_a_disk_that_is_full_is_named_and_the_next_save_begins_anew(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts(*("x" * 200 for _ in range(40))))
    extras, folder = found(server, there), tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(folder)], check=True)
    try:
        with pytest.raises(SaveError, match="No space left") as failed:
            saved(server, extras, folder)
        assert str(folder) in str(failed.value)
        subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
        done = saved(server, extras, folder)
        assert list(folder.iterdir()) == [done.folder]
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_program_that_fails_or_hangs_leaves_nothing_with_a_name(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"))
    extras, target = found(server, there), Target(tmp_path / "saved", "db1", "db2")
    for text, limit, why in (
        ("echo broken >&2; exit 3", 60.0, "exit status 3: broken"),
        ("sleep 60", 0.3, "not done"),
        ("kill -9 $$", 60.0, "killed"),
    ):
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{text.replace('sleep', 'exec sleep')}\n")
        program.chmod(0o755)
        with pytest.raises(SaveError, match=why):
            save(extras, target, Sources(str(program)), limit)
        program.unlink()
    with pytest.raises(SaveError, match="No such file"):
        save(extras, target, Sources(str(program)))
    assert [path.suffix for path in target.folder.iterdir()] == [".part"]


def test_a_server_without_a_log_says_so(servers: Servers) -> None:
    server = servers.start("--skip-log-bin")
    with pytest.raises(NoLogError):
        find(home(server), History((), ()))


@pytest.mark.parametrize("servers", KINDS, indirect=True)
def test_what_is_saved_is_whole_and_for_its_owner_alone(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"), "FLUSH BINARY LOGS", *inserts("b", "c"))
    done = saved(server, found(server, there), tmp_path / "saved")
    assert done.folder is not None
    assert (done.count, done.again) == (3, False)
    assert {path.stat().st_mode & 0o077 for path in (done.folder, *done.folder.rglob("*"))} == {0}
    for name in ("bin.000001", "bin.000002"):
        raw = (done.folder / "raw" / name).read_bytes()
        assert (
            (server.directory / "data" / name).read_bytes().startswith(raw)
        )  # it may write checkpoints meanwhile
    subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256"], cwd=done.folder, check=True, capture_output=True
    )
    assert verify(done.folder) == done


def test_nothing_is_saved_where_there_is_nothing(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    done = saved(server, found(server, has(server)), tmp_path / "saved")
    assert (done.folder, done.count) == (None, 0)
    assert not (tmp_path / "saved").exists()


def test_the_same_is_saved_once_and_more_of_it_anew(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"))
    first = saved(server, found(server, there), tmp_path)
    again = saved(server, found(server, there), tmp_path)
    assert (again.folder, again.again) == (first.folder, True)
    server.run(*inserts("b"))
    more = saved(server, found(server, there), tmp_path)
    assert (more.count, more.again) == (2, False)
    assert first.folder is not None
    assert verify(first.folder).count == 1


def test_a_save_that_was_tampered_with_is_not_taken_for_one(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"))
    first = saved(server, found(server, there), tmp_path / "saved")
    assert first.folder is not None
    raw = first.folder / "raw/bin.000001"
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(SaveError, match=r"bin\.000001"):
        verify(first.folder)
    second = saved(server, found(server, there), tmp_path / "saved")
    assert second.folder != first.folder
    assert not second.again


@pytest.mark.parametrize("dies_after", ["_write", "settle", "_compare", "_read_back"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_save_that_is_killed_is_made_anew_and_one_that_was_done_is_found(
    servers: Servers, tmp_path: Path, dies_after: str, times: int
) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"), "FLUSH BINARY LOGS", *inserts("b"))
    extras, does, left = found(server, there), getattr(saving, dies_after), times

    def dies(*args: object) -> object:
        nonlocal left
        answer, left = does(*args), left - 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    if (child := os.fork()) == 0:
        setattr(saving, dies_after, dies)
        saved(server, extras, tmp_path / "saved")
        os._exit(0)
    os.waitpid(child, 0)
    whole = [path for path in (tmp_path / "saved").iterdir() if path.suffix != ".part"]
    done = saved(server, extras, tmp_path / "saved")
    assert list((tmp_path / "saved").iterdir()) == [done.folder]
    assert done.again == bool(whole)
    assert done.folder is not None
    assert verify(done.folder).count == 2


def test_what_the_disk_gives_back_otherwise_gets_no_name(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a"))
    extras = found(server, there)

    def damage(folder: Path) -> None:
        settle(folder)
        if folder.name == "raw":
            log = folder / "bin.000001"
            *good, last = log.read_bytes()
            log.write_bytes(bytes([*good, last ^ 1]))

    with monkeypatch.context() as patched:
        patched.setattr(saving, "settle", damage)
        with pytest.raises(SaveError, match="not what was written"):
            saved(server, extras, tmp_path / "saved")
    assert [path.suffix for path in (tmp_path / "saved").iterdir()] == [".part"]
    done = saved(server, extras, tmp_path / "saved")
    assert list((tmp_path / "saved").iterdir()) == [done.folder]


def test_transactions_that_are_not_in_what_was_copied_are_missed(servers: Servers, tmp_path: Path) -> None:
    server = build(servers)
    there = has(server)
    server.run(*inserts("a", "b"))
    extras = found(server, there)
    short = Extras(
        extras.transactions, tuple(part._replace(size=part.size - 10) for part in extras.parts), mariadb=True
    )
    with pytest.raises(SaveError, match="missing"):
        saved(server, short, tmp_path / "saved")
