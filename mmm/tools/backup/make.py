"""Makes one backup: fetched whole, tried by a server that runs on it, listed by hashes, and only then named. Edge."""

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmm import __version__
from mmm.config.model import Cluster, CopyMethod, Host
from mmm.process.to_disk import settle
from mmm.tools.backup import by_snapshot, server
from mmm.tools.backup.server import Subject
from mmm.tools.backup.wanted import RefusedError, Wanted
from mmm.tools.fetch import files
from mmm.tools.fetch.fetch import PROVIDER
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.stage import prove
from mmm.tools.fetch.values import Cause, Failed, FailedError, Fetched
from mmm.tools.kept import facts, hashes, shelf
from mmm.tools.kept.facts import AT, ZSTD, Facts
from mmm.tools.kept.shelf import CLASSIC, DATA, METHOD, OPTIONS, OWN, PART, STATUS, Kept
from mmm.tools.provider.job import Job
from mmm.tools.provider.room import lacks_room
from mmm.tools.provider.sides import Side
from mmm.tools.provider.table import Provider, choose

MEGABYTE = 1_000_000
COMPRESS = 86_400.0
"""Seconds that compressing may take."""
_CLONE = "clone-plugin"

log = logging.getLogger(__name__)


def make(wanted: Wanted) -> Kept:
    """Return the backup that was made; raises RefusedError, FailedError, MysqlError, OSError, and leaves nothing then.

    The folder has to be locked.
    """
    began = time.time()
    subject = server.look(wanted.conf.hosts[wanted.donor])
    here = server.side_here(wanted.conf)
    choice = choose(here, subject.side, wanted.providers or wanted.conf.providers)
    if not choice.fit:
        raise RefusedError("; ".join(f"{name}: {why}" for name, why in choice.reasons))
    see_room(wanted.folder, subject.side)
    if choice.fit[0].name == PROVIDER:
        see_keys(here, subject.side)
    argv = server.argv_on(wanted.conf, here, subject.side.flavour, subject.settings)
    part = wanted.folder / (shelf.name(wanted.donor, began) + PART)
    part.mkdir(mode=0o700)
    try:
        tried = _Trying(wanted, part, argv, here).first(choice.fit, choice.reasons)
        found = _facts(wanted, subject, tried, began)
        return _sealed(wanted, part, found, subject.options)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def make_by_method(wanted: Wanted, method: CopyMethod) -> Kept:
    """Return the backup that was made by a copy method from a snapshot; as `make`, but for what is incremental.

    That adds to what is in the folder, and is the folder's only backup.
    """
    began = time.time()
    subject = server.look(wanted.conf.hosts[wanted.donor])
    by_snapshot.see_fit(wanted, method, subject.side.datadir)
    found = Facts(wanted.donor, _at(began), tool_version=__version__)
    if method.incremental:
        found = by_snapshot.copied(wanted, method, wanted.folder, found)
        _write_down(wanted.folder, found, subject.options)
        return Kept(wanted.folder, found)
    see_room(wanted.folder, subject.side)
    proved = method.true_copy and not subject.side.outside
    flavour = subject.side.flavour
    here = server.side_here(wanted.conf)
    if proved:
        see_keys(here, subject.side)
    argv = server.argv_on(wanted.conf, here, flavour, subject.settings) if proved else ()
    part = wanted.folder / (shelf.name(wanted.donor, began) + PART)
    part.mkdir(mode=0o700)
    try:
        found = by_snapshot.copied(wanted, method, part, found)
        if proved:
            found = by_snapshot.tried(wanted, subject, part, found, argv)
        return _sealed(replace(wanted, compress=wanted.compress and proved), part, found, subject.options)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _at(when: float) -> str:
    return time.strftime(AT, time.localtime(when))


def see_room(folder: Path, side: Side) -> None:
    """Raise RefusedError where the folder, or where it would be made, has no room for the donor's data."""
    if why := lacks_room(folder, side.name, side.size):
        raise RefusedError(why)


def see_keys(here: Side | None, side: Side) -> None:
    """Raise RefusedError where no server here has the keys of encrypted data: nothing could be tried, nor prepared."""
    if side.keys and not (here and here.keys):
        raise RefusedError(
            f"{side.name} encrypts its data by {side.keys}, and no server runs here that has the keys: back it up on"
            " a host that has"
        )


@dataclass(frozen=True, slots=True)
class _Tried:
    """A copy that a server has run on."""

    provider: str
    came: Fetched
    gtid: str
    bytes: int
    """Its size then."""


