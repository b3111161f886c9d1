"""HTTP/1.1 (RFC 9112) as bytes: small questions without a body, which h11 parses, and their answers. No sockets."""

import http
from functools import lru_cache
from typing import NamedTuple

import h11

METHODS = ("GET", "HEAD", "OPTIONS")
"""What load balancers ask by: HAProxy's `option httpchk` sends OPTIONS where nothing else is written."""


class Answer(NamedTuple):
    """What is answered: an HTTP status and a body of JSON."""

    status: int
    body: bytes


class Request(NamedTuple):
    """What is asked."""

    method: str
    target: str
    stays: bool
    """The client wants to ask again on this connection, and has said nothing more yet."""


class Reply(NamedTuple):
    """What is sent."""

    data: bytes
    stays: bool
    """The connection goes on afterwards."""
    is_last: bool
    """The connection ends, and the client has nothing more to say that would have to be read."""


NOTHING = Reply(b"", stays=False, is_last=True)
"""What is sent where no answer could be made."""


class RefusedError(Exception):
    """No request that is answered here: `status` is what HTTP says to it."""

    def __init__(self, status: int) -> None:
        super().__init__(http.HTTPStatus(status).phrase)
        self.status = status


def is_whole(head: bytes) -> bool:
    """Tell whether an empty line has come: there is nothing to be parsed before."""
    return b"\n\r\n" in head or b"\n\n" in head


def parsed(head: bytes) -> Request:
    """Return the request that the bytes are; raises RefusedError."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            raise RefusedError(400)
        ended = isinstance(connection.next_event(), h11.EndOfMessage)
    except h11.RemoteProtocolError as error:
        raise RefusedError(error.error_status_hint) from error
    if not ended:
        raise RefusedError(413)
    method = request.method.decode()
    if method not in METHODS:
        raise RefusedError(405)
    more, _ = connection.trailing_data
    return Request(method, request.target.decode(), connection.their_state is h11.DONE and not more)


def reply(answer: Answer, *, stays: bool, silent: bool = False) -> Reply:
    """Return what is sent to a whole request; a `silent` one tells the length of the body that it leaves out."""
    head = _head(answer, stays=stays)
    return Reply(head if silent else head + answer.body, stays, not stays)


@lru_cache
def refusal(status: int) -> Reply:
    """Return what is sent to what is no request, or is one that has more to it."""
    return Reply(_head(Answer(status, b""), stays=False), stays=False, is_last=False)


def _head(answer: Answer, *, stays: bool) -> bytes:
    status = http.HTTPStatus(answer.status)
    allow = f"Allow: {', '.join(METHODS)}\r\n" if status is http.HTTPStatus.METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {status} {status.phrase}\r\n{allow}"
        f"Content-Type: application/json\r\nContent-Length: {len(answer.body)}\r\n"
        f"Cache-Control: no-store\r\nConnection: {'keep-alive' if stays else 'close'}\r\n\r\n"
    ).encode()
