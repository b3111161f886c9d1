"""What still answers on a host that is thought to be off."""

from typing import ClassVar

from mmm.monitor.world.said import Said, Texts


class Sign(Said):
    """A sign of life."""

    __slots__ = ()

    texts: ClassVar[Texts] = {
        "agent": "its agent answers",
        "takes": "its system takes connections at {ip}:{port}",
        "refuses": "its system refuses connections at {ip}:{port}",
        "pings": "its system answers ping at {ip}",
    }
