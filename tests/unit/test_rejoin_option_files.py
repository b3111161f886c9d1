"""What the option files say of a server that does not run."""

from pathlib import Path

import pytest

from mmm.config.model import Host
from mmm.tools.rejoin.option_files import UnknownError, datadir, read


def host_with(tmp_path: Path, *lines: str) -> tuple[Host, Path]:
    data, cnf = tmp_path / "data", tmp_path / "my.cnf"
    data.mkdir()
    cnf.write_text("\n".join(["[mysqld]", f"datadir = {data}", *lines, ""]))
    return Host(name="db1", ip="10.0.0.1", mode="master", mysql_cnf=str(cnf)), data


def test_the_data_folder_is_where_the_option_file_says(tmp_path: Path) -> None:
    host, data = host_with(
        tmp_path, f"innodb_log_group_home_dir = {tmp_path}/data/redo", "innodb_undo_directory = ./u"
    )
    assert datadir(host, read(host)) == data


@pytest.mark.parametrize(
    "name", ["innodb_data_home_dir", "innodb-undo-directory", "innodb_log_group_home_dir"]
)
def test_data_elsewhere_are_named_for_a_copy_would_share_them_with_the_old_data(
    tmp_path: Path, name: str
) -> None:
    host, _ = host_with(tmp_path, f"{name} = /elsewhere")
    with pytest.raises(UnknownError, match=f"{name.replace('-', '_')}=/elsewhere"):
        datadir(host, read(host))


def test_a_data_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    host, data = host_with(tmp_path)
    data.rmdir()
    with pytest.raises(UnknownError, match=str(data)):
        datadir(host, read(host))
