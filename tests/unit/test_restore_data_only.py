"""The folder that a restore of the files alone is made to, wherever its renames are broken off."""

from pathlib import Path

import pytest

from mmm.tools.rejoin import swap
from mmm.tools.restore.data_only import in_place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a file, and beside it a copy with another one."""
    for name, file in {"data": "old", "data.mmm-new-1": "new"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    return tmp_path / "data"


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def put(folder: Path) -> str:
    return in_place(folder, folder.with_name("data.mmm-new-1"), folder.with_name("data.mmm-old-1"))


def test_the_copy_takes_the_folder_s_name_and_the_old_one_is_kept(folder: Path) -> None:
    assert put(folder) == f"{folder}.mmm-old-1"
    assert names(folder) == ["new"]
    assert names(folder.with_name("data.mmm-old-1")) == ["old"]


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, swap.SwapError])
def test_a_folder_whose_renames_are_broken_off_is_as_it_was(
    folder: Path, at: int, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was gone: its old data had another name, and nothing had its own."""
    rename, made = swap._rename, 0

    def breaks(origin: str, goal: str) -> None:
        nonlocal made
        rename(origin, goal)
        made += 1
        if made == at:
            raise error

    monkeypatch.setattr(swap, "_rename", breaks)
    with pytest.raises(error):
        put(folder)
    assert names(folder.parent) == ["data"]
    assert names(folder) == ["old"]
