"""What may stand next on a command line of mmm_control, for the shell's completion.

It follows from the list of commands that `help` prints, and from the names in the conf.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mmm.config.files import SEARCH, Disk
from mmm.config.names import CHECK_NAMES
from mmm.config.tree import ConfError
from mmm.config.validate import load_settings
from mmm.control.forms import FORMS
from mmm.wire.command import HELP, PROXIES

Names = Mapping[str, Sequence[str]]
"""What may stand for `<host>`, `<role>` and so on, by the word between the brackets."""

_OPTIONS = {"--config": (), "--monitor": (), "--format": FORMS, "--version": (), "--help": ()}
"""The options before the command, and what may follow them."""
_FIXED: Names = {"check": CHECK_NAMES, "proxy": PROXIES, "method": ("auto", "wait", "manual")}
"""What is the same for every conf."""
_TEXT_COLUMN = 38
_LINE = re.compile(r"^ {4}(\S.*?) +- (.+)$|^ {4}(\S.*)$")


class Command(NamedTuple):
    """A row of the list: a command as it is written, and what it does."""

    written: str
    does: str

    @property
    def words(self) -> list[str]:
        """Return its name, its options, and what stands for the words of the user."""
        return self.written.replace("[", " ").replace("]", " ").split()

    @property
    def values(self) -> dict[str, str]:
        """Return what follows an option that has a value, by the option: both stand in one pair of brackets."""
        return dict(re.findall(r"\[(--[\w-]+) ([^]]+)\]", self.written))


def commands() -> Iterator[Command]:
    """Yield the rows of the list, in its order."""
    written, does = "", ""
    for line in HELP.splitlines()[1:]:
        if line.startswith(" " * _TEXT_COLUMN):
            does = f"{does} {line.strip().removeprefix('- ')}".strip()
            continue
        if written:
            yield Command(written, does)
        found = _LINE.match(line)
        written, does = (found[1] or found[3], found[2] or "") if found else ("", "")
    if written:
        yield Command(written, does)


def complete(typed: Sequence[str]) -> str:
    """Return, a line each, what may follow the words that were typed after `mmm_control`."""
    cluster, config, words = None, None, list(typed)
    while words and words[0].startswith(("@", "-")):
        option = words.pop(0)
        if option.startswith("@"):
            cluster = option[1:]
        elif option in {"--config", "--format", "--monitor"}:
            if not words:
                named = names_of(config, cluster)["monitor"] if option == "--monitor" else _OPTIONS[option]
                return "\n".join(named)
            value = words.pop(0)
            config = value if option == "--config" else config
    found = candidates(words, names_of(config, cluster))
    return "\n".join([*found, *(() if words else _OPTIONS)])


def names_of(config: str | None, cluster: str | None, directories: Sequence[str] = SEARCH) -> Names:
    """Return the names that the conf has; none where it cannot be read, as by a user who is not root."""
    try:
        world = load_settings(Disk(directories), config, "CONTROL", cluster, "mmm_mon")
    except ConfError:
        return {**_FIXED, "monitor": ()}
    named = {"host": list(world.servers), "role": list(world["role"])}
    vips = [vip for role in named["role"] for vip in world.value("role", role, "ips") or ()]
    monitors = world.value("top", "", "monitors") or ()
    ips = [str(vip) for vip in vips]
    return {**_FIXED, **named, "ip": ips, "monitor": list(monitors)}


def candidates(typed: Sequence[str], names: Names) -> list[str]:
    """Return what may follow the words that were `typed`, the command's name first among them."""
    if not typed:
        return list(dict.fromkeys(command.words[0] for command in commands()))
    found: dict[str, None] = {}
    options = {word for word in typed if word.startswith("--")}
    for command in commands():
        if command.words[0] == typed[0] and options <= set(command.words):
            found |= dict.fromkeys(_next(command, typed[1:], names))
    return list(found)


def _next(command: Command, typed: Sequence[str], names: Names) -> Iterator[str]:
    values, pattern = command.values, command.words[1:]
    if typed and typed[-1] in values:
        yield from _named(values[typed[-1]], names)
        return
    yield from (word for word in pattern if word.startswith("--") and word not in typed)
    wanted, used = places(pattern, values), places(typed, values)
    if len(used) < len(wanted):
        yield from _named(wanted[len(used)], names)


def places(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Return the words that are neither an option nor what belongs to one."""
    own = {at + 1 for at, word in enumerate(words) if word in values}
    return [word for at, word in enumerate(words) if at not in own and not word.startswith("--")]


def _named(place: str, names: Names) -> Iterator[str]:
    for word in place.split("|"):
        if word.startswith("<"):
            yield from names.get(word.strip("<>"), ())
        else:
            yield word
