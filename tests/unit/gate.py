"""Statements that a server holds until they are told to go on: how long they take is not left to a clock."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers import Server

HELD = "GET_LOCK('gate', 600)"
"""The expression in a statement that is to be held; 1 once it goes on."""
DENIES = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SET%read_only=1'"
"""There is a row while somebody waits until nobody may write any more."""


@contextmanager
def gate(server: Server) -> Iterator[Callable[[], None]]:
    """Hold what asks for HELD; gives what lets it go on, which may be called by any thread. Root holds it."""
    holder = server.client()
    with holder.cursor() as cursor:
        cursor.execute(f"SELECT {HELD}")
    try:
        yield holder.close
    finally:
        if holder.open:
            holder.close()


@contextmanager
def held_until(server: Server, sql: str) -> Iterator[None]:
    """Hold what asks for HELD until the server has a row for that."""
    with gate(server) as opened:

        def go_on() -> None:
            server.wait_for_rows(sql)
            opened()

        going_on = threading.Thread(target=go_on)
        going_on.start()
        try:
            yield
        finally:
            going_on.join()
