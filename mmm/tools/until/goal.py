"""Up to where a backup is brought: a moment, a transaction, or a place in the log. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mmm.binlog.contents import Logged
from mmm.gtid.place import LogPlace

_MARIADB = re.compile(r"\d+-\d+-\d+")
_MYSQL = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}:\d+")
_PLACE = re.compile(r"(?P<file>[^/:\s]+\.\d{6,}):(?P<position>\d+)")


class UntilError(Exception):
    """A backup cannot be brought there; `code` is why, for programs, and the text says it in one line."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Goal:
    """Where it ends."""

    text: str
    moment: float | None = None
    """In seconds since 1970: what was begun in a later second is left out, and all behind it."""
    gtid: str = ""
    """The last transaction, or with `before` the first that is left out."""
    before: bool = False
    place: LogPlace | None = None
    """What ends behind it is left out."""

    @property
    def option(self) -> str:
        """Return it as it is typed."""
        return f"--{'before' if self.before else 'until'} {self.text}"

    @property
    def words(self) -> str:
        """Return it as it is spoken of."""
        return f"{'before' if self.before else 'up to'} {self.text}"

    def passed(self, file: str, logged: Logged, name: str) -> bool:
        """Tell whether a transaction, called `name`, and all behind it are left out."""
        if self.moment is not None:
            return logged.when > self.moment
        if self.place is not None:
            return LogPlace(file, logged.end) != self.place and LogPlace(file, logged.end).reaches(self.place)
        return self.before and name == self.gtid

    def reached(self, file: str, logged: Logged, name: str) -> bool:
        """Tell whether a transaction is the last one."""
        if self.place is not None:
            return LogPlace(file, logged.end) == self.place
        return bool(self.gtid) and not self.before and name == self.gtid


def parse(until: str | None, before: str | None) -> Goal | None:
    """Return the goal of `--until` or `--before`, None where neither is given; raises UntilError.

    A moment is in this machine's time unless it says its offset: `2026-11-29 14:03:00`, `2026-11-29T14:03:00+01:00`.
    """
    if until and before:
        raise UntilError("goal", "--until and --before: name one of both")
    text = (until or before or "").strip()
    if not text:
        return None
    for kind, make in _KINDS:
        if kind.fullmatch(text):
            goal = make(text, bool(before))
            break
    else:
        goal = _moment(text)
    if before and not goal.gtid:
        raise UntilError("goal", f"--before {text}: name a GTID; --until takes moments and places too")
    return goal


def of_option(text: str) -> Goal:
    """Return the goal of `Goal.option`; raises UntilError."""
    option, _, rest = text.partition(" ")
    found = parse(None, rest) if option == "--before" else parse(rest, None)
    if found is None:
        raise UntilError("goal", f"{text!r} names nothing")
    return found


def _gtid(text: str, before: bool) -> Goal:  # noqa: FBT001
    return Goal(text, gtid=text.lower(), before=before)


def _place(text: str, _: bool) -> Goal:  # noqa: FBT001
    file, position = text.rsplit(":", 1)
    return Goal(text, place=LogPlace(file, int(position)))


def _moment(text: str) -> Goal:
    try:
        return Goal(text, moment=datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError) as error:
        known = "a moment (2026-11-29 14:03:00), a GTID, or FILE:POSITION of the log"
        raise UntilError("goal", f"--until {text}: neither {known}") from error


_KINDS: tuple[tuple[re.Pattern[str], Callable[[str, bool], Goal]], ...] = (
    (_MARIADB, _gtid),
    (_MYSQL, _gtid),
    (_PLACE, _place),
)
