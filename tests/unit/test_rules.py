"""Rules that the code names by number, and the page that states them, belong together."""

import re
from pathlib import Path

TREE = Path(__file__).parents[2]
_NAMED = re.compile(r"\brules? (\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)*)")
_STATED = re.compile(r"^ *- \*\*(\d+(?:\.\d+)?)\*\* ", re.MULTILINE)


def named() -> dict[str, str]:
    """Return every rule that code or docs name, with a file that does."""
    files = [path for folder in ("mmm", "pages", "tests", "bench") for path in (TREE / folder).rglob("*.py")]
    found: dict[str, str] = {}
    for path in [*files, *(TREE / "docs").glob("*.md")]:
        for numbers in _NAMED.findall(path.read_text("utf-8")):
            found.update(dict.fromkeys(numbers.split(", "), str(path.relative_to(TREE))))
    return found


def stated() -> list[str]:
    return _STATED.findall((TREE / "docs" / "rules.md").read_text("utf-8"))


def test_a_rule_that_is_named_stands_on_the_page() -> None:
    page = set(stated())
    assert {rule: file for rule, file in named().items() if rule not in page} == {}


def test_a_rule_on_the_page_is_named_by_what_carries_it_out() -> None:
    page = stated()
    assert len(page) == len(set(page)) > 40
    assert set(page) - set(named()) == set()
