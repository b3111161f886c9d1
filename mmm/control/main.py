"""mmm_control: sends one command to the monitor and prints what it answers (rules 1, 5).

Exit status: 0 OK, 1 the monitor answered ERROR or does not know the command, 2 usage or conf error,
3 no answer from the monitor, or none that can be written.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from mmm import __version__
from mmm.config.endpoint import Endpoint, find_monitor
from mmm.config.tree import ConfError
from mmm.control.forms import FORMS, Form, is_refused, question, render
from mmm.control.health import HEALTH, status_of, unknown
from mmm.control.signing import is_signed, signed
from mmm.control.vouch import NotVouchedError, vouched
from mmm.wire.command import HELP, encode_command, incomplete, is_unknown
from mmm.wire.lines import WireError

CONNECT_LIMIT = 10.0
"""Seconds for the monitor to accept."""
ANSWER_LIMIT = 90.0
"""Seconds for the whole answer; a move of the writer may take a minute."""
_MAX_ANSWER = 64 * 1024 * 1024

Wrap = Callable[[socket.socket], socket.socket]

OK, REFUSED, USAGE, NO_ANSWER = 0, 1, 2, 3


class NoAnswerError(Exception):
    """The monitor could not be asked; the text is one line that says why and what to look at."""


def main() -> int:
    """Run mmm_control with the arguments of the process; returns its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = _arguments(sys.argv[1:])
    command, form = arguments.command, arguments.format
    if command == ["doctor"]:
        from mmm.doctor.command import of_cluster  # noqa: PLC0415 - other commands are ready sooner

        return of_cluster(arguments.config, arguments.cluster, form)
    try:
        if lacks := incomplete(command):
            return _fail(USAGE, lacks)
        command = vouched(command)
        asked = question(command, form)
        encode_command(asked)
        monitor = find_monitor(arguments.config, arguments.cluster)
        wrap = _tls(monitor.socket)
    except (WireError, ConfError, NotVouchedError) as error:
        errors = getattr(error, "errors", (str(error),))
        return unknown(errors[0], form) if command[0] == HEALTH else _fail(USAGE, *errors)
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a monitor that hangs up is an error to be told
        answer = _ask(monitor, wrap, asked)
        if asked != command and is_unknown(answer):
            answer = _ask(monitor, wrap, command)
        if command[0] == HEALTH and is_unknown(answer):
            return unknown("the monitor does not know this command: is it one of MMM 2.x?", form)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.stdout.write(render(command, answer, form))
        sys.stdout.flush()
    except NoAnswerError as error:
        return unknown(str(error), form) if command[0] == HEALTH else _fail(NO_ANSWER, str(error))
    except WireError as error:
        return _fail(NO_ANSWER, f"the monitor's answer cannot be shown as {form}: {error}")
    except OSError as error:
        return _fail(NO_ANSWER, f"the monitor's answer cannot be written: {error.strerror}")
    if command[0] == HEALTH:
        return status_of(answer)
    return REFUSED if is_refused(answer) else OK


def run() -> NoReturn:
    """End the process with the status of `main`, at once: to tidy up would take a tenth of its time."""
    status = main()
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(status)


class _Arguments(NamedTuple):
    """What the command line asks for."""

    command: list[str]
    cluster: str | None = None
    config: str | None = None
    format: Form = "text"


def _arguments(argv: Sequence[str]) -> _Arguments:
    if argv and not any(word.startswith(("-", "@")) for word in argv):
        return _Arguments(list(argv))
    import argparse  # noqa: PLC0415 - a command without options is ready sooner

    from mmm.process.cluster import split_cluster  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="mmm_control",
        usage="mmm_control [@CLUSTER] [--config FILE] [--format text|json|yaml] COMMAND [ARG...]",
        epilog=f"{HELP}\nexit status: 0 OK, 1 refused by the monitor, 2 usage or conf error, 3 no answer, or output"
        " failed; of health as of a Nagios plugin",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", help="read this conf file instead of looking for mmm_mon.conf"
    )
    parser.add_argument("--format", choices=FORMS, default="text", help="form of the answers (default: text)")
    parser.add_argument("--version", action="version", version=f"mmm_control {__version__}")
    parser.add_argument("--help", action="help", help="show this help and exit")
    cluster, rest = split_cluster(parser, argv)
    arguments, command = parser.parse_known_args(rest)
    if not command or command[0].startswith("-"):
        parser.error(f"unknown option {command[0]}" if command else "a command is missing; see --help")
    return _Arguments(command, cluster, arguments.config, arguments.format)


def _ask(monitor: Endpoint, wrap: Wrap, command: Sequence[str]) -> str:
    if monitor.ip is None:
        raise NoAnswerError(f"{monitor.path} names no monitor")
    where = f"monitor at {monitor.ip}:{monitor.port}"
    try:
        answer = _signed(monitor, wrap, command) if is_signed(monitor.key, command) else None
        if answer is None:
            with wrap(socket.create_connection((monitor.ip, monitor.port), CONNECT_LIMIT)) as connection:
                connection.sendall(encode_command(command))
                answer = _receive(connection)
    except TimeoutError:
        raise NoAnswerError(f"{where} did not answer in time; see its log") from None
    except OSError as error:
        raise NoAnswerError(f"cannot talk to {where}: {_reason(error)}") from error
    if not answer:
        raise NoAnswerError(f"{where} closed the connection without an answer: {_CLOSED}")
    return answer


def _signed(monitor: Endpoint, wrap: Wrap, command: Sequence[str]) -> str | None:
    """Return the answer to the command, sent signed; None where the monitor knows no signatures."""
    assert monitor.ip is not None  # noqa: S101 - for mypy
    with wrap(socket.create_connection((monitor.ip, monitor.port), CONNECT_LIMIT)) as connection:
        request = signed(connection, monitor.key, command)
        if request is None:
            return None
        connection.sendall(request)
        return _receive(connection)


_CLOSED = "see its log; is its <socket> type ssl, or is this host not in allow_from?"


def _reason(error: OSError) -> str:
    """Return why there was no talking to the monitor, and what to look at."""
    tls = getattr(error, "verify_message", "") or getattr(error, "reason", "")  # of ssl.SSLError
    if tls:
        return (
            f"TLS failed ({str(tls).replace('_', ' ').lower()}); is <socket> the same in its conf and here?"
        )
    if isinstance(error, ConnectionRefusedError):
        return "Connection refused; is mmm_mond running?"
    if isinstance(error, ConnectionResetError):
        return f"Connection reset by peer; {_CLOSED}"
    return error.strerror or str(error)


def _receive(connection: socket.socket) -> str:
    end = time.monotonic() + ANSWER_LIMIT
    received = bytearray()
    while len(received) < _MAX_ANSWER:
        connection.settimeout(max(0.001, end - time.monotonic()))
        data = connection.recv(65536)
        if not data:
            break
        received += data
    return received.decode(errors="replace")


def _tls(settings: dict[str, Any]) -> Wrap:
    if settings.get("type", "plain") == "plain":
        return lambda plain: plain
    from mmm.config.model import Socket  # noqa: PLC0415 - most clusters use plain TCP
    from mmm.process.tls import TlsError, client_context  # noqa: PLC0415

    try:
        context = client_context(Socket(**settings))
    except TlsError as error:
        raise ConfError((str(error),)) from error
    return context.wrap_socket if context else lambda plain: plain


def _fail(status: int, *lines: str) -> int:
    for line in lines:
        print(f"mmm_control: {line}", file=sys.stderr)
    return status
