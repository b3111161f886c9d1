"""No program of ours looks into a sentence: it would decide otherwise once somebody words it better."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import mmm

ROOT = Path(mmm.__file__).parent
SENTENCE = re.compile(r"[A-Za-z']{2,}[,:;]? [a-z'{]|^(OK|ERROR|UNKNOWN): ")
LOOKS_INTO = {
    "startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "find", "index", "split",
    "count",
}  # fmt: skip
ALLOWED = {
    "wire/why.py": "agents without codes say nothing but words",
    "wire/control.py": "the layouts of show and checks, which a monitor of either generation answers",
    "mysql/server/replica_status.py": "what the server says of its SQL thread, which has no code",
    "mysql/backup/mariadb_backup.py": "the program says its version, its stages and its end in lines alone",
    "config/rules.py": "copy method is a key",
}


def words(*nodes: ast.expr) -> Iterator[str]:
    constants = (each for node in nodes for each in ast.walk(node) if isinstance(each, ast.Constant))
    return (each.value for each in constants if isinstance(each.value, str) and SENTENCE.search(each.value))


def looked_into(node: ast.AST) -> list[str]:
    """Return the sentences that something is compared with, or looked for in."""
    if isinstance(node, ast.Compare):
        fixed = (ast.Constant, ast.JoinedStr, ast.Tuple, ast.Set)
        return list(words(*(each for each in (node.left, *node.comparators) if isinstance(each, fixed))))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        regex = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
        return list(words(*node.args)) if regex or node.func.attr in LOOKS_INTO else []
    return []


def test_nothing_in_mmm_looks_into_a_sentence() -> None:
    found = {
        (str(path.relative_to(ROOT)), text)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for text in looked_into(node)
    }
    assert {text for path, text in found if path not in ALLOWED} == set()
    assert {path for path, _ in found} == set(ALLOWED), "an exception that is not needed"


def test_what_looks_into_a_sentence_is_seen() -> None:
    for line in (
        "text.endswith('not obeyed now')",
        "'is not obeyed' in text",
        "re.search('not obeyed', text)",
    ):
        assert any(looked_into(node) for node in ast.walk(ast.parse(line)))
