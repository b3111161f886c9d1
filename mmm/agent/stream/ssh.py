"""mmm_stream: sends a copy of this host's data to standard output, for a recipient that comes by ssh.

    restrict,command="/usr/sbin/mmm_stream" ssh-ed25519 AAAA…       in authorized_keys of ssh_user, here

What the recipient asks for is in SSH_ORIGINAL_COMMAND then: `mmm_stream PROVIDER JOB`. Whoever has that key can get the
data, and nothing else. It reads the conf of mmm_agentd, so it runs as root.
"""

import os
import select
import shlex
import signal
import sys
import syslog
from collections.abc import Sequence
from contextlib import suppress

from mmm.agent.stream.order import Order
from mmm.agent.stream.relay import Way
from mmm.agent.stream.sending import send_copy
from mmm.config import load as config
from mmm.config.model import Cluster
from mmm.config.shown import purpose
from mmm.process import arguments
from mmm.process.completion import COMPLETE
from mmm.wire.agent import Request
from mmm.wire.lines import WireError
from mmm.wire.stream import STREAM, STREAM_PROGRAM, Asked, Head, asked_stream, head_frame

CLIENT = "SSH_CLIENT"
"""The variable by which sshd says where somebody comes from."""
STALL = 60.0
"""Seconds after which a recipient that takes no byte counts as gone."""


def main(argv: Sequence[str] | None = None) -> int:
    """Send the copy; returns 0 when the recipient was told all, however that went, and 2 for a conf of no use."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    words = list(sys.argv[1:] if argv is None else argv)
    wanted = os.environ.get("SSH_ORIGINAL_COMMAND")
    by_hand = wanted is None and len(words) > 1 and words[0] != COMPLETE
    args = arguments.parse(STREAM_PROGRAM, words[:-2] if by_hand else words, daemon=False)
    try:
        asked = words[-2:] if by_hand else shlex.split(wanted or "")[-2:]
        conf = config.load(args.config, "AGENT", cluster=args.cluster, name="mmm_agent")
        what = asked_stream(Request(STREAM, conf.this, (*asked, "0")))
        send_copy(_order(conf, what), _way(), _say)
    except config.ConfError as error:
        _refuse("; ".join(error.errors))
    except (WireError, ValueError) as error:
        _refuse(str(error))
    except OSError as error:
        _say("W", str(error))
        return 1
    return 0


def _order(conf: Cluster, asked: Asked) -> Order:
    if conf.is_witness:
        raise ValueError(purpose(conf))
    here = conf.hosts[conf.this]
    return Order(
        asked.provider,
        asked.job,
        here,
        os.environ.get(CLIENT, here.name).partition(" ")[0],
        rate=conf.transfer_rate,
        compress=conf.compress == "zstd"
        and CLIENT in os.environ,  # on the host itself it would only take time
        lock=f"{here.pid_path}.stream" if here.pid_path else "",
        stall=STALL,
        path=os.environ.get("PATH", ""),
    )


def _way() -> Way:
    fd = sys.stdout.fileno()
    os.set_blocking(fd, False)
    return Way(_send, fd, lambda: None)  # whoever writes to a pipe that nobody reads is told


def _send(data: bytes) -> None:
    """Write all to standard output; raises OSError, TimeoutError for a recipient that takes nothing."""
    fd, view = sys.stdout.fileno(), memoryview(data)
    while view:
        _, ready, _ = select.select([], [fd], [], STALL)
        if not ready:
            raise TimeoutError(f"it has taken no byte for {STALL:g} s")
        with suppress(BlockingIOError):
            view = view[os.write(fd, view) :]


def _refuse(why: str) -> None:
    """Tell the recipient why there is no copy."""
    with suppress(OSError):
        _send(head_frame(Head(refused=why)))


def _say(mark: str, text: str) -> None:
    """Write to this host's log: standard error would go to the recipient."""
    level = syslog.LOG_INFO if mark == "I" else syslog.LOG_WARNING
    syslog.syslog(level, f"{STREAM_PROGRAM}: {text}")


if __name__ == "__main__":
    sys.exit(main())
