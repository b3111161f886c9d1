"""MySQL's sets of transactions, against the truth of plain sets."""

from hypothesis import given
from hypothesis import strategies as st

from mmm.gtid.mysql import GtidSet, parse

ONE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
TWO = "4d22fa47-71ca-11e1-9e33-c80aa9429562"
numbers = st.sets(st.tuples(st.sampled_from([ONE, TWO, f"{ONE}:tag"]), st.integers(1, 12)))


def written(transactions: set[tuple[str, int]]) -> GtidSet:
    return parse(",".join(f"{origin}:{number}" for origin, number in transactions))


def members(given: GtidSet) -> set[tuple[str, int]]:
    return {(o, n) for o, parts in given.of.items() for first, last in parts for n in range(first, last + 1)}


@given(numbers, numbers)
def test_sets_add_and_subtract_as_sets_do(mine: set[tuple[str, int]], theirs: set[tuple[str, int]]) -> None:
    here, there = written(mine), written(theirs)
    assert members(here.minus(there)) == mine - theirs
    assert members(here.plus(there)) == mine | theirs
    assert members(here.without(ONE)) == {one for one in mine if not one[0].startswith(ONE)}
    assert len(here) == len(mine)
    assert parse(str(here)) == here


def test_a_set_is_read_and_named_as_servers_write_it() -> None:
    text = f"{ONE.upper()}:1-5:9,\n{TWO}:1-3:backup:7"
    assert str(parse(text)) == f"{ONE}:1-5,{ONE}:9,{TWO}:1-3,{TWO}:backup:7"
    assert parse("") == GtidSet()
    assert parse(f"nonsense:1,{ONE}:x-y,{ONE}:9-2") == GtidSet()
