"""Backups from a snapshot by a copy method. In place of LVM stands a copy of the frozen file system's image.

Its data are a real file system on a loop device; only lvcreate and lvremove are not those of LVM.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mmm.config.model import Host
from mmm.process.started_as import started_as
from mmm.tools.backup.snapshot import lacks
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.private import running
from mmm.tools.kept import perl, putback, shelf
from tests.ports import kept_port
from tests.servers import MISSING, Server, Servers
from tests.unit.backing_up import SHOP, Machine, checksums, machine
from tests.unit.test_rejoin_steps import wait
from tests.unit.test_tools_ssh import SSHD, start_sshd

ROWS = 2
"""What SHOP puts into shop.o."""
LVCREATE = """\
#!/bin/sh -e
# lvcreate --snapshot --size SIZE --name NAME /dev/VG/LV
echo "$@" >> {folder}/lvcreate.said
fsfreeze -f {mount}
cp {folder}/image {folder}/image.snapshot || {{ fsfreeze -u {mount}; exit 5; }}
fsfreeze -u {mount}
mkdir -p /dev/{group}
ln -sf "$(losetup -f --show {folder}/image.snapshot)" /dev/{group}/mmm_snapshot
"""
LVREMOVE = """\
#!/bin/sh
losetup -d "$(readlink /dev/{group}/mmm_snapshot)"
rm -f /dev/{group}/mmm_snapshot {folder}/image.snapshot
"""
LVM = """\
<host default>
    lvm_bin_lvcreate {folder}/lvcreate
    lvm_bin_lvremove {folder}/lvremove
    lvm_snapshot_size 1G
    lvm_logical_volume data
    lvm_volume_group {group}
    lvm_mount_dir {folder}/snapshot
    lvm_mount_opts -o rw
</host>
"""


class Volume:
    """A file system in a file, with the server's data on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mount = folder / "server1"
        self.group = f"mmm-test-{os.getpid()}"
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(200_000_000)
        run("mkfs.ext4", "-q", "-F", image)
        self.mount.mkdir()
        run("mount", "-o", "loop", image, self.mount)
        for name, text in (("lvcreate", LVCREATE), ("lvremove", LVREMOVE)):
            (folder / name).write_text(text.format(folder=folder, mount=self.mount, group=self.group))
            (folder / name).chmod(0o755)

    def close(self) -> None:
        for place in (self.folder / "snapshot", self.mount):
            subprocess.run(["umount", place], check=False, capture_output=True)
        subprocess.run([self.folder / "lvremove"], check=False, capture_output=True)
        shutil.rmtree(f"/dev/{self.group}", ignore_errors=True)


def run(*argv: object) -> None:
    subprocess.run([str(each) for each in argv], check=True, capture_output=True)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("volume")
    volume = Volume(folder)
    pool = Servers(folder)
    try:
        server = pool.start("--innodb-flush-log-at-trx-commit=1")
        server.run(*SHOP)
        made = machine(folder, server)
        with (folder / "mmm_tools.conf").open("a") as file:
            file.write(LVM.format(folder=folder, group=volume.group))
        yield made
    finally:
        for running in pool.running:
            running.kill()
        volume.close()


@pytest.mark.mysql
def test_a_snapshot_is_copied_while_the_server_takes_writes_and_a_server_runs_on_it(host: Machine) -> None:
    over = threading.Event()

    def write(server: Server) -> None:
        with server.connect() as session:
            while not over.is_set():
                session.execute("INSERT INTO shop.o (what) VALUES ('meanwhile')")

    first = number(host.server.value("@@gtid_binlog_pos"))
    writer = threading.Thread(target=write, args=(host.server,))
    writer.start()
    try:
        made = host.backup("--host", "db2", "--copy-method", "cp")
    finally:
        over.set()
        writer.join()
    facts = shelf.read(made).facts
    assert (facts.copy_method, facts.data) == ("cp", "data")
    assert "--snapshot --size 1G --name mmm_snapshot /dev/" in (host.folder / "lvcreate.said").read_text()
    assert perl.parse((made / "_mmm/status.txt").read_text())["master"] == {
        "File": facts.log_file,
        "Position": str(facts.log_position),
    }
    assert not list(made.rglob("bin.0*"))
    assert host.run("backup", "--verify", str(made)).status == 0
    trial = host.folder / "trial"
    putback.copy(shelf.read(made), trial, Owner(os.getuid(), os.getgid()))
    with running(trial, started_as(host.server.process.pid).argv) as private, private.connect() as session:
        rows = session.query("SELECT COUNT(*) AS rows_there FROM shop.o")
    assert int(str(rows[0]["rows_there"])) == ROWS + number(facts.gtid) - first
    with host.server.connect() as session:
        row = session.query("SELECT BINLOG_GTID_POS(%s, %s) AS gtid", (facts.log_file, facts.log_position))[0]
    assert facts.gtid == row["gtid"]


def number(gtid: str) -> int:
    return int(gtid.rpartition("-")[2])


def left(host: Machine) -> bool:
    """Tell whether a snapshot is still there."""
    mounted = subprocess.run(["mountpoint", "-q", host.folder / "snapshot"], check=False).returncode == 0
    return mounted or (host.folder / "image.snapshot").exists()


