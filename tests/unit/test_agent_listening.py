"""Where this host's server listens, as its agent sees it before a VIP is bound."""

import socket

from mmm.agent.act.listening import Listening
from tests.ports import kept_port


def test_a_server_that_listens_there_by_now_is_seen_at_once_and_one_that_does_not_is_named() -> None:
    with kept_port() as port, socket.create_server(("127.0.0.2", port)):
        server = Listening(port)
        server.look()
        assert f"port {port} is open at 127.0.0.2 only" in server.deaf_at("127.0.0.1")
        assert server.deaf_at("127.0.0.2") == ""
        with socket.create_server(("127.0.0.1", port)):
            assert server.deaf_at("127.0.0.1") == ""
