"""Why the monitor is in passive mode, as a value."""

from typing import ClassVar

from mmm.monitor.world.said import Said, Texts, listed


class PassiveCause(Said):
    """Why the monitor is in passive mode, and what to do about it."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "by_admin": "Admin switched to passive mode.",
        "other_monitor": (
            "The agent of {host} obeys another monitor, the one at {other}: no orders are given here. Stop one of the"
            " two, then set_active at the other."
        ),
        "two_writers": lambda of: (
            f"{of['vip']} is bound on {listed(of['hosts'], ' and ')}. Unbind it on all but the true active master, then"
            " 'mmm_control set_active'."
        ),
        "unknown_holder": lambda of: (
            f"The status file says that {of['host']} may have {listed(of['vips'], ' and ')}, but this conf lacks the"
            f" host or the VIP. Unbind it there and set read_only, or switch it off; then 'mmm_control set_active'."
        ),
    }
