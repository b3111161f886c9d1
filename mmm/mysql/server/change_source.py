"""The statements that name a replica's source, in each flavour's words."""

import time
from collections.abc import Mapping

from mmm.gtid.place import LogPlace
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import Address, Connection, MysqlError


def change_source(
    flavour: Flavour, source: Address, place: LogPlace | None, more: Mapping[str, object], channel: str = ""
) -> tuple[str, tuple[object, ...]]:
    """Return statement and arguments that make `source`, with the user who replicates, the source.

    To go on from `place` of its log, else by GTID. `more` are other options by their names without the prefix,
    such as HEARTBEAT_PERIOD; the server keeps those that are not named, but for that one. No other channel is touched.
    """
    options = {
        "HOST": source.ip,
        "PORT": source.port,
        "USER": source.user,
        "PASSWORD": source.password,
        **more,
    }
    finds = [flavour.by_position if place else flavour.by_gtid]
    return _change(
        flavour, options | _at(place), [*finds, *filter(None, [flavour.password_exchange])], channel
    )


def change_login(
    flavour: Flavour, source: Address, more: Mapping[str, object], channel: str = ""
) -> tuple[str, tuple[object, ...]]:
    """Return statement and arguments that change with what user and password the source is logged in to.

    The server goes on where it was; `more` as above.
    """
    login = {"USER": source.user, "PASSWORD": source.password, **more}
    return _change(flavour, login, [*filter(None, [flavour.password_exchange])], channel)


def rename_source(
    flavour: Flavour, host: str, place: LogPlace | None, more: Mapping[str, object], channel: str = ""
) -> tuple[str, tuple[object, ...]]:
    """Return statement and arguments that change the source's host name, and nothing else that the server keeps.

    A replica without GTID goes on from `place`, which a new name would make the server forget; `more` as above.
    """
    return _change(flavour, {"HOST": host, **more, **_at(place)}, [], channel)


def read_relay_log(
    flavour: Flavour, relay: LogPlace, host: str, more: Mapping[str, object], channel: str = ""
) -> tuple[str, tuple[object, ...]]:
    """Return what has a stopped MariaDB go on from a place of its relay log, without GTID and delay.

    `host` names the source meanwhile; `more` as above.
    """
    words = [flavour.by_position, "RELAY_LOG_FILE=%s", "RELAY_LOG_POS=%s"]
    statement, args = _change(flavour, {"HOST": host, "DELAY": 0, **more}, words, channel)
    return statement, (*args, relay.file, relay.position)


def leave_relay_log(
    flavour: Flavour, host: str, more: Mapping[str, object], channel: str = ""
) -> tuple[str, tuple[object, ...]]:
    """Return what has it go on by GTID, from the source `host`, once all of that is applied; `more` as above."""
    return _change(flavour, {"HOST": host, **more}, [flavour.by_gtid], channel)


def set_delay(flavour: Flavour, channel: str, more: Mapping[str, object]) -> tuple[str, tuple[object, ...]]:
    """Return what sets the delay to 0; `more` as above."""
    return _change(flavour, {"DELAY": 0, **more}, [], channel)


def _at(place: LogPlace | None) -> dict[str, object]:
    return {"LOG_FILE": place.file, "LOG_POS": place.position} if place else {}


def _change(
    flavour: Flavour, options: Mapping[str, object], more: list[str], channel: str
) -> tuple[str, tuple[object, ...]]:
    words = [*(f"{flavour.option_prefix}{name}=%s" for name in options), *more]
    statement = f"{flavour.change_source} {', '.join(words)}{flavour.change_source_end}"
    # The channel is named before the options or behind them.
    before, after = ("%s" in part for part in (flavour.change_source, flavour.change_source_end))
    return statement, (*[channel] * before, *options.values(), *[channel] * after)


def execute(
    replica: Connection, statement: str, args: tuple[object, ...], source: Address, deadline: float = 0.0
) -> None:
    """Execute what holds the password of `source`, which no error is to show. Raises MysqlError.

    The server removes its relay logs for that, which takes a while where they are large: it has until `deadline`, a
    moment of time.monotonic(), and at least as long as for any statement. Out of time the connection would be closed,
    and replication stay stopped.
    """
    try:
        replica.execute(statement, args, timeout=max(replica.timeout, deadline - time.monotonic()))
    except MysqlError as error:
        hidden = error.text.replace(source.password, "***") if source.password else error.text
        raise MysqlError(error.kind, error.number, hidden) from None


def heartbeat(replica: Connection, channel: str) -> dict[str, float]:
    """Return the option that keeps the heartbeat period, which these statements would forget.

    Empty where it cannot be read, and where no source is set: MariaDB tells 0 then, which as an option means that no
    heartbeats are wanted.
    """
    try:
        rows = replica.query(replica.flavour.heartbeat, (channel,))
        period = float(rows[0]["value"] or "") if rows else 0.0
        if not rows or (not period and replica_status(replica) is None):
            return {}
    except (MysqlError, TypeError, ValueError):
        return {}
    return {"HEARTBEAT_PERIOD": period}
