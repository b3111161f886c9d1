"""mmm_control: sends one command to the monitor and prints what it answers (rules 1, 5).

Exit status: 0 OK, 1 the monitor answered ERROR or does not know the command, 2 usage or conf error,
3 no answer from the monitor, or none that can be written.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import NamedTuple, NoReturn

from mmm.config.endpoint import Endpoint, agent_s_alone, find_monitor
from mmm.config.tree import ConfError
from mmm.control.connection import (
    ANSWER_LIMIT,
    GLANCE,
    STATUS_LIMIT,
    NoAnswerError,
    NotAddressedError,
    Wrap,
    ask,
    tls,
)
from mmm.control.forms import FORMS, Form, is_refused, question, render
from mmm.control.health import HEALTH, status_of, unknown, with_fault
from mmm.control.vouch import NotVouchedError, vouched
from mmm.process import output
from mmm.wire.command import (
    FOLLOW,
    HELP,
    HELP_COMMAND,
    LEADS,
    PROXY,
    QUIT,
    RELOAD,
    STATUS,
    WATCH,
    encode_command,
    incomplete,
    is_unknown,
    options_first,
)
from mmm.wire.lines import WireError

OK, REFUSED, USAGE, NO_ANSWER = 0, 1, 2, 3


def main() -> int:
    """Run mmm_control with the arguments of the process; returns its exit status."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if sys.argv[1:2] == ["--complete"]:
        from mmm.control.completion import complete  # noqa: PLC0415 - for the shell alone

        print(complete(sys.argv[2:]), flush=True)
        return OK
    arguments = _arguments(sys.argv[1:])
    command, form = arguments.command, arguments.format
    if command == [STATUS] and form == "text":
        form = "json"
    if command[0] == QUIT or (command[0] == "doctor" and len(command) > 1):
        return _fail(USAGE if command[0] == QUIT else NO_ANSWER, _remark(command))
    if command == ["doctor"]:
        from mmm.doctor.command import of_cluster  # noqa: PLC0415 - other commands are ready sooner

        return of_cluster(arguments.config, arguments.cluster, form)
    if command[0] == PROXY and len(command) > 1:
        from mmm.control.proxies.command import run as proxy  # noqa: PLC0415 - other commands are ready sooner

        return proxy(command[1:], arguments.config, arguments.cluster)
    try:
        if lacks := incomplete(command):
            return _fail(USAGE, lacks)
        command = options_first(vouched(command))
        encode_command(question(command, form))
        monitor = find_monitor(arguments.config, arguments.cluster, strict=command[0] == RELOAD)
        wrap = tls(monitor.socket)
        if monitor.monitors or arguments.monitor is not None:
            monitor = _chosen(monitor, wrap, command, arguments.monitor)
    except (WireError, ConfError, NotVouchedError, NotAddressedError) as error:
        errors = (*getattr(error, "errors", (str(error),)), *_on_the_wrong_host(error, arguments))
        return unknown(errors[0], form) if command[0] == HEALTH else _fail(USAGE, *errors)
    return _told(monitor, wrap, command, form)


def _told(monitor: Endpoint, wrap: Wrap, command: list[str], form: Form) -> int:
    """Have the monitor answer in the way that the command is answered; returns the exit status."""
    if monitor.faults and command[0] != HEALTH:
        _fail(OK, *_in_spite_of(monitor))
    if command[0] == FOLLOW:
        return _follow(monitor, wrap, command[1:])
    if command == [WATCH]:
        return _watch(monitor, wrap)
    return _asked(monitor, wrap, command, form)


def _chosen(monitor: Endpoint, wrap: Wrap, command: list[str], wanted: str | None) -> Endpoint:
    """Return which of several monitors is asked; raises NotAddressedError."""
    from mmm.control.leader import addressed  # noqa: PLC0415 - most clusters have one monitor

    if wanted is not None:
        known = monitor.monitors or (monitor.ip or "none",)
        if wanted not in known:
            there = "there are" if len(known) > 1 else "there is"
            raise NotAddressedError(f"--monitor {wanted}: {there} {', '.join(known)}")
        return monitor.at(wanted)
    found = addressed(monitor, wrap, command)
    if found.note:
        _fail(OK, found.note)
    return found.monitor


def _asked(monitor: Endpoint, wrap: Wrap, command: list[str], form: Form) -> int:
    """Ask the monitor, print its answer, and return the exit status."""
    asked = question(command, form)
    try:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a monitor that hangs up is an error to be told
        limit = {LEADS: GLANCE, HEALTH: STATUS_LIMIT}.get(command[0], ANSWER_LIMIT)
        with _progress(monitor, wrap, command):
            answer = ask(monitor, wrap, asked, limit)
        if asked != command and is_unknown(answer):
            answer = ask(monitor, wrap, command)
        if command[0] == HEALTH and is_unknown(answer):
            return unknown(_remark(command), form)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        if monitor.faults and command[0] == HEALTH:
            answer = with_fault(answer, monitor.faults[0])
        sys.stdout.write(render(command, answer, form))
        sys.stdout.flush()
        if is_unknown(answer):  # its list of commands is long: what is wrong stands last
            return _fail(REFUSED, _remark(command))
    except NoAnswerError as error:
        if command[0] == HEALTH:
            return unknown("; ".join((*monitor.faults[:1], str(error))), form)
        if command == [HELP_COMMAND]:
            print(HELP, flush=True)
        return _fail(USAGE if monitor.faults else NO_ANSWER, *monitor.faults[1:], str(error))
    except WireError as error:
        return _fail(NO_ANSWER, f"the monitor's answer cannot be shown as {form}: {error}")
    except OSError as error:
        return _fail(NO_ANSWER, f"the monitor's answer cannot be written: {error.strerror}")
    if command[0] == HEALTH:
        return status_of(answer)
    return REFUSED if is_refused(answer) else OK


