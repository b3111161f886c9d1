"""The confs of the classic tools load unchanged, and what a way to copy does not use is not asked for."""

from pathlib import Path

import pytest

from mmm.config.load import Cluster, ConfError, Memory, check, load, read

LVM = """\
debug yes
this backup1

replication_user replication
replication_password slave

bin_lvcreate /usr/sbin/lvcreate
bin_lvremove /usr/sbin/lvremove
dest_dir /data/backups/dbr1
clone_dirs mysql
default_copy_method scp

copy_method scp
    command scp -c blowfish -r %SSH_USER%@%IP%:%SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/
    restore_command cp -axv %BACKUP_DIR%/* %DATA_DIR%/

copy_method rdiff
    command rdiff-backup -v 5 !--include %SNAPSHOT%/%CLONE_DIR%! %SSH_USER%@%IP%::%SNAPSHOT%/ %DEST_DIR%/
    single_run yes
    incremental yes
    restore_command rdiff-backup -v 5 -r %VERSION% %BACKUP_DIR% %DATA_DIR%

host dbr1
    ip 172.16.1.1
    ssh_user root
    lvm_snapshot_size 16G
    lvm_data_volume datalv
    lvm_volume_group lvg1
    lvm_mount_dir /mmm_snapshot
    mysql_host 192.168.1.1
    mysql_port 3307
    mysql_user rep_monitor
    mysql_password RepMonitor
    my_cnf /etc/other.cnf
    rc_script /etc/init.d/other
    pid_file /data/mysql/dbr1.pid
    mmm_dir /usr/local/mmm
"""
LEAN = """\
<host default>
    replication_user r
    replication_password r
    tools_user t
    tools_password t
</host>
<host db1>
    ip 10.0.0.1
</host>
"""


def conf(text: str) -> Cluster:
    return check(read(Memory({"m.conf": text}), "m"), "TOOLS", "", lambda _: "")


def test_mmm_lvm_conf_of_1_x_loads_unchanged() -> None:
    cluster = conf(LVM)
    host = cluster.hosts["dbr1"]
    assert (cluster.dialect, cluster.this, cluster.clone_dirs) == (1, "backup1", ("mysql",))
    assert (host.ip, host.mysql_host, host.mysql_port) == ("172.16.1.1", "192.168.1.1", 3307)
    assert (host.tools_user, host.tools_password) == ("rep_monitor", "RepMonitor")
    assert (host.mysql_cnf, host.mysql_rcscript, host.mysql_pidfile) == (
        "/etc/other.cnf",
        "/etc/init.d/other",
        "/data/mysql/dbr1.pid",
    )
    assert (host.lvm_logical_volume, host.lvm_bin_lvcreate, host.lvm_bin_lvremove) == (
        "datalv",
        "/usr/sbin/lvcreate",
        "/usr/sbin/lvremove",
    )
    assert (host.backup_dir, host.bin_path) == ("/data/backups/dbr1", "/usr/local/mmm")
    rdiff = cluster.copy_methods["rdiff"]
    assert (rdiff.incremental, rdiff.single_run) == (True, True)
    assert rdiff.backup_command.startswith("rdiff-backup -v 5 !--include")


def test_a_cipher_that_ssh_has_no_more_is_named_with_the_line_to_write() -> None:
    (warning,) = conf(LVM).warnings
    assert str(warning).startswith("m.conf:14: command: ")
    assert str(warning).endswith("write `command scp -r %SSH_USER%@%IP%:%SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/`")


def test_what_only_a_copy_method_needs_is_not_asked_for() -> None:
    cluster = conf(LEAN)
    assert (cluster.warnings, cluster.this, cluster.copy_methods) == ((), "", {})
    assert conf("this backup1\n" + LEAN).this == "backup1"


def test_a_copy_method_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfError, match="no copy_method is called rsink"):
        conf("default_copy_method rsink\n" + LEAN)


def test_the_conf_of_1_x_is_found_where_there_is_no_newer_one(tmp_path: Path) -> None:
    def loaded() -> Cluster:
        return load(None, "TOOLS", name="mmm_tools", old_name="mmm_lvm", directories=[str(tmp_path)])

    for name, text in (("mmm_lvm.conf", LVM), ("mmm_tools.conf", LEAN)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
        assert loaded().path == tmp_path / name
