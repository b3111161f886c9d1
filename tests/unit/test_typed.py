"""Values of JSON as a dataclass, for everything that keeps or sends one: reports of backups, journals, looks."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import pytest

from mmm.tools.kept.facts import Facts, FactsError
from mmm.tools.kept.facts import decode as facts_of
from mmm.tools.kept.facts import encode as text_of_facts
from mmm.tools.saved.outcome import Saved, TableCount
from mmm.tools.saved.outcome import decode as saved_of
from mmm.tools.saved.outcome import encode as text_of_saved
from mmm.wire.typed import built


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Part:
    name: str


@dataclass(frozen=True)
class Whole:
    count: int
    share: float = 0.5
    sure: bool = False
    colour: Colour | None = None
    parts: tuple[Part, ...] = ()
    pair: tuple[str, int] = ("", 0)
    named: Mapping[str, float] = field(default_factory=dict)


WHOLE = Whole(3, 1.5, True, Colour.RED, (Part("a"), Part("b")), ("x", 7), {"y": 2.0})


def test_what_was_made_of_a_value_makes_it_again() -> None:
    assert built(Whole, json.loads(json.dumps(asdict(WHOLE)))) == WHOLE
    assert built(Whole, {"count": 1, "share": 2, "later": "?"}) == Whole(1, 2.0)


@pytest.mark.parametrize(
    "values",
    [
        None, [], "x", {}, {"count": "1"}, {"count": True}, {"count": 1.5}, {"count": None},
        {"count": 1, "share": "2"}, {"count": 1, "sure": 1}, {"count": 1, "colour": "blue"},
        {"count": 1, "parts": {}}, {"count": 1, "parts": ["a"]}, {"count": 1, "pair": ["x"]},
        {"count": 1, "named": []}, {"count": 1, "named": {"y": "z"}},
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_its_type_is_refused(values: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        built(Whole, values)


FACTS = Facts("db1", "2026-11-29 03:15:00", bytes=7, slave={"Master_Host": "db2"})
SAVED = Saved("db1", "db2", Path("/there"), 2, tables=(TableCount("a.b", 1),))


def test_what_a_folder_keeps_is_read_as_it_was() -> None:
    assert facts_of(text_of_facts(FACTS)) == FACTS
    assert saved_of(text_of_saved(SAVED), Path("/here")) == replace(SAVED, folder=Path("/here"))


@pytest.mark.parametrize("change", [{"bytes": "7"}, {"slave": []}, {"at": None}, {"seconds": [1]}])
def test_a_backup_with_a_damaged_status_says_so(change: Mapping[str, object]) -> None:
    with pytest.raises(FactsError, match=r"^it cannot be read: "):
        facts_of(json.dumps({**json.loads(text_of_facts(FACTS)), **change}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000])
def test_what_is_no_status_of_a_backup_is_refused(text: str) -> None:
    with pytest.raises(FactsError, match=r"^it cannot be read: "):
        facts_of(text)


def test_a_backup_of_another_version_is_no_damaged_one() -> None:
    with pytest.raises(FactsError, match=r"^it was written by another version of MMM$"):
        facts_of(text_of_facts(FACTS).replace('"format": 1', '"format": 2'))


@pytest.mark.parametrize(
    ("old", "new"), [('"count": 2', '"count": "2"'), ('"tables": [', '"tables": [3, '), ("{", "[")]
)
def test_what_was_saved_with_a_damaged_record_is_not_known(old: str, new: str) -> None:
    assert saved_of(text_of_saved(SAVED).replace(old, new, 1), Path("/here")) is None
