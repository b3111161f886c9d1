"""A server takes messages, character sets and the scripts of its system tables from its own tree."""

from pathlib import Path

import pytest

from mmm.sandbox.cluster import online_order
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.mariadb import MariaDb
from mmm.sandbox.machines.servers import find
from tests.servers import OTHERS, kind

SCRIPTS = ("system_tables.sql", "performance_tables.sql", "system_tables_data.sql")


def tree(root: Path, share: str, prefix: str) -> Path:
    """Make the files of a server below `root` and return its program."""
    (root / "sbin").mkdir(parents=True)
    (root / share).mkdir(parents=True)
    for name in SCRIPTS:
        (root / share / f"{prefix}{name}").touch()
    (root / "sbin/mariadbd").touch()
    return root / "sbin/mariadbd"


@pytest.mark.parametrize(
    ("share", "prefix"),
    [("share/mysql", "mysql_"), ("share/mariadb", "mariadb_"), ("usr/share/mariadb", "mariadb_")],
)
def test_the_scripts_have_the_names_of_their_version(tmp_path: Path, share: str, prefix: str) -> None:
    found = MariaDb.at(tree(tmp_path, share, prefix), "11.8.9-MariaDB")
    assert found.share == tmp_path / share
    assert found.scripts == tuple(f"{prefix}{name}" for name in SCRIPTS)


def test_a_server_without_its_own_scripts_does_not_take_those_of_this_machine(tmp_path: Path) -> None:
    binary = tree(tmp_path, "share/mysql", "mysql_")
    (tmp_path / "share/mysql" / f"mysql_{SCRIPTS[0]}").unlink()
    with pytest.raises(
        SandboxError, match=rf"^{binary}: neither mariadb_system_tables.sql nor mysql_.*{tmp_path}"
    ):
        MariaDb.at(binary, "11.8.9-MariaDB")


@pytest.mark.mysql
@pytest.mark.parametrize("name", ["mariadb", *OTHERS])
def test_no_place_in_the_settings_is_another_servers(name: str) -> None:
    server = kind(name)
    root = Path("/usr") if name == "mariadb" else server.binary.parent.parent
    places = {key: str(value) for key, value in server.settings.items() if key.endswith("dir")}
    assert {"lc_messages_dir", "character_sets_dir"} <= places.keys()
    assert all(Path(place).is_dir() and Path(place).is_relative_to(root) for place in places.values())
    assert find(str(server.binary)) == server


@pytest.mark.parametrize(
    ("against", "force", "order"),
    [
        (None, False, "set_online db1"),
        ("not_compared", True, ""),
        ("extra_transactions", True, "set_online --force db1"),
        ("extra_transactions", False, ""),
    ],
)
def test_a_host_is_not_set_online_where_that_would_be_refused(
    against: str | None, order: str, *, force: bool
) -> None:
    assert online_order("db1", against, force=force) == order
