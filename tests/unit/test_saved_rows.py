"""What the rows come to that were changed, each once, and how the active master has them: no row of it is overwritten.

A log with binlog_row_image MINIMAL has the key of a row before, and after that only what was set.
"""

import pytest

from mmm.tools.saved import rows
from mmm.tools.saved.layouts import Table
from mmm.tools.saved.printed import Change, Row
from mmm.tools.saved.rows import Image, Rows, Standing, Touched, judge
from mmm.tools.saved.values import Cell, Column

TABLE = Table((Column("id", "int"), Column("c", "int"), Column("g", "int", generated=True)), (1,))
WHERE = ("shop", "t")


def image(**columns: int) -> Image:
    numbers = {"id": 1, "c": 2}
    return {numbers[name]: Cell("INT", str(value).encode()) for name, value in columns.items()}


def update(old: Image, new: Image) -> Row:
    return Row(Change.UPDATE, *WHERE, old, new)


def insert(new: Image) -> Row:
    return Row(Change.INSERT, *WHERE, {}, new)


def delete(old: Image) -> Row:
    return Row(Change.DELETE, *WHERE, old, {})


def taken(*changes: Row) -> Rows:
    found = Rows()
    for change in changes:
        found.add(change, TABLE)
    return found


def left(found: Rows) -> dict[tuple[str, ...], tuple[Image | None, Image | None]]:
    return {key: (row.before, row.after) for key, row in found.found[WHERE].items()}


@pytest.mark.parametrize(
    ("before", "after", "now", "standing"),
    [
        (image(id=1), image(id=1, c=2), image(id=1, c=3), Standing.UNLOGGED),
        (image(id=1), None, image(id=1, c=3), Standing.UNLOGGED),
        (image(id=1, c=1), image(id=1, c=2), image(id=1, c=1), Standing.BEFORE),
        (image(id=1, c=1), image(id=1, c=2), image(id=1, c=3), Standing.CHANGED),
        (image(id=1), image(id=1, c=2), image(id=1, c=2), Standing.SAME),
        (image(id=1), None, None, Standing.SAME),
        (image(id=1), image(id=1, c=2), None, Standing.GONE),
        (None, image(id=1, c=2), None, Standing.BEFORE),
    ],
)
def test_a_row_is_as_before_only_where_the_log_has_all_that_it_was(
    before: Image | None, after: Image | None, now: Image | None, standing: Standing
) -> None:
    assert judge(Touched(before, after, TABLE), now) is standing


def test_a_key_that_was_changed_is_not_followed_where_the_log_lacks_the_rest_of_the_row() -> None:
    found = taken(update(image(id=1), image(id=5)))
    assert (left(found), found.unfollowed[WHERE]) == ({}, 1)


def test_nor_is_what_was_done_to_the_row_before() -> None:
    moved = update(image(id=1), image(id=5))
    short = Table((*TABLE.columns, Column("d", "int")), (1,))
    found = Rows()
    for change in (update(image(id=1), image(id=1, c=2)), delete(image(id=5)), moved):
        found.add(change, short)
    assert (left(found), found.unfollowed[WHERE]) == ({}, 3)


def test_a_key_that_was_changed_is_followed_where_all_of_the_row_is_known() -> None:
    whole, moved = image(id=1, c=1), image(id=5, c=1)
    assert left(taken(update(whole, moved))) == {("1",): (whole, None), ("5",): (None, moved)}
    known = taken(update(image(id=1), image(id=1, c=2)), update(image(id=1), image(id=5)))
    assert left(known) == {("1",): (image(id=1), None), ("5",): (None, image(id=5, c=2))}
    assert known.unfollowed[WHERE] == 0


def test_a_row_of_its_own_is_followed_to_another_key_with_what_its_insert_had() -> None:
    found = taken(insert(image(id=1)), update(image(id=1), image(id=5)))
    assert left(found) == {("1",): (None, None), ("5",): (None, image(id=5))}


def test_a_row_less_is_not_listed_where_there_is_no_room_for_the_one_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "MOST", 1)
    whole = image(id=1, c=1)
    found = taken(update(whole, image(id=1, c=2)), update(image(id=1, c=2), image(id=5, c=2)))
    assert (left(found), found.unfollowed[WHERE]) == ({}, 2)
