"""The rules by which one of several monitors leads, in a small instance of the model, and each of them left out.

The larger instances are those of `make model`.
"""

from dataclasses import replace

import pytest

from tests.model.explore_voting import Explorer
from tests.model.mistakes import MISTAKES, Mistake
from tests.model.voting import Rules


def test_two_monitors_make_no_two_writers_and_a_writer_comes_back() -> None:
    result = Explorer(Rules(own=True)).explore()
    assert result.way == ()
    assert result.stuck == ()
    assert result.whole
    assert result.states > 20_000


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_a_rule_bars_the_way_to_two_writers(mistake: Mistake) -> None:
    assert Explorer(replace(mistake.rules, **mistake.without)).follow(mistake.way) == ""
    assert Explorer(mistake.rules).follow(mistake.way) != ""
