"""The answer to WATCH: that this host's server has ended, or runs (rule 4)."""

from mmm.agent.act.replies import Replies
from mmm.agent.act.server_process import NotWatchedError, ServerProcess
from mmm.wire import watch, why


async def server_exit(process: ServerProcess, client: str, replies: Replies) -> bytes:
    """Return the reply once the server's process has ended; one client address has one question open."""
    try:
        told = await process.told(client)
    except NotWatchedError as error:
        return replies.error(why.NOT_WATCHED, str(error))
    if told.ended:
        return replies.reply("OK: Server process ended!", watch.exited_fields(told.pid))
    return replies.reply("OK: Server process runs!", watch.runs_fields(told.pid))
