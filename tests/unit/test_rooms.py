"""The rooms of the tree are as docs/architecture.md shows them, and what says that it is pure is held to it."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SOURCE = TREE / "mmm"
PAGE = re.sub(
    r"^```.*?^```$", "", (TREE / "docs/architecture.md").read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
)
NAMES = re.findall(r"`([^`\n]+)`", PAGE)
FOLDERS = [path for path in (SOURCE, *SOURCE.rglob("*")) if path.is_dir() and path.name != "__pycache__"]
MODULES = [path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]
_WORD = re.compile(r"[A-Za-z_]\w*")


def is_there(name: str, folders: list[Path]) -> bool:
    """Tell whether a folder has a file, a folder or a module of that name."""
    return any((folder / end).exists() for folder in folders for end in (name.rstrip("/"), f"{name}.py"))


def rows() -> Iterator[tuple[list[Path], list[str]]]:
    """Yield the folders that each row of the page's tables is about, and the lower-case names that it puts there."""
    for about, told in re.findall(r"^\| (`[^|]*`) \| (.*) \|$", PAGE, re.MULTILINE):
        named = [name.rstrip("/") for name in re.findall(r"`([^`]+)`", about)]
        folders = [
            base / name for name in named for base in (TREE, SOURCE / "monitor") if (base / name).is_dir()
        ]
        yield folders, re.findall(r"`([a-z_]+/?)`", told)


def defined() -> set[str]:
    """Return all names that something in mmm/ has."""
    return {word for path in SOURCE.rglob("*.py") for word in _WORD.findall(path.read_text("utf-8"))}


def test_each_path_on_the_page_is_there() -> None:
    assert [name for name in NAMES if "/" in name and not is_there(name, [TREE, *FOLDERS])] == []


def test_each_name_on_the_page_is_a_module_or_stands_in_one() -> None:
    known = defined()
    names = [name for name in NAMES if re.fullmatch(r"[\w.]+", name)]
    assert [
        name for name in names if not known >= set(_WORD.findall(name)) and not is_there(name, FOLDERS)
    ] == []


def test_a_row_of_a_table_names_what_its_folders_have() -> None:
    found = list(rows())
    assert len(found) > 30
    assert [
        (str(folders[0]), name) for folders, names in found for name in names if not is_there(name, folders)
    ] == []


def test_the_page_shows_every_room() -> None:
    """A room is shown by its name, or by the name of something in it where it is no more than the wall around that."""
    pairs = [(folder, name) for folders, names in rows() for folder in folders for name in ("", *names)]
    pairs += [(base, name) for base in (TREE, *FOLDERS) for name in NAMES if "/" in name]
    shown = {base / name.rstrip("/") for base, name in pairs}
    rooms = [folder for folder in FOLDERS if any(folder.glob("*.py")) and folder != SOURCE]
    shown = {each for each in shown if each.is_dir() or each.with_suffix(".py").is_file()}
    hidden = [room for room in rooms if not any(each.is_relative_to(room) for each in shown)]
    assert [str(room.relative_to(TREE)) for room in hidden] == []


def held() -> list[str]:
    """Return the modules and packages that a contract forbids to import `socket`."""
    document = tomllib.loads((TREE / "pyproject.toml").read_text("utf-8"))
    contracts = document["tool"]["importlinter"]["contracts"]
    forbidden = [each for each in contracts if "socket" in each.get("forbidden_modules", ())]
    return [source for each in forbidden for source in each["source_modules"]]


def says_pure(path: Path) -> bool:
    """Tell whether a module's docstring, or that of its package, says that all in it is pure."""
    texts = (
        ast.get_docstring(ast.parse(each.read_text("utf-8"))) or ""
        for each in (path, path.parent / "__init__.py")
    )
    return any(re.search(r"\bpure\b(?!,? but)", text, re.IGNORECASE) for text in texts)


def test_what_says_that_it_is_pure_is_held_to_it_by_a_contract() -> None:
    sources = held()
    names = [".".join(path.relative_to(TREE).with_suffix("").parts) for path in MODULES if says_pure(path)]
    assert len(names) > 100
    assert [
        name for name in names if not any(f"{name}.".startswith(f"{source}.") for source in sources)
    ] == []


@pytest.mark.parametrize(
    ("text", "pure"),
    [
        ("Arithmetic. Pure.", True),
        ("Lines as pure encode and decode.", True),
        ("Pure but for `look`.", False),
        ("Asks.", False),
    ],
)
def test_a_docstring_is_read_for_what_it_says(tmp_path: Path, text: str, *, pure: bool) -> None:
    (tmp_path / "__init__.py").write_text('"""A package."""\n')
    path = tmp_path / "one.py"
    path.write_text(f'"""{text}"""\n')
    assert says_pure(path) is pure
