"""The copy takes the old data's place by renames, which can be broken off, gone on with and taken back anywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmm.tools.rejoin import swap

OLD, NEW = {"ibdata1": "old", "shop": "old"}, {"ibdata1": "new", "mysql": "new"}


def fill(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def found(folder: Path) -> dict[str, str]:
    return {entry.name: entry.read_text() for entry in folder.iterdir() if entry.is_file()}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    datadir = tmp_path / "mysql"
    staging, old = swap.places(datadir, "db1-1")
    fill(datadir, OLD)
    fill(staging, NEW)
    return datadir, staging, old


@pytest.mark.parametrize("made", range(3))
def test_a_swap_that_was_broken_off_is_finished_or_taken_back(
    folders: tuple[Path, Path, Path], made: int
) -> None:
    datadir, staging, old = folders
    moves = swap.plan(datadir, staging, old)
    for origin, goal in moves[:made]:
        Path(origin).rename(goal)
    assert swap.done(moves) == made
    swap.perform(moves)
    assert (found(datadir), found(old), staging.exists()) == (NEW, OLD, False)
    swap.perform(moves)
    assert found(datadir) == NEW
    swap.undo(moves)
    assert (found(datadir), found(staging), old.exists()) == (OLD, NEW, False)


def test_nothing_that_is_there_is_overwritten(folders: tuple[Path, Path, Path]) -> None:
    datadir, staging, old = folders
    moves = swap.plan(datadir, staging, old)
    fill(old, {"ibdata1": "of somebody"})
    with pytest.raises(swap.SwapError, match=f"there is a {old} already"):
        swap.perform(moves)
    assert (found(datadir), found(staging), found(old)) == (OLD, NEW, {"ibdata1": "of somebody"})


MOUNTED = """
import subprocess, sys
from pathlib import Path
from mmm.tools.rejoin import swap
from tests.unit.test_rejoin_swap import NEW, OLD, fill, found
disk, made = Path(sys.argv[1]), int(sys.argv[2])
datadir = disk / "mysql"
datadir.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(datadir)], check=True)
for name, text in OLD.items():
    (datadir / name).write_text(text)
(datadir / "lost+found").mkdir()
(datadir / "#sql.mmm-old-db1-0").mkdir()
staging, old = swap.places(datadir, "db1-1")
staging.parent.mkdir()
fill(staging, NEW)
moves = swap.plan(datadir, staging, old)
assert len(moves) == len(OLD) + len(NEW), moves
for origin, goal in moves[:made]:
    Path(goal).parent.mkdir(exist_ok=True)
    Path(origin).rename(goal)
assert swap.done(moves) == made, made
swap.perform(moves)
assert (found(datadir), found(old)) == (NEW, OLD)
swap.perform(moves)
swap.undo(moves)
assert (found(datadir), found(staging)) == (OLD, NEW)
assert (datadir / "lost+found").is_dir()
assert (datadir / "#sql.mmm-old-db1-0").is_dir()
swap.perform(moves)
swap.tidy(staging)
assert not staging.parent.exists()
swap.undo(moves)
assert (found(datadir), found(staging)) == (OLD, NEW)
"""


@pytest.mark.netns
@pytest.mark.parametrize("made", range(len(OLD) + len(NEW) + 1))
def test_where_the_data_folder_is_a_mount_point_its_entries_are_swapped(tmp_path: Path, made: int) -> None:
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", MOUNTED]
    ran = subprocess.run(
        [*argv, str(tmp_path), str(made)], capture_output=True, text=True, check=False, timeout=30
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("of", "names"), [("aria_log_control", "#sql.mmm-"), ("mysql.ibd", ".mmm-")])
def test_what_a_job_puts_into_a_data_folder_has_names_that_its_server_passes_over(
    tmp_path: Path, of: str, names: str
) -> None:
    """As tried: MariaDB lists other folders as databases, MySQL looks for tablespaces in all that are not hidden."""
    fill(tmp_path / "mysql", {of: ""})
    staging, old = swap.places(tmp_path / "mysql", "db1-1", inside=True)
    assert old == tmp_path / "mysql" / f"{names}old-db1-1"
    assert staging == tmp_path / "mysql" / f"{names}new-db1-1" / "data"
    staging.mkdir(parents=True)
    assert swap.entries(tmp_path / "mysql") == [tmp_path / "mysql" / of]
    assert [Path(origin).name for origin, _ in swap.plan(tmp_path / "mysql", staging, old)] == [of]


@pytest.mark.parametrize("made", range(len(OLD) + len(NEW) + 1))
def test_what_a_server_has_made_on_a_half_swapped_data_folder_is_no_data_of_either(
    tmp_path: Path, made: int
) -> None:
    """As a machine does that boots in between: it may make any of them anew, and files that neither has."""
    datadir = tmp_path / "mysql"
    fill(datadir, OLD)
    staging, old = swap.places(datadir, "db1-1", inside=True)
    staging.parent.mkdir()
    fill(staging, NEW)
    moves = swap.plan(datadir, staging, old)
    swap.perform(moves[:made])
    for name in {*OLD, *NEW, "log.000001"}:
        if not (datadir / name).exists():
            (datadir / name).write_text("boot")
    swap.clear_way(moves, datadir, staging, old)
    swap.perform(moves)
    assert found(datadir) == NEW
    assert OLD.items() <= found(old).items()
    (datadir / "log.000001").write_text("of the copy")
    swap.clear_way(moves, datadir, staging, staging)
    swap.undo(moves)
    assert found(datadir) == OLD
    assert NEW.items() <= found(staging).items()
    assert found(staging)["log.000001"] == "of the copy"
