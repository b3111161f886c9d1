"""A host of a sandbox whose data are on a small disk, which is full, or has no room for a copy beside them."""

from pathlib import Path

from mmm.mysql.backup.data_size import asked_for_size, size_in
from mmm.sandbox.cluster import Sandbox
from mmm.sandbox.machines.servers import DATADIR
from mmm.sandbox.witness.health import settle
from mmm.tools.provider import room

HOST, DONOR = "db3", "db2"
"""Who is rebuilt, and whose data it gets."""
LIMIT = 120.0
PLACE, _MB = "/run/small", 1024
_LACKS = 16 << 20
"""Bytes by which a disk is too small for a copy beside the old data, which are more."""


def put_on(sandbox: Sandbox) -> None:
    """Put the data of the host on a small disk until it is powered off; raises SandboxError."""
    machine, folder = sandbox.machine(HOST), str(Path(DATADIR).parent)
    sandbox.ask(f"set_offline {HOST}")  # else it may be found away, or back, at any later moment
    machine.run(["/etc/init.d/mysql", "stop"])
    for argv in (
        ["mkdir", "-p", PLACE],
        ["mount", "-t", "tmpfs", "-o", f"size={_MB}m", "none", PLACE],
        ["cp", "-a", f"{folder}/.", f"{PLACE}/"],
        ["mount", "--bind", PLACE, folder],
    ):
        machine.run(argv)
    sandbox.start_server(HOST)
    sandbox.bring_online(limit=LIMIT, force=False)
    settle(sandbox, LIMIT)


def crowd(sandbox: Sandbox) -> None:
    """Leave no room for a copy on the small disk of the host, unless its old data go; raises SandboxError."""
    size = size_in(sandbox.sql(DONOR, asked_for_size(sandbox.server.flavour)))
    machine, wanted = sandbox.machine(HOST), room.needed(size)
    used = machine.run(["df", "--block-size=1", "--output=used", PLACE]).stdout.split()[-1]
    _resize(sandbox, int(used) + wanted - _LACKS)


def give_room(sandbox: Sandbox) -> None:
    """Make the small disk as large as it was; raises SandboxError."""
    _resize(sandbox, _MB << 20)


def _resize(sandbox: Sandbox, size: int) -> None:
    sandbox.machine(HOST).run(["mount", "-o", f"remount,size={size}", PLACE])
