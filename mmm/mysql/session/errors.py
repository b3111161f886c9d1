"""What went wrong with a server: the one place that classifies (rule 10.5).

An error packet of any number proves the server alive; only silence, refusal and broken connections
speak against it. Numbers below 1000 are the errno of this machine, 2000-2999 are PyMySQL's own.
"""

import errno
import ssl
from enum import Enum

import pymysql

from mmm.mysql.session.tls import TlsFileError


class ErrorKind(Enum):
    """What an error says about the server."""

    UNREACHABLE = "unreachable"
    """No way to it, or the connection broke, or what answers is no MySQL server."""
    REFUSED = "refused"
    """Its machine answers that nothing listens on the port."""
    SATURATED = "saturated"
    """It lives and has no connection left to give."""
    DENIED = "denied"
    """It lives and turns this user, this machine or this statement away."""
    TIMED_OUT = "timed out"
    """No complete answer within the limit."""
    FAILED = "failed"
    """It lives and the statement failed; or this machine could not even ask (number below 1000)."""


_AGAINST_THE_SERVER = frozenset({ErrorKind.UNREACHABLE, ErrorKind.REFUSED, ErrorKind.TIMED_OUT})
_SATURATED = frozenset({1037, 1038, 1040, 1041, 1135, 1203, 1226})
_DENIED = frozenset(
    {1044, 1045, 1129, 1130, 1142, 1143, 1227, 1251, 1275, 1524, 1698, 1820, 1862, 1873}
    | {3118, 3159, 3955, 4151}  # locked accounts, TLS demanded
    | {2026}  # no TLS that both ends take; nothing was asked
    | {2059, 2061}  # PyMySQL cannot speak the account's authentication plugin
)
_OWN_FAULTS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM, errno.EINVAL}
)
_NO_TLS = 2026
_OTHER_KEY = 7
"""OpenSSL's code for a certificate that was signed by another key than that of the CA with the name in it."""
_SAME_NAME = (
    ": another CA has that name, too, as those that MySQL makes: give each host a mysql_ssl_ca of its own"
)
_LOST = 2013
_BROKEN_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""TLS that ends without a word is a connection that broke."""
_ADVICE = {
    1040: "raise max_connections or end connections",
    1044: "check the user's grants",
    1045: "check user and password in the conf and the account on the server, and mysql_ssl_mode where TLS is demanded",
    1129: "run FLUSH LOCAL HOSTS (MySQL 8.4 and later: TRUNCATE performance_schema.host_cache) on it",
    1130: "create an account that may come from this machine",
    1142: "check the user's grants",
    1203: "raise max_user_connections",
    1226: "raise the account's resource limits",
    1227: "check the user's grants",
    1820: "give the account a new password",
    1862: "give the account a new password",
    2026: "check the mysql_ssl_ keys of the conf and ssl_cert, ssl_key, ssl_ca of the server",
    3159: "set mysql_ssl_mode in the conf",
}


def of_client(number: int) -> bool:
    """Tell whether no server sends this number, but the client: nobody is there, the connection broke, or it cannot."""
    return 2000 <= number < 3000


def refuses(number: int) -> bool:
    """Tell whether an error of that number turns the account away: its user, password, machine or privileges."""
    return number in _DENIED


class MysqlError(Exception):
    """A server could not be asked, or its answer was an error.

    `number` is the server's error number where it sent one, else PyMySQL's or the errno (0: none);
    `text` is one line that says where, what and, where that is known, what to do.
    """

    def __init__(self, kind: ErrorKind, number: int, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.number = number
        self.text = text

    @property
    def server_alive(self) -> bool:
        """Tell whether nothing here speaks against the server: it answered, or the fault is ours."""
        return self.kind not in _AGAINST_THE_SERVER


def lost() -> pymysql.err.OperationalError:
    """Return PyMySQL's error for a session that the server has ended."""
    return pymysql.err.OperationalError(_LOST, "Lost connection to MySQL server during query")


def classify(error: BaseException, where: str, *, certificate: bool = False) -> MysqlError:
    """Return what `error`, raised by PyMySQL or a socket while talking to `where`, says.

    `certificate`: while logging in with a certificate. Some servers that do not take it end the connection then.
    """
    cause = _os_error(error)
    if isinstance(error, TlsFileError):
        kind, number, what = ErrorKind.FAILED, 0, f"not asked: {error}"
    elif cause is not None:
        kind, number, what = _of_os_error(cause)
    elif isinstance(error, pymysql.err.MySQLError):
        kind, number, what = _of_mysql_error(error)
    else:
        kind, number = ErrorKind.UNREACHABLE, 0
        what = f"what answers does not speak the MySQL protocol ({type(error).__name__}: {error})"
    if certificate and kind is ErrorKind.UNREACHABLE:
        kind, number = ErrorKind.DENIED, _NO_TLS
        what = f"TLS: it ended the connection when mysql_ssl_cert was shown ({what})"
    advice = f"; {_ADVICE[number]}" if number in _ADVICE else ""
    shown = f" ({number})" if number >= 1000 else ""
    return MysqlError(kind, number, " ".join(f"MySQL at {where}: {what}{shown}{advice}".split()))


def _os_error(error: BaseException) -> OSError | None:
    """Return the operating system's error behind `error`: PyMySQL wraps it as 2003, 2006 or 2013."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = getattr(seen, "original_exception", None) or seen.__cause__ or seen.__context__
    return None


def _of_os_error(error: OSError) -> tuple[ErrorKind, int, str]:
    number = error.errno or 0
    if isinstance(error, TimeoutError):
        return ErrorKind.TIMED_OUT, number, "no answer in time"
    if isinstance(error, ssl.SSLError) and not isinstance(error, _BROKEN_OFF):
        return ErrorKind.DENIED, _NO_TLS, _of_tls_error(error)
    if isinstance(error, ConnectionRefusedError):
        return ErrorKind.REFUSED, number, "connection refused, nothing listens there"
    if number in _OWN_FAULTS:
        return ErrorKind.FAILED, number, f"not asked, this machine cannot connect: {error.strerror}"
    return ErrorKind.UNREACHABLE, number, error.strerror or str(error)


def _of_tls_error(error: ssl.SSLError) -> str:
    """Return what is wrong with the TLS of a server that has greeted us: it lives."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _SAME_NAME if error.verify_code == _OTHER_KEY else ""
        return f"TLS: its certificate is not accepted: {error.verify_message}{hint}"
    return f"TLS: {(getattr(error, 'reason', '') or str(error)).replace('_', ' ').lower()}"


def _of_mysql_error(error: pymysql.err.MySQLError) -> tuple[ErrorKind, int, str]:
    number, text = 0, str(error)
    if len(error.args) >= 2 and isinstance(error.args[0], int):
        number, text = error.args[0], str(error.args[1])
    if number in _SATURATED:
        return ErrorKind.SATURATED, number, text
    if number in _DENIED:
        return ErrorKind.DENIED, number, text
    if number < 1000 or of_client(number):
        return ErrorKind.UNREACHABLE, number, text or "connection closed"
    return ErrorKind.FAILED, number, text
