"""Whether an order makes sense. Pure."""

import re

from mmm.wire.status import Status

_STATE = re.compile(r"[A-Z_]{1,40}")
_HOST = re.compile(r"[A-Za-z0-9_.-]{0,255}")


def is_sound(status: Status) -> bool:
    """Tell whether state and active master are names."""
    return bool(_STATE.fullmatch(status.state) and _HOST.fullmatch(status.master))
