"""Keeps new clients out of the server here, as the agent does, beside a session that is open; run there.

Prints a JSON object: whether a new client was `refused` meanwhile, and how many packets of the open session had to be
sent `again`.
"""

import json
import socket
import struct
import time

from mmm.agent.act.blocking import blocked
from mmm.config.load import load

SERVER = ("127.0.0.1", 3306)
LIMIT = 10.0
_UNACKED, _TOTAL_RETRANS = 24, 100
"""Where they are in tcp_info: linux/tcp.h."""


def main() -> None:
    """Do it, and say what came of it."""
    conf = load(None, "AGENT", name="mmm_agent.conf")
    with socket.create_connection(SERVER, LIMIT) as session:
        session.recv(1024)
        with blocked(conf):
            session.sendall(b"\0")
            again, refused = sent_again(session), is_refused()
    print(json.dumps({"again": again, "refused": refused}))


def sent_again(session: socket.socket) -> int:
    """Return how many packets were sent again until the other end had all; raises TimeoutError."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        info = session.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        unacked, again = (struct.unpack_from("I", info, place)[0] for place in (_UNACKED, _TOTAL_RETRANS))
        if not unacked:
            return int(again)
        time.sleep(0.001)
    raise TimeoutError(f"the open session is kept out for {LIMIT:g} s")


def is_refused() -> bool:
    """Tell whether a new client is."""
    try:
        socket.create_connection(SERVER, LIMIT).close()
    except ConnectionRefusedError:
        return True
    return False


if __name__ == "__main__":
    main()
