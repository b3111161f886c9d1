"""MySQL as the sandbox runs it, 8.4 and later."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mmm.mysql.flavour import Flavour, detect
from mmm.sandbox.machines import template
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.template import own_program

_OLDEST = (8, 4, 0)
_PLUGINS = ("lib/mysql/plugin", "lib/plugin")
_CLONE = "mysql_clone.so"


@dataclass(frozen=True, slots=True)
class MySql:
    """A MySQL server."""

    binary: Path
    version: str
    root: Path
    """The folder that has its share/mysql and lib/mysql."""

    @classmethod
    def at(cls, binary: Path, version: str) -> Self:
        """Return the server whose program is there; raises SandboxError."""
        if detect(version, "").version < _OLDEST:
            raise SandboxError(f"{binary} is MySQL {version}: the sandbox can run 8.4 and later")
        above = binary.parent.parent, binary.resolve().parent.parent
        for root in (*(path / "usr" for path in above), *above):
            if (root / "share/mysql/charsets").is_dir() or (root / "share/charsets").is_dir():
                return cls(binary, version, root)
        raise SandboxError(f"{binary}: no folder share/mysql with charsets near it")

    @property
    def flavour(self) -> Flavour:
        """Return what it is told."""
        return detect(self.version, "")

    @property
    def settings(self) -> Mapping[str, object]:
        """Return the values of my.cnf that all servers of this kind have: small, many fit on a machine."""
        return {
            **self._places,
            "gtid_mode": "ON",
            "enforce_gtid_consistency": "ON",
            "log_replica_updates": "ON",
            "replica_net_timeout": 10,
            # A replica that was killed fetches anew what it had not applied.
            "relay_log_recovery": "ON",
            # Losing power is not rehearsed here, losing the process is: these survive that.
            "innodb_flush_log_at_trx_commit": 2,
            "sync_binlog": 0,
            "innodb_buffer_pool_size": "32M",
            "innodb_redo_log_capacity": "16M",
            "innodb_log_buffer_size": "1M",
            "innodb_buffer_pool_dump_at_shutdown": "OFF",
            "innodb_buffer_pool_load_at_startup": "OFF",
            "key_buffer_size": "1M",
            "table_open_cache": 200,
            "table_definition_cache": 400,
            "open_files_limit": 2000,
            "max_connections": 100,
            "thread_cache_size": 16,
            "performance_schema": "OFF",
            "mysqlx": "OFF",
            **self._clone,
        }

    @property
    def _clone(self) -> Mapping[str, object]:
        """Return the option that loads the clone plugin, where the server has it."""
        found = any((self.root / path / _CLONE).is_file() for path in _PLUGINS)
        return {"plugin_load_add": _CLONE} if found else {}

    @property
    def _places(self) -> Mapping[str, object]:
        share = self.root / "share/mysql"
        share = share if share.is_dir() else self.root / "share"
        found = {"basedir": self.root, "lc_messages_dir": share, "character_sets_dir": share / "charsets"}
        plugins = next((path for path in _PLUGINS if (self.root / path).is_dir()), None)
        return {
            **found,
            "secure_file_priv": "NULL",
            **({"plugin_dir": self.root / plugins} if plugins else {}),
        }

    def template(self, cache: Path) -> Path:
        """Return an empty datadir to copy, made in `cache` at the first call; raises SandboxError."""
        return template.ready(cache, self.binary, self.version, self._initialize)

    def _initialize(self, making: Path) -> None:
        places = (f"--{name}={value}" for name, value in self._places.items())
        argv = [str(self.binary), "--no-defaults", "--initialize-insecure", "--user=root", *places]
        template.run([*argv, f"--datadir={making}", "--innodb-redo-log-capacity=16M", "--skip-log-bin"])
        # Every server makes itself a name of its own, server_uuid, where this file is missing.
        (making / "auto.cnf").unlink(missing_ok=True)

    def binlog_program(self) -> Path | None:
        """Return the program of its own folder that reads its binary log; None: the machine's does."""
        return own_program(self.binary, "mysqlbinlog")

    def client(self) -> Path | None:
        """Return the command line client, if there is one."""
        beside = self.binary.parent.parent / "bin/mysql"
        named = shutil.which("mysql")
        return next((path for path in (beside, Path(named or "/usr/bin/mysql")) if path.is_file()), None)
