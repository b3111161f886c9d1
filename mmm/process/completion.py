"""What may stand next on a program's command line, for the shell's completion: it follows from the program's parser.

mmm_control, whose commands are the monitor's, has its own: mmm.control.completion.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

COMPLETE = "--complete"
"""The first word of a shell that asks; the words that were typed follow."""
Names = Mapping[str, Sequence[str]]
"""What may stand for a value, by what `--help` calls it: HOST and so on."""


def candidates(
    parser: argparse.ArgumentParser, typed: Sequence[str], names: Callable[[], Names] = dict
) -> list[str]:
    """Return what may follow the words that were `typed`; nothing where that is a file, or anything."""
    actions = parser._actions  # noqa: SLF001 - argparse has no other list of them
    options = {name: action for action in actions for name in action.option_strings}
    places = [action for action in actions if not action.option_strings]
    given: list[argparse.Action] = []
    awaiting: argparse.Action | None = None
    for at, word in enumerate(typed):
        if awaiting is not None and not word.startswith("-"):
            awaiting = None
        elif word in options:
            given.append(options[word])
            awaiting = None if options[word].nargs == 0 else options[word]
        elif places:
            if (below := _command(places[0], word)) is not None:
                return candidates(below, typed[at + 1 :], names)
            places = places if places[0].nargs == "*" else places[1:]
    if awaiting is not None and awaiting.nargs != "?":
        return list(_values(awaiting, names))
    here = (awaiting, *places[:1])
    found = [value for action in here if action is not None for value in _values(action, names)]
    return [*found, *(name for name, action in options.items() if _is_shown(name, action, given))]


def value_of(option: str, typed: Sequence[str]) -> str | None:
    """Return what was typed behind an option, None where it was not given yet."""
    return next((value for word, value in pairwise(typed) if word == option), None)


def _command(place: argparse.Action, word: str) -> argparse.ArgumentParser | None:
    """Return the parser of what follows a command, None where no command stands there."""
    below = place.choices.get(word) if isinstance(place.choices, dict) else None
    return below if isinstance(below, argparse.ArgumentParser) else None


def _values(action: argparse.Action, names: Callable[[], Names]) -> Iterator[str]:
    if action.choices is not None:
        yield from map(str, action.choices)
        return
    called = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    yield from names().get(called, ())


def _is_shown(name: str, action: argparse.Action, given: Sequence[argparse.Action]) -> bool:
    return name.startswith("--") and action not in given and action.help != argparse.SUPPRESS
