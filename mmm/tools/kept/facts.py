"""What a backup is, as values: written into `_mmm/status.json` and, for the older tools, `_mmm/status.txt`. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from mmm.tools.kept import perl
from mmm.wire.json_text import parsed
from mmm.wire.typed import built

_FORMAT = 1
ZSTD = "zstd"
AT = "%Y-%m-%d %H:%M:%S"
"""How a moment is written, in this machine's time."""


class FactsError(ValueError):
    """A status file that cannot be read; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One backup."""

    host: str
    """Whose data it has."""
    at: str
    """When it was begun, `2026-11-29 03:15:00` in this machine's time."""
    provider: str = ""
    """How it came; empty: by MMM 1.x or 2.x, or a copy method."""
    copy_method: str = ""
    family: str = ""
    server_version: str = ""
    tool_version: str = ""
    gtid: str = ""
    """What is in it: a gtid_slave_pos, or MySQL's gtid_executed."""
    log_file: str = ""
    """Where it stands in the host's binary log; empty: not known."""
    log_position: int = 0
    slave: Mapping[str, str] = field(default_factory=dict)
    """What SHOW SLAVE STATUS said of where the host replicated from."""
    bytes: int = 0
    """Size of the data, not compressed."""
    seconds: float = 0.0
    compress: str = ""
    """`zstd`: each file is."""
    data: str = "data"
    """The data folder in it."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Options without which no server starts on the data."""

    @property
    def of_ours(self) -> bool:
        """Tell whether a server has run on its data folder."""
        return bool(self.provider)

    @property
    def has_place(self) -> bool:
        """Tell whether its place is known by GTID, so that it can be brought up to a moment by logs."""
        return self.of_ours and bool(self.gtid)


def encode(facts: Facts) -> str:
    """Return it as status.json."""
    return json.dumps({"format": _FORMAT, **asdict(facts)}, indent=1, sort_keys=True) + "\n"


def decode(text: str) -> Facts:
    """Return what status.json has; raises FactsError."""
    try:
        found = parsed(text)
        form, facts = found["format"], built(Facts, found)
    except (KeyError, TypeError, ValueError) as error:
        raise FactsError(f"it cannot be read: {error}") from error
    if form != _FORMAT:
        raise FactsError("it was written by another version of MMM")
    return facts


def encode_classic(facts: Facts) -> str:
    """Return it as the status.txt of MMM 2.x."""
    place = {"File": facts.log_file, "Position": str(facts.log_position)} if facts.log_file else {}
    return perl.dump({"host": facts.host, "master": place, "slave": dict(facts.slave)})


def decode_classic(text: str, copy_method: str, at: str) -> Facts:
    """Return what a status.txt of MMM 1.x or 2.x has; raises FactsError."""
    try:
        found = perl.parse(text)
    except perl.PerlError as error:
        raise FactsError(str(error)) from error
    host, master, slave = found.get("host"), found.get("master"), found.get("slave")
    if not isinstance(host, str) or not isinstance(master, dict):
        raise FactsError("it does not say whose backup this is, and where it stands")
    position = str(master.get("Position") or "")
    known = (
        {key: str(value) for key, value in slave.items() if value is not None}
        if isinstance(slave, dict)
        else {}
    )
    return Facts(
        host,
        at,
        copy_method=copy_method,
        log_file=str(master.get("File") or ""),
        log_position=int(position) if position.isdecimal() else 0,
        slave=known,
    )
