"""What there is to say of a section and a key of the conf files: the columns of the table in `mmm.config.keys`.

Programs are letters: A mmm_agentd, M mmm_mond, C mmm_control and mmm_web, T the classic tools, R mmm_rejoin.
"""

from typing import Literal, NamedTuple

from mmm.config.names import Program

Kind = Literal[
    "text", "user", "word", "path", "file", "int", "port", "seconds", "bool", "choice",
    "ip", "ips", "vips", "networks", "list", "limit", "host", "hosts", "role", "copy method", "ways", "ignored",
]  # fmt: skip
LETTERS: dict[Program, str] = {"AGENT": "A", "MONITOR": "M", "CONTROL": "C", "TOOLS": "T", "REJOIN": "R"}
EVERY = "AMCTR"


class Old(NamedTuple):
    """A spelling of the 1.x dialect: key `name`, global (`where` is "top") or in blocks of type `where`."""

    where: str
    name: str
    programs: str = EVERY
    """In the conf files of the other programs it means something else or nothing."""
    this_host: bool = False
    """A global key that speaks of the host named by `this`, not of all hosts."""
    values: tuple[tuple[str, str], ...] = ()
    """1.x values and what they are called now, where that differs."""


class Key(NamedTuple):
    """One key: a row of the table."""

    name: str
    kind: Kind
    text: str
    required: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    least: float = 0.0
    secret: bool = False
    needed_if: tuple[str, str] | None = None
    """Required when this other key of the section has this value, as the model says it."""
    old: tuple[Old, ...] = ()
    old_default: str | None = None
    """In the 1.x dialect the key is never required and this is its default; `{_cluster}`: `_C1` or empty."""


class Section(NamedTuple):
    """One type of section, and its keys."""

    name: str
    named: bool
    text: str
    keys: tuple[Key, ...]
    required: str = ""
    template: bool = False
    """Its section named `default` gives values to all others of the type."""
    names: tuple[str, ...] = ()
    """The only names allowed; empty: any."""
    old_only: bool = False
    """A block of the 1.x dialect alone. Without keys it takes any."""
