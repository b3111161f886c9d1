"""The disks that this host's server and agent write to, and how much is left there.

The server says where it writes. That is remembered, as a server whose disk is full may let nobody in any more.
"""

from collections.abc import Iterator

from mmm.config.model import Host
from mmm.doctor.look import Room
from mmm.doctor.machine import own_files, room, written_by
from mmm.doctor.servers import FOLDERS
from mmm.mysql.server.variables import look_at_variables
from mmm.mysql.session.connection import Connection
from mmm.wire.doubts import DISK_LOW, Doubt


class Disks:
    """The disks of a host."""

    def __init__(self, here: Host) -> None:
        self._own = tuple(own_files(here.pid_path))
        self._server: tuple[tuple[str, str], ...] = ()

    def learn(self, server: Connection) -> None:
        """Ask the server where it writes; raises MysqlError."""
        self._server = tuple(written_by(server.ask(look_at_variables(server, FOLDERS))))

    def server_is_full(self) -> bool:
        """Tell whether next to nothing is left where the server writes; not so while that is not known."""
        return any(each.is_full for each in room(self._server))

    def doubts(self) -> Iterator[Doubt]:
        """Say which are nearly full."""
        for each in room((*self._server, *self._own)):
            if each.is_low:
                yield Doubt(DISK_LOW, _said(each))


def _said(low: Room) -> str:
    """Return the sentence: in whole parts of a hundred, so that it is not another at every look."""
    used = 100 * (low.size - low.free) // low.size
    return (
        f"the disk of {low.path} ({low.holds}) is {used} % full: free some, a server that has no space hangs"
    )
