"""Has this host rebuilt when the monitor orders it: `mmm_rejoin` is started as a process of its own.

That is in a session of its own, under systemd in a unit of its own: it goes on whatever becomes of the agent, and has
the rights that it needs and the agent does not.
"""

import asyncio
import logging
import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from mmm.agent.act.replies import Replies
from mmm.config.model import Cluster
from mmm.own_module import own_module
from mmm.process.job_answer import read
from mmm.wire import why
from mmm.wire.agent import Request, WireError
from mmm.wire.rejoin import NOT_ALLOWED, NOT_REBUILT, Came, Wanted, came_fields, ordered

LIMIT = 30.0
"""Seconds in which the tool has looked at all servers, and says whether it begins."""
_SYSTEMD = Path("/run/systemd/system")
_PROGRAM = ("mmm.tools.rejoin.command", "--ordered")

log = logging.getLogger(__name__)


class RejoinOrder:
    """Starts the tool on this host."""

    def __init__(self, conf: Cluster, replies: Replies) -> None:
        self._conf = conf
        self._replies = replies
        self._beginning = 0

    @property
    def begins(self) -> bool:
        """Tell whether the tool was started, and has not said yet whether it begins: the order is not answered."""
        return self._beginning > 0

    async def answer(self, request: Request) -> bytes:
        """Return the reply, with its LF, once the tool has begun or refused."""
        try:
            wanted = ordered(request)
        except WireError as error:
            return self._replies.error(why.BAD_REQUEST, str(error))
        if refused := self._not_allowed():
            log.warning("not obeyed: %s", refused)
            return self._replies.error(NOT_ALLOWED, refused)
        self._beginning += 1
        try:
            came = await asyncio.to_thread(self._start, wanted)
        finally:
            self._beginning -= 1
        log.info("ordered to have %s rebuilt: %s", self._conf.this, "; ".join(came.lines))
        if not came.begun:
            return self._replies.error(NOT_REBUILT, "; ".join(came.lines), came_fields(came))
        return self._replies.reply(f"OK: {came.lines[0] if came.lines else 'Begun!'}", came_fields(came))

    def _not_allowed(self) -> str:
        """Return why an order by the network does not count here, empty where it does."""
        conf = self._conf
        if conf.socket.type == "ssl" or conf.auth_key or conf.allow_rebuild:
            return ""
        return (
            "nothing shows that this order comes from the cluster: use TLS or auth_key, write `allow_rebuild yes` in"
            f" the conf of {conf.this}, or run mmm_rejoin there"
        )

    def _start(self, wanted: Wanted) -> Came:
        """Start the tool and return its first word; blocks."""
        conf = str(tools_conf(self._conf))
        argv = [*apart(), *own_module(*_PROGRAM, "--config", conf, *_options(wanted))]
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            return Came(begun=False, lines=(f"mmm_rejoin cannot be started: {error.strerror or error}",))
        said: list[bytes] = []
        reader = threading.Thread(target=_read, args=(process, said), name="rejoin", daemon=True)
        reader.start()
        reader.join(LIMIT)
        threading.Thread(target=process.wait, name="rejoin-end", daemon=True).start()
        if reader.is_alive():
            return Came(
                begun=False, lines=(f"mmm_rejoin has not begun within {LIMIT:g} s: see mmm_control show",)
            )
        text = b"".join(said).decode("utf-8", "replace")
        if (found := read(text)) is None:
            return Came(
                begun=False, lines=(text.strip().rpartition("\n")[2] or "mmm_rejoin has said nothing",)
            )
        return Came(*found)


def tools_conf(conf: Cluster) -> Path:
    """Return the conf file of the tools beside the agent's, of the same cluster where several share the host."""
    name, prefix = conf.path.name, "mmm_agent"
    return conf.path.with_name(
        f"mmm_tools{name.removeprefix(prefix)}" if name.startswith(prefix) else "mmm_tools.conf"
    )


def _options(wanted: Wanted) -> tuple[str, ...]:
    """Return what is ordered as arguments of the tool."""
    named = (("--from", wanted.donor), ("--method", wanted.method), ("--lose-extra", wanted.lose_extra))
    flags = (("--dry-run", wanted.dry_run), ("--abort", wanted.abort))
    return (
        *(word for option, name in named if name for word in (option, name)),
        *(flag for flag, given in flags if given),
    )


def _read(process: "subprocess.Popen[bytes]", said: list[bytes]) -> None:
    """Keep what the tool says until it has given its word, and hear no more of it."""
    if process.stdout is None:
        return
    with suppress(OSError), process.stdout as output:
        said.extend(output)


def apart(what: str = "mmm_rejoin") -> tuple[str, ...]:
    """Return what starts a program outside of the agent's unit, all of which systemd kills with the agent."""
    program = shutil.which("systemd-run")
    if not os.environ.get("MMM_UNIT") or program is None or not _SYSTEMD.is_dir():
        return ()
    return (program, "--pipe", "--quiet", "--collect", f"--description={what}")
