"""Nothing in mmm/ is too long to be read at one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "mmm"
MODULE, FUNCTION = 400, 40
"""Lines that a module, and a function with all that belongs to it, may have."""


def too_long(path: Path, name: str) -> Iterator[str]:
    """Yield a line for the module, and one for each function in it, that has too many lines."""
    text = path.read_text()
    if (lines := text.count("\n")) > MODULE:
        yield f"{name}: {lines} lines, {MODULE} at most: move a topic of it to a module that is named after it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION:
                yield f"{name}:{node.lineno}: {node.name}: {lines} lines, {FUNCTION} at most: take a part of it out"


def test_no_module_and_no_function_is_too_long() -> None:
    found = [
        line for path in SOURCE.rglob("*.py") for line in too_long(path, f"{path.relative_to(SOURCE.parent)}")
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(("module", "function"), [(MODULE + 1, FUNCTION), (MODULE, FUNCTION + 1)])
def test_one_line_too_many_is_named(tmp_path: Path, module: int, function: int) -> None:
    path = tmp_path / "long.py"
    path.write_text("def f() -> None:\n" + "    pass\n" * (function - 1) + "\n" * (module - function))
    named = "long.py: 401 lines" if module > MODULE else "long.py:1: f: 41 lines"
    assert [line.startswith(named) for line in too_long(path, path.name)] == [True]