@dataclass(frozen=True, slots=True)
class _Trying:
    """The ways to get a copy, one after the other."""

    wanted: Wanted
    part: Path
    argv: Sequence[str]
    here: Side | None

    def first(self, ways: Sequence[Provider], reasons: Sequence[tuple[str, str]]) -> _Tried:
        """Return what the first way that goes well brings; raises FailedError with what each has against it."""
        failed: list[Failed] = []
        texts = [f"{name}: {why}" for name, why in reasons]
        for way in ways:
            found = self._by(way)
            if isinstance(found, _Tried):
                return found
            log.warning("%s: %s: %s", self.wanted.donor, way.name, found.text)
            failed.append(found)
            texts.append(f"{way.name}: {found.text}")
        causes = {each.cause for each in failed}
        raise FailedError(causes.pop() if len(causes) == 1 else Cause.HERE, "; ".join(texts))

    def _by(self, way: Provider) -> _Tried | Failed:
        into, conf, donor = self.part / DATA, self.wanted.conf, self.wanted.donor
        own = Owner(os.getuid(), os.getgid())
        owner = own
        if way.name == _CLONE and self.here is not None:  # the server here writes it
            owner = Owner.of(Path(self.here.datadir))
            self.part.chmod(0o711)
        job = Job(
            conf,
            _host_here(conf),
            conf.hosts[donor],
            into,
            owner,
            self.wanted.report,
            self.part.name,
            self.argv,
        )
        came = way.fetch(job)
        if isinstance(came, Failed):
            return came
        self.part.chmod(0o700)
        files.give(into, own)
        self.wanted.say(
            f"{came.bytes / MEGABYTE:,.0f} MB by {way.name} in {came.seconds:.1f} s; a server is tried on it …"
        )
        proved = prove(into, self.argv, came.position, ())
        return proved if isinstance(proved, Failed) else _Tried(way.name, came, proved.gtid, files.size(into))


def _host_here(conf: Cluster) -> Host:
    """Return this machine as a host; where it is none of the cluster, one without a server."""
    return conf.hosts.get(conf.this) or Host(conf.this or "here", "127.0.0.1", "slave", mysql_port=0)


def _facts(wanted: Wanted, subject: Subject, tried: _Tried, began: float) -> Facts:
    place = tried.came.position.place
    return Facts(
        host=wanted.donor,
        at=_at(began),
        provider=tried.provider,
        family=subject.side.flavour.family,
        server_version=tried.came.server_version,
        tool_version=__version__,
        gtid=tried.gtid,
        log_file=place.file if place else "",
        log_position=place.position if place else 0,
        slave=subject.slave,
        bytes=tried.bytes,
        settings=subject.settings,
    )


def _sealed(wanted: Wanted, part: Path, found: Facts, options: str) -> Kept:
    """Write down what the backup is, and give it its name; raises FailedError, OSError."""
    data = part / found.data
    (data / "auto.cnf").unlink(missing_ok=True)  # MySQL: who runs on the data is a server of its own
    if wanted.compress:
        wanted.say("it is compressed …")
        _compress(data)
        found = replace(found, compress=ZSTD)
    own = part / OWN
    _write_down(part, found, options)
    sums = own / hashes.SUMS
    sums.write_text(hashes.listed(part, sums), "utf-8")
    files.sync(part)
    whole = part.with_name(part.name.removesuffix(PART))
    part.rename(whole)
    settle(whole.parent)
    return Kept(whole, found)


def _write_down(backup: Path, found: Facts, options: str) -> None:
    """Write what the backup is, and what the server was started with; raises OSError."""
    own = backup / OWN
    own.mkdir(mode=0o700, exist_ok=True)
    found = replace(found, seconds=round(time.time() - time.mktime(time.strptime(found.at, AT)), 1))
    texts = {STATUS: facts.encode(found), CLASSIC: facts.encode_classic(found), OPTIONS: options}
    if found.copy_method:
        texts[METHOD] = found.copy_method
    for name, text in texts.items():
        (own / name).write_text(text, "utf-8")
        (own / name).chmod(0o600)


def _compress(folder: Path) -> None:
    """Compress each file in the folder; raises FailedError."""
    argv = ["zstd", "-q", "-1", "-T0", "--rm", "-r", str(folder)]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=COMPRESS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FailedError(Cause.HERE, f"zstd cannot be run: {error}: apt-get install zstd") from error
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        raise FailedError(Cause.HERE, f"zstd ended with {done.returncode}: {said}")
