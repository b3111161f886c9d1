"""Semi-synchronous replication: who is source, who replica, and how it goes.

MariaDB has it built in. MySQL has plugins of two generations, master/slave and since 8.0.26 source/replica; which is
loaded only the server knows, so names are taken from its answer.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from mmm.gtid.semi_sync import SemiSync
from mmm.mysql.server.half_received import LOGIN_LIMIT
from mmm.mysql.server.replication import replica_status
from mmm.mysql.session.connection import Connection, ErrorKind, MysqlError, Row, connect
from mmm.mysql.session.question import Question

_SOURCE = "rpl_semi_sync_master_enabled"
_REPLICA = "rpl_semi_sync_slave_enabled"
_NEEDED = "rpl_semi_sync_master_wait_for_slave_count"
_TIMEOUT = "rpl_semi_sync_master_timeout"
_PATIENT = "rpl_semi_sync_master_wait_no_slave"
_READ = frozenset({_SOURCE, _REPLICA, _NEEDED, _TIMEOUT, _PATIENT})
_UNKNOWN_VARIABLE = 1193


def switches(connection: Connection, answered: Row | None = None) -> SemiSync:
    """Return what is switched on, without how it goes; `answered` has the settings already. Raises MysqlError."""
    return _parsed(connection.ask(_settings(connection, answered)), {})


def look_at_semi_sync(connection: Connection, answered: Row | None = None) -> Question[SemiSync]:
    """Ask what is switched on, and how it goes; `answered` has the settings already."""
    settings = yield from _settings(connection, answered)
    if not _parsed(settings, {}).on:
        return _parsed(settings, {})
    return _parsed(settings, _named((yield connection.flavour.semi_sync_state)))


def ask_with_settings(connection: Connection, begin: str) -> Question[Row | None]:
    """Ask a SELECT of one row that goes on with the settings behind `begin`; None while their names are not known.

    Also where a plugin was unloaded and its settings with it: then they are known no more.
    """
    names = connection.semi_sync_names
    if not names:
        return None
    try:
        return (yield f"{begin}{', '.join(f'@@global.{name} AS {name}' for name in names)}")[0]
    except MysqlError as error:
        if error.number != _UNKNOWN_VARIABLE:
            raise
        connection.semi_sync_names = None
        return None


def become_source(connection: Connection) -> None:
    """Let commits wait for replicas from now on; this server's part as a replica stays. Raises MysqlError."""
    _switch(connection, _SOURCE, on=True)


def become_replica(connection: Connection, timeout: float) -> None:
    """Acknowledge what is received from now on, and let no commit wait; raises MysqlError.

    Nobody's commit may be waiting: it would be told OK without an acknowledgement. A replica that waits itself would
    apply slowly, or not at all where nobody replicates from it. The receiving thread is connected anew, within
    `timeout` seconds, if it has to be: it tells the source only then.
    """
    before = switches(connection)
    if before.source:
        _switch(connection, _SOURCE, on=False)
    if before.replica is False:
        _switch(connection, _REPLICA, on=True)
        status = replica_status(connection)
        if status is not None and status.io_running != "No":
            flavour = connection.flavour
            try:
                connection.execute(flavour.stop_receiver, (status.channel,), timeout=timeout)
            except MysqlError as error:
                if error.kind is ErrorKind.TIMED_OUT:
                    _start_receiver_later(connection, status.channel)
                raise
            connection.execute(flavour.start_receiver, (status.channel,))


def _start_receiver_later(connection: Connection, channel: str) -> None:
    """Have the receiving thread start once it has stopped: the server takes such orders one after the other.

    That it was told to stop in vain, nobody would remember. It is not waited for.
    """
    with suppress(MysqlError), connect(connection.address, LOGIN_LIMIT) as other:
        other.execute(connection.flavour.start_receiver, (channel,))


def _switch(connection: Connection, name: str, *, on: bool) -> None:
    rows = connection.query(connection.flavour.semi_sync_settings)
    own = next(str(row["Variable_name"]) for row in rows if _old(str(row["Variable_name"])) == name)
    connection.execute(f"SET GLOBAL {own}={int(on)}")


def _settings(connection: Connection, answered: Row | None = None) -> Question[Mapping[str, str]]:
    """Ask for the settings, in the old words, unless `answered` has them; by their names where known: a tenth of it."""
    row = answered or (yield from ask_with_settings(connection, "SELECT "))
    if row is not None:
        return _in(connection, row)
    rows = yield connection.flavour.semi_sync_settings
    names = (str(row["Variable_name"]) for row in rows)
    connection.semi_sync_names = tuple(name for name in names if _old(name) in _READ)
    return _named(rows)


def _in(connection: Connection, row: Row) -> Mapping[str, str]:
    return {_old(name): str(row[name]) for name in connection.semi_sync_names or ()}


def _named(rows: Sequence[Row]) -> Mapping[str, str]:
    """Return names in the old words and values."""
    return {_old(str(row["Variable_name"])): str(row["Value"]) for row in rows}


def _old(name: str) -> str:
    return name.lower().replace("source", "master").replace("replica", "slave")


def _parsed(settings: Mapping[str, str], state: Mapping[str, str]) -> SemiSync:
    def switch(name: str) -> bool | None:
        return _is_on(settings[name]) if name in settings else None

    def number(values: Mapping[str, str], name: str, otherwise: int) -> int:
        text = values.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else otherwise

    patient = _is_on(settings.get(_PATIENT, ""))
    return SemiSync(
        source=switch(_SOURCE),
        replica=switch(_REPLICA),
        waits=_is_on(state.get("rpl_semi_sync_master_status", "")),
        clients=number(state, "rpl_semi_sync_master_clients", 0),
        needed=number(settings, _NEEDED, 1),
        patience=number(settings, _TIMEOUT, 0) / 1000 if patient else 0.0,
        acknowledges=_is_on(state.get("rpl_semi_sync_slave_status", "")),
    )


def _is_on(value: str) -> bool:
    return value.upper() in {"1", "ON"}
