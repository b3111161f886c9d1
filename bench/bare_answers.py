"""What answering a load balancer cannot do without, for `bench.health`: accept, read, write, close. Argument: port."""

import socket
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\n" + b"." * 61


def main() -> None:
    """Answer one client after the other, for ever."""
    with socket.create_server(("", int(sys.argv[1])), backlog=512) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                while request := connection.recv(8192):
                    connection.send(_ANSWER)
                    if b"close" in request:
                        break


if __name__ == "__main__":
    main()
