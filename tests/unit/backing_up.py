"""A host with its server and its confs on the disk, and the programs of its backups, as its admin runs them."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmm.mysql.server.accounts import tools_privileges
from mmm.wire import agent as wire
from mmm.wire.status import Status, SystemStatus, agent_status_fields, system_status_fields
from tests.servers import Server
from tests.unit.copying import MASTERS, TOOLS, make_tools_user

CONF = """\
this db2
active_master_role writer
backup_keep 3
clone_dirs data
<copy_method cp>
    backup_command cp -a %SNAPSHOT%/%CLONE_DIR% %DEST_DIR%/
    restore_command cp -a %BACKUP_DIR%/%CLONE_DIR%/. %DEST_DIR%/%CLONE_DIR%/
    true_copy 1
</copy_method>
<copy_method versions>
    backup_command mkdir -p %DEST_DIR%/v && cp -a %SNAPSHOT% %DEST_DIR%/v/$(ls %DEST_DIR%/v | wc -l)
    restore_command cp -a !%BACKUP_DIR%/v/%VERSION%/%CLONE_DIR%! %DEST_DIR%/
    incremental 1
    incremental_command ls %BACKUP_DIR%/v
    single_run 1
</copy_method>
<host default>
    cluster_interface lo
    pid_path {folder}/agent.pid
    bin_path /usr
    mysql_port {port}
    mysql_pidfile {pid}
    mysql_rcscript {script}
    agent_port {agent}
    agent_user a
    agent_password a
    replication_user r
    replication_password r
    tools_user {tools.user}
    tools_password {tools.password}
    backup_dir {folder}/backups
    restore_dir {folder}/restored
</host>
"""
LIMIT = 120.0
SHOP = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.o (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
    "CREATE TABLE shop.old (what VARCHAR(20)) ENGINE=MyISAM",
    "INSERT INTO shop.o (what) VALUES ('one'), ('two')",
    "INSERT INTO shop.old VALUES ('three')",
)


@dataclass
class Ran:
    """How a program ended."""

    status: int
    out: str
    err: str


@dataclass
class Machine:
    """db2's machine; its agent does not run."""

    folder: Path
    server: Server
    conf: Path
    """Of the tools."""

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def argv(self, program: str, *options: str) -> list[str]:
        module = f"mmm.tools.{program}.command"
        return [sys.executable, "-m", module, "--config", str(self.conf), *options]

    def run(self, program: str, *options: str) -> Ran:
        done = subprocess.run(
            self.argv(program, *options), capture_output=True, text=True, timeout=LIMIT, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def backup(self, *options: str) -> Path:
        """Make a backup, and return where it is."""
        before = set(self.whole())
        ran = self.run("backup", *options)
        assert ran.status == 0, ran
        (made,) = set(self.whole()) - before
        assert str(made) in ran.out
        return made

    def whole(self) -> list[Path]:
        """Return what looks like a backup."""
        return sorted(path.parent for path in self.backups.glob("*/_mmm") if path.parent.suffix != ".part")


def machine(folder: Path, server: Server, agent: int = 9) -> Machine:
    """Write the confs of a host with that server, and with its agent at that port."""
    make_tools_user(server, tools_privileges(server.kind.flavour))
    text = (CONF + MASTERS).format(
        folder=folder, port=server.port, pid=server.directory / "pid", tools=TOOLS, agent=agent,
        script=server.directory / "rc",
    )  # fmt: skip
    for name in ("mmm_tools.conf", "mmm_agent.conf"):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return Machine(folder, server, folder / "mmm_tools.conf")


@contextmanager
def agent(state: str, master: str = "") -> Iterator[int]:
    """Answer as the agent of db2 does that was told `state`, and give the port."""
    told = agent_status_fields(Status(state, (), master))
    answers = {
        wire.GET_AGENT_STATUS: wire.Reply("OK: Returning status!", told),
        wire.GET_SYSTEM_STATUS: wire.Reply(
            "OK: Returning status!", system_status_fields(SystemStatus(False))
        ),
    }
    with socket.create_server(("127.0.0.1", 0)) as port:

        def serve() -> None:
            while True:
                try:
                    connection, _ = port.accept()
                except OSError:
                    return
                with connection, connection.makefile("rb") as lines:
                    asked = wire.decode_request(lines.readline())
                    connection.sendall(wire.encode_reply(answers[asked.command]))

        threading.Thread(target=serve, daemon=True).start()
        yield port.getsockname()[1]
        port.shutdown(socket.SHUT_RDWR)


def checksums(server: Server) -> list[str]:
    with server.connect() as session:
        rows = session.query("CHECKSUM TABLE shop.o, shop.old EXTENDED")
    return [str(row["Checksum"]) for row in rows]
