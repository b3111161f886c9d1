"""A server that is started on a staging folder for a moment: on a socket that root alone reaches, without replication.

It runs beside the server of this host, as that one was started otherwise. Nothing of it is outside of the staging
folder and of a folder that is removed with it: no log, no temporary file, no binary log. It asks for no passwords until
it is told to. Edge.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mmm.mysql.session.connection import Address, Connection, MysqlError, connect
from mmm.process.apparmor import may_forbid
from mmm.process.parent_death import signal_at_parents_end
from mmm.tools.fetch.files import Owner
from mmm.tools.fetch.values import Cause, FailedError

START, STOP = 900.0, 300.0
"""Seconds that it may take to start, and to stop."""
ANSWER = 30.0
"""Seconds that it may take for an answer."""
_LONGEST = 100
"""Bytes of a folder's path that leave room for the name of a socket (unix(7) has 108)."""
_NAP = 0.05
_OPEN, _NO_EVENTS = "--skip-grant-tables", "--loose-event-scheduler=DISABLED"
_WITHOUT_EVENTS = frozenset({_OPEN, _NO_EVENTS})
_NOT_THE_HOSTS = (
    "--loose-persisted-globals-load=OFF",
    "--loose-auto-generate-certs=OFF",
    "--loose-caching-sha2-password-auto-generate-rsa-keys=OFF",
    "--loose-sha256-password-auto-generate-rsa-keys=OFF",
)
"""What SET PERSIST has set counts more than the option files. Keys are made by the server that the copy is for."""
_GUEST = "mmm_private"
"""Of a server that asks for passwords: the account by which it is asked."""
_LOG = "log.err"
"""MariaDB adds that ending to a name that has none."""


@dataclass(frozen=True, slots=True)
class Private:
    """The server, while it runs, and the account that may do everything there."""

    socket: str
    user: str = "root"
    password: str = field(default="", repr=False)

    @property
    def address(self) -> Address:
        """Return where it is, and by whom it is asked."""
        return Address(self.socket, 0, self.user, self.password)

    def connect(self, user: str = "", password: str = "") -> Connection:
        """Return a session, by default of the account that may do everything; raises MysqlError."""
        return connect(Address(self.socket, 0, user, password) if user else self.address, ANSWER)


def _options(staging: Path, folder: Path) -> Sequence[str]:
    """Return what is otherwise than in the option files: places, and what a look does not need."""
    return (
        f"--datadir={staging}", f"--socket={folder}/s", f"--pid-file={folder}/pid", f"--log-error={folder}/{_LOG}",
        f"--tmpdir={folder}", f"--relay-log={folder}/relay", f"--relay-log-index={folder}/relay.index",
        f"--loose-slave-load-tmpdir={folder}", f"--loose-replica-load-tmpdir={folder}",
        "--skip-networking", _OPEN, "--skip-log-bin", "--loose-skip-slave-start",
        "--loose-skip-replica-start", "--innodb-buffer-pool-size=64M", "--key-buffer-size=1M",
        "--loose-innodb-buffer-pool-load-at-startup=OFF", "--loose-innodb-buffer-pool-dump-at-shutdown=OFF",
        "--innodb-data-home-dir=./", "--innodb-undo-directory=./", "--innodb-log-group-home-dir=./",
        "--loose-innodb-doublewrite-dir=./", f"--loose-innodb-temp-tablespaces-dir={folder}",
        "--innodb-temp-data-file-path=ibtmp1:12M:autoextend", f"--loose-aria-log-dir-path={staging}",
        "--performance-schema=OFF", "--general-log=OFF", "--slow-query-log=OFF", "--loose-mysqlx=OFF",
        _NO_EVENTS, *_NOT_THE_HOSTS,
    )  # fmt: skip


def initialized(staging: Path, argv: Sequence[str]) -> None:
    """Have MySQL's server make an empty data directory in the folder, as it is set up; raises FailedError."""
    owner = Owner.of(staging)
    with _scratch(staging, owner) as folder:
        options = [each for each in _options(staging, folder) if each != _OPEN]
        process = _start([*argv, *options, "--initialize-insecure"], folder, owner)
        try:
            status = process.wait(START)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise FailedError(Cause.START, f"no data directory was made within {START:g} s") from error
        if status:
            text = (
                f"making a data directory ended with {status}: {_said(folder)}{may_forbid(argv[0], staging)}"
            )
            raise FailedError(Cause.START, text)


