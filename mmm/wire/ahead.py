"""Has an agent get the end of a dead server's binary log before its host is to take over (rule 12.1): no sockets.

    request   AHEAD|1|HOST|OTHER     get what OTHER's binary log has beyond what is here; asked again: what came since
              AHEAD|1|HOST|          forget what was got: that server answers again
    reply     OK: …                  it is being got

It changes nothing on the host. Its one effect is that the order to take over finds the log there.
Agents of MMM 2.x answer ERROR.
"""

import re

from mmm.wire.agent import AHEAD, Request, WireError

_NAME = re.compile(r"[A-Za-z0-9_.-]{0,255}")


def ask_ahead(host: str, other: str) -> Request:
    """Return the request to get `other`'s log; empty: to forget what was got."""
    return Request(AHEAD, host, (other,))


def asked_ahead(request: Request) -> str:
    """Return the host whose log is to be got, empty where what was got is to be forgotten; raises WireError."""
    name = request.params[0] if request.params else None
    if name is None or not _NAME.fullmatch(name):
        raise WireError(f"{AHEAD} needs the name of a host, or an empty one")
    return name
