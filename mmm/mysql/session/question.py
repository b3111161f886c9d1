"""A question to a server that may take several statements, free of how they get there and of who waits.

It is a generator: it yields a statement without arguments, and is sent the rows of the answer, or has MysqlError
raised where the server refuses. It returns what it wanted to know.
"""

from collections.abc import Generator
from typing import TypeVar

from mmm.mysql.session.text_protocol import Row

T = TypeVar("T")

Question = Generator[str, list[Row], T]


def only(statement: str) -> Question[list[Row]]:
    """Ask for the rows of one statement."""
    return (yield statement)


def whole(value: str | None) -> int:
    """Return a value of a row as a whole number, 0 for NULL; raises ValueError."""
    return int(value or 0)