@contextmanager
def running(
    staging: Path, argv: Sequence[str], *, asks: bool = False, guest: bool = False
) -> Iterator[Private]:
    """Give a server on the folder, which has ended in order afterwards; raises FailedError.

    MariaDB takes no events while it asks for no passwords. With `asks` it does from the start: root must have none.
    With `guest` an account is made by which it is asked, and removed at the end.
    """
    owner = Owner.of(staging)
    with _scratch(staging, owner) as folder:
        asks |= guest
        options = [each for each in _options(staging, folder) if not (asks and each in _WITHOUT_EVENTS)]
        idle = ("--loose-event-scheduler=OFF",) if asks else ()
        password = f"aA1.{secrets.token_urlsafe(24)}" if guest else ""
        private = Private(f"{folder}/s", _GUEST if guest else "root", password)
        let_in = _letting_in(folder, owner, password) if guest else ()
        process = _start([*argv, *options, *idle, *let_in], folder, owner)
        try:
            _wait(process, folder, private.address, lambda: may_forbid(argv[0], staging))
            yield private
            if guest:
                _forget(private)
            _stop(process, folder)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _letting_in(folder: Path, owner: Owner, password: str) -> tuple[str, ...]:
    """Return the option that has a server make the account, by a file that only its owner reads; raises FailedError."""
    file = folder / "guest"
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(f"CREATE OR REPLACE USER {_GUEST}@localhost IDENTIFIED BY '{password}';\n")
            made.write(f"GRANT ALL PRIVILEGES ON *.* TO {_GUEST}@localhost WITH GRANT OPTION;\n")
        os.chown(file, owner.uid, owner.gid)
    except OSError as error:
        raise FailedError(Cause.START, f"{file}: {error.strerror or error}") from error
    return (f"--init-file={file}",)


def _forget(private: Private) -> None:
    """Remove the account; raises FailedError."""
    try:
        with private.connect() as session:
            session.execute(f"DROP USER {_GUEST}@localhost")
    except MysqlError as error:
        raise FailedError(Cause.START, error.text) from error


def scratch_of(staging: Path) -> Path:
    """Return the folder of a server on that staging folder: beside it, so that the next one finds what was left."""
    return staging.with_name(f"{staging.name}.server")


@contextmanager
def _scratch(staging: Path, owner: Owner) -> Iterator[Path]:
    """Give an empty folder; what a tool has left that was killed goes first. Raises FailedError."""
    folder = scratch_of(staging)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if len(os.fsencode(folder)) > _LONGEST:
            folder = Path(tempfile.mkdtemp(prefix="mmm-"))
        else:
            folder.mkdir(mode=0o700)
        os.chown(folder, owner.uid, owner.gid)
    except OSError as error:
        raise FailedError(Cause.START, f"{folder}: {error.strerror or error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(argv: Sequence[str], folder: Path, owner: Owner) -> "subprocess.Popen[bytes]":
    user = ("--user=root",) if owner.uid == 0 else ()
    another = owner.uid != os.getuid()
    try:
        with (folder / "said").open("wb") as said:
            return subprocess.Popen(
                [*argv, *user],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                start_new_session=True,
                preexec_fn=lambda: signal_at_parents_end(signal.SIGTERM),  # noqa: PLW1509
                user=owner.uid if another else None,
                group=owner.gid if another else None,
                extra_groups=[] if another else None,
            )
    except OSError as error:
        raise FailedError(Cause.START, f"{argv[0]} cannot be started: {error.strerror}") from error


def _wait(
    process: "subprocess.Popen[bytes]", folder: Path, address: Address, hint: Callable[[], str]
) -> None:
    """Return once it answers; raises FailedError, with the hint, where it ends, or does not answer in time."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            text = f"the server on the copy ended with {process.returncode}: {_said(folder)}{hint()}"
            raise FailedError(Cause.START, text)
        try:
            connect(address, ANSWER).close()
        except MysqlError:
            time.sleep(_NAP)
        else:
            return
    raise FailedError(
        Cause.START, f"the server on the copy has not answered within {START:g} s: {_said(folder)}"
    )


def _stop(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """End it as a server ends; raises FailedError where it does not, for then the copy is not clean."""
    process.terminate()
    try:
        status = process.wait(STOP)
    except subprocess.TimeoutExpired as error:
        raise FailedError(Cause.START, f"the server on the copy has not ended within {STOP:g} s") from error
    if status:
        raise FailedError(Cause.START, f"the server on the copy ended with {status}: {_said(folder)}")


def _said(folder: Path) -> str:
    """Return the first error of its log, or else its last line."""
    lines: list[str] = []
    for name in (_LOG, "said"):
        path = folder / name
        if path.is_file():
            lines += [line for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = (line for line in lines if "[ERROR]" in line)
    return next(errors, lines[-1] if lines else "it said nothing")[-300:]
