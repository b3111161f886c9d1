"""MariaDB as the sandbox runs it, 10.5 and later."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mmm.mysql.flavour import Flavour, detect
from mmm.sandbox.machines import template
from mmm.sandbox.machines.machine import SandboxError
from mmm.sandbox.machines.template import own_program

_TABLES = ("system_tables.sql", "performance_tables.sql", "system_tables_data.sql")
_PREFIXES = ("mariadb_", "mysql_")
"""What the names of the scripts begin with: since 11, and before."""
_HEAD = "create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n"
_TAIL = (
    "\nDELETE FROM global_priv WHERE Host = @@hostname;\nDELETE FROM proxies_priv WHERE Host = @@hostname;\n"
)
_PATH = "/usr/sbin:/usr/local/sbin:/usr/libexec:/usr/bin:/usr/local/bin"
_SHARES = ("share/mysql", "share/mariadb", "usr/share/mysql", "usr/share/mariadb", "share")


def installed() -> Path:
    """Return the server program of this machine; raises SandboxError."""
    found = shutil.which("mariadbd", path=_PATH)
    if found is None:
        raise SandboxError("no MariaDB server on this machine: apt-get install mariadb-server-core")
    return Path(found)


@dataclass(frozen=True, slots=True)
class MariaDb:
    """A MariaDB server."""

    binary: Path
    version: str
    share: Path
    """Where its messages, character sets and system table scripts are."""
    scripts: tuple[str, ...]
    """The names there of the scripts that make the system tables."""

    @classmethod
    def at(cls, binary: Path, version: str) -> Self:
        """Return the server whose program is there, with the files of its own tree only; raises SandboxError."""
        roots = dict.fromkeys((binary.parent.parent, binary.resolve().parent.parent))
        for share in (root / name for root in roots for name in _SHARES):
            for prefix in _PREFIXES:
                scripts = tuple(f"{prefix}{table}" for table in _TABLES)
                if all((share / script).is_file() for script in scripts):
                    return cls(binary, version, share, scripts)
        looked = ", ".join(f"{root}/{_SHARES[0]}" for root in roots)
        raise SandboxError(
            f"{binary}: neither mariadb_{_TABLES[0]} nor mysql_{_TABLES[0]} in {looked} or beside: "
            "its package is incomplete, or the program was copied away from its files"
        )

    @property
    def flavour(self) -> Flavour:
        """Return what it is told."""
        return detect(self.version, "MariaDB")

    @property
    def settings(self) -> Mapping[str, object]:
        """Return the values of my.cnf that all servers of this kind have: small, many fit on a machine."""
        return {
            **self._places,
            "log_slave_updates": "ON",
            "slave_net_timeout": 10,
            # Losing power is not rehearsed here, losing the process is: these survive that.
            "innodb_flush_log_at_trx_commit": 2,
            "sync_binlog": 0,
            "innodb_buffer_pool_size": "32M",
            "innodb_log_file_size": "16M",
            "innodb_log_buffer_size": "2M",
            "innodb_buffer_pool_dump_at_shutdown": "OFF",
            "innodb_buffer_pool_load_at_startup": "OFF",
            "key_buffer_size": "1M",
            "aria_pagecache_buffer_size": "2M",
            "query_cache_size": 0,
            "table_open_cache": 200,
            "open_files_limit": 2000,
            "max_connections": 100,
            "thread_cache_size": 16,
            "performance_schema": "OFF",
        }

    @property
    def _places(self) -> Mapping[str, object]:
        found = {"lc_messages_dir": self.share, "character_sets_dir": self.share / "charsets"}
        plugins = self.binary.parent.parent / "usr/lib/mysql/plugin"
        return {**found, "plugin_dir": plugins} if plugins.is_dir() else found

    def template(self, cache: Path) -> Path:
        """Return an empty datadir to copy, made in `cache` at the first call; raises SandboxError."""
        return template.ready(
            cache, self.binary, f"{self.version}{self.share}{self.scripts}{_TAIL}", self._bootstrap
        )

    def _bootstrap(self, making: Path) -> None:
        (making / "mysql").mkdir()
        scripts = ((self.share / name).read_text(errors="replace") for name in self.scripts)
        argv = [
            str(self.binary), "--no-defaults", "--bootstrap", "--user=root", f"--datadir={making}",
            "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=16M", "--skip-log-bin",
            *(f"--{name}={value}" for name, value in self._places.items()),
        ]  # fmt: skip
        template.run(argv, _HEAD + "\n".join(scripts) + _TAIL)

    def binlog_program(self) -> Path | None:
        """Return the program of its own folder that reads its binary log; None: the machine's does."""
        return own_program(self.binary, "mariadb-binlog")

    def client(self) -> Path | None:
        """Return the command line client, if there is one."""
        beside = [self.binary.parent.parent / "bin" / name for name in ("mariadb", "mysql")]
        named = [Path(found) for name in ("mariadb", "mysql") if (found := shutil.which(name))]
        return next((path for path in (*beside, *named) if path.is_file()), None)
