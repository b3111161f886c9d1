"""MariaDB as the sandbox runs it, 10.5 and later."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mmm.mysql.flavour import Flavour, detect
from mmm.sandbox import template
from mmm.sandbox.machine import SandboxError

_STATEMENTS = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
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

    @classmethod
    def at(cls, binary: Path, version: str) -> Self:
        """Return the server whose program is there; raises SandboxError."""
        for root in (binary.parent.parent, binary.resolve().parent.parent, Path("/usr")):
            for name in _SHARES:
                if all((root / name / script).is_file() for script in _STATEMENTS):
                    return cls(binary, version, root / name)
        raise SandboxError(f"{binary}: no folder share/mysql with {_STATEMENTS[0]} near it")

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
        return template.ready(cache, self.binary, f"{self.version}{_STATEMENTS}{_TAIL}", self._bootstrap)

    def _bootstrap(self, making: Path) -> None:
        (making / "mysql").mkdir()
        scripts = ((self.share / name).read_text(errors="replace") for name in _STATEMENTS)
        argv = [
            str(self.binary), "--no-defaults", "--bootstrap", "--user=root", f"--datadir={making}",
            "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=16M", "--skip-log-bin",
            *(f"--{name}={value}" for name, value in self._places.items()),
        ]  # fmt: skip
        template.run(argv, _HEAD + "\n".join(scripts) + _TAIL)

    def client(self) -> Path | None:
        """Return the command line client, if there is one."""
        beside = [self.binary.parent.parent / "bin" / name for name in ("mariadb", "mysql")]
        named = [Path(found) for name in ("mariadb", "mysql") if (found := shutil.which(name))]
        return next((path for path in (*beside, *named) if path.is_file()), None)
