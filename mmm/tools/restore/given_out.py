"""Which numbers of MariaDB's transactions were given out, as far as anybody tells (rule 11.8). Edge.

A server that is restored to an earlier moment goes on behind the last number that it knows. The numbers behind that may
be those of transactions that other hosts have yet, or that a log has: whoever compares by GTID would take the new ones
for these.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from mmm.binlog.contents import Before
from mmm.binlog.transactions import UnusableError
from mmm.config.model import Cluster
from mmm.gtid import mariadb
from mmm.gtid.mariadb import Gtid, History
from mmm.mysql.server.log_home import log_files
from mmm.tools.rejoin import looking, outside_log
from mmm.tools.rejoin.look import ServerLook, Silent
from mmm.tools.until.logs import files_in, reader


def given_out(conf: Cluster, datadir: Path, logs: Iterable[Path]) -> tuple[Gtid, ...]:
    """Return the newest transaction of each domain that any host has, or a log in one of the folders.

    Of this host's own server, where that does not answer, the log on the disk tells. MySQL: nothing.
    """
    with ThreadPoolExecutor(max_workers=8) as pool:
        looks = dict(zip(conf.hosts, pool.map(looking.look_at, conf.hosts.values()), strict=True))
    folders = set(logs)
    if isinstance(looks[conf.this], Silent):
        folders |= {datadir, *_outside(conf)}
    told = (look.executed for look in looks.values() if isinstance(look, ServerLook))
    found = (gtid for has in told if isinstance(has, History) for gtid in mariadb.newest_everywhere(has))
    return newest((*found, *(gtid for folder in folders for gtid in newest_in(folder))))


def newest(found: Iterable[Gtid]) -> tuple[Gtid, ...]:
    """Return the newest transaction of each domain. Pure."""
    return mariadb.newest_everywhere(History((), tuple(found)))


def newest_in(folder: Path) -> tuple[Gtid, ...]:
    """Return the newest transaction of each domain in the logs of a folder; what cannot be read is left out."""
    logs: dict[str, list[str]] = {}
    with suppress(OSError):
        for name in files_in(folder):
            logs.setdefault(name.rpartition(".")[0], []).append(name)
    return newest(gtid for names in logs.values() for gtid in _at_the_end(folder, names))


def _at_the_end(folder: Path, names: list[str]) -> Iterator[Gtid]:
    """Yield what the last file holds that says what was in the log before it, that, and what later files hold."""
    read = reader(folder)
    for name in reversed(names):
        begins = False
        with suppress(UnusableError, OSError):
            for entry in read(name):
                if isinstance(entry, Before):
                    begins = isinstance(entry.executed, History)
                    yield from entry.executed.logged if isinstance(entry.executed, History) else ()
                elif isinstance(entry.gtid, Gtid):
                    yield entry.gtid
        if begins:
            return


def _outside(conf: Cluster) -> set[Path]:
    """Return where a server's log is by its option files, as far as they tell."""
    with suppress(OSError):
        home = outside_log.home(None, conf.hosts[conf.this])
        return {path.parent for path in log_files(home).values()} if home else set()
    return set()
