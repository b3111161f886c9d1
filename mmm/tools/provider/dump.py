"""A copy by a dump of the donor's server that is loaded here into a fresh data directory: for small data. Edge.

It needs nothing on the donor but grants, and is slow: loading takes some 30 s a gigabyte. The donor keeps one read view
for as long as that takes.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from mmm.mysql.backup import dump
from mmm.mysql.backup.mariadb_backup import Position, ProgramError, series
from mmm.mysql.flavour import Flavour
from mmm.mysql.server.login import tools_at
from mmm.mysql.session.connection import MysqlError, connect
from mmm.process.secret import secret_file
from mmm.tools.fetch import files
from mmm.tools.fetch.private import initialized, running
from mmm.tools.fetch.stage import server_of
from mmm.tools.fetch.values import Cause, Failed, FailedError, Fetched, Progress
from mmm.tools.provider.job import Job
from mmm.tools.provider.sides import Side

LARGEST = 5_000_000_000
"""Bytes of data up to which this way is taken unless the conf names it."""
ANSWER = 10.0
MAKE = 600.0
"""Seconds that making an empty data directory may take."""
_AT_ONCE = 1 << 20
_PAGE = 16384
_BEGINNING, _END = 1 << 20, 1 << 18
"""Bytes in which a dump says where it stands: MySQL's set of transactions may be long."""
_MARIADB_MAKES = "mariadb-install-db"
_MADE_BY = "m*_upgrade_info"
"""The file in which it says its version."""
_VERSION = re.compile(r"Ver (\S+)")


def unfit(here: Side | None, donor: Side) -> str:
    """Return why this is not the way, empty where it is."""
    if here is not None and here.flavour.family != donor.flavour.family:
        return f"{here.name} runs {here.flavour.family}, {donor.name} {donor.flavour.family}"
    if here is not None and here.flavour.version[:2] < donor.flavour.version[:2]:
        return f"{here.name} runs {here.version}, older than {donor.version} of {donor.name}"
    if here is not None and here.lower_case_table_names != donor.lower_case_table_names:
        return f"lower_case_table_names is not the same on {here.name} and {donor.name}"
    if here is not None and here.page_size != _PAGE:
        return f"innodb_page_size is {here.page_size} on {here.name}: an empty data directory is made with {_PAGE}"
    if not donor.logs_updates:
        return f"{donor.name} does not log what it replicates (log_slave_updates): a dump cannot say where it stands"
    if donor.prepared:
        return f"{donor.name} has XA transactions that are prepared (XA RECOVER), which a dump leaves out"
    if donor.dump_lacks:
        return f"tools_user may not dump {donor.name}: {'; '.join(donor.dump_lacks)}"
    return ""


def fetch(job: Job) -> Fetched | Failed:
    """Return what came."""
    began = time.monotonic()
    try:
        with connect(tools_at(job.donor), ANSWER) as session:
            flavour = session.flavour
            version = str(session.query("SELECT VERSION() AS version")[0]["version"])
        programs = dump.find(flavour, os.environ.get("PATH", ""))
        argv = job.argv or server_of(job.here)
        with files.made(job.into):
            files.give(job.into, job.owner)
            _make(job, flavour, argv)
            with running(job.into, argv, asks=flavour.mariadb) as private:
                position, sent = _load(job, flavour, programs, private.socket)
            files.give(job.into, job.owner)
            files.sync(job.into)
        return Fetched(files.size(job.into), time.monotonic() - began, position, version, sent)
    except FailedError as error:
        return error.failed
    except MysqlError as error:
        return Failed(Cause.PRODUCER, error.text)
    except (OSError, ProgramError) as error:
        return Failed(Cause.HERE, f"{job.into}: {error}")


def tried(job: Job) -> Failed | None:
    """Return why a copy could not be begun now, None where nothing is known to be in the way."""
    try:
        with connect(tools_at(job.donor), ANSWER) as session:
            flavour = session.flavour
        dump.find(flavour, os.environ.get("PATH", ""))
        if flavour.mariadb:
            _maker()
        with _login(job, flavour):
            return None
    except FailedError as error:
        return error.failed
    except MysqlError as error:
        return Failed(Cause.PRODUCER, error.text)
    except (OSError, ProgramError) as error:
        return Failed(Cause.HERE, str(error))