def _on_the_wrong_host(error: Exception, arguments: "_Arguments") -> tuple[str, ...]:
    """Return what is said besides where only an agent has its conf on this machine."""
    if arguments.config is not None or not isinstance(error, ConfError):
        return ()
    if not (path := agent_s_alone(error, arguments.cluster)):
        return ()
    return (f"there is {path}: this is a MySQL host; run mmm_control on the monitor's host",)


def _in_spite_of(monitor: Endpoint) -> tuple[str, str]:
    """Return what is said before a monitor is asked whose conf has errors by now."""
    first, *others = monitor.faults
    more = f" and {len(others)} more (mmm_mond --check lists them)" if others else ""
    return (
        first,
        f"the conf has this error{more}; a monitor that runs goes by the conf that it has read: it is asked",
    )


def _remark(command: list[str]) -> str:
    from mmm.control.usage import remark  # noqa: PLC0415 - other commands are ready sooner

    return remark(command)


def _progress(monitor: Endpoint, wrap: Wrap, command: list[str]) -> AbstractContextManager[None]:
    if sys.stderr is None or not sys.stderr.isatty():
        return nullcontext()
    from mmm.control.progress import told  # noqa: PLC0415 - for people alone

    return told(monitor, wrap, command)


def _follow(monitor: Endpoint, wrap: Wrap, position: list[str]) -> int:
    from mmm.control import follow  # noqa: PLC0415 - other commands are ready sooner

    try:
        follow.run(monitor, wrap, position)
    except follow.RefusedError as error:
        return _fail(REFUSED, str(error))
    except NoAnswerError as error:
        return _fail(NO_ANSWER, str(error))
    except KeyboardInterrupt:
        return OK


def _watch(monitor: Endpoint, wrap: Wrap) -> int:
    try:
        from mmm.control import watch  # noqa: PLC0415 - other commands are ready sooner
    except ImportError:
        return _fail(
            USAGE, "watch needs the library rich: apt install python3-rich, or pip install 'mysql-mmm[watch]'"
        )
    with suppress(KeyboardInterrupt):
        watch.run(monitor, wrap)
    return OK


def run() -> NoReturn:
    """End the process with the status of `main`, at once: to tidy up would take a tenth of its time.

    Who breaks it off sees no traceback; a shell is told by the signal itself.
    """
    _fill_closed_streams()
    output.prepare()
    try:
        status = main()
    except OSError as error:  # what the monitor answers is caught where it is asked
        status = _fail(NO_ANSWER, f"output failed: {error.strerror or error}")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        status = 128 + signal.SIGINT
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(status)


def _fill_closed_streams() -> None:
    """Open what the caller has closed, as `>&-` does: else the connection gets its number, and what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - for good, and sooner than by pathlib


class _Arguments(NamedTuple):
    """What the command line asks for."""

    command: list[str]
    cluster: str | None = None
    config: str | None = None
    format: Form = "text"
    monitor: str | None = None


def _arguments(argv: Sequence[str]) -> _Arguments:
    if argv and not any(word.startswith(("-", "@")) for word in argv):
        return _Arguments(list(argv))
    import argparse  # noqa: PLC0415 - a command without options is ready sooner

    from mmm.process.cluster import split_cluster  # noqa: PLC0415
    from mmm.process.version import Version  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="mmm_control",
        usage="mmm_control [@CLUSTER] [--config FILE] [--monitor ADDRESS] [--format text|json|yaml] COMMAND [ARG...]",
        epilog=f"{HELP}\nexit status: 0 OK, 1 refused by the monitor, 2 usage or conf error, 3 no answer, or output"
        " failed; of health as of a Nagios plugin; of doctor 0 OK, 1 warnings, 2 errors, 3 the conf cannot be used",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", help="read this conf file instead of looking for mmm_mon.conf"
    )
    parser.add_argument("--format", choices=FORMS, default="text", help="form of the answers (default: text)")
    parser.add_argument(
        "--monitor", metavar="ADDRESS", help="of several monitors ask this one, not the one that leads"
    )
    parser.add_argument("--version", action=Version)
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    cluster, rest = split_cluster(parser, argv)
    arguments, command = parser.parse_known_args(rest)
    if not command or command[0].startswith("-"):
        parser.error(f"unknown option {command[0]}" if command else "a command is missing; see --help")
    return _Arguments(command, cluster, arguments.config, arguments.format, arguments.monitor)


def _fail(status: int, *lines: str) -> int:
    for line in lines:
        print(f"mmm_control: {line}", file=sys.stderr)
    return status
