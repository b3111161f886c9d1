"""docs/monitors.md says of each failure what the code says: its tables are made, and miss none."""

from pathlib import Path

from mmm.monitor.world.warnings import SENTENCES
from mmm.sandbox.trouble.faults import FAULTS
from pages.monitors import FAILURES, PAGE, with_tables

ROOT = Path(__file__).parents[2]


def test_the_page_is_as_the_code_says() -> None:
    page = (ROOT / PAGE).read_text("utf-8")
    assert page == with_tables(page), "run: python -m pages.monitors"


def test_every_fault_of_a_monitor_and_every_warning_of_several_is_on_the_page() -> None:
    made = {fault for each in FAILURES for fault in each.faults}
    assert made <= FAULTS.keys()
    assert {name for name, fault in FAULTS.items() if fault.anywhere} <= made
    heard = {code for each in FAILURES for code in each.warns}
    assert heard <= SENTENCES.keys()
    assert {"no_leader", "no_successor", "monitor_silent", "witness_silent"} <= heard