def _make(job: Job, flavour: Flavour, argv: Sequence[str]) -> None:
    """Make an empty data directory in the staging folder; raises FailedError."""
    if not flavour.mariadb:
        initialized(job.into, argv)
        return
    program = _maker()
    user = pwd.getpwuid(job.owner.uid).pw_name
    options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-log-bin")
    made = subprocess.run(
        [program, "--no-defaults", f"--datadir={job.into}", f"--user={user}", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=MAKE,
    )
    if made.returncode:
        said = (made.stderr or made.stdout).decode("utf-8", "replace").split("\n")
        raise FailedError(
            Cause.HERE, f"{program} ended with {made.returncode}: {' '.join(said[-5:]).strip()}"
        )
    _see_series(job, program, argv)


def _maker() -> str:
    """Return the program that makes MariaDB's data directories; raises FailedError."""
    program = shutil.which(
        _MARIADB_MAKES, path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/mysql/scripts"
    )
    if program is None:
        raise FailedError(
            Cause.HERE, f"there is no {_MARIADB_MAKES} on this host: apt-get install mariadb-server-core"
        )
    return program


def _see_series(job: Job, program: str, argv: Sequence[str]) -> None:
    """Raise FailedError where the program is of another series than the server: that would not start on its files."""
    made = next((path.read_text("utf-8", "replace").strip() for path in job.into.glob(_MADE_BY)), "")
    told = subprocess.run([*argv, "--version"], capture_output=True, text=True, check=False, timeout=ANSWER)
    server = _VERSION.search(told.stdout)
    if made and server and series(made) != series(server[1]):
        text = f"{program} is of {made}, the server here of {server[1]}: install the {_MARIADB_MAKES} of that"
        raise FailedError(Cause.HERE, text)


def _load(job: Job, flavour: Flavour, programs: dump.Programs, socket: str) -> tuple[Position, int]:
    """Load the donor's dump into the server, and return where it stands and its size; raises FailedError."""
    with _login(job, flavour) as secret:
        argv = dump.dump(programs, flavour, f"/dev/fd/{secret}")
        passed = _through(job, argv, dump.load(programs, socket), secret)
    position = dump.position(passed.beginning, passed.end, flavour)
    if position is None:
        text = f"the dump of {job.donor.name} does not say where it stands: has it a binary log?"
        raise FailedError(Cause.PRODUCER, text)
    return position, passed.size


@contextmanager
def _login(job: Job, flavour: Flavour) -> Iterator[int]:
    """Give an option file in memory, as a descriptor; raises FailedError where the dump would come without TLS."""
    address, plain = tools_at(job.donor), job.conf.transfer == "plain"
    if flavour.mariadb and address.tls is None and not plain:
        text = "a dump would come without TLS: set mysql_ssl_mode of the hosts, or write `transfer plain` in the conf"
        raise FailedError(Cause.HERE, text)
    with secret_file(dump.login(flavour, address, plain=plain)) as secret:
        yield secret


def _through(job: Job, give: Sequence[str], take: Sequence[str], secret: int) -> "_Passed":
    """Run both programs, one into the other, and return what went through; raises FailedError unless all of it did."""
    with ExitStack() as stack:
        said, said_here = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        giving: subprocess.Popen[bytes] = subprocess.Popen(
            give, stdin=nothing, stdout=pipe, stderr=said, pass_fds=(secret,)
        )
        stack.callback(_end, giving)
        taking: subprocess.Popen[bytes] = subprocess.Popen(take, stdin=pipe, stdout=nothing, stderr=said_here)
        stack.callback(_end, taking)
        passed = _pass_on(job, giving, taking)
        given, taken = giving.wait(), taking.wait()
        if taken:
            raise FailedError(Cause.UNPACK, f"loading the dump ended with {taken}: {_last(said_here)}")
        if given or not dump.is_whole(passed.end):
            raise FailedError(
                Cause.PRODUCER, f"the dump of {job.donor.name} ended with {given}: {_last(said)}"
            )
        return passed


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


@dataclass(slots=True)
class _Passed:
    """What went through."""

    beginning: bytes = b""
    end: bytes = b""
    size: int = 0


def _pass_on(job: Job, giving: "subprocess.Popen[bytes]", taking: "subprocess.Popen[bytes]") -> _Passed:
    """Pass the dump on, and report how far it is; what is not taken the exit status of the other tells."""
    passed, began, told = _Passed(), time.monotonic(), time.monotonic()
    source, target = giving.stdout, taking.stdin
    if source is None or target is None:
        return passed  # never: they are pipes
    with suppress(BrokenPipeError), source, target:
        while data := os.read(source.fileno(), _AT_ONCE):
            target.write(data)
            passed.size += len(data)
            if len(passed.beginning) < _BEGINNING:
                passed.beginning += data
            passed.end = (passed.end + data)[-_END:]
            if (now := time.monotonic()) - told > 1.0:
                told = now
                job.report(Progress("loading", passed.size, 0, passed.size / (now - began)))
    return passed


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
