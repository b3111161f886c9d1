"""mmm_sandbox: the command line.

Exit status: 0 done, 1 it failed or the probe found rows missing or doubled, 2 wrong usage or nothing to work with.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from mmm.config.model import Via
from mmm.control.proxies.plan import BOTH, READ, WRITE
from mmm.process import output
from mmm.process.completion import COMPLETE, value_of
from mmm.process.version import Version
from mmm.proving.chaos import history
from mmm.proving.chaos.command import Wanted, chaos, judged
from mmm.sandbox.cluster import Sandbox, names
from mmm.sandbox.machines import build, conf, sql
from mmm.sandbox.machines.fetch import ORIGINS
from mmm.sandbox.machines.layout import SWITCH
from mmm.sandbox.machines.machine import NotInTimeError, SandboxError
from mmm.sandbox.proxy import PROXIES
from mmm.sandbox.rejoin import diverge, rejoin
from mmm.sandbox.status import status
from mmm.sandbox.trouble.faults import FAULTS, faults_told, heal, inject
from mmm.sandbox.up import down, up
from mmm.sandbox.web import start_web
from mmm.sandbox.witness.logs import Logs, moment
from mmm.sandbox.witness.probe_run import Event, Probe, Report

DEFAULT = "default"
_PASS_ON = {"control", "mysql", "rejoin", "shell"}
"""Commands whose arguments are not ours to understand."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run mmm_sandbox and return its exit status."""
    output.prepare()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == [COMPLETE]:
        return _complete(words[1:])
    own, passed = _split(words)
    args = parser().parse_args(own)
    args.rest = passed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(args.run(args) or 0)
    except SandboxError as error:
        print(f"mmm_sandbox: {error}", file=sys.stderr)
        return 1 if isinstance(error, NotInTimeError) else 2
    except (sql.SqlError, OSError) as error:
        print(f"mmm_sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Return our own arguments and those behind a command that passes them on."""
    named = False
    for place, word in enumerate(argv):
        if named or word.startswith("-"):
            named = word == "--name"
            continue
        return (argv[: place + 1], argv[place + 1 :]) if word in _PASS_ON else (argv, [])
    return argv, []


def _complete(typed: list[str]) -> int:
    """Say what may follow the words that were typed."""
    from mmm.sandbox.completion import complete  # noqa: PLC0415 - for the shell alone

    own, passed = _split(typed)
    named = value_of("--name", own)
    passes = bool(own) and own[-1] in _PASS_ON and own[-2:-1] != ["--name"]
    chosen = _chosen(argparse.Namespace() if named is None else argparse.Namespace(name=named))
    print("\n".join(complete(parser(), own, passed, chosen, passes=passes)))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with one below it for each command."""
    made = argparse.ArgumentParser(
        prog="mmm_sandbox",
        description="A whole MMM cluster of real servers on this machine, to rehearse with.",
    )
    made.add_argument("--version", action=Version)
    made.add_argument("--name", default=argparse.SUPPRESS, help=f"which sandbox (default: {DEFAULT})")
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], int | None], text: str) -> argparse.ArgumentParser:
        below = commands.add_parser(name, help=text, description=text)
        below.set_defaults(run=run)
        below.add_argument("--name", default=argparse.SUPPRESS, help="which sandbox")
        return below

    _up_options(command("up", _up, "build a cluster and start everything"))
    command("status", _status, "show every host and what the monitor says")
    command("control", _control, "run mmm_control on the monitor's machine: control ARGS...")
    command("mysql", _mysql, "speak to a host's server: mysql HOST [SQL]")
    command("shell", _shell, "a shell on a machine: shell HOST|monitor|client|switch [COMMAND...]")
    logs = command("logs", _logs, "print the logs of all machines as one, or of those that are named")
    logs.add_argument("machines", nargs="*", metavar="MACHINE")
    logs.add_argument("--since", metavar="TIME", help="from then on: HH:MM, HH:MM:SS, or seconds ago")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    _fault_options(command("fault", _fault, "break something; `fault --help` says what there is"))
    command("heal", _heal, "undo every fault")
    _diverge_options(command("diverge", _diverge, "make a host have transactions that nobody else has"))
    command("rejoin", _rejoin, "bring a host back by mmm_rejoin: rejoin HOST [OPTION...]")
    probe = command("probe", _probe, "write and read as a client until Ctrl-C, and say what it saw")
    probe.add_argument("--seconds", type=float, help="stop after this many seconds")
    probe.add_argument("--proxy", action="store_true", help="through the proxy on its machine")
    probe.add_argument("--json", action="store_true", help="print the report as JSON")
    _chaos_options(
        command("chaos", _chaos, "break things at random while clients write, and judge what came of it")
    )
    command("down", _down, "end and remove everything")
    return made


def _up_options(build_up: argparse.ArgumentParser) -> None:
    build_up.add_argument("--hosts", default="2m1s", help="masters and slaves (default: 2m1s)")
    build_up.add_argument("--monitors", type=int, default=1, help="how many monitors (default: 1)")
    build_up.add_argument(
        "--witness",
        action="store_true",
        help="with a machine that has no server and votes (several monitors)",
    )
    build_up.add_argument(
        "--server", default="mariadb", help=f"mariadb, {', '.join(ORIGINS)}, or the path of another server"
    )
    build_up.add_argument(
        "--proxy", choices=PROXIES, help="run it on the client's machine, as mmm_control proxy prints it"
    )
    build_up.add_argument("--web", action="store_true", help="run mmm_web, and say where its page is")
    build_up.add_argument("--conf", type=Path, metavar="DIR", help="rebuild the cluster of these conf files")


def _diverge_options(diverging: argparse.ArgumentParser) -> None:
    diverging.add_argument("host", metavar="HOST")
    diverging.add_argument(
        "number", type=int, nargs="?", default=3, metavar="N", help="how many (default: 3)"
    )


def _fault_options(fault: argparse.ArgumentParser) -> None:
    fault.formatter_class = argparse.RawDescriptionHelpFormatter
    fault.epilog = f"{faults_told()}\n\nHOST may be a witness where no server is needed."
    fault.add_argument("fault", choices=FAULTS, metavar="FAULT")
    fault.add_argument("host", nargs="?", metavar="HOST")
    fault.add_argument("--angel", action="store_true", help="kill the daemon for good: its angel too")


def _chaos_options(chaos: argparse.ArgumentParser) -> None:
    chaos.add_argument("--seconds", type=float, default=120.0, help="how long (default: 120)")
    chaos.add_argument("--faults", type=int, help="end only after this many faults, however long it takes")
    chaos.add_argument("--seed", type=int, help="which faults (default: a new seed)")
    chaos.add_argument("--monitors", type=int, default=1, help="as for up, likewise (default: 1)")
    chaos.add_argument(
        "--witness", action="store_true", help="a witness in place of the slave (--monitors 2)"
    )
    chaos.add_argument(
        "--via",
        choices=get_args(Via),
        default="arp",
        help="vip_via of its writer role, likewise (default: arp)",
    )
    chaos.add_argument("--server", default="mariadb", help="as for up, when there is no sandbox of that name")
    chaos.add_argument(
        "--auto-rejoin", action="store_true", help="with auto_rejoin in its conf: no host may need hands"
    )
    chaos.add_argument("--history", type=Path, metavar="FILE", help="keep what was recorded")
    chaos.add_argument("--judge", type=Path, metavar="FILE", help="only judge what was recorded before")


def _chosen(args: argparse.Namespace) -> str:
    """Return the name that was given; else that of the only sandbox there is; else the default one."""
    there = names()
    only = there[0] if len(there) == 1 else DEFAULT
    return str(getattr(args, "name", only))


def _say(line: str) -> None:
    print(line, flush=True)


def _up(args: argparse.Namespace) -> None:
    name = getattr(args, "name", DEFAULT)
    masters, slaves = conf.hosts(args.hosts)
    began = time.monotonic()
    wanted = (
        args.conf if args.conf is not None else conf.Conf(masters, slaves, args.monitors, int(args.witness))
    )
    sandbox = up(name, conf=wanted, server=args.server, proxy=bool(args.proxy), say=_say)
    _say(f"up after {time.monotonic() - began:.1f} s")
    _say(sandbox.ask("show").rstrip("\n"))
    if args.web:
        _say(f"mmm_web on the monitor's machine: {start_web(sandbox)} until mmm_sandbox down")
    if args.proxy:
        _say(
            f"{args.proxy} on the client's machine: 127.0.0.1:{WRITE} writes, {READ} reads, {BOTH} does both"
        )


def _status(args: argparse.Namespace) -> None:
    name = _chosen(args)
    if not hasattr(args, "name") and name != DEFAULT:
        _say(f"sandbox {name}, the only one there is:")
    _say(status(Sandbox.attach(name)))


def _control(args: argparse.Namespace) -> NoReturn:
    sandbox = Sandbox.attach(_chosen(args))
    _become(sandbox.monitor.enter([build.program("mmm_control"), *args.rest]))


def _mysql(args: argparse.Namespace) -> NoReturn:
    sandbox = Sandbox.attach(_chosen(args))
    if not args.rest or args.rest[0] not in sandbox.hosts:
        raise SandboxError(f"mysql takes a host: {', '.join(sandbox.hosts)}")
    client = sandbox.server.client()
    if client is None:
        raise SandboxError("no mysql client on this machine: apt-get install mariadb-client-core")
    host, *words = args.rest
    options = ["--table", "-e", " ".join(words)] if words else [f"--prompt={host} [\\d]> "]
    _become(
        sandbox.machine(host).enter([str(client), "--defaults-file=/etc/mysql/my.cnf", "-uroot", *options])
    )


def _shell(args: argparse.Namespace) -> NoReturn:
    sandbox = Sandbox.attach(_chosen(args))
    if (
        not args.rest or args.rest[0] not in sandbox.names
    ):  # whatever their conf files say: here they are mended
        raise SandboxError(f"shell takes a machine: {', '.join(sandbox.names)} ({SWITCH}: the bridge)")
    host, *words = args.rest
    where = f"PATH={Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"
    prompt = rf"PS1=\u@{host}:\w\$ "
    wanted = words or (["bash", "--norc", "-i"] if Path("/bin/bash").exists() else ["sh", "-i"])
    _become(sandbox.machine(host).enter(["env", where, prompt, *wanted]))


def _logs(args: argparse.Namespace) -> None:
    sandbox = Sandbox.attach(_chosen(args))
    unknown = sorted(set(args.machines) - set(sandbox.layout.plugs))
    if unknown:
        raise SandboxError(f"logs: no machine {unknown[0]}: there are {', '.join(sandbox.layout.plugs)}")
    since = moment(args.since, time.time()) if args.since else ()
    logs = Logs(sandbox, machines=args.machines, since=since)
    with contextlib.suppress(BrokenPipeError):
        for line in logs.follow() if args.follow else logs.read():
            _say(line)


def _fault(args: argparse.Namespace) -> None:
    _say(inject(Sandbox.attach(_chosen(args)), args.fault, args.host, angel=args.angel))


def _heal(args: argparse.Namespace) -> None:
    healed: list[str] = []

    def say(line: str) -> None:
        healed.append(line)
        _say(line)

    heal(Sandbox.attach(_chosen(args)), say)
    if not healed:
        _say("nothing was broken")


def _diverge(args: argparse.Namespace) -> None:
    sandbox = Sandbox.attach(_chosen(args))
    _of_hosts(sandbox, "diverge", args.host)
    diverge(sandbox, args.host, args.number)
    _say(f"{args.host} has {args.number} transactions that nobody else has")


def _rejoin(args: argparse.Namespace) -> None:
    sandbox = Sandbox.attach(_chosen(args))
    host, *options = args.rest or [""]
    _of_hosts(sandbox, "rejoin", host)
    _say(rejoin(sandbox, host, *options).rstrip("\n"))


def _of_hosts(sandbox: Sandbox, command: str, host: str) -> None:
    if host not in sandbox.hosts:
        raise SandboxError(f"{command} takes a host: {', '.join(sandbox.hosts)}")


def _down(args: argparse.Namespace) -> None:
    name = _chosen(args)
    down(name)
    _say(f"sandbox {name} is gone")


def _probe(args: argparse.Namespace) -> int:
    told = (lambda _: None) if args.json else _tell
    probe = Probe(Sandbox.attach(_chosen(args)), told=told, proxy=args.proxy)
    probe.start()
    if not args.json:
        _say(f"writing to {probe.plan.writer}, reading from {', '.join(probe.plan.readers)}; Ctrl-C ends")
    # The first signal ends the run, not the program: the rows are checked after it.
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait(args.seconds)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    report = probe.stop()
    _say(report.json() if args.json else _summary(report))
    return 1 if report.missing or report.doubled else 0


def _chaos(args: argparse.Namespace) -> int:
    if args.judge:
        return judged(history.read(args.judge), _say)
    wanted = Wanted(
        seed=int(args.seed if args.seed is not None else time.time()),
        seconds=args.seconds, faults=args.faults or 0, server=args.server, keep=args.history,
        auto_rejoin=args.auto_rejoin, monitors=args.monitors, witness=args.witness, via=args.via,
    )  # fmt: skip
    return chaos(getattr(args, "name", "chaos"), wanted, _say)


def _tell(event: Event) -> None:
    """Print what happened, as it happens."""
    stamp = time.strftime("%H:%M:%S")
    what = "writes" if event.get("kind") == "write" else f"reads from {event.get('vip')}"
    if event["event"] == "fail":
        _say(f"{stamp} {what} fail ({event['host']} answered last): {event['error']}")
    elif event["event"] == "back":
        move = (
            event["after"] if event["before"] == event["after"] else f"{event['before']} -> {event['after']}"
        )
        _say(f"{stamp} {what} again after {event['ms']:.0f} ms: {move}")
    elif event["event"] == "stall":
        _say(f"{stamp} {what}: one took {event['ms']:.0f} ms on {event['host']}")


def _summary(report: Report) -> str:
    writes = report.writes
    longest = max((outage.ms for outage in writes), default=0.0)
    lines = [
        f"{report.acknowledged} rows acknowledged in {report.seconds:.1f} s, {report.refused} refused",
        f"{report.unknown} rows with unknown outcome, {report.stalls} slow ones",
        f"{len(writes)} outages of writes, the longest {longest:.0f} ms; {len(report.outages) - len(writes)} of reads",
    ]
    for name, rows in report.hosts.items():
        role = " (writer)" if name == report.writer else ""
        lines.append(f"{name}{role}: {_count(rows.missing)} missing, {_count(rows.doubled)} doubled")
    return "\n".join(lines)


def _count(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"{len(numbers)} ({shown})" if numbers else "0"


def _become(argv: list[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
