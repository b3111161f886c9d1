"""The statement that names a replica's source, in each flavour's words."""

from collections.abc import Mapping

from mmm.gtid.place import LogPlace
from mmm.mysql.connection import Address
from mmm.mysql.flavour import Flavour


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
    if place:
        options |= {"LOG_FILE": place.file, "LOG_POS": place.position}
    words = [f"{flavour.option_prefix}{name}=%s" for name in options]
    words.append(flavour.by_position if place else flavour.by_gtid)
    if flavour.password_exchange:
        words.append(flavour.password_exchange)
    statement = f"{flavour.change_source} {', '.join(words)}{flavour.change_source_end}"
    # The channel is named before the options or behind them.
    before, after = ("%s" in part for part in (flavour.change_source, flavour.change_source_end))
    return statement, (*[channel] * before, *options.values(), *[channel] * after)
