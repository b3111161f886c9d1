"""Names that all of the conf code shares."""

import re
from typing import Literal

UNLIMITED = "unlimited"
"""A limit that there is not."""
EVERY_HOST = "all"
"""What commands take for every host, so none can be called that."""
CHECK_NAMES = ("ping", "mysql", "rep_threads", "rep_backlog")
NEED_MONITORS = ("voters", "lead_lease")
"""Keys that mean nothing without `monitors`."""
WITNESS = "witness"
"""The mode of a host that only votes on which monitor leads."""
WITNESS_KEYS = ("ip", "mode", "pid_path", "bin_path", "agent_port")
"""The keys of a host that count for one."""

Program = Literal["AGENT", "MONITOR", "CONTROL", "TOOLS", "REJOIN"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_GONE_CIPHER = re.compile(r"\s-c\s*blowfish(-cbc)?(?=\s)")


def without_gone_cipher(command: str) -> str:
    """Return a command without the cipher that confs of MMM 1.x and 2.x name: OpenSSH has it no more."""
    return _GONE_CIPHER.sub("", command or "")


def is_name(text: str) -> bool:
    """Tell whether hosts, roles and the like may be called so."""
    return _NAME.fullmatch(text) is not None
