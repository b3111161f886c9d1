"""What mmm_control makes of an answer in JSON, whoever gave it."""

import pytest

from mmm.control.forms import is_refused, render
from mmm.control.health import UNKNOWN, status_of
from mmm.control.json_answer import values_of


@pytest.mark.parametrize("answer", ["", "OK: done", "[]", "7", '"status"', '{"status"', '{"a":' * 100_000])
def test_what_is_no_object_has_no_values(answer: str) -> None:
    assert values_of(answer) is None
    assert status_of(answer) == UNKNOWN
    assert not is_refused(answer)


def test_an_object_has_its_values() -> None:
    assert values_of('{"status": "WARNING", "rate": Infinity}') == {"status": "WARNING", "rate": float("inf")}
    assert status_of('{"status": "WARNING"}') == 1
    assert is_refused('{"ok": false}')
    assert render(["show"], '{"ok": true}', "json") == '{\n  "ok": true\n}\n'
