"""The status file: `HOST|STATE|ROLES|LEASE|LOST|USED|LEFT_OUT|EPOCH` a line, for a monitor that restarts (rule 6.7).

ROLES are the VIPs assigned to the host and those that it may still have bound: a monitor that died in the middle
of a failover finishes it. LEASE tells whether what was granted of the active master role has an end:
`finite:LENGTH:HOSTS` with the seconds of the conf's `vip_lease` and a digest of the role's hosts, whose promises can
prolong it, `forever`, or empty where nothing was; who finds no record takes it to be for ever (rule 11.1). LOST is
`lost` where the host was lost and is not in use again, though its state does not say so. USED is `used` where the host
has been in use since the cluster was set up, though its state does not say so. LEFT_OUT are the
balanced roles that the admin keeps away from the host. EPOCH is of several monitors the one that led when the line was
written: another one that leads next believes it only where the voters' record is of that one. Empty columns at the end
are left out.
"""

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mmm.config import agreement
from mmm.config.model import Vip
from mmm.lease.rules import FOREVER
from mmm.monitor.decide import leases
from mmm.monitor.decide.found import Stored
from mmm.monitor.decide.move import phases
from mmm.monitor.world.host import State
from mmm.monitor.world.orders import Tell
from mmm.monitor.world.world import Mode, World
from mmm.process.to_disk import settle
from mmm.wire.agent import WireError, decode_vips, encode_vips

FINITE = "finite"
_EPOCH_COLUMN = 7
_LENGTH = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?")


def encode(world: World) -> str:
    """Return the text of the file for this world."""
    return "".join(
        f"{name}|{host.state}|{encode_vips(world.vips_of(name) | host.agent.known_to_hold)}"
        f"{_more(world, name, _soon(world, name))}\n"
        for name, host in world.hosts.items()
    )


def covers(text: str, order: Tell) -> bool:
    """Tell whether a monitor that starts from this text knows all that matters of an order it did not see sent.

    The VIPs are there, and their lease is recorded: as one without an end, which is safe in any case, or with an end
    where the order gives such a one. Where none is recorded, nobody would reckon with an order that is still under way.
    """
    stored = _line_of(text, order.host)
    if stored is None or not set(order.status.vips) <= set(stored.vips):
        return False
    ends = order.lease is not None and order.lease.length < FOREVER
    return stored.lease == "forever" or (stored.lease == FINITE and ends)


def _line_of(text: str, name: str) -> Stored | None:
    line = next((line for line in text.splitlines() if line.startswith(f"{name}|")), "")
    return decode(line)[0].get(name)


def _vips_in(text: str, name: str) -> frozenset[Vip]:
    stored = _line_of(text, name)
    return frozenset(stored.vips) if stored is not None else frozenset()


def is_due_before(text: str, world: World, order: Tell) -> bool:
    """Tell whether the file, which says `text`, is to be written before an order: for what it grants, or what follows.

    Once a host has let go of the role that moves, nobody can write until the next one is told. An agent that knows no
    leases holds for good what it is told.
    """
    if phases.lets_go(world.move, order.host, order.status):
        return True
    if order.lease is not None:
        return not covers(text, order)
    holds = world.master_vips & set(order.status.vips) if world.conf.vip_lease > 0 else frozenset()
    return bool(holds) and not order.greet and not holds <= _vips_in(text, order.host)


def as_recorded(text: str, order: Tell, length: float) -> Tell:
    """Return the order as it may be sent, `text` being what stands on the disk.

    No lease without an end is granted that a monitor which starts would not know of; one of `length` seconds is then.
    """
    if order.lease is None or order.lease.length < FOREVER or covers(text, order):
        return order
    return replace(order, lease=replace(order.lease, length=length))


def to_save(saved: str, world: World) -> str:
    """Return what the file is to say; in passive mode it stays as `saved`, but for leases (rule 6.7)."""
    return with_leases(saved, world) if world.mode is Mode.PASSIVE else encode(world)


def with_epoch(text: str, epoch: str) -> str:
    """Return the text with the monitor that leads in every line; as it is where `epoch` is empty."""
    if not epoch:
        return text
    lines = ([*line.split("|"), *[""] * _EPOCH_COLUMN][:_EPOCH_COLUMN] for line in text.splitlines())
    return "".join("|".join((*columns, epoch)) + "\n" for columns in lines)


