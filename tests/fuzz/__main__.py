"""Fuzz one target with atheris: `python -m tests.fuzz TARGET [FILE…] [LIBFUZZER OPTION…]`; see docs/fuzzing.md.

Where files are named it takes just these.

New inputs that reach new code go to `.fuzz/TARGET` in the working directory, findings to `.fuzz/TARGET-…`.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mmm"]):
    from tests.fuzz.targets import CORPUS, TARGETS, WORDS


def main() -> None:
    """Fuzz until an option ends it, or something is found."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [FILE...] [LIBFUZZER OPTION...]")
    name = sys.argv[1]
    found = Path(".fuzz") / name
    found.mkdir(parents=True, exist_ok=True)
    words = found.parent / f"{name}.dict"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS[name]))
    again = any(Path(option).is_file() for option in sys.argv[2:])
    places = [] if again else [str(found), str(CORPUS / name)]
    options = [f"-dict={words}", f"-artifact_prefix={found.parent}/{name}-", "-max_len=4096", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], *options, *places], TARGETS[name])
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


main()
