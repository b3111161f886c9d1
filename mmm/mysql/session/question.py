"""A question to a server that may take several statements, free of how they get there and of who waits.

It is a generator: it yields a statement without arguments, and is sent the rows of the answer, or has MysqlError
raised where the server refuses. It returns what it wanted to know.
"""

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")

Question = Generator[str, list[dict[str, Any]], T]


def only(statement: str) -> Question[list[dict[str, Any]]]:
    """Ask for the rows of one statement."""
    return (yield statement)
