"""The guard of make bench: ratios are compared, and what is worse is said in one line."""

from pathlib import Path

from bench import ratios
from bench.tables import Table, read_json, write_json


def test_what_is_worse_by_more_than_its_tolerance_is_named_with_both_figures() -> None:
    kept = {
        "move_role / floor": {"ratio": 2.0, "tolerance": 0.25},
        "show / floor": {"ratio": 1.5, "tolerance": 0.1},
    }
    assert ratios.worse({"move_role / floor": 2.49, "show / floor": 1.64}, kept) == []
    assert ratios.worse({"move_role / floor": 2.51, "another": 9.0}, kept) == [
        "move_role / floor: 2.51, was 2.00: more than 25 % worse"
    ]


def test_a_run_of_a_part_keeps_the_other_ratios_and_all_tolerances(tmp_path: Path) -> None:
    path = tmp_path / "ratios.json"
    ratios.keep({"a": 1.0, "b": 2.0}, path)
    path.write_text(path.read_text().replace("0.3", "0.1"))
    ratios.keep({"b": 3.0}, path)
    assert ratios.read(path) == {
        "a": {"ratio": 1.0, "tolerance": 0.1},
        "b": {"ratio": 3.0, "tolerance": 0.1},
    }


def test_tables_are_read_back_also_a_single_one_without_its_title(tmp_path: Path) -> None:
    path = tmp_path / "scale.json"
    table = Table("scale", ["hosts", "p99 ms"], [[10, 3.5]], {"late": 0.5})
    write_json(path, [table])
    assert read_json(path) == [table]
    path.write_text('{"columns": ["hosts"], "rows": [[10]]}')
    assert read_json(path) == [Table("scale", ["hosts"], [[10]])]


def test_a_table_in_markdown() -> None:
    assert (
        Table("t", ["idle", "MB"], [["agent", 30]]).markdown
        == "| idle | MB |\n| --- | ---: |\n| agent | 30 |\n"
    )
