"""The step that saves what only this host has, before anything of it is changed."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from mmm.binlog.transactions import Problem
from mmm.config.model import Cluster
from mmm.gtid.mariadb import Gtid, text
from mmm.mysql.server.log_home import LogHome, look_at_log_home
from mmm.mysql.server.login import tools_at
from mmm.mysql.server.replication import executed
from mmm.mysql.session.connection import Connection, connect
from mmm.process import binlog_program
from mmm.process.binlog_program import ProgramError
from mmm.tools.rejoin import option_files
from mmm.tools.rejoin.gtids import gtids_of
from mmm.tools.rejoin.journal import Journal
from mmm.tools.rejoin.option_files import UnknownError
from mmm.tools.rejoin.step_error import StepError
from mmm.tools.saved import through_server
from mmm.tools.saved.find import NoLogError, find
from mmm.tools.saved.save import SaveError, Target, save
from mmm.tools.saved.texts import Sources

_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Saving:
    """Saves into the `folder` of all that was ever saved; with `lose` it goes on where not all can be."""

    conf: Cluster
    folder: Path
    lose: bool = False

    def __call__(self, journal: Journal, server: Connection | None) -> Journal:
        """Return the journal with what was saved; raises StepError, MysqlError. No server: it does not run."""
        try:
            return self._saved(journal, server)
        except (NoLogError, ProgramError, SaveError, UnknownError, OSError) as error:
            if self.lose:
                return journal
            raise StepError(f"{error}; --lose-extra {journal.host} goes on without") from error

    def _saved(self, journal: Journal, server: Connection | None) -> Journal:
        here = None if server is None else executed(server)
        with connect(tools_at(self.conf.hosts[journal.source]), _LIMIT) as there, ExitStack() as held:
            mariadb = there.flavour.mariadb
            has = gtids_of(there)
            extras = find(self._home(server, mariadb=mariadb), has, here)
            if extras.problem is Problem.ENCRYPTED and server is not None:
                folder = held.enter_context(through_server.scratch(self.folder, journal.host))
                own, program = self.conf.hosts[self.conf.this], self._program(mariadb=mariadb)
                extras = through_server.find(server, own, program, folder, lambda home: find(home, has, here))
            program = self._program(mariadb=mariadb) if extras.transactions else ""
            target = Target(self.folder, journal.host, journal.source)
            if journal.saved and not extras.transactions and extras.problem is None:
                return journal  # they are undone already
            saved = save(extras, target, Sources(program, server, there))
        numbers = tuple(Gtid(domain, 0, number) for domain, number in sorted(extras.highest().items()))
        kept = replace(journal, saved=str(saved.folder or ""), count=saved.count, highest=text(numbers))
        if extras.problem is not None and not self.lose:
            raise StepError(
                f"{saved}, and there may be more that cannot be saved: {extras.why}; --lose-extra {journal.host} goes"
                " on without"
            )
        return kept

    def _program(self, *, mariadb: bool) -> str:
        own = self.conf.hosts[self.conf.this].mysqlbinlog
        return binlog_program.find(own, os.environ.get("PATH", ""), mariadb=mariadb)

    def _home(self, server: Connection | None, *, mariadb: bool) -> LogHome:
        if server is not None:
            return server.ask(look_at_log_home(server))
        here = self.conf.hosts[self.conf.this]
        return option_files.log_home(here, option_files.read(here), mariadb=mariadb)
