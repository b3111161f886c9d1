"""What is said of a command that the monitor did not take, by the list of commands that `help` prints. Pure."""

from collections.abc import Sequence

from mmm.config.kinds import suggestion
from mmm.control.completion import Command, commands, places

OLD_MONITOR = "the monitor does not know this command: is it one of MMM 2.x?"


def remark(command: Sequence[str]) -> str:
    """Return one line that says why no monitor of this version takes `command`, or that this one must be older."""
    name, given = command[0], " ".join(command[1:]).split()
    rows = [row for row in commands() if row.words[0] == name]
    if any(_fits(row, given) for row in rows):
        return OLD_MONITOR
    if not rows:
        near = suggestion(name, (row.words[0] for row in commands()))
        return f"no command is called '{name}'; {f'did you mean {near}?' if near else 'mmm_control help lists them'}"
    if all(row.words == [name] for row in rows):
        return f"{name} takes no arguments"
    return f"usage: {', or '.join(row.written for row in rows)}"


def _fits(row: Command, given: Sequence[str]) -> bool:
    """Tell whether the command is written so: options of its own with values that they take first, few enough words."""
    values = {at + 1 for at, word in enumerate(given) if word in row.values}
    options = [at for at, word in enumerate(given) if word.startswith("--")]
    words = [at for at in range(len(given)) if at not in values and at not in options]
    if words and options and max(options) > min(words):
        return False
    allowed = {at: row.values[given[at - 1]] for at in values if at < len(given)}
    if any("<" not in each and given[at] not in (each, *each.split("|")) for at, each in allowed.items()):
        return False
    wanted = places(row.words[1:], row.values)
    return {given[at] for at in options} <= set(row.words) and len(words) <= len(wanted)
