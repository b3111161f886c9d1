"""What a backup would be made of, for who asks for a dry run; nothing is changed. Edge."""

from collections.abc import Iterator

from mmm.config.model import CopyMethod
from mmm.tools.backup import by_snapshot, make, server
from mmm.tools.backup.wanted import RefusedError, Wanted
from mmm.tools.fetch.fetch import PROVIDER
from mmm.tools.kept import shelf
from mmm.tools.kept.shelf import Kept
from mmm.tools.provider.sides import Side
from mmm.tools.provider.table import choose

_LEAST = 1.0
"""Seconds that a backup has taken from which a rate can be told."""


def planned(wanted: Wanted, method: CopyMethod | None) -> list[str]:
    """Return how it would be made, line by line.

    Raises RefusedError, FailedError, MysqlError, OSError where nothing would be begun.
    """
    subject = server.look(wanted.conf.hosts[wanted.donor])
    side, here = subject.side, server.side_here(wanted.conf)
    files = True
    if method is not None:
        by_snapshot.see_fit(wanted, method, side.datadir)
        ways = [f"by copy method {method.name}, from a snapshot"]
    else:
        choice = choose(here, side, wanted.providers or wanted.conf.providers)
        ways = [f"{name}: not fit: {why}" for name, why in choice.reasons]
        if not choice.fit:
            raise RefusedError("; ".join(f"{name}: {why}" for name, why in choice.reasons))
        files = choice.fit[0].name == PROVIDER
        ways = [*(f"{provider.name}: fit" for provider in choice.fit), *ways]
    tried = method is None or (method.true_copy and not method.incremental and not side.outside)
    if method is None or not method.incremental:
        make.see_room(wanted.folder, side)
    if tried and files:
        make.see_keys(here, side)
    if tried:
        server.argv_on(wanted.conf, here, side.flavour, subject.settings)
    return [
        *_size(wanted, side),
        *ways,
        "a server would be tried on it" if tried else "it would not be tried",
    ]


def _size(wanted: Wanted, side: Side) -> Iterator[str]:
    """Yield how much there is to copy, and how long that took when it was done last, by its rate."""
    size = f"{side.size / make.MEGABYTE:,.0f} MB of data"
    last = seconds(shelf.all_in(wanted.folder, wanted.donor), side.size)
    yield size if last is None else f"{size}: about {last:,.0f} s, as fast as the last backup"


def seconds(found: tuple[Kept, ...], size: int) -> float | None:
    """Return how long `size` bytes take at the rate of the newest backup that tells one; None: none does. Pure."""
    for kept in reversed(found):
        facts = kept.facts
        if facts.of_ours and facts.bytes and facts.seconds >= _LEAST:
            return size / facts.bytes * facts.seconds
    return None
