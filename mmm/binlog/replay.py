"""What mariadb-binlog and mysqlbinlog print, taken apart into the statements of each transaction. Pure.

Statements end with what `DELIMITER` names, `/*!*/;`, at the end of a line. Between them lines that begin with `#` say
where in the log one is: `# at 256`. Statements are bytes, for a log may hold some in any character set.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from mmm.binlog.events import Format
from mmm.binlog.rows import in_parts
from mmm.binlog.transactions import Whole

_AT = b"# at "
_DELIMITER = b"DELIMITER "
_FOR_THE_CLIENT = (_DELIMITER, b"/*!\\C ")
"""What the command line client reads itself, and no server is sent."""


class Statement(NamedTuple):
    """A statement, and the place in the log at which the event begins that it stands for."""

    at: int
    text: bytes


class Named(Protocol):
    """A transaction, as it is spoken of."""

    @property
    def name(self) -> str:
        """Return its GTID as the server writes it."""


Batch = tuple[Named | None, Iterable[bytes]]
"""A transaction and its statements; None with those that prepare the session."""


def log_of(form: Format, transactions: Iterable[Whole]) -> bytes:
    """Return a binary log that holds these transactions alone."""
    return form.head + b"".join(each.data for each in transactions)


def statements(lines: Iterable[bytes]) -> Iterator[Statement]:
    """Return the statements in the lines that the program prints, each with its line end."""
    at, end = 0, b";\n"
    text = bytearray()  # it may be as long as the log: no list of its lines besides
    for line in lines:
        if not text:
            if line.startswith(_DELIMITER):
                end = line.removeprefix(_DELIMITER)
                if end == b";\n":  # the log is at its end: what follows puts the client's session back
                    return
            if line.startswith(_AT) and line[len(_AT) :].strip().isdigit():
                at = int(line[len(_AT) :])
            if line.startswith((b"#", *_FOR_THE_CLIENT)) or not line.strip():
                continue
        text += line
        if line.endswith(end):
            del text[-len(end) :]
            said, text = bytes(text.strip()), bytearray()
            if said:
                yield Statement(at, said)


def batches(found: Iterable[Statement], form: Format, transactions: Sequence[Whole]) -> Iterator[Batch]:
    """Return what prepares a session, with None, then the statements of each transaction with it, in their order.

    `found` is what was printed of `log_of` the same; a transaction of which nothing was printed is left out. The
    statements are made as they are taken, and each batch has to be taken to its end before the next one: a
    transaction may be most of the memory that there is. Raises DamagedError, also where they are taken.
    """
    for number, texts in groupby(_numbered(found, form, transactions), key=itemgetter(0)):
        yield (transactions[number] if number >= 0 else None), (text for _, text in texts)


def _numbered(
    found: Iterable[Statement], form: Format, transactions: Sequence[Whole]
) -> Iterator[tuple[int, bytes]]:
    """Return the statements, each with the number of its transaction; -1 for those before the first."""
    ends = len(form.head)
    number = -1
    for statement in found:
        while number + 1 < len(transactions) and statement.at >= ends:
            number += 1
            ends += len(transactions[number].data)
        for text in in_parts(statement.text, checksums=form.checksums):
            yield number, text