def with_leases(text: str, world: World) -> str:
    """Return what the file said, with the leases of this world: in passive mode nothing else changes."""
    lines = []
    for line in text.splitlines():
        columns = line.split("|")
        more = _more(world, columns[0]) if columns[0] in world.hosts else ""
        lines.append("|".join(columns[:3]) + more + "\n")
    return "".join(lines)


def _soon(world: World, name: str) -> str:
    """Return what is recorded of a lease that the host is about to get: it is written while the old holder lets go."""
    move = world.move
    comes = move is not None and move.target == name == world.owner[move.vip]
    return (
        FINITE
        if comes and move is not None and move.vip in world.master_vips and world.conf.vip_lease
        else ""
    )


def _more(world: World, name: str, soon: str = "") -> str:
    host = world.hosts[name]
    lease = leases.recorded(host.agent) or soon
    if lease == FINITE:
        length = max(world.conf.vip_lease, host.agent.granted_before)
        lease = f"{FINITE}:{length:g}:{agreement.writer_hosts(world.conf)}"
    lost = "lost" if host.lost and host.state not in (State.HARD_OFFLINE, State.AWAITING_RECOVERY) else ""
    used = "used" if host.used and host.state not in (State.ONLINE, State.ADMIN_OFFLINE) else ""
    left_out = ",".join(sorted(role for role, kept_out in world.left_out if kept_out == name))
    columns = f"|{lease}|{lost}|{used}|{left_out}"
    return columns.rstrip("|")


def decode(text: str) -> tuple[Mapping[str, Stored], tuple[str, ...]]:
    """Return what is stored of each host, and a sentence for all that was left out (rule 10.25).

    Of two lines about one host the later one is taken. Columns after the eighth are ignored.
    """
    stored: dict[str, Stored] = {}
    numbers: dict[str, int] = {}
    warnings: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        name, _, rest = line.partition("|")
        state, bar, rest = rest.partition("|")
        if not (name and bar and state in State.__members__):
            warnings.append(f"line {number}: {line[:60]!r} is not HOST|STATE|ROLES: left out")
            continue
        if name in numbers:
            warnings.append(
                f"line {number}: line {numbers[name]} is about {name[:60]!r} too: line {number} is taken,"
                " the other left out"
            )
        numbers[name] = number
        vips: list[Vip] = []
        for role in filter(None, rest.split("|")[0].split(",")):
            try:
                vips += decode_vips(role)
            except WireError as error:
                warnings.append(f"line {number}: {error}: left out")
        columns = rest.split("|")
        lease, length, hosts, *_ = [*(columns[1:] or [""])[0].split(":"), "", ""]
        lease = lease if lease in {FINITE, "forever"} else ""
        seconds = float(length) if _LENGTH.fullmatch(length) else 0.0
        lost, used = "lost" in columns[2:3], "used" in columns[3:4]
        left_out = frozenset(filter(None, "".join(columns[4:5]).split(",")))
        epoch = "".join(columns[_EPOCH_COLUMN - 2 :][:1])
        stored[name] = Stored(
            state, tuple(vips), lease, seconds, hosts, lost=lost, used=used, left_out=left_out, epoch=epoch
        )
    return stored, tuple(warnings)


def read(path: Path) -> tuple[Mapping[str, Stored], tuple[str, ...]]:
    """Return what the file says, nothing where there is none. Raises OSError if it cannot be read, or is no file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        return decode(path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return {}, ()


def epoch_in(stored: Mapping[str, Stored]) -> str:
    """Return which of several monitors led when the file was written, by its epoch; empty where that is not known."""
    return next((line.epoch for line in stored.values() if line.epoch), "")


def write(path: Path, text: str) -> None:
    """Put `text` in the file's place, whole or not at all; raises OSError. One write of a file at a time.

    It is on the disk afterwards, and so is that it has taken the place of the one before, whatever becomes of the host.
    """
    # Always the same name: what a monitor leaves that is killed in the middle, the next write replaces.
    temporary = path.with_name(f".{path.name}.new")
    try:
        handle = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        settle(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
