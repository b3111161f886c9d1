"""A line at the agent's port to a request for this host (rule 4)."""

import logging

from mmm.agent.act.replies import Replies
from mmm.clock import clock
from mmm.network.line_server import GarbageError
from mmm.network.listener import Peer
from mmm.wire import agent as wire
from mmm.wire import why

log = logging.getLogger(__name__)


async def unfinished(line: bytes, _: Peer) -> bytes:
    """Return the reply with its LF to a line that is cut off: it is not obeyed, whatever it says so far."""
    shown = wire.sayable(line[:80].decode("utf-8", "backslashreplace"))
    text = f"ERROR: Invalid command '{shown}'! It has no line end"
    return wire.encode_reply(wire.Reply(text, (), clock(), "", why.UNKNOWN_COMMAND))


def received(line: bytes, name: str, replies: Replies) -> wire.Request | bytes:
    """Return the request in a line, or the reply with its LF where that is for another host than `name`.

    Raises GarbageError with the reply to a line that is no request.
    """
    try:
        request = wire.decode_request(line)
    except wire.WireError as error:
        log.debug("bad request: %s", error)
        shown = line[:80].decode("utf-8", "backslashreplace")
        raise GarbageError(replies.error(why.UNKNOWN_COMMAND, f"Invalid command '{shown}'!")) from error
    if request.version > wire.VERSION:
        log.warning("request of version %d, this agent speaks %d", request.version, wire.VERSION)
    if request.host != name:
        text = f"Invalid hostname in command ({request.host[:80]})! My name is '{name}'"
        return replies.error(why.WRONG_HOST, text)
    return request
