"""What a copy method has brought is cleared of all that is no data of the server."""

from pathlib import Path

import pytest

from mmm.tools.kept.by_method import data_folder, only_data
from mmm.tools.kept.facts import Facts


def data(folder: Path, redo: str) -> Path:
    (folder / "mysql").mkdir(parents=True)
    (folder / "ibdata1").write_text("")
    (folder / "ib_logfile0").write_text(redo)
    return folder


@pytest.mark.parametrize("aside", ["#sql.mmm-old-db1-1", ".mmm-old-db1-1", "#sql.mmm-new-db1-2/data"])
def test_what_a_rebuild_has_put_aside_within_the_data_is_none_of_them(tmp_path: Path, aside: str) -> None:
    here = data(tmp_path / "var" / "lib" / "mysql", "its own")
    data(here / aside, "of before")
    assert data_folder(tmp_path) == here
    only_data(tmp_path, here, Facts(host="db1", at="", provider="copy-method"))
    assert sorted(entry.name for entry in here.iterdir()) == ["ib_logfile0", "ibdata1", "mysql"]
    assert (here / "ib_logfile0").read_text() == "its own"
