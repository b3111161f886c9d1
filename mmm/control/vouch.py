"""How mmm_control treats a command by which its user vouches for something: it asks back, and says who the user is."""

import os
import pwd
import re
import sys
from collections.abc import Callable, Sequence

CONFIRM_DEAD, YES = "confirm_dead", "--yes"

_QUESTION = """\
'{host}' will count as switched off: its roles go to other hosts at once, whatever its lease says.
If it still runs and has its VIP, two servers take writes, and what one of them takes is lost for good.
Is {host} off, and will it stay so until it is booted again? Answer yes or no: """


class NotVouchedError(Exception):
    """The command is not sent; the text is one line that says why and what to do."""


def vouched(command: Sequence[str], ask: Callable[[str], str] | None = None) -> list[str]:
    """Return the words that are sent for `command`: those of confirm_dead with the user's name, others as they are.

    Its user is asked first unless `--yes` is among them. Raises NotVouchedError.
    """
    if command[0] != CONFIRM_DEAD:
        return list(command)
    hosts = [word for word in command[1:] if word != YES]
    if len(hosts) != 1:
        raise NotVouchedError(f"{CONFIRM_DEAD} needs the name of one host: {CONFIRM_DEAD} [{YES}] HOST")
    if YES not in command:
        ask = ask or _ask
        if ask(_QUESTION.format(host=hosts[0])).strip().lower() != "yes":
            raise NotVouchedError("not confirmed: nothing was sent")
    return [CONFIRM_DEAD, hosts[0], user()]


def user() -> str:
    """Return the name of the user who runs this process, with the one behind sudo: `root(alice)`."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid{os.getuid()}"
    behind = os.environ.get("SUDO_USER", "")
    return re.sub(r"[^\w.@()-]", "_", f"{name}({behind})" if behind and behind != name else name)[:64]


def _ask(question: str) -> str:
    if not (sys.stdin and sys.stdin.isatty()):
        raise NotVouchedError(
            f"{CONFIRM_DEAD} asks for confirmation on a terminal, and this is not one; {YES} skips the question"
        )
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline()
