"""What keeps a master from applying what only another one's binary log has. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from mmm.doctor.look import Login, Server


def statements_left(
    logins: Iterable[Login], others: Mapping[str, Server | None]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Return code and fields for each account that may not apply statements; `others` are the other masters."""
    settings = {name: server.settings for name, server in others.items() if server is not None}
    not_rows = [name for name, its in settings.items() if its.get("binlog_format", "ROW") != "ROW"]
    for login in logins:
        for lack in login.statements:
            about = {"privilege": lack.privilege, "statement": lack.statement}
            if not_rows:
                yield "statements_left_too", {**about, "others": ", ".join(not_rows)}
            else:
                yield "statements_left", about
