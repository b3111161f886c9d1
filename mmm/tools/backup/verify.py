"""Whether a backup is whole, and a server runs on it: tried on a copy, for a server writes to what it runs on. Edge."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from mmm.config.model import Cluster
from mmm.mysql.backup.mariadb_backup import Position
from mmm.mysql.flavour import detect
from mmm.tools.backup import server
from mmm.tools.backup.wanted import RefusedError
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.stage import Proved, prove
from mmm.tools.fetch.values import Failed, FailedError
from mmm.tools.kept import hashes, putback
from mmm.tools.kept.shelf import OWN, PART, Kept
from mmm.tools.provider.room import lacks_room


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found."""

    bytes: int
    proved: Proved


def see_room_for(kept: Kept) -> None:
    """Raise RefusedError where a copy has no room beside the backup: a server writes to what it runs on."""
    if why := lacks_room(kept.path.parent, kept.path.name, kept.facts.bytes):
        raise RefusedError(why)


def verify(conf: Cluster, kept: Kept, say: Callable[[str], None]) -> Verified:
    """Return what a server on a copy of the backup shows; raises DamagedError, FailedError, OSError."""
    say(f"{kept.path}: its files are read …")
    size = hashes.check(kept.path, kept.path / OWN / hashes.SUMS)
    flavour = detect(kept.facts.server_version, kept.facts.family)
    argv = server.argv_on(conf, server.side_here(conf), flavour, kept.facts.settings)
    trial = kept.path.with_name(f"{kept.path.name}{PART}")
    say("a server is tried on a copy …")
    try:
        putback.copy(kept, trial, Owner.of(kept.path))
        found = prove(trial, argv, Position(None, kept.facts.gtid), ())
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    if isinstance(found, Failed):
        raise FailedError(found.cause, found.text)
    return Verified(size, found)
