"""How much data a server has: the bytes of its tablespaces, the redo log aside."""

from collections.abc import Iterable, Mapping

from mmm.mysql.flavour import Flavour
from mmm.mysql.session.question import Question, whole


def look_at_size(flavour: Flavour) -> Question[int]:
    """Ask a server; returns bytes. It needs PROCESS."""
    return size_in((yield asked_for_size(flavour)))


def asked_for_size(flavour: Flavour) -> str:
    """Return the statement that asks for it."""
    old = flavour.mariadb or flavour.version < (8, 0, 0)
    table = "INNODB_SYS_TABLESPACES" if old else "INNODB_TABLESPACES"
    return f"SELECT SUM(FILE_SIZE) AS size FROM information_schema.{table}"  # noqa: S608


def size_in(rows: Iterable[Mapping[str, object]]) -> int:
    """Return the bytes in the answer, which is a decimal number, or none without any tablespace."""
    (row,) = rows
    return whole(str(row["size"] or "0").partition(".")[0])
