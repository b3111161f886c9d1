"""What `--version` prints: the release, and in a clone of the tree the commit too."""

import argparse
import subprocess
from pathlib import Path
from typing import Any

import mmm

_TREE = Path(mmm.__file__).resolve().parents[1]


def version(tree: Path = _TREE) -> str:
    """Return `3.0.0`; in a clone `3.0.0 (commit 4a5b6c7d8e)`, with `-dirty` where files differ from it."""
    if not (tree / ".git").exists():
        return mmm.__version__
    argv = ["git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return mmm.__version__
    return f"{mmm.__version__} (commit {said})"


class Version(argparse.Action):
    """The option that prints it and ends the program."""

    def __init__(self, option_strings: list[str], dest: str, **more: Any) -> None:
        more = (
            {"help": "show program's version number and exit"}
            | more
            | {"nargs": 0, "default": argparse.SUPPRESS}
        )
        super().__init__(option_strings, argparse.SUPPRESS if dest == "version" else dest, **more)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        print(f"{parser.prog} {version()}")
        parser.exit()