@pytest.mark.mysql
def test_a_snapshot_goes_whatever_becomes_of_the_copy_and_nobody_waits_for_it(host: Machine) -> None:
    conf = host.folder / "mmm_tools.conf"
    text = conf.read_text()
    conf.write_text(text.replace("backup_command cp -a", "backup_command false && cp -a"))
    ran = host.run("backup", "--host", "db2", "--copy-method", "cp")
    assert (ran.status, "ended with 1" in ran.err, left(host)) == (1, True, False), ran
    conf.write_text(
        text.replace("backup_command cp -a", f"backup_command echo $$ > {host.folder}/pid && exec sleep 60;")
    )
    tool = subprocess.Popen(
        host.argv("backup", "--host", "db2", "--copy-method", "cp"), stdout=subprocess.DEVNULL
    )
    wait((host.folder / "pid").exists)
    host.server.run("INSERT INTO shop.o (what) VALUES ('nobody waits')")
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    with suppress(ProcessLookupError):
        os.kill(int((host.folder / "pid").read_text()), signal.SIGKILL)
    assert left(host)
    conf.write_text(text)
    before = host.whole()
    made = host.backup("--host", "db2", "--copy-method", "cp")
    assert (host.whole(), left(host)) == (sorted([*before, made]), False)
    assert checksums(host.server)


SCP = """\
<copy_method scp>
    backup_command scp -c blowfish {options} -P {port} -qr %SSH_USER%@%IP%:%SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/
    restore_command cp -axv %BACKUP_DIR%/* %DEST_DIR%/
    true_copy 1
</copy_method>
<host default>
    ssh_user root
    ssh_port {port}
    ssh_parameters -c blowfish {options}
</host>
"""


@pytest.mark.mysql
def test_another_machine_makes_the_snapshot_and_copies_it_by_ssh(host: Machine) -> None:
    if not Path(SSHD).exists():
        MISSING["sshd"] = "no sshd on this machine: apt-get install openssh-server"
        pytest.skip(MISSING["sshd"])
    folder = host.folder
    with kept_port() as port:
        sshd = start_sshd(folder, port, forced=False)
        try:
            options = f"-i {folder}/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            text = (folder / "mmm_tools.conf").read_text().replace("this db2", "this backup1")
            elsewhere = replace(host, conf=folder / "backup1.conf")
            elsewhere.conf.write_text(text + SCP.format(options=options, port=port))
            elsewhere.conf.chmod(0o600)
            made = elsewhere.backup("--host", "db2", "--copy-method", "scp")
        finally:
            sshd.terminate()
            sshd.wait()
    facts = shelf.read(made).facts
    assert (facts.copy_method, facts.gtid) == ("scp", host.server.value("@@gtid_binlog_pos"))
    assert not left(host)


@pytest.mark.mysql
def test_an_incremental_method_adds_a_version_to_what_is_there(host: Machine) -> None:
    folder = host.folder / "versions"
    for number in range(2):
        ran = host.run("backup", "--host", "db2", "--copy-method", "versions", "--dest-dir", str(folder))
        assert ran.status == 0, ran
        assert (folder / f"v/{number}/data/ibdata1").is_file()
    assert (folder / "_mmm/copy_method.txt").read_text() == "versions"
    assert sorted(path.name for path in folder.iterdir()) == ["_mmm", "v"]


BTRFS = """\
<host default>
    snapshot_command {make}
    snapshot_remove_command {remove}
    lvm_mount_dir {folder}/server1/snapshot
</host>
"""


def of_the_page(subvolume: Path) -> tuple[str, str]:
    """Return the commands for btrfs that docs/backups.md has, with the name of that subvolume."""
    page = (Path(__file__).parents[2] / "docs/backups.md").read_text()
    make, remove = re.findall(r"`([^`]*btrfs subvolume [^`]*)`", page)
    return make.replace("/data", str(subvolume)), remove


@pytest.mark.mysql
def test_snapshots_of_btrfs_are_made_and_removed_by_the_commands_of_the_page(tmp_path: Path) -> None:
    if shutil.which("mkfs.btrfs") is None or "btrfs" not in Path("/proc/filesystems").read_text():
        MISSING["btrfs"] = "no btrfs on this machine: apt-get install btrfs-progs"
        pytest.skip(MISSING["btrfs"])
    image, mount = tmp_path / "image", tmp_path / "server1"
    with image.open("wb") as file:
        file.truncate(300_000_000)
    run("mkfs.btrfs", "-q", image)
    mount.mkdir()
    run("mount", "-o", "loop", image, mount)
    pool = Servers(tmp_path)
    try:
        server = pool.start("--innodb-flush-log-at-trx-commit=1")
        server.run(*SHOP)
        host = machine(tmp_path, server)
        make, remove = of_the_page(mount)
        with host.conf.open("a") as file:
            file.write(BTRFS.format(make=make, remove=remove, folder=tmp_path))
        for _ in range(2):
            made = host.backup("--host", "db2", "--copy-method", "cp")
            assert (made / "data/shop/o.ibd").is_file()
            assert not (mount / "snapshot").exists()
            shutil.rmtree(made)
    finally:
        pool.stop()
        run("umount", mount)


def test_what_a_snapshot_needs_is_named() -> None:
    bare = Host("db1", "10.0.0.1", "master")
    assert lacks(bare, local=False)[-2:] == ("lvm_mount_dir", "ssh_user")
    btrfs = Host("db1", "10.0.0.1", "master", lvm_mount_dir="/s", snapshot_command="btrfs", ssh_user="root")
    assert lacks(btrfs, local=False) == ("snapshot_remove_command",)
